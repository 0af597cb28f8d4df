"""Code generation for the CPU: a LoopNest in, the Python source of its kernel out.

The kernel is `kernel(begin, end, args)`: `args` is the address of 64-bit words (loop sizes, then
for each operand its pointer and strides, then scalars), begin..end the work items of this call.
"""

from __future__ import annotations

from itertools import count

from ..compiler.fuse import LONG_ROW
from ..compiler.lower import COLUMNS, LoopNest, Operand, Statement
from ..graph.ops import OPS
from .angles import guarded, has_angles
from .formula import Formulas

TILE = 1024  # elements of a stack tile between a row's formula and its reduction
COLUMN_CHUNK = 512  # rows of a column reduction that are added before joining the total
REGISTER = {"f16": "f32", "bf16": "f32"}


def emit(nest: LoopNest) -> str:
    """The source of a module that defines `kernel`."""
    return {"map": MapKernel, "row": RowKernel, "split": SplitKernel, "col": ColumnKernel}[
        nest.kind
    ](nest).source()


class Words:
    """Positions of a nest's launch words."""

    def __init__(self, nest: LoopNest):
        rank = nest.n_outer + nest.n_inner
        self.pointers = [rank + k * (rank + 1) for k in range(len(nest.operands))]
        self.scalars = rank + len(nest.operands) * (rank + 1)
        self.after = self.scalars + len(nest.scalars)


class Kernel:
    """What the skeletons share: the head of the file, operands, and statements at a point."""

    def __init__(self, nest: LoopNest):
        self.nest, self.words = nest, Words(nest)
        self.imports: set[str] = set()
        self.constants: dict[str, str] = {}
        self.lines: list[str] = []
        self.depth = 1
        self.fresh = (f"v{k}" for k in count())
        self.slots = {
            k: s for s, k in enumerate(k for k, o in enumerate(nest.operands) if "w" in o.mode)
        }
        self.stash: dict[int, tuple[int]] = {}   # statement -> operand that keeps it meanwhile
        self.rows: dict[int, tuple[str, str]] = {}  # statements known once a row

    # ── text ──────────────────────────────────────────────────────────────────────────────────
    def put(self, *lines: str) -> None:
        """Adds lines at the present depth."""
        self.lines.extend("    " * self.depth + line for line in lines)

    def use(self, name: str) -> str:
        """Imports an intrinsic and returns its name."""
        self.imports.add(name)
        return name

    def source(self) -> str:
        """The whole file."""
        self.head()
        self.body()
        math, own, plain = [], [], []
        for name in sorted(self.imports):
            if name in ("int64",):
                plain.append(name)
            elif name in OWN or name.startswith(OWN_PREFIXES):
                own.append(name)
            else:
                math.append(name)
        numbers = sorted(
            {t for line in self.lines for t in NUMBERS if f"{t}(" in line} | set(plain)
        )
        head = ["import numpy as np"]
        if numbers:
            head.append(f"from numba import {', '.join(numbers)}")
        if own:
            head.append(f"from jittensor.kernels.cpu.intrinsics import {', '.join(own)}")
        if math:
            head.append(f"from jittensor.kernels.cpu.functions import {', '.join(math)}")
        head += [f"{name} = np.{text}" for text, name in self.constants.items()]
        return "\n".join(head + ["", "", "def kernel(begin, end, args):", *self.lines, ""])

    def head(self) -> None:
        """Sizes, pointers, strides and scalars out of the words."""
        nest, words = self.nest, self.words
        for k in range(nest.n_outer):
            self.put(f"n{k} = {self.use('word')}(args, {k})")
        for k in range(nest.n_inner):
            self.put(f"m{k} = {self.use('word')}(args, {nest.n_outer + k})")
        for k, o in enumerate(nest.operands):
            self.put(f"p{k} = {self.use('ptr_' + o.dtype)}(args, {words.pointers[k]})")
        for k, kind in enumerate(nest.scalars):
            reader = "word" if kind == "i" else "fword"
            self.put(f"s{k} = {self.use(reader)}(args, {words.scalars + k})")

    def stride(self, k: int, loop: int) -> str:
        """Word of operand k's stride over a loop (outer loops first)."""
        return f"{self.use('word')}(args, {self.words.pointers[k] + 1 + loop})"

    def body(self) -> None:
        """The skeleton."""
        raise NotImplementedError

    def elements(self, index: str, start: str, stop: str, one) -> None:
        """The loop over elements start..stop; `one()` puts the statements of an element."""
        first = len(self.lines)
        one()
        body = [line.lstrip() for line in self.lines[first:]]
        del self.lines[first:]
        lines = [(0, f"for {index} in range({start}, {stop}):"), *((1, line) for line in body)]
        if has_angles(body):
            lines = guarded(index, start, stop, body, self.imports)
        self.put(*("    " * depth + line for depth, line in lines))

    # ── indices ───────────────────────────────────────────────────────────────────────────────
    def unravel(self, index: str, sizes: list[str], names: list[str]) -> None:
        """Splits a linear index into one name a loop."""
        if not names:
            return
        rest = index
        for name, size in reversed(list(zip(names[1:], sizes[1:], strict=True))):
            self.put(
                f"{name}_q = {self.use('udiv')}({rest}, {size})",
                f"{name} = {rest} - {name}_q * {size}",
            )
            rest = f"{name}_q"
        self.put(f"{names[0]} = {rest}")

    def base(self, k: int, loops: dict[int, str]) -> str:
        """Offset of operand k at the given loop indices."""
        terms = [f"{name} * {self.stride(k, loop)}" for loop, name in loops.items()]
        return " + ".join(terms) or "0"

    @staticmethod
    def along(step: str, index: str, stride: str) -> str:
        """Index along the innermost loop for a stride class."""
        return {"": "0", "0": "0", "1": index, "n": f"{index} * {stride}"}[step]

    # ── statements ────────────────────────────────────────────────────────────────────────────
    def read(self, formulas: Formulas, k: int, at: str) -> tuple[str, str]:
        """(register, code) of operand k at an index."""
        o = self.nest.operands[k]
        name = self.use("peek" if "w" in o.mode else "load")
        text = f"{name}({self.pointer(k)}, {at})"
        if o.dtype in REGISTER:
            text = f"{self.use(f'f32_of_{o.dtype}')}({text})"
        elif o.dtype == "b8":
            text += " != 0"
        return formulas.step(text), o.dtype

    def pointer(self, k: int) -> str:
        """The pointer of operand k at the present place of the skeleton."""
        return f"p{k}"

    def write(self, k: int, at: str, register: str) -> None:
        """Stores a register to operand k."""
        o = self.nest.operands[k]
        if o.dtype in REGISTER:
            register = f"{self.use(f'{o.dtype}_of_f32')}({register})"
        elif o.dtype == "b8":
            register = f"{self.use('as_byte')}({register})"
        slot = self.slots[k]
        store = self.use(f"store{slot}" if slot < 24 else "poke")
        self.put(f"{store}({self.pointer(k)}, {at}, {register})")

    def formulas(self) -> Formulas:
        """A writer of statements at the present depth."""
        lines = _Indented(self)
        return Formulas(lines, self.imports, self.constants, self.fresh)

    def compute(self, ids: list[int], at, store: set[int]) -> dict[int, tuple[str, str]]:
        """Evaluates statements `ids` and what they need at one point.

        `at(k)` gives the index of operand k; statements in `store` are stored. Values that
        another sweep has stored are loaded again; values known once a row are taken from there.
        """
        formulas, known = self.formulas(), {}
        order = self._cone(ids, store)
        for i in order:
            s = self.nest.body[i]
            stores = s.stores or self.stash.get(i, ())
            if stores and i not in store:
                known[i] = self.read(formulas, stores[0], at(stores[0]))
                continue
            operands = []
            for ref in s.refs:
                operands.append(self.operand(formulas, ref, at, known))
            value = formulas.operator(s.op, s.compute, s.result, operands)
            known[i] = (value, s.result)
            for k in stores:
                have = self.nest.operands[k].dtype
                self.write(k, at(k), formulas.cast(value, s.result, have))
        return known

    def operand(self, formulas: Formulas, ref: tuple, at, known) -> tuple[str, str]:
        """(register, code) of a ref."""
        kind, k = ref[0], ref[1]
        if kind == "s":
            return f"s{k}", {"f": "f64", "i": "i64"}[ref[2]]
        if kind == "m":
            return self.read(formulas, k, at(k))
        return self.rows[k] if k in self.rows else known[k]

    def _cone(self, ids: list[int], store: set[int]) -> list[int]:
        need, stack = set(), list(ids)
        while stack:
            i = stack.pop()
            if i in need or i in self.rows:
                continue
            need.add(i)
            s = self.nest.body[i]
            if i in store or not (s.stores or i in self.stash):
                stack.extend(r[1] for r in s.refs if r[0] == "v")
        return sorted(need)


