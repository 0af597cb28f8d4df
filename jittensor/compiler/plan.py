"""Planning: a recorded graph in, a Plan out: launches in order, and how to bind each run to it."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.ops import OPAQUE
from .epilogue import followers, joined
from .fuse import Fusion, fuse
from .graph import Graph
from .lower import Lowering
from .memory import Memory, plan_memory
from .nest import Launch
from .order import groups_before
from .rewrite import rewrite


@dataclass(slots=True, eq=False)
class Plan:
    """What a graph runs as.

    `outputs` are (entry of the recorded graph, its bytes) in the order of the output blocks.
    Words of a launch may be ('address', memory, offset) with memory ('slot', k): an address bound
    at each run; ('storage', k): the k-th external storage; ('out', k); ('arena', offset); or
    ('scratch', offset).
    """

    launches: list[Launch]
    outputs: list[tuple[int, int]]
    arena: int
    graph: Graph
    fusion: Fusion


def make_plan(recorded: Graph, fusion_enabled: bool = True) -> Plan:
    """Rewrites, fuses, orders, plans memory and lowers."""
    graph, kept = rewrite(recorded)
    fusion = fuse(graph, fusion_enabled)
    memory = plan_memory(graph, fusion.groups)
    launches: list[Launch] = []
    scratch_end = memory.arena
    needs = groups_before(graph, fusion.groups, memory)
    tails = followers(graph, fusion.groups, needs, memory) if fusion_enabled else {}
    joined_groups: set[int] = set()
    ends: list[int] = []          # launches of the groups up to each one
    scratched = 0                 # launches up to the last that used the scratch memory
    for step, group in enumerate(fusion.groups):
        first = ends[needs[step] - 1] if needs[step] else 0
        made = [] if step in joined_groups else _launches(graph, group, memory)
        if step in tails and joined(made, _launches(graph, fusion.groups[tails[step]], memory)[0]):
            joined_groups.add(tails[step])
            first = len(launches)         # whatever the epilogue needs ran before
        for launch in made:
            launch.after = max(first, scratched if launch.scratch else 0)
            launches.append(launch)
            first = len(launches)
            if launch.scratch:
                scratched = first
                scratch_end = max(scratch_end, memory.arena + launch.scratch)
        ends.append(len(launches))
    outputs = [(0, 0)] * len(memory.outputs)
    for old, new in kept.items():
        root = graph.root(new)
        if recorded.entries[old].kept and root in memory.outputs:
            outputs[memory.outputs[root]] = (old, graph.entries[root].spec.nbytes)
    for launch in (*launches, *[la.tail for la in launches if la.tail is not None]):
        launch.words = [_resolve(w, memory.arena) for w in launch.words]
    return Plan(launches, outputs, scratch_end, graph, fusion)


def _launches(graph: Graph, group, memory: Memory) -> list[Launch]:
    entry = graph.entries[group.entries[0]]
    if entry.op.kind == OPAQUE:
        return entry.op.expand(graph, group.entries[0], memory.place)
    return [Lowering(graph, group, memory.place).lower()]


def _resolve(word, scratch_base: int):
    """Scratch and arena addresses become one kind."""
    if isinstance(word, tuple):
        if word[0] == "scratch":
            return ("address", ("arena", 0), scratch_base + word[1])
        if word[0] == "address" and word[1][0] == "arena":
            return ("address", ("arena", 0), word[1][1] + word[2])
    return word
