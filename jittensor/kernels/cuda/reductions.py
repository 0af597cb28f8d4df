"""CUDA skeletons with reductions: a LoopNest of kind 'row', 'split' or 'col' in, kernel text out.

Threads accumulate elements in a fixed stride and join in a tree of fixed shape, so the order of
combining depends on the shape and the block's threads only, never on what is fused.
"""

from __future__ import annotations

from collections.abc import Callable

from ...compiler.blocking import LONG_ROW
from .kernel import CudaKernel, sum_of

WARP = 32              # columns of a block in a column reduction
ITEM_BYTES = {"f32": 4, "f64": 8, "i64": 8, "i32": 4, "i16": 2, "i8": 1, "u8": 1, "b8": 1,
              "c64": 8, "c128": 16}


class RowKernel(CudaKernel):
    """Reductions over the inner loops, a row a block, with work between and after them."""

    def body(self) -> None:
        self.begin()
        self.put(f"row = {self.block()}", f"rows = {self.sizes(0, self.nest.n_outer)}",
                 "while row < rows:")
        self.depth += 1
        self.enter_row("row")
        phases = 1 + max(s.phase for s in self.nest.body)
        for phase in range(phases):
            self.row_statements(phase)
            ids, kept = self.reductions(phase), self.kept(phase)
            if ids or kept:
                self.sweep(ids, kept, "t", "cols")
            if ids:
                self.tree(ids)
                self.guarded(lambda ids=ids: self.finish(ids, self.row_index))
        self.put("row += cuda.gridDim.x")
        self.depth -= 1

    def begin(self) -> None:
        """The thread and the length of a row."""
        self.put("t = int64(cuda.threadIdx.x)",
                 f"cols = {self.sizes(self.nest.n_outer, self.nest.n_outer + self.nest.n_inner)}")

    @staticmethod
    def block() -> str:
        """Text of the block's number."""
        return "int64(cuda.blockIdx.x)"

    def enter_row(self, index: str) -> None:
        """Offsets of the beginning of a row."""
        n = self.nest.n_outer
        names = [f"x{k}" for k in range(n)]
        self.unravel(index, [self.size(k) for k in range(n)], names)
        for k in range(len(self.nest.operands)):
            self.put(f"r{k} = {self.base(k, dict(enumerate(names)))}")

    def row_index(self, k: int) -> str:
        """Index of a row-level operand."""
        return f"r{k}"

    def row_statements(self, phase: int) -> None:
        """Statements that stand once a row and become possible at this phase: every thread
        computes them, one stores them."""
        ids = [i for i, s in enumerate(self.nest.body)
               if s.level == "row" and not s.combine and s.phase == phase]
        if ids:
            self.guarded(lambda: self.rows.update(self.compute(ids, self.row_index, set(ids))))

    def guarded(self, write: Callable[[], None]) -> None:
        """What `write` stores, one thread stores, after every thread has read what it replaces."""
        self.held = []
        write()
        lines, self.held = self.held, None
        if not lines:
            return
        if any(o.level == "row" and o.mode != "w" for o in self.nest.operands):
            self.put("cuda.syncthreads()")
        self.put("if t == 0:", *("    " + line for line in lines))

    def sweep(self, ids: list[int], kept: set[int], first: str, stop: str) -> None:
        """One pass over a row: reductions `ids` are accumulated, statements `kept` stored."""
        for i in ids:
            self.put(f"acc{i} = {self.identity(i)}")
        self.put(f"c = {first}", f"while c < {stop}:")
        self.depth += 1
        at = self.element("c")
        wanted = {s.refs[0][1] for s in (self.nest.body[i] for i in ids) if s.refs[0][0] == "v"}
        known = self.compute(sorted(kept | (wanted - set(self.rows))), at, kept)
        self.accumulate(ids, known, at)
        self.put(f"c += {self.threads}")
        self.depth -= 1

    def element(self, index: str) -> Callable[[int], str]:
        """Offsets of an element of the row, and what gives each operand's."""
        nest = self.nest
        last = nest.n_outer + nest.n_inner - 1
        names = [f"y{k}" for k in range(nest.n_inner)]
        if nest.n_inner > 1:
            self.unravel(index, [self.size(nest.n_outer + k) for k in range(nest.n_inner)], names)
        else:
            names = [index]
        lead = {nest.n_outer + k: name for k, name in enumerate(names[:-1])}
        full = self.named("o", lambda k: sum_of(f"r{k}", self.base(k, lead), self.fast(
            k, nest.operands[k].inner, names[-1], last)))
        return lambda k: full(k) if nest.operands[k].level == "full" else f"r{k}"


class ChunkKernel(RowKernel):
    """Few long rows, first part: a chunk of a row a block, partial results to scratch memory."""

    work = "chunks"

    def body(self) -> None:
        self.begin()
        ids = self.reductions(0)
        chunks = self.parameter("chunks", "i64", self.words.after)
        self.put(f"item = {self.block()}",
                 f"items = {self.sizes(0, self.nest.n_outer)} * {chunks}", "while item < items:")
        self.depth += 1
        self.put(f"row = int64(uint64(item) // uint64({chunks}))",
                 f"k0 = (item - row * {chunks}) * {LONG_ROW}", f"k1 = min(cols, k0 + {LONG_ROW})")
        self.enter_row("row")
        self.held = []              # row values are stored by the second part
        early = [i for i, s in enumerate(self.nest.body)
                 if s.level == "row" and not s.combine and s.phase == 0]
        self.rows.update(self.compute(early, self.row_index, set(early)))
        self.held = None
        self.sweep(ids, self.kept(0), "k0 + t", "k1")
        self.tree(ids)
        self.put("if t == 0:")
        for place, i in enumerate(ids):
            value = f"uint8(total{i})" if self.nest.body[i].compute == "b8" else f"total{i}"
            self.put(f"    {self.scratch(i)}[{self.part(i, place, 'item', ids)}] = {value}")
        self.put("item += cuda.gridDim.x")
        self.depth -= 1

    def scratch(self, i: int) -> str:
        """The scratch memory as a pointer to reduction i's dtype."""
        return self.parameter(f"w{i}", "*" + self.nest.body[i].compute, self.words.after + 1)

    def part(self, i: int, place: int, item: str, ids: list[int]) -> str:
        """Index of reduction i's partial result: each has 16 bytes."""
        return f"(({item}) * {len(ids)} + {place}) * {16 // ITEM_BYTES[self.nest.body[i].compute]}"


