"""Lowering: a group and where its values live in, a LoopNest and its launch words out.

A `LoopNest` is what a kernel is generated from. It holds no sizes and no scalar values, so it is
the key under which kernels are cached; sizes, strides, pointers and scalars are the words that
each launch hands to the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from ..graph import dtypes as dt
from ..graph.ops import OPS, REDUCE
from .addresses import out_index, start
from .fuse import LONG_ROW, TALL, Group
from .graph import Entry, Graph
from .loops import Loop, address

TILE_SIDE = 64         # columns of a block where operands are transposed, and most of its rows
TURNED_ROWS = 64       # most rows of a block whose results lie across them
TURNED_PAD = 16        # elements after a row of its tiles: rows do not share the sets of a cache
TURNED_BYTES = 1 << 20     # of all the stack tiles of such a block
TILE_BYTES = 1 << 15   # of all the stack tiles of such a block
COLUMNS = 128          # columns of a block in a column reduction
FEW_COLUMNS = 64       # the same where a block is swept again, while it is in the cache


class Operand(NamedTuple):
    """A memory operand. `steps` classes its stride over the innermost loop of each nest:
    '0' repeated, '1' next to each other, 'n' any; `level` says 'full' or 'row'."""

    dtype: str
    mode: str
    outer: str
    inner: str
    level: str


class Statement(NamedTuple):
    """`value = op(refs)`. A ref is ('v', statement), ('m', operand) or ('s', scalar, kind).
    `stores` are the operands that the value goes to."""

    op: str
    compute: str
    result: str
    refs: tuple
    level: str
    phase: int
    stores: tuple[int, ...]
    combine: str = ""


class LoopNest(NamedTuple):
    """A kernel, free of sizes: the key of the kernel cache."""

    kind: str
    n_outer: int
    n_inner: int
    operands: tuple[Operand, ...]
    body: tuple[Statement, ...]
    scalars: str


@dataclass(slots=True, eq=False)
class Place:
    """Where an operand lies: `memory` ('slot', k), ('arena', byte offset) or ('out', k), and the
    element offset from there."""

    memory: tuple
    offset: int


@dataclass(slots=True, eq=False)
class Launch:
    """One step of a plan. Words are ints, ('address', memory, byte offset) or
    ('scalar', kind, slot). `total` counts the work items that threads share; `after` the leading
    launches of the plan that must be done before this one."""

    kernel: object
    words: list
    total: int
    grain: int
    finish: bool = False
    scratch: int = 0       # bytes of scratch memory, addressed as ('scratch', offset)
    moved: int = 0         # bytes read and written, for reports
    work: int = 0          # operations beyond one or two a byte (matrix products)
    origin: tuple | None = None
    label: str = ""
    blas: bool = False     # calls the BLAS, whose own threads must be off
    after: int = 0
    tail: Launch | None = None     # elementwise work that follows on what each item has written
    run: int = 0           # elements next to each other that an item writes (the last may be short)
    result: tuple = ()     # (memory, byte offset) where item 0 begins to write
    walked: tuple = ()     # (memory, byte offset) of what a map reads in the order of its items


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
        if kind == "row" and across_rows(nest) and _size(outer[-1]) >= TILE_SIDE // 2 and (
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
        span = [(n - 1) * step for n, step in zip(sizes, o.steps, strict=True)]
        low, high = sum(min(s, 0) for s in span), sum(max(s, 0) for s in span)
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
        _share(launch, nest, sizes, rows, cols)
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


def across_rows(nest: LoopNest) -> list[int]:
    """The results that lie across the rows of a row kernel: a block of rows is turned at once."""
    if nest.n_inner != 1:
        return []
    return [k for k, o in enumerate(nest.operands)
            if (o.mode, o.level, o.outer, o.inner) == ("w", "full", "1", "n")]


def columns_of(nest: LoopNest) -> int:
    """The columns of a block in a column reduction."""
    again = any(s.phase for s in nest.body if s.combine or s.level == "full")
    if not again:
        return COLUMNS
    wide = any(s.compute == "f64" for s in nest.body)      # as many bytes, on the stack
    return FEW_COLUMNS // 2 if wide else FEW_COLUMNS


def tile_rows(nest: LoopNest) -> int:
    """The rows of a block of a tiled kernel: fewer where many operands lie across."""
    across = [o.dtype for o in nest.operands if o.outer == "n"]
    return _fitting(TILE_SIDE, TILE_SIDE, across, TILE_BYTES)


def turned_rows(nest: LoopNest) -> int:
    """The rows of a block of a row kernel whose results lie across."""
    across = [nest.operands[k].dtype for k in across_rows(nest)]
    return _fitting(TURNED_ROWS, TALL + TURNED_PAD, across, TURNED_BYTES)


def _fitting(most: int, width: int, codes: list[str], limit: int) -> int:
    """How many rows of tiles of these dtypes, that wide, fit in `limit` bytes; 16 at the least."""
    sizes = {d.code: d.itemsize for d in dt.BY_NAME.values()}
    a_row = width * sum(sizes[code] for code in codes)
    while most > 16 and most * a_row > limit:
        most //= 2
    return most


GRAIN = 1 << 15        # elements a thread should get at the least
EXPENSIVE = 8          # how many plain operators a transcendental one weighs


def _share(launch: Launch, nest: LoopNest, sizes: list[int], rows: int, cols: int) -> None:
    """How the launch is cut into work items."""
    cost = max(1, sum(EXPENSIVE if OPS[s.op].expensive else 1 for s in nest.body) // 4)
    if nest.kind == "map":
        launch.total, launch.grain = rows, max(1024, GRAIN // cost)
        if 0 in sizes:
            launch.total = 0
    elif nest.kind == "tiled":
        height = tile_rows(nest)
        tiles = -(-sizes[-2] // height) * -(-sizes[-1] // TILE_SIDE)
        launch.total = rows // max(1, sizes[-1] * sizes[-2]) * tiles
        launch.grain = max(1, GRAIN // (height * TILE_SIDE * cost))
        if 0 in sizes:
            launch.total = 0
    elif nest.kind == "row":
        launch.total, launch.grain = rows, max(1, GRAIN // max(1, cols * cost))
    elif nest.kind == "turned":
        fast, height = sizes[nest.n_outer - 1], turned_rows(nest)
        launch.total = rows // max(fast, 1) * -(-fast // height)
        launch.grain = max(1, GRAIN // max(1, cols * cost * height))
    elif nest.kind in ("col", "wide"):
        fast = sizes[nest.n_outer - 1] if nest.n_outer else 1
        columns = columns_of(nest)
        launch.total = rows // max(fast, 1) * -(-fast // columns)
        launch.grain = max(1, GRAIN // max(1, cols * columns))
    else:
        chunks = max(1, -(-cols // LONG_ROW))
        launch.total, launch.grain, launch.finish = rows * chunks, 1, True
        reductions = sum(1 for s in nest.body if s.combine)
        launch.words.append(chunks)
        launch.words.append(("scratch", 0))
        launch.scratch = rows * chunks * reductions * 16


def _scalar_word(kind: str, scalar: tuple):
    if scalar[0] == "const":
        return ("const", kind, scalar[1])
    return ("scalar", kind, scalar[1])


def _size(part: tuple[Loop, ...]) -> int:
    return part[0].size if len(part) == 1 else prod([x.size for x in part])
