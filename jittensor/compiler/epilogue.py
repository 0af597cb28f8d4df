"""Epilogues: ordered groups in, which elementwise group follows each product, tile by tile, out.

A matrix product writes a tile at a time. An elementwise group that reads the product in the order
in which it is written can work on each tile while it is in the cache, in the same launch.
"""

from __future__ import annotations

from ..graph.ops import OPAQUE
from .graph import Graph
from .groups import Group
from .memory import Memory, extent
from .nest import Launch


def followers(graph: Graph, groups: list[Group], needs: list[int], memory: Memory) -> dict:
    """{step of an opaque group: step of the map group that may run with it}.

    The map group needs the opaque one and nothing later, so that it may run at its place; and it
    overwrites nothing that the opaque one reads, for other tiles are still to be computed.
    """
    found: dict[int, int] = {}
    for step, group in enumerate(groups):
        first = needs[step] - 1
        if group.kind != "map" or first < 0 or first in found:
            continue
        opaque = groups[first]
        entry = graph.entries[opaque.entries[0]]
        if entry.op.kind == OPAQUE and entry.writes is None and not _overwrites(
                graph, group, entry.srcs, memory):
            found[first] = step
    return found


def _overwrites(graph: Graph, group: Group, sources: tuple, memory: Memory) -> bool:
    """Whether a group writes to memory of any of the sources."""
    read = {graph.root(source) for source in sources}
    spans = [_span(graph, root, memory) for root in read if root in memory.offsets]
    for e in group.stored:
        root = graph.root(e)
        if root in read:
            return True
        if root in memory.offsets:
            low, high = _span(graph, root, memory)
            if any(low < end and begin < high for begin, end in spans):
                return True
    return False


def _span(graph: Graph, root: int, memory: Memory) -> tuple[int, int]:
    begin = memory.offsets[root]
    return begin, begin + extent(graph, root)


def joined(launches: list[Launch], tail: Launch) -> bool:
    """Makes `tail` the epilogue of a product's launch, where it reads what each item wrote."""
    if len(launches) != 1:
        return False
    head = launches[0]
    if not head.run or not head.total or head.result not in tail.walked or not (
            (head.total - 1) * head.run < tail.total <= head.total * head.run):
        return False
    head.tail = tail
    head.label = f"{head.label}, {tail.label}"
    head.moved += tail.moved
    return True
