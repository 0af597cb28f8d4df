"""Memory planning: ordered groups in, the place of every stored value out.

A value lives in one of: an external storage (in-place updates), an output block of its own (what
stays visible after the run), or the arena, where blocks are shared by values whose lifetimes do
not meet and a value may take over a dying input that it reads element by element.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .addresses import out_index, read_address
from .graph import Graph
from .groups import Group
from .loops import address
from .nest import Place

ALIGN = 64


@dataclass(slots=True, eq=False)
class Memory:
    """Where values lie. `outputs` lists the kept entries that get blocks of their own."""

    graph: Graph
    offsets: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, int] = field(default_factory=dict)
    arena: int = 0

    def place(self, source: int, offset: int, slot: int) -> Place:
        """The Place of a source read (or written) at an element offset."""
        root = self.graph.root(source)
        if source < 0:
            return Place(("slot", slot), 0)
        if root < 0:
            if slot >= 0:      # the region of an update, whose own address is bound at each run
                return Place(("slot", slot), 0)
            return Place(("storage", -1 - root), offset)
        if root in self.outputs:
            return Place(("out", self.outputs[root]), offset)
        return Place(("arena", self.offsets[root]), offset)


def plan_memory(graph: Graph, groups: list[Group]) -> Memory:
    """Gives every stored value a place."""
    memory = Memory(graph)
    last_use = _last_uses(graph, groups)
    free = _FreeList()
    dying: dict[int, list[int]] = {}
    for root, step in last_use.items():
        dying.setdefault(step, []).append(root)
    kept_roots = {graph.root(i) for i, e in enumerate(graph.entries) if e.kept}
    for step, group in enumerate(groups):
        for e in group.stored:
            if graph.root(e) != e:
                continue
            if e in kept_roots:
                memory.outputs[e] = len(memory.outputs)
                continue
            heir = _dying_input(graph, group, e, step, last_use, memory)
            if heir is not None:
                memory.offsets[e] = memory.offsets[heir]
                dying[step].remove(heir)
                free.inherit(heir, e)
            else:
                memory.offsets[e] = free.take(e, extent(graph, e))
            if e not in last_use:
                dying.setdefault(step, []).append(e)
        for root in dying.get(step, ()):
            if root in memory.offsets:
                free.give(root)
    memory.arena = free.high
    return memory


def extent(graph: Graph, e: int) -> int:
    """Bytes that a value takes in the arena."""
    spec = graph.entries[e].spec
    return max(ALIGN, -(-spec.numel * spec.dtype.itemsize // ALIGN) * ALIGN)


def _last_uses(graph: Graph, groups: list[Group]) -> dict[int, int]:
    """The last step in which the memory of each root entry is used."""
    out: dict[int, int] = {}
    for step, group in enumerate(groups):
        inside = set(group.entries)
        for e in group.entries:
            entry = graph.entries[e]
            sources = list(entry.srcs) + ([entry.base] if entry.base is not None else [])
            for source in sources + ([e] if e in group.stored else []):
                if source not in inside or source == e or source in group.stored:
                    root = graph.root(source)
                    if root >= 0:
                        out[root] = step
    return out


def _dying_input(graph: Graph, group: Group, e: int, step: int, last_use, memory) -> int | None:
    """An arena value that dies in this map kernel and is read only where `e` is written."""
    if group.kind != "map" or last_use.get(e) == step:
        return None
    entry = graph.entries[e]
    wrote = address(out_index(entry, group.nest.members[e]), entry.spec.strides)
    reads: dict[int, bool] = {}
    inside = set(group.entries)
    for x in group.entries:
        other = graph.entries[x]
        for k, source in enumerate(other.srcs):
            if source < 0 or source in inside:
                continue
            root = graph.root(source)
            same = (other.offsets[k] == 0 and other.reads[k].dtype is entry.spec.dtype and
                    {a: s for a, s in read_address(other, group.nest.members[x], k).items()
                     if s} == wrote)
            reads[root] = reads.get(root, True) and same
    taken = {memory.offsets.get(x) for x in group.stored if x != e}
    for root, same in reads.items():
        if same and last_use.get(root) == step and root in memory.offsets and (
                memory.offsets[root] not in taken) and extent(graph, root) == extent(graph, e):
            return root
    return None


class _FreeList:
    """First fit over one arena."""

    def __init__(self):
        self.blocks: list[tuple[int, int]] = []   # free (offset, size), sorted
        self.owned: dict[int, tuple[int, int]] = {}
        self.high = 0

    def take(self, key: int, size: int) -> int:
        """An offset of `size` free bytes."""
        for i, (offset, length) in enumerate(self.blocks):
            if length >= size:
                self.blocks[i:i + 1] = [(offset + size, length - size)] if length > size else []
                break
        else:
            offset = self.high
            if self.blocks and sum(self.blocks[-1]) == self.high:
                offset = self.blocks.pop()[0]
            self.high = offset + size
        self.owned[key] = (offset, size)
        return offset

    def inherit(self, old: int, new: int) -> None:
        """`new` takes over the block of `old`."""
        self.owned[new] = self.owned.pop(old)

    def give(self, key: int) -> None:
        """Frees a block and joins it with its neighbours."""
        if key not in self.owned:
            return
        self.blocks.append(self.owned.pop(key))
        self.blocks.sort()
        joined: list[tuple[int, int]] = []
        for offset, size in self.blocks:
            if joined and sum(joined[-1]) == offset:
                joined[-1] = (joined[-1][0], joined[-1][1] + size)
            else:
                joined.append((offset, size))
        self.blocks = joined