class JoinKernel(ChunkKernel):
    """Few long rows, second part: a row a block, joining its chunks' partial results."""

    name, work = "finish", "rows"

    def body(self) -> None:
        ids = self.reductions(0)
        chunks = self.parameter("chunks", "i64", self.words.after)
        self.put("t = int64(cuda.threadIdx.x)", f"row = {self.block()}",
                 f"rows = {self.sizes(0, self.nest.n_outer)}", "while row < rows:")
        self.depth += 1
        self.enter_row("row")
        self.row_statements(0)
        for i in ids:
            self.put(f"acc{i} = {self.identity(i)}")
        self.put("k = t", f"while k < {chunks}:")
        self.depth += 1
        for place, i in enumerate(ids):
            at = self.part(i, place, f"row * {chunks} + k", ids)
            zero = " != 0" if self.nest.body[i].compute == "b8" else ""
            self.put(f"q{i} = {self.scratch(i)}[{at}]{zero}",
                     f"acc{i} = {self.fold(i, f'acc{i}', f'q{i}')}")
        self.put(f"k += {self.threads}")
        self.depth -= 1
        self.tree(ids)
        self.guarded(lambda: self.finish(ids, self.row_index))
        self.row_statements(1)
        self.put("row += cuda.gridDim.x")
        self.depth -= 1


class ColumnKernel(RowKernel):
    """Reductions over slow dims: a warp's threads have neighbouring columns, the warps of a block
    take the rows in turn and join in a tree. Every thread then knows its column's values."""

    work = "columns"

    def body(self) -> None:
        nest = self.nest
        last = nest.n_outer - 1
        self.begin()
        width = self.size(last)
        self.put(f"lane = t >> {WARP.bit_length() - 1}", f"blocks = ({width} + {WARP - 1}) >> 5",
                 f"items = {self.sizes(0, last)} * blocks", f"item = {self.block()}",
                 "while item < items:")
        self.depth += 1
        self.put("lead = int64(uint64(item) // uint64(blocks))",
                 f"col = (item - lead * blocks) * {WARP} + (t & {WARP - 1})")
        names = [f"x{k}" for k in range(last)]
        self.unravel("lead", [self.size(k) for k in range(last)], names)
        for k, o in enumerate(nest.operands):
            start = self.base(k, dict(enumerate(names)))
            self.put(f"r{k} = {sum_of(start, self.fast(k, o.outer, 'col', last))}")
        for phase in range(1 + max(s.phase for s in nest.body)):
            self.column_statements(phase)
            ids, kept = self.reductions(phase), self.kept(phase)
            if ids or kept:
                self.sweep_rows(ids, kept, width)
            if ids:
                self.tree(ids, WARP)
                formulas = self.formulas()
                for i in ids:
                    s = nest.body[i]
                    self.rows[i] = (formulas.cast(f"total{i}", s.compute, s.result), s.result)
        self.store_columns(width)
        self.put("item += cuda.gridDim.x")
        self.depth -= 1

    def column_statements(self, phase: int) -> None:
        """Statements that stand once a column and become possible at this phase."""
        ids = [i for i, s in enumerate(self.nest.body)
               if phase and s.level == "row" and not s.combine and s.phase == phase]
        known = self.compute(ids, self.row_index, set(), {*ids, *self.first()})
        self.rows.update({i: known[i] for i in ids})

    def sweep_rows(self, ids: list[int], kept: set[int], width: str) -> None:
        """One pass over the rows: reductions `ids` are accumulated, statements `kept` stored."""
        for i in ids:
            self.put(f"acc{i} = {self.identity(i)}")
        self.put(f"j = lane if col < {width} else cols", "while j < cols:")
        self.depth += 1
        at = self.element("j")
        wanted = {s.refs[0][1] for s in (self.nest.body[i] for i in ids) if s.refs[0][0] == "v"}
        known = self.compute(sorted(kept | (wanted - set(self.rows))), at, kept, self.first())
        self.accumulate(ids, known, at)
        self.put(f"j += {self.threads // WARP}")
        self.depth -= 1

    def store_columns(self, width: str) -> None:
        """What stands once a column goes to memory when every thread has read what it replaces."""
        body = self.nest.body
        if any(o.level == "row" and o.mode != "w" for o in self.nest.operands):
            self.put("cuda.syncthreads()")
        self.put(f"if (lane == 0) & (col < {width}):")
        self.depth += 1
        self.put("pass")
        for i, (value, code) in self.rows.items():
            for k in body[i].stores:
                self.write(k, self.row_index(k),
                           self.formulas().cast(value, code, self.nest.operands[k].dtype))
        early = [i for i in self.first() if body[i].stores]
        self.compute(early, self.row_index, set(early))
        self.depth -= 1
