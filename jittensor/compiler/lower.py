"""Lowering: a group and where its values live in, a LoopNest and its launch words out."""

from __future__ import annotations

from math import prod

from ..graph import dtypes as dt
from ..graph.ops import REDUCE
from ..graph.shapes import span
from .addresses import out_index, start
from .blocking import TALL, TILE_SIDE, columns_of, share, turned_rows
from .graph import Entry, Graph
from .groups import Group
from .loops import Loop, address
from .nest import Launch, LoopNest, Operand, Place, Statement


class _Access:
    """A memory operand while a group is lowered: `where` has its stride over each loop that it
    moves with, `steps` those over the kernel's loops."""

    __slots__ = ("dtype", "mode", "where", "place", "level", "steps")

    def __init__(self, dtype: dt.DType, mode: str, where: dict[Loop, int], place: Place,
                 level: str):
        self.dtype, self.mode, self.where, self.place, self.level = dtype, mode, where, place, level
        self.steps: list[int] = []


class Lowering:
    """Builds the LoopNest of one group."""

    def __init__(self, graph: Graph, group: Group, place):
        self.graph, self.group, self.place = graph, group, place
        self.operands: list[_Access] = []
        self.found: dict[tuple, int] = {}
        self.scalars: list[tuple] = []
        self.written = {graph.root(e) for e in group.entries
                        if graph.entries[e].writes is not None}

    def lower(self) -> Launch:
        """The launch of this group's kernel."""
        graph, group = self.graph, self.group
        ids = {e: k for k, e in enumerate(group.entries)}
        drafts = []
        for e in group.entries:
            entry, member = graph.entries[e], group.nest.members[e]
            drafts.append((entry, member, self._refs(e, entry, member, ids)))
        stores = {e: (self._store(e),) for e in group.stored}
        outer, inner = self._order()
        outer = self._collapse(outer, keep_last=group.kind == "col")
        inner = self._collapse(inner)
        kind = group.kind
        if kind == "map" and self._transposed(outer):
            kind = "tiled"
        fast = [part[-1] for part in outer + inner]
        for o in self.operands:
            o.steps = [o.where.get(loop, 0) for loop in fast]
        body = []
        for e, (entry, member, refs) in zip(group.entries, drafts, strict=True):
            combine, compute = "", entry.attrs[1]
            if entry.op.kind == REDUCE:
                combine, compute = entry.op.combine, entry.attrs[2]
                if compute is dt.bool_:
                    combine = {"maximum": "or", "minimum": "and"}.get(combine, combine)
            body.append(Statement(entry.op.name, compute.code, entry.spec.dtype.code, refs,
                                  member.level, member.phase, stores.get(e, ()), combine))
        nest = LoopNest(kind, len(outer), len(inner),
                        tuple([_operand(o, len(outer)) for o in self.operands]),
                        tuple(body), "".join([kind for kind, _ in self.scalars]))
        if kind == "col" and self._wide(nest, outer, inner):
            nest = nest._replace(kind="wide")
        if kind == "row" and turned_rows(nest) and _size(outer[-1]) >= TILE_SIDE // 2 and (
                _size(inner[0]) <= TALL):
            nest = nest._replace(kind="turned")
        return self._launch(nest, outer, inner)

    # ── operands ──────────────────────────────────────────────────────────────────────────────
    def _refs(self, e: int, entry: Entry, member, ids) -> tuple:
        reads = [self._read(entry, member, k, source, ids)
                 for k, source in enumerate(entry.srcs)]
        if entry.op.kind == REDUCE:
            return tuple(reads)
        out, t, s = [], 0, 0
        for letter in entry.attrs[0]:
            if letter == "t":
                out.append(reads[t])
                t += 1
            else:
                out.append(self._scalar(entry.scalars[s]))
                s += 1
        return tuple(out)

    def _read(self, entry: Entry, member, k: int, source: int, ids) -> tuple:
        if source in ids:
            return ("v", ids[source])
        where = address(member.index, entry.reads[k].strides)
        level = "full" if entry.op.kind == REDUCE else member.level
        place = self.place(source, entry.offsets[k], entry.slots[k])
        at = self._at(source, entry.offsets[k])
        return ("m", self._memory(entry.reads[k].dtype, "r", where, place, level, at))

    def _store(self, e: int) -> int:
        entry, member = self.graph.entries[e], self.group.nest.members[e]
        where = address(out_index(entry, member), entry.region.strides)
        place = self.place(e, start(entry), entry.out_slot)
        at = self._at(e, start(entry))
        return self._memory(entry.region.dtype, "w", where, place, member.level, at)

    def _at(self, source: int, offset: int) -> tuple | None:
        """What tells that a read and a write of a storage updated here are one operand."""
        root = self.graph.root(source)
        return (("root", root), offset) if root in self.written else None

    def _memory(self, dtype, mode: str, where: dict[Loop, int], place: Place, level: str,
                at: tuple | None = None) -> int:
        where = {x: s for x, s in where.items() if s}
        key = (*(at or (place.memory, place.offset)), dtype, frozenset(where.items()), level)
        k = self.found.get(key)
        if k is None:
            k = self.found[key] = len(self.operands)
            self.operands.append(_Access(dtype, mode, where, place, level))
        elif mode not in self.operands[k].mode:
            self.operands[k].mode = "rw"
        return k

    def _scalar(self, scalar: tuple) -> tuple:
        kind = scalar[0]
        if kind == "const":
            kind = "i" if isinstance(scalar[1], int) else "f"
        self.scalars.append((kind, scalar))
        return ("s", len(self.scalars) - 1, kind)

    # ── loops ─────────────────────────────────────────────────────────────────────────────────
    def _order(self) -> tuple[list[Loop], list[Loop]]:
        """Loops from slowest to fastest. Reductions order them by their own operand alone."""
        nest = self.group.nest
        outer = [x for x in nest.outer if x.size != 1]
        inner = [x for x in nest.inner if x.size != 1]
        if len(outer) > 1 or len(inner) > 1:
            guide = self._guide()
            outer.sort(key=lambda loop: -abs(guide.get(loop, 0)))
            inner.sort(key=lambda loop: -abs(guide.get(loop, 0)))
        return outer, inner

    def _guide(self) -> dict[Loop, int]:
        """The strides that order the loops."""
        for e in self.group.entries:
            entry = self.graph.entries[e]
            if entry.op.kind == REDUCE:
                return address(self.group.nest.members[e].index, entry.reads[0].strides)
        return next((o.where for o in self.operands if "w" in o.mode), {})

    def _collapse(self, loops: list[Loop], keep_last: bool = False) -> list[tuple[Loop, ...]]:
        """Neighbouring loops that every operand walks as one become one."""
        out: list[tuple[Loop, ...]] = []
        for loop in loops:
            if out and all([o.where.get(out[-1][-1], 0) == o.where.get(loop, 0) * loop.size
                            for o in self.operands]):
                out[-1] += (loop,)
            else:
                out.append((loop,))
        return out

    def _transposed(self, loops: list[tuple[Loop, ...]]) -> bool:
        """Whether an operand's fastest loop is not the last one (then that comes just before the
        last, and both are walked in tiles)."""
        if len(loops) < 2 or _size(loops[-1]) < TILE_SIDE // 2:
            return False
        for o in self.operands:
            if o.where.get(loops[-1][-1], 0) > 1:
                steps = [o.where.get(part[-1], 0) for part in loops]
                fast = min((s, k) for k, s in enumerate(steps) if s)[1]
                if fast < len(loops) - 1 and _size(loops[fast]) >= TILE_SIDE // 2:
                    loops.insert(len(loops) - 1, loops.pop(fast))
                    return True
        return False

    def _wide(self, nest: LoopNest, outer: list, inner: list) -> bool:
        """Whether a column kernel's blocks may all have the full number of columns: the last one
        then begins before the end of its neighbour and does the shared columns again. For that
        its results must lie over nothing that it reads."""
        columns = columns_of(nest)
        if not outer or _size(outer[-1]) < columns:
            return False
        if not _size(outer[-1]) % columns:
            return True
        sizes = [_size(part) for part in outer] + [_size(part) for part in inner]
        read = [self._reach(o, sizes) for o in self.operands if "r" in o.mode]
        for o in self.operands:
            if "w" in o.mode:
                kind, begin, end = self._reach(o, sizes)
                if kind[0] not in ("out", "arena") or any(
                        kind == other and begin < stop and start < end
                        for other, start, stop in read):
                    return False
        return True

    def _reach(self, o: _Access, sizes: list[int]) -> tuple:
        """(a memory, first byte, end) of an operand."""
        low, high = span(sizes, o.steps)
        kind, at = o.place.memory
        base = at if kind == "arena" else 0
        first, end = o.place.offset + low, o.place.offset + high + 1
        return ((kind,) if kind == "arena" else o.place.memory,
                base + first * o.dtype.itemsize, base + end * o.dtype.itemsize)

    # ── words ─────────────────────────────────────────────────────────────────────────────────
    def _launch(self, nest: LoopNest, outer, inner) -> Launch:
        sizes = [_size(part) for part in outer + inner]
        words: list = list(sizes)
        moved = 0
        for o in self.operands:
            place, itemsize = o.place, o.dtype.itemsize
            words.append(("address", place.memory, place.offset * itemsize))
            words += o.steps
            count = itemsize * len(o.mode)
            for size, step in zip(sizes, o.steps, strict=True):
                if step:
                    count *= size
            moved += count
        words += [_scalar_word(kind, scalar) for kind, scalar in self.scalars]
        rows, cols = prod(sizes[:len(outer)]), prod(sizes[len(outer):])
        launch = Launch(nest, words, rows, 1, moved=moved,
                        origin=self.graph.entries[self.group.entries[-1]].origin)
        if nest.kind == "map":
            launch.walked = self._walked(sizes)
        share(launch, nest, sizes, rows, cols)
        launch.label = self._label()
        return launch

    def _walked(self, sizes: list[int]) -> tuple:
        """Where the operands begin whose elements are read one after the other."""
        packed, count = [], 1
        for n in reversed(sizes):
            packed.insert(0, count)
            count *= n
        return tuple([(o.place.memory, o.place.offset * o.dtype.itemsize)
                      for o in self.operands if "r" in o.mode and o.steps == packed])

    def _label(self) -> str:
        names = [self.graph.entries[e].op.name for e in self.group.entries]
        return self.group.kind + ": " + " ".join(names[:8]) + (" …" if len(names) > 8 else "")


def _operand(o: _Access, n_outer: int) -> Operand:
    return Operand(o.dtype.code, o.mode, _step_class(o.steps[:n_outer]),
                   _step_class(o.steps[n_outer:]), o.level)


def _step_class(steps: list[int]) -> str:
    """How the innermost of some loops steps: '' where there is none."""
    if not steps:
        return ""
    return "0" if steps[-1] == 0 else "1" if steps[-1] == 1 else "n"


def _scalar_word(kind: str, scalar: tuple):
    if scalar[0] == "const":
        return ("const", kind, scalar[1])
    return ("scalar", kind, scalar[1])


def _size(part: tuple[Loop, ...]) -> int:
    return part[0].size if len(part) == 1 else prod([x.size for x in part])
