"""The column skeleton: reductions over slow dims, vectorised over the kept ones."""

from __future__ import annotations

from ...compiler.lower import COLUMNS
from .row import RowKernel

COLUMN_CHUNK = 512  # rows of a column reduction that are added before joining the total


class ColumnKernel(RowKernel):
    """Reductions over slow dims: work items are blocks of the fastest kept dim; accumulators are
    a stack tile of columns, to which every row is added in turn."""

    def body(self) -> None:
        nest, ids = self.nest, self.reductions(0)
        last = nest.n_outer - 1
        self.columns()
        for i in ids:
            for name in ("acc", "sum"):
                self.put(f"{name}{i} = {self.use('tile_' + self.nest.body[i].compute)}({COLUMNS})")
        for k, o in enumerate(nest.operands):
            if o.outer == "n":
                self.put(f"f{k} = {self.stride(k, last)}")
        self.put(
            f"blocks = {self.use('udiv')}(n{last} + {COLUMNS - 1}, {COLUMNS})",
            "for item in range(begin, end):",
        )
        self.depth += 1
        self.put(
            f"lead = {self.use('udiv')}(item, blocks)",
            f"c0 = (item - lead * blocks) * {COLUMNS}",
            f"width = min({COLUMNS}, n{last} - c0)",
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
        self._clear(ids, "sum")
        self.put(f"for k0 in range(0, cols, {COLUMN_CHUNK}):")
        self.depth += 1
        self._clear(ids, "acc")
        self.put(f"for j in range(k0, min(cols, k0 + {COLUMN_CHUNK})):")
        self.depth += 1
        self._one_row(ids)
        self.depth -= 1
        self.put("for c in range(width):")
        self.depth += 1
        for i in ids:
            self._poke(i, "sum", self.fold(i, self._peek(i, "sum"), self._peek(i, "acc")))
        self.depth -= 2
        self._columns_end(ids)

    def _peek(self, i: int, name: str) -> str:
        return f"{self.use('peek')}({name}{i}, c)"

    def _poke(self, i: int, name: str, value: str) -> None:
        self.put(f"{self.use('poke')}({name}{i}, c, {value})")

    def _clear(self, ids: list[int], name: str) -> None:
        self.put("for c in range(width):")
        self.depth += 1
        for i in ids:
            self._poke(i, name, self.identity(i))
        self.depth -= 1

    def _at(self, k: int) -> str:
        return self.along(self.nest.operands[k].outer, "c", f"f{k}")

    def _one_row(self, ids: list[int]) -> None:
        """Adds one row of the block to the accumulators."""
        nest = self.nest
        names = [f"y{k}" for k in range(nest.n_inner)]
        self.unravel("j", [f"m{k}" for k in range(nest.n_inner)], names)
        inner = {nest.n_outer + k: name for k, name in enumerate(names)}
        for k, o in enumerate(nest.operands):
            if o.level == "full":
                self.put(f"e{k} = {self.use('shift')}(b{k}, {self.base(k, inner)})")
        self.pointer = lambda k: f"e{k}" if nest.operands[k].level == "full" else f"b{k}"
        self.elements("c", "0", "width", lambda: self._one_column(ids))
        self.pointer = lambda k: f"b{k}"

    def _one_column(self, ids: list[int]) -> None:
        """Adds one element to its column's accumulators."""
        nest = self.nest
        stored = {i for i, s in enumerate(nest.body) if s.level == "full" and s.stores}
        wanted = {nest.body[i].refs[0][1] for i in ids if nest.body[i].refs[0][0] == "v"}
        known = self.compute(sorted(stored | wanted), self._at, stored, self.first())
        formulas = self.formulas()
        for i in ids:
            s = nest.body[i]
            value, code = self.operand(formulas, s.refs[0], self._at, known)
            value = formulas.cast(value, code, s.compute)
            if s.compute == "b8":
                value = f"{self.use('as_byte')}({value})"
            self._poke(i, "acc", self.fold(i, self._peek(i, "acc"), value))

    def _columns_end(self, ids: list[int]) -> None:
        """Row-level statements and stores, once a column."""
        self.put("for c in range(width):")
        self.depth += 1
        formulas = self.formulas()
        for i in ids:
            s = self.nest.body[i]
            total = self._peek(i, "sum") + (" != 0" if s.compute == "b8" else "")
            value = formulas.cast(formulas.step(total), s.compute, s.result)
            self.rows[i] = (value, s.result)
            for k in s.stores:
                self.write(k, self._at(k), value)
        later = [i for i, s in enumerate(self.nest.body) if s.level == "row" and not s.combine]
        self.compute(later, self._at, set(later))
        self.depth -= 1
