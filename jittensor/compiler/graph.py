"""The compiler's own graph: recorded nodes in, plain entries with indices out.

Entries stand in program order. A source is an index: `i >= 0` is entry i, `-1 - k` is external
storage k. Offsets are exact for entries and relative for externals.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..graph.node import Rule, Spec
from ..graph.ops import Op


@dataclass(slots=True, eq=False)
class Entry:
    """One operation of the graph being compiled.

    `scalars` are (kind, slot) for a value bound at each run or ('const', number) for one that
    the shapes fix. `slots` are the address slots of external reads (-1: not external).
    `base` is what an in-place update writes into, `out_slot` the address slot of that region.
    """

    op: Op
    reads: tuple[Spec, ...]
    srcs: tuple[int, ...]
    offsets: tuple[int, ...]
    slots: tuple[int, ...]
    scalars: tuple[tuple, ...]
    attrs: tuple
    spec: Spec
    kept: bool = False
    base: int | None = None
    writes: Spec | None = None
    out_offset: int = 0
    out_slot: int = -1
    origin: tuple | None = None

    @property
    def region(self) -> Spec:
        """How the result lies in its storage."""
        return self.writes or self.spec

    def moved(self, srcs: tuple[int, ...], base: int | None) -> Entry:
        """A copy that reads and writes into these entries."""
        return Entry(self.op, self.reads, srcs, self.offsets, self.slots, self.scalars, self.attrs,
                     self.spec, self.kept, base, self.writes, self.out_offset, self.out_slot,
                     self.origin)


@dataclass(slots=True, eq=False)
class Graph:
    """Entries in program order and the external storages that they read or write."""

    entries: list[Entry] = field(default_factory=list)
    externals: int = 0
    roots: list[int] = field(default_factory=list)    # of the leading entries, once asked for

    def root(self, source: int) -> int:
        """The entry or external whose memory a source occupies. Bases are fixed once it is asked
        for the first time."""
        if source < 0:
            return source
        roots = self.roots
        while len(roots) <= source:
            base = self.entries[len(roots)].base
            roots.append(len(roots) if base is None else base if base < 0 else roots[base])
        return roots[source]


def entry_of(rule: Rule, srcs, offsets, slots, scalars, **more) -> Entry:
    """An Entry for a rule."""
    return Entry(rule.op, rule.reads, tuple(srcs), tuple(offsets), tuple(slots), tuple(scalars),
                 rule.attrs, rule.spec, writes=rule.writes, **more)
