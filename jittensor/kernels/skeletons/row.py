"""The row skeletons: reductions over the inner loops, with work before, between and after them."""

from __future__ import annotations

from ...compiler.blocking import LONG_ROW
from ...compiler.nest import Statement
from ...graph.ops import OPS
from ..cpu.lanes import LANES, TILE
from .base import Kernel


class RowKernel(Kernel):
    """Reductions over the inner loops, one row a work item, with work between and after them."""

    def body(self) -> None:
        self.columns()
        self.stash = self.plan_stash()
        self.tiles()
        self.put("for row in range(begin, end):")
        self.depth += 1
        self.row("row")
        self.depth -= 1

    def row(self, index: str) -> None:
        """All that is done for one row."""
        self.enter_row(index)
        phases = 1 + max(s.phase for s in self.nest.body)
        for phase in range(phases + 1):
            self.row_statements(phase)
            self.sweep(phase)

    def plan_stash(self) -> dict[int, tuple[int]]:
        """Expensive values that a later sweep needs again are kept in the row of an output that
        is written only then."""
        body, free = self.nest.body, {}
        for s in body:
            if s.level == "full" and s.stores:
                o = self.nest.operands[s.stores[0]]
                if o.mode == "w":
                    free[s.stores[0]] = (s.phase, o.dtype)
        stash: dict[int, tuple[int]] = {}
        for i, s in enumerate(body):
            if s.level != "full" or s.stores or s.combine or not OPS[s.op].expensive:
                continue
            last = max((t.phase for t in body if not t.combine and ("v", i) in t.refs
                        and t.level == "full"), default=0)
            for k, (phase, dtype) in free.items():
                if s.phase < last <= phase and dtype == s.result:
                    stash[i] = (k,)
                    del free[k]
                    break
        return stash

    # ── rows ──────────────────────────────────────────────────────────────────────────────────
    def columns(self) -> None:
        """The number of elements of a row."""
        self.put("cols = " + (" * ".join(f"m{k}" for k in range(self.nest.n_inner)) or "1"))
        for k, o in enumerate(self.nest.operands):
            if o.inner == "n":
                self.put(f"d{k} = {self.stride(k, self.nest.n_outer + self.nest.n_inner - 1)}")

    def tiles(self) -> None:
        """Stack tiles and lane accumulators of the reductions."""
        for i, s in enumerate(self.nest.body):
            if s.combine and s.compute[0] != "c":
                self.put(f"acc{i} = {self.use('tile_' + s.compute)}({LANES[s.compute]})")
                if not self.direct(s) and self.kept(s) is None:
                    self.put(f"tile{i} = {self.use('tile_' + s.compute)}({TILE})")

    def enter_row(self, index: str) -> None:
        """Pointers to the beginning of a row."""
        n = self.nest.n_outer
        names = [f"x{k}" for k in range(n)]
        self.unravel(index, [f"n{k}" for k in range(n)], names)
        for k in range(len(self.nest.operands)):
            self.put(f"b{k} = {self.use('shift')}(p{k}, {self.base(k, dict(enumerate(names)))})")
        self.pointer = lambda k: f"b{k}"

    def row_statements(self, phase: int) -> None:
        """Statements that stand once a row and become possible at this phase."""
        for i, s in enumerate(self.nest.body):
            if s.level == "row" and not s.combine and s.phase == phase:
                self.rows.update(self.compute([i], lambda k: "0", {i}))

    def reductions(self, phase: int) -> list[int]:
        """Reductions of a sweep."""
        return [i for i, s in enumerate(self.nest.body) if s.combine and s.phase == phase]

    def direct(self, s: Statement) -> bool:
        """Whether a reduction can read its operand in place, without a tile."""
        ref = s.refs[0]
        if ref[0] != "m" or self.nest.n_inner != 1 or s.compute[0] in "cb":
            return False
        o = self.nest.operands[ref[1]]
        return o.dtype == s.compute and o.inner == "1" and "w" not in o.mode

    def kept(self, s: Statement) -> int | None:
        """The operand in whose row a reduction's values stand already, next to each other."""
        ref = s.refs[0]
        k = self.stash.get(ref[1], (None,))[0] if ref[0] == "v" else None
        if k is None or self.nest.n_inner != 1 or s.compute not in ("f32", "f64"):
            return None
        o = self.nest.operands[k]
        return k if o.inner == "1" and o.dtype == s.compute else None

    # ── a sweep over the inner loops ──────────────────────────────────────────────────────────
    def sweep(self, phase: int) -> None:
        """One pass over a row: this phase's reductions and full-level stores."""
        reductions = self.reductions(phase)
        stored = {
            i
            for i, s in enumerate(self.nest.body)
            if s.level == "full" and s.phase == phase and not s.combine
            and (s.stores or i in self.stash)
        }
        if not reductions and not stored:
            return
        if not reductions:
            self.fill("0", "cols", [], stored)
            return
        for i in reductions:
            self.put(f"total{i} = {self.identity(i)}")
        self.put(f"for k0 in range(0, cols, {LONG_ROW}):")
        self.depth += 1
        self.put(f"k1 = min(cols, k0 + {LONG_ROW})")
        self.chunk(reductions, stored)
        for i in reductions:
            self.put(f"total{i} = {self.fold(i, f'total{i}', self.ended(i))}")
        self.depth -= 1
        self.finish(reductions)

    def chunk(self, reductions: list[int], stored: set[int]) -> None:
        """Reduces elements k0..k1 of the row into the accumulators."""
        body = self.nest.body
        for i in reductions:
            s = body[i]
            if s.compute[0] == "c":
                self.put(f"acc{i} = {self.identity(i)}")
            else:
                self.put(f"{self.use(f'start_{s.combine}_{s.compute}')}(acc{i})")
        direct = [i for i in reductions if self.direct(body[i])]
        for i in direct:
            s, k = body[i], body[i].refs[0][1]
            self.put(
                f"{self.use(f'sweep_{s.combine}_{s.compute}')}(acc{i}, "
                f"{self.use('shift')}({self.pointer(k)}, k0), k1 - k0)"
            )
        tiled = [i for i in reductions if i not in direct]
        if not tiled and not stored:
            return
        self.put(f"for t0 in range(k0, k1, {TILE}):")
        self.depth += 1
        self.put(f"t1 = min(k1, t0 + {TILE})")
        self.fill("t0", "t1", tiled, stored)
        for i in tiled:
            s = body[i]
            if s.compute[0] != "c":
                kept = self.kept(s)
                values = f"tile{i}" if kept is None else (
                    f"{self.use('shift')}({self.pointer(kept)}, t0)")
                self.put(f"{self.use(f'sweep_{s.combine}_{s.compute}')}(acc{i}, {values}, "
                         "t1 - t0)")
        self.depth -= 1

    def fill(self, start: str, stop: str, tiled: list[int], stored: set[int]) -> None:
        """The loop over elements start..stop: tiles are filled, full-level values stored."""
        nest = self.nest
        if nest.n_inner <= 1:
            self.elements("c", start, stop, lambda: self.element(
                tiled, stored, lambda k: self.along(nest.operands[k].inner, "c", f"d{k}"),
                "c - t0"))
            return
        last = nest.n_inner - 1
        names = [f"y{k}" for k in range(last)]
        self.put(f"j = {start}", f"while j < {stop}:")
        self.depth += 1
        self.put(
            f"q = {self.use('udiv')}(j, m{last})",
            f"c0 = j - q * m{last}",
            f"c1 = min(m{last}, c0 + {stop} - j)",
            f"u0 = j - c0 - ({start})",
        )
        self.unravel("q", [f"m{k}" for k in range(last)], names)
        inner = {nest.n_outer + k: name for k, name in enumerate(names)}
        outer_pointer = self.pointer
        for k, o in enumerate(nest.operands):
            if o.level == "full":
                self.put(f"e{k} = {self.use('shift')}({outer_pointer(k)}, {self.base(k, inner)})")
        self.pointer = lambda k: f"e{k}" if nest.operands[k].level == "full" else outer_pointer(k)
        self.elements("c", "c0", "c1", lambda: self.element(
            tiled, stored, lambda k: self.along(nest.operands[k].inner, "c", f"d{k}"), "u0 + c"))
        self.put("j += c1 - c0")
        self.depth -= 1
        self.pointer = outer_pointer

    def element(self, tiled, stored, at, slot: str) -> None:
        """One element of a sweep."""
        body = self.nest.body
        wanted = [body[i].refs[0][1] for i in tiled if body[i].refs[0][0] == "v"]
        wanted = [i for i in wanted if i not in self.rows]
        known = self.compute(sorted(stored | set(wanted)), at, stored)
        formulas = self.formulas()
        for i in tiled:
            s = body[i]
            value, code = self.operand(formulas, s.refs[0], at, known)
            value = formulas.cast(value, code, s.compute)
            if s.compute[0] == "c":
                self.put(f"acc{i} = {self.fold(i, f'acc{i}', value)}")
            elif self.kept(s) is None:
                if s.compute == "b8":
                    value = f"{self.use('as_byte')}({value})"
                self.put(f"{self.use('poke')}(tile{i}, {slot}, {value})")

    # ── combining ─────────────────────────────────────────────────────────────────────────────
    def identity(self, i: int) -> str:
        """What reduction i starts from, as a register of its compute dtype."""
        s = self.nest.body[i]
        return (
            self.formulas().constant(*IDENTITY(s.combine, s.compute))
            if (s.compute != "b8")
            else {"or": "np.uint8(0)", "and": "np.uint8(1)"}[s.combine]
        )

    def fold(self, i: int, a: str, b: str) -> str:
        """Text of one combining step."""
        s = self.nest.body[i]
        if s.compute[0] == "c":
            return f"{a} + {b}" if s.combine == "add" else f"{a} * {b}"
        return f"{self.use(f'fold_{s.combine}_{s.compute}')}({a}, {b})"

    def ended(self, i: int) -> str:
        """Text of the chunk's combined lanes."""
        s = self.nest.body[i]
        if s.compute[0] == "c":
            return f"acc{i}"
        return f"{self.use(f'end_{s.combine}_{s.compute}')}(acc{i})"

    def finish(self, reductions: list[int]) -> None:
        """Results of reductions become row values and are stored where kept."""
        formulas = self.formulas()
        for i in reductions:
            s = self.nest.body[i]
            total = f"total{i} != 0" if s.compute == "b8" else f"total{i}"
            value = formulas.cast(formulas.step(total), s.compute, s.result)
            self.rows[i] = (value, s.result)
            for k in s.stores:
                self.write(k, "0", value)


def IDENTITY(how: str, code: str) -> tuple:  # noqa: N802
    """(value, code) that a reduction starts from."""
    if how in ("add", "mul"):
        return (0 if how == "add" else 1), code
    low = how == "maximum"
    if code in ("f32", "f64"):
        return float("-inf" if low else "inf"), code
    bits = {"i8": 8, "u8": 8, "i16": 16, "i32": 32, "i64": 64}[code]
    if code == "u8":
        return (0 if low else 255), code
    return (-(1 << bits - 1) if low else (1 << bits - 1) - 1), code
