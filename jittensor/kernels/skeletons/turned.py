"""The row skeleton where results lie across the rows: blocks of rows, turned at their end."""

from __future__ import annotations

from ...compiler.blocking import TALL, TURNED_PAD, across_rows, turned_rows
from ...compiler.nest import LoopNest
from .row import RowKernel


class TurnedRowKernel(RowKernel):
    """Work items are blocks of rows. What lies across them is written to the rows of a stack tile,
    and from there to memory in squares: an element of each of some rows, next to each other."""

    def __init__(self, nest: LoopNest):
        self.across, self.height = across_rows(nest), turned_rows(nest)
        operands = [o._replace(inner="1") if k in self.across else o
                    for k, o in enumerate(nest.operands)]
        super().__init__(nest._replace(operands=tuple(operands)))

    def body(self) -> None:
        last = self.nest.n_outer - 1
        self.columns()
        self.stash = self.plan_stash()
        self.tiles()
        for k in self.across:
            tile = self.use(f"tile_{self.nest.operands[k].dtype}")
            self.put(f"turned{k} = {tile}({self.height * (TALL + TURNED_PAD)})")
        udiv = self.use("udiv")
        self.put(f"width = cols + {TURNED_PAD}",
                 f"blocks = {udiv}(n{last} + {self.height - 1}, {self.height})",
                 "for item in range(begin, end):")
        self.depth += 1
        self.put(f"lead = {udiv}(item, blocks)", f"r0 = (item - lead * blocks) * {self.height}",
                 f"height = min({self.height}, n{last} - r0)", "for r in range(height):")
        self.depth += 1
        self.row(f"lead * n{last} + r0 + r")
        self.depth -= 1
        self._turn(last)
        self.depth -= 1

    def enter_row(self, index: str) -> None:
        super().enter_row(index)
        for k in self.across:
            self.put(f"b{k} = {self.use('shift')}(turned{k}, r * width)")

    def _turn(self, last: int) -> None:
        names = [f"z{k}" for k in range(last)]
        self.unravel("lead", [f"n{k}" for k in range(last)], names)
        loops = {**dict(enumerate(names)), last: "r0"}
        for k in self.across:
            self.put(f"{self.use('turn_out')}(turned{k}, width, {self.use('shift')}(p{k}, "
                     f"{self.base(k, loops)}), 1, {self.stride(k, last + 1)}, height, cols)")
