"""The map skeletons: elementwise kernels, in memory order or in tiles of two loops."""

from __future__ import annotations

from ...compiler.lower import TILE_SIDE
from .base import Kernel

STRIP = 8   # columns of a tile walked at a time: as many lines a power of two apart fit in a set


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
    """Elementwise where one operand's fast dim is another's slow one: work items are square tiles
    of the last two loops, so that both walk memory that stays in the cache."""

    def body(self) -> None:
        nest = self.nest
        keep = {i for i, s in enumerate(nest.body) if s.stores}
        last = nest.n_outer - 1
        for k, o in enumerate(nest.operands):
            if o.outer == "n":
                self.put(f"d{k} = {self.stride(k, last)}")
        udiv = self.use("udiv")
        self.put(f"across = {udiv}(n{last} + {TILE_SIDE - 1}, {TILE_SIDE})",
                 f"down = {udiv}(n{last - 1} + {TILE_SIDE - 1}, {TILE_SIDE})",
                 "for item in range(begin, end):")
        self.depth += 1
        self.put(f"lead = {udiv}(item, across * down)", "rest = item - lead * across * down",
                 f"row = {udiv}(rest, across)", f"c0 = (rest - row * across) * {TILE_SIDE}",
                 f"c1 = min(n{last}, c0 + {TILE_SIDE})", f"r0 = row * {TILE_SIDE}",
                 f"r1 = min(n{last - 1}, r0 + {TILE_SIDE})")
        names = [f"x{k}" for k in range(last - 1)]
        self.unravel("lead", [f"n{k}" for k in range(last - 1)], names)
        self.put(f"for s0 in range(c0, c1, {STRIP}):", "    for r in range(r0, r1):")
        self.depth += 2
        loops = {**dict(enumerate(names)), last - 1: "r"}
        for k in range(len(nest.operands)):
            self.put(f"b{k} = {self.use('shift')}(p{k}, {self.base(k, loops)})")
        self.pointer = lambda k: f"b{k}"
        self.elements("c", "s0", f"min(c1, s0 + {STRIP})", lambda: self.compute(
            sorted(keep), lambda k: self.along(nest.operands[k].outer, "c", f"d{k}"), keep))
