"""The map skeletons: elementwise kernels, in memory order or in tiles of two loops."""

from __future__ import annotations

from ...compiler.blocking import TILE_SIDE, tile_rows
from .base import Kernel


class MapKernel(Kernel):
    """Elementwise: work items are elements."""

    def body(self) -> None:
        everything = list(range(len(self.nest.body)))
        keep = {i for i in everything if self.nest.body[i].stores}
        rank = self.nest.n_outer
        operands = self.nest.operands
        if rank <= 1:
            for k, o in enumerate(operands):
                if o.outer == "n":
                    self.put(f"d{k} = {self.stride(k, 0)}")
            self.elements("i", "begin", "end", lambda: self.compute(
                sorted(keep), lambda k: self.along(operands[k].outer, "i", f"d{k}"), keep))
            return
        last = rank - 1
        self.put("i = begin", "while i < end:")
        self.depth += 1
        self.put(
            f"q = {self.use('udiv')}(i, n{last})",
            f"c0 = i - q * n{last}",
            f"c1 = min(n{last}, c0 + end - i)",
        )
        names = [f"x{k}" for k in range(last)]
        self.unravel("q", [f"n{k}" for k in range(last)], names)
        for k, o in enumerate(self.nest.operands):
            self.put(f"b{k} = {self.use('shift')}(p{k}, {self.base(k, dict(enumerate(names)))})")
            if o.outer == "n":
                self.put(f"d{k} = {self.stride(k, last)}")
        self.pointer = lambda k: f"b{k}"
        self.elements("c", "c0", "c1", lambda: self.compute(
            sorted(keep), lambda k: self.along(operands[k].outer, "c", f"d{k}"), keep))
        self.put("i += c1 - c0")


class TiledKernel(Kernel):
    """Elementwise where one operand's fast dim is another's slow one: work items are square blocks
    of the last two loops. Operands that lie across the last loop are turned into stack tiles
    before the block's rows are walked, or out of them afterwards."""

    def body(self) -> None:
        nest = self.nest
        keep = {i for i, s in enumerate(nest.body) if s.stores}
        last = nest.n_outer - 1
        across = [k for k, o in enumerate(nest.operands) if o.outer == "n"]
        rows = self._tiles(across)
        udiv = self.use("udiv")
        self.put(f"wide = {udiv}(n{last} + {TILE_SIDE - 1}, {TILE_SIDE})",
                 f"high = {udiv}(n{last - 1} + {rows - 1}, {rows})",
                 "for item in range(begin, end):")
        self.depth += 1
        self.put(f"lead = {udiv}(item, wide * high)", "rest = item - lead * wide * high",
                 f"row = {udiv}(rest, wide)", f"c0 = (rest - row * wide) * {TILE_SIDE}",
                 f"r0 = row * {rows}", f"width = min({TILE_SIDE}, n{last} - c0)",
                 f"height = min({rows}, n{last - 1} - r0)")
        names = [f"x{k}" for k in range(last - 1)]
        self.unravel("lead", [f"n{k}" for k in range(last - 1)], names)
        loops = {**dict(enumerate(names)), last - 1: "r0", last: "c0"}
        for k in range(len(nest.operands)):
            self.put(f"b{k} = {self.use('shift')}(p{k}, {self.base(k, loops)})")
        self._turn("turn_in", [k for k in across if "r" in nest.operands[k].mode])
        self.put("for r in range(height):")
        self.depth += 1
        for k in range(len(nest.operands)):
            self.put(f"e{k} = {self.use('shift')}(t{k}, r * {TILE_SIDE})" if k in across else
                     f"e{k} = {self.use('shift')}(b{k}, r * {self.stride(k, last - 1)})")
        self.pointer = lambda k: f"e{k}"
        self.elements("c", "0", "width", lambda: self.compute(
            sorted(keep), lambda k: self.along("1" if k in across else nest.operands[k].outer,
                                               "c", ""), keep))
        self.depth -= 1
        self._turn("turn_out", [k for k in across if "w" in nest.operands[k].mode])

    def _tiles(self, across: list[int]) -> int:
        """The tiles of operands; how many rows each has, so that all stay in the cache."""
        rows = tile_rows(self.nest)
        for k in across:
            tile = self.use(f"tile_{self.nest.operands[k].dtype}")
            self.put(f"t{k} = {tile}({TILE_SIDE * rows})")
        return rows

    def _turn(self, how: str, operands: list[int]) -> None:
        last = self.nest.n_outer - 1
        for k in operands:
            self.put(f"{self.use(how)}(t{k}, {TILE_SIDE}, b{k}, {self.stride(k, last - 1)}, "
                     f"{self.stride(k, last)}, height, width)")