class _Indented(list):
    """Lets Formulas append to a kernel at its present depth."""

    def __init__(self, kernel: Kernel):
        super().__init__()
        self.kernel = kernel

    def append(self, line: str) -> None:
        self.kernel.put(line)


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


class RowKernel(Kernel):
    """Reductions over the inner loops, one row a work item, with work between and after them."""

    def body(self) -> None:
        self.columns()
        self.stash = self.plan_stash()
        self.tiles()
        self.put("for row in range(begin, end):")
        self.depth += 1
        self.enter_row("row")
        phases = 1 + max(s.phase for s in self.nest.body)
        for phase in range(phases + 1):
            self.row_statements(phase)
            self.sweep(phase)
        self.depth -= 1

    def plan_stash(self) -> dict[int, tuple[int]]:
        """Expensive values that a later sweep needs again are kept in the row of an output that
        is written only then."""
        body, free = self.nest.body, {}
        for i, s in enumerate(body):
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
                self.put(f"acc{i} = {self.use('tile_' + s.compute)}({LANE_COUNT[s.compute]})")
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
        for i, s in enumerate(self.nest.body):
            if s.level == "row" and not s.combine and s.phase == 0 and i in inputs:
                self.rows.update(self.compute([i], lambda k: "0", {i} if not s.stores else set()))
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
        known = self.compute(sorted(stored | wanted), self._at, stored)
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


LANE_COUNT = {"f32": 64, "f64": 32, "i64": 32, "b8": 64, "i32": 64, "i16": 64, "i8": 64, "u8": 64}
NUMBERS = (
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "boolean",
    "complex64",
    "complex128",
)
OWN = {
    "word",
    "fword",
    "load",
    "peek",
    "poke",
    "shift",
    "select",
    "fabs",
    "sign_bit",
    "udiv",
    "as_byte",
}
OWN_PREFIXES = (
    "ptr_",
    "store",
    "tile_",
    "start_",
    "sweep_",
    "end_",
    "fold_",
    "f32_of_",
    "bf16_of_",
    "f16_of_",
)


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


__all__ = ["Operand", "emit"]
