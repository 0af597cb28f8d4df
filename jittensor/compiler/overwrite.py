"""Operators that change a few elements of an operand: a recorded graph in, the same graph out,
in which they write to that operand's memory where nobody needs its former value.

`x.index_add_(...)` is recorded as a copy of x with rows added, which is then written back to x.
Here the write back goes away, and so does the copy.
"""

from __future__ import annotations

from ..graph.node import Spec
from .graph import Entry, Graph


def overwrite(graph: Graph) -> dict[int, int]:
    """Changes entries whose operator `overwrites` its first operand into in-place ones. Returns
    the entries that became idle, each with the entry that stands for it."""
    users: dict[int, list[int]] = {}
    for i, entry in enumerate(graph.entries):
        for source in entry.srcs + (() if entry.base is None else (entry.base,)):
            users.setdefault(source, []).append(i)
    stands: dict[int, int] = {}
    for i, entry in enumerate(graph.entries):
        if not entry.op.overwrites or entry.base is not None or not entry.reads[0].contiguous:
            continue
        back = _written_back(graph, i, users)
        if back is not None and graph.entries[back].base is None:
            stands[back] = i
        elif back is not None and _same_region(entry, graph.entries[back]):
            later = graph.entries[back]
            entry.base, entry.writes = later.base, entry.spec
            entry.out_offset, entry.out_slot = later.out_offset, later.out_slot
            later.base = later.writes = None
            stands[back] = i
            continue
        source = entry.srcs[0]
        if source >= 0 and users[source] == [i]:
            first = graph.entries[source]
            if first.base is None and not first.kept and not entry.offsets[0] and _alike(
                    first.spec, entry.spec):
                entry.base, entry.writes = source, entry.spec
    return stands


def _written_back(graph: Graph, i: int, users: dict[int, list[int]]) -> int | None:
    """The next entry, if it copies the whole of entry i and nobody else needs entry i."""
    if graph.entries[i].kept or users.get(i) != [i + 1]:
        return None
    entry, later = graph.entries[i], graph.entries[i + 1]
    plain = later.op.name == "cast" and later.srcs == (i,) and later.offsets == (0,)
    return i + 1 if plain and later.reads[0].contiguous and _alike(
        entry.spec, later.region) else None


def _same_region(entry: Entry, later: Entry) -> bool:
    """Whether the first operand is the region that a later write fills, and the others lie in
    other storages."""
    if entry.srcs[0] != later.base or entry.srcs.count(later.base) > 1:
        return False
    if later.base < 0:
        return entry.slots[0] == later.out_slot
    return entry.offsets[0] == later.out_offset


def _alike(a: Spec, b: Spec) -> bool:
    return a.contiguous and b.contiguous and a.numel == b.numel and a.dtype is b.dtype
