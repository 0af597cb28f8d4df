"""The column skeleton: reductions over slow dims, vectorised over the kept ones."""

from __future__ import annotations

from ...compiler.blocking import TALL, columns_of
from ...graph.ops import OPS
from ..cpu.lanes import VECTOR
from .row import RowKernel

COLUMN_CHUNK = 512  # rows of a column reduction that are added before joining the total
ROWS = 1024         # rows that are written at a time where columns lie across
BESIDE = 8          # columns whose rows are written before those of the next
AHEAD = 8           # rows between what is asked for and what is read
PACKED = 2          # operands of a block that are kept packed for later sweeps
TILED = ("f32", "f64")      # what is kept so


class ColumnKernel(RowKernel):
    """Reductions over slow dims: work items are blocks of the fastest kept dim; accumulators are
    a stack tile of columns, to which every row is added in turn. What stands once a column waits
    in tiles between the sweeps over a block."""

    width = "width"      # the columns of a block

    def limit(self, last: int, columns: int) -> str:
        """Keeps a block within the columns, those of loop `last`."""
        return f"width = min({columns}, n{last} - c0)"

    def body(self) -> None:
        begun = len(self.lines)
        self.stash = self._plan_stash()
        self.packed: list[int] = []       # operands that a tile holds after their first sweep
        self.filled: dict[int, int] = {}  # the sweeps in which they are packed
        self.shared: dict[int, int] = {}  # statement -> packed operand whose tile it takes over
        self.readers: dict[int, set[int]] = {}     # operand -> sweeps that read it
        self.across: list[tuple[str, str]] | None = None   # tiles that a sweep reads turned
        self._block()
        again = [k for k, phases in self.readers.items() if len(phases) > 1]
        if again:                         # known only now: once more, with packed operands
            self.packed = again[:PACKED]
            self.filled = {k: min(self.readers[k]) for k in self.packed}
            self._share_tiles()
            self.readers = {}
            del self.lines[begun:]
            self.depth = 1
            self._block()

    def _share_tiles(self) -> None:
        """A kept value takes the place of an operand that no later sweep reads."""
        free = list(self.packed)
        for i in self.stash:
            s = self.nest.body[i]
            for k in free:
                if max(self.readers[k]) <= s.phase and self.nest.operands[k].dtype == s.result:
                    self.shared[i] = k
                    free.remove(k)
                    break

    def _plan_stash(self) -> dict[int, tuple[int]]:
        """An expensive value that a later sweep needs again waits in a tile, which stands as
        operand `-1 - statement`."""
        body = self.nest.body
        for i, s in enumerate(body):
            if s.level == "full" and not s.stores and not s.combine and OPS[s.op].expensive and (
                    s.result in TILED) and any(t.level == "full" and not t.combine
                                               and t.phase > s.phase and ("v", i) in t.refs
                                               for t in body):
                return {i: (-1 - i,)}
        return {}

    def _block(self) -> None:
        self.reduced: list[int] = []      # reductions whose totals are in their tiles
        self.held: list[int] = []         # row statements that wait in tiles
        sweeps = sorted({s.phase for s in self.nest.body
                         if s.combine or s.level == "full" and s.stores})
        self.columns()
        self._tiles(sweeps)
        self._enter_block()
        for self.phase, following in zip(sweeps, [*sweeps[1:], None]):
            ids = self.reductions(self.phase)
            stored = {i for i, s in enumerate(self.nest.body) if s.level == "full"
                      and s.phase == self.phase and (s.stores or i in self.stash)}
            if ids:
                self._reduce(ids, stored)
            else:
                self._store_rows(stored)
            self.reduced += ids
            if following is not None:
                self._hold(following)
        self._store_columns()

    def _tiles(self, sweeps: list[int]) -> None:
        """The tiles of a block's columns."""
        columns = columns_of(self.nest)
        for i, s in enumerate(self.nest.body):
            tile = f"{self.use('tile_' + s.compute)}({columns})" if s.combine else ""
            if s.combine:
                self.put(f"acc{i} = {tile}", f"sum{i} = {tile}")
            elif s.level == "row" and 0 < s.phase <= sweeps[-1]:
                self.put(f"sum{i} = {self.use('tile_' + s.result)}({columns})")
        for k in self.packed:
            tile = self.use("tile_" + self.nest.operands[k].dtype)
            self.put(f"pack{k} = {tile}({columns * TALL})")
        for i in self.stash:
            if i in self.shared:
                self.put(f"kept{i} = pack{self.shared[i]}")
            else:
                tile = self.use("tile_" + self.nest.body[i].result)
                self.put(f"kept{i} = {tile}({columns * TALL})")

    def _enter_block(self) -> None:
        """The loop over work items, and pointers to a block's first column."""
        nest, columns = self.nest, columns_of(self.nest)
        last = nest.n_outer - 1
        for k, o in enumerate(nest.operands):
            if o.outer == "n":
                self.put(f"f{k} = {self.stride(k, last)}")
        self.put(
            f"blocks = {self.use('udiv')}(n{last} + {columns - 1}, {columns})",
            "for item in range(begin, end):",
        )
        self.depth += 1
        self.put(
            f"lead = {self.use('udiv')}(item, blocks)",
            f"c0 = (item - lead * blocks) * {columns}",
            self.limit(last, columns),
        )
        names = [f"x{k}" for k in range(last)]
        self.unravel("lead", [f"n{k}" for k in range(last)], names)
        for k, o in enumerate(nest.operands):
            start = self.along(o.outer, "c0", f"f{k}")
            self.put(
                f"b{k} = {self.use('shift')}(p{k}, "
                f"{self.base(k, dict(enumerate(names)))} + {start})"
            )
        self.pointer = lambda k: f"b{k}"

    # ── sweeps ────────────────────────────────────────────────────────────────────────────────
    def _reduce(self, ids: list[int], stored: set[int]) -> None:
        """Adds every row of the block to the accumulators, and stores what this sweep knows."""
        self._clear(ids, "sum")
        self.put(f"for k0 in range(0, cols, {COLUMN_CHUNK}):")
        self.depth += 1
        self._clear(ids, "acc")
        self.put(f"for j in range(k0, min(cols, k0 + {COLUMN_CHUNK})):")
        self.depth += 1
        self._one_row(lambda: self._one_column(ids, stored))
        self.depth -= 1
        self.put(f"for c in range({self.width}):")
        self.depth += 1
        for i in ids:
            self._poke(i, "sum", self.fold(i, self._peek(i, "sum"), self._peek(i, "acc")))
        self.depth -= 2

    def _store_rows(self, stored: set[int]) -> None:
        """A sweep without reductions. What lies across the columns is written in long runs, a
        column at a time, out of tiles that were turned."""
        across = any(self.nest.operands[k].outer == "n" for i in stored
                     for k in self.nest.body[i].stores)
        if across and self.nest.n_inner == 1:
            self._store_across(stored)
            return
        self.put("for j in range(cols):")
        self.depth += 1
        self._one_row(lambda: self._one_column([], stored))
        self.depth -= 1

    def _store_across(self, stored: set[int]) -> None:
        nest, begun = self.nest, len(self.lines)
        self.across = []
        self.put("        for c in range(beside, beyond):")
        self.depth += 3
        self._recall()
        for k, o in enumerate(nest.operands):
            if o.level == "full":
                self.put(f"e{k} = {self.use('shift')}(b{k}, {self._at(k)})")
        self.pointer = lambda k: f"e{k}" if nest.operands[k].level == "full" else f"b{k}"
        self.place = f"(c - beside) * {ROWS} + j - r0"

        def at(k: int) -> str:
            if k < 0 or nest.operands[k].level == "row":
                return self._at(k)
            return self.along(nest.operands[k].inner, "j", f"d{k}")

        self.elements("j", "r0", "r1", lambda: self.compute(
            sorted(stored), at, stored, self.first()))
        self.pointer = lambda k: f"b{k}"
        self.depth -= 3
        loops = self.lines[begun:]
        del self.lines[begun:]
        self._turned(loops)

    def _turned(self, loops: list[str]) -> None:
        """`loops` over the columns beside..beyond and rows r0..r1, where tiles lie turned."""
        columns = columns_of(self.nest)
        for k, (_, code) in enumerate(self.across):
            self.put(f"turn{k} = {self.use('tile_' + code)}({BESIDE * ROWS})")
        self.put(f"for beside in range(0, {self.width}, {BESIDE}):",
                 f"    beyond = min({self.width}, beside + {BESIDE})",
                 f"    for r0 in range(0, cols, {ROWS}):",
                 f"        r1 = min(cols, r0 + {ROWS})")
        for k, (name, _) in enumerate(self.across):
            self.put(f"        {self.use('turn_out')}({self.use('shift')}({name}, "
                     f"r0 * {columns} + beside), {columns}, turn{k}, 1, {ROWS}, r1 - r0, "
                     "beyond - beside)")
        self.lines += loops
        self.across = None

    def _one_row(self, one) -> None:
        """The columns of row j; `one()` puts the statements of an element."""
        nest = self.nest
        names = [f"y{k}" for k in range(nest.n_inner)]
        self.unravel("j", [f"m{k}" for k in range(nest.n_inner)], names)
        inner = {nest.n_outer + k: name for k, name in enumerate(names)}
        for k, o in enumerate(nest.operands):
            if o.level == "full":
                self.put(f"e{k} = {self.use('shift')}(b{k}, {self.base(k, inner)})")
        self._fetch()
        if self.packed or self.stash:
            self.put(f"u = j * {columns_of(nest)}")
        self.pointer = lambda k: f"e{k}" if nest.operands[k].level == "full" else f"b{k}"
        self.place = "u + c"
        self.elements("c", "0", self.width, one)
        self.pointer = lambda k: f"b{k}"

    def _fetch(self) -> None:
        """Asks early for what is packed: its rows lie apart, where no processor looks ahead."""
        nest = self.nest
        for k in self.packed:
            o = nest.operands[k]
            if self.filled[k] == self.phase and o.outer == "1":
                ahead = f"{AHEAD} * {self.stride(k, nest.n_outer + nest.n_inner - 1)}"
                for c in range(0, columns_of(nest), VECTOR[o.dtype]):
                    self.put(f"{self.use('prefetch')}(e{k}, {ahead} + {c})")

    def read(self, formulas, k: int, at: str) -> tuple[str, str]:
        """(register, code) of an operand. What several sweeps read, the first one packs: rows of
        a block lie far apart and would not stay in the cache."""
        if k < 0:
            code = self.dtype_of(k)
            return formulas.step(
                f"{self.use('peek')}({self._tile(f'kept{-1 - k}', code)}, {at})"), code
        o = self.nest.operands[k]
        if o.level == "full" and o.mode == "r" and o.dtype in TILED:
            sweeps = self.readers.setdefault(k, set())
            sweeps.add(self.phase)
            if k in self.packed and self.phase > min(sweeps):
                tile = self._tile(f"pack{k}", o.dtype)
                return formulas.step(f"{self.use('peek')}({tile}, {self.place})"), o.dtype
            if k in self.packed:
                value, code = super().read(formulas, k, at)
                self.put(f"{self.use('poke')}(pack{k}, {self.place}, {value})")
                return value, code
        return super().read(formulas, k, at)

    def _tile(self, name: str, code: str) -> str:
        """The tile of that name, or where it lies turned."""
        if self.across is None:
            return name
        if (name, code) not in self.across:
            self.across.append((name, code))
        return f"turn{self.across.index((name, code))}"

    def write(self, k: int, at: str, register: str) -> None:
        if k < 0:
            self.put(f"{self.use('poke')}(kept{-1 - k}, {at}, {register})")
        else:
            super().write(k, at, register)

    def dtype_of(self, k: int) -> str:
        return super().dtype_of(k) if k >= 0 else self.nest.body[-1 - k].result

    def _one_column(self, ids: list[int], stored: set[int]) -> None:
        """Adds one element to its column's accumulators, and stores what is to be stored."""
        nest = self.nest
        self._recall()
        wanted = {nest.body[i].refs[0][1] for i in ids if nest.body[i].refs[0][0] == "v"}
        known = self.compute(sorted(stored | wanted - set(self.rows)), self._at, stored,
                             self.first())
        formulas = self.formulas()
        for i in ids:
            s = nest.body[i]
            value, code = self.operand(formulas, s.refs[0], self._at, known)
            value = formulas.cast(value, code, s.compute)
            if s.compute == "b8":
                value = f"{self.use('as_byte')}({value})"
            self._poke(i, "acc", self.fold(i, self._peek(i, "acc"), value))

    # ── what stands once a column ─────────────────────────────────────────────────────────────
    def _recall(self) -> None:
        """What the tiles hold, as registers at column c."""
        formulas = self.formulas()
        self.rows = {}
        for i in self.reduced:
            s = self.nest.body[i]
            total = formulas.step(self._peek(i, "sum") + (" != 0" if s.compute == "b8" else ""))
            self.rows[i] = (formulas.cast(total, s.compute, s.result), s.result)
        for i in self.held:
            self.rows[i] = (formulas.step(self._peek(i, "sum")), self.nest.body[i].result)

    def _hold(self, phase: int) -> None:
        """Row statements that the sweep of a phase may need go into tiles."""
        ids = [i for i, s in enumerate(self.nest.body) if s.level == "row" and not s.combine
               and 0 < s.phase <= phase and i not in self.held]
        if not ids:
            return
        self.put(f"for c in range({self.width}):")
        self.depth += 1
        self._recall()
        for i, (value, _) in self.compute(ids, self._at, set(), {*ids, *self.first()}).items():
            if i in ids:
                self._poke(i, "sum", value)
        self.held += ids
        self.depth -= 1

    def _store_columns(self) -> None:
        """Row-level values go to memory when all elements are done."""
        self.put(f"for c in range({self.width}):")
        self.depth += 1
        self._recall()
        body = self.nest.body
        for i in (*self.reduced, *self.held):
            for k in body[i].stores:
                value, code = self.rows[i]
                self.write(k, self._at(k),
                           self.formulas().cast(value, code, self.nest.operands[k].dtype))
        later = [i for i, s in enumerate(body) if s.level == "row" and not s.combine
                 and i not in self.held]
        self.compute(later, self._at, set(later))
        self.depth -= 1

    # ── elements of tiles ─────────────────────────────────────────────────────────────────────
    def _peek(self, i: int, name: str) -> str:
        return f"{self.use('peek')}({name}{i}, c)"

    def _poke(self, i: int, name: str, value: str) -> None:
        self.put(f"{self.use('poke')}({name}{i}, c, {value})")

    def _clear(self, ids: list[int], name: str) -> None:
        self.put(f"for c in range({self.width}):")
        self.depth += 1
        for i in ids:
            self._poke(i, name, self.identity(i))
        self.depth -= 1

    def _at(self, k: int) -> str:
        return self.place if k < 0 else self.along(self.nest.operands[k].outer, "c", f"f{k}")


class WideColumnKernel(ColumnKernel):
    """The same where every block is full: the compiler knows how many columns it has, and keeps
    their accumulators in registers. The last block begins where it ends with the columns."""

    def __init__(self, nest):
        super().__init__(nest)
        self.width = str(columns_of(nest))

    def limit(self, last: int, columns: int) -> str:
        return f"c0 = min(c0, n{last} - {columns})"
