"""The split skeleton: few long rows, cut over threads into partial results."""

from __future__ import annotations

from ...compiler.blocking import LONG_ROW
from .row import RowKernel


class SplitKernel(RowKernel):
    """Few long rows: work items are chunks of rows; their partial results wait in scratch memory
    for the call with begin < 0, which combines them."""

    def body(self) -> None:
        nest = self.nest
        self.columns()
        self.put(f"chunks = {self.use('word')}(args, {self.words.after})")
        ids = self.reductions(0)
        for i in ids:
            code = nest.body[i].compute
            self.put(f"w{i} = {self.use('ptr_' + code)}(args, {self.words.after + 1})")
        self.put("if begin < 0:")
        self.depth += 1
        rows = " * ".join(f"n{k}" for k in range(nest.n_outer)) or "1"
        self.put(f"for row in range({rows}):")
        self.depth += 1
        self.enter_row("row")
        self.row_statements(0)
        for i in ids:
            self.put(f"total{i} = {self.identity(i)}")
        self.put("for k in range(chunks):")
        self.depth += 1
        for place, i in enumerate(ids):
            part = f"{self.use('peek')}(w{i}, {self._scratch(i, place, 'row * chunks + k', ids)})"
            self.put(f"total{i} = {self.fold(i, f'total{i}', part)}")
        self.depth -= 1
        self.finish(ids)
        self.row_statements(1)
        self.depth -= 2
        self.put("else:")
        self.depth += 1
        self.tiles()
        self._chunks(ids)
        self.depth -= 1

    def _chunks(self, ids: list[int]) -> None:
        self.rows.clear()
        self.put("for item in range(begin, end):")
        self.depth += 1
        self.put(
            f"row = {self.use('udiv')}(item, chunks)",
            f"k0 = (item - row * chunks) * {LONG_ROW}",
            f"k1 = min(cols, k0 + {LONG_ROW})",
        )
        self.enter_row("row")
        inputs = {r[1] for s in self.nest.body for r in s.refs if r[0] == "v"}
        for i in sorted(self.first() & inputs):
            self.rows.update(self.compute([i], lambda k: "0", set(), self.first()))
        stored = {i for i, s in enumerate(self.nest.body) if s.level == "full" and s.stores}
        self.chunk(ids, stored)
        for place, i in enumerate(ids):
            self.put(
                f"{self.use('poke')}(w{i}, {self._scratch(i, place, 'item', ids)}, {self.ended(i)})"
            )
        self.depth -= 1

    def _scratch(self, i: int, place: int, item: str, ids: list[int]) -> str:
        per = 16 // {"f32": 4, "f64": 8, "i64": 8, "i32": 4, "i16": 2, "c64": 8, "c128": 16}.get(
            self.nest.body[i].compute, 1
        )
        return f"(({item}) * {len(ids)} + {place}) * {per}"
