"""What the skeletons share: the words of a launch, the head of the file, statements at a point."""

from __future__ import annotations

from itertools import count

from ...compiler.nest import LoopNest
from ..angles import guarded, has_angles
from ..formula import Formulas

REGISTER = {"f16": "f32", "bf16": "f32"}
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
TURNS = {"turn_in", "turn_out"}
OWN = {
    "prefetch",
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
    "rounded",
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
        math, own, plain, turns = [], [], [], []
        for name in sorted(self.imports):
            if name in ("int64",):
                plain.append(name)
            elif name in TURNS:
                turns.append(name)
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
        if turns:
            head.append(f"from jittensor.kernels.cpu.turning import {', '.join(turns)}")
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

    def dtype_of(self, k: int) -> str:
        """The dtype of operand k in memory."""
        return self.nest.operands[k].dtype

    def formulas(self) -> Formulas:
        """A writer of statements at the present depth."""
        lines = _Indented(self)
        return Formulas(lines, self.imports, self.constants, self.fresh)

    def compute(self, ids: list[int], at, store: set[int],
                later: set[int] = frozenset()) -> dict[int, tuple[str, str]]:
        """Evaluates statements `ids` and what they need at one point.

        `at(k)` gives the index of operand k; statements in `store` are stored, those in `later`
        only afterwards, so that they are computed here too. Other values that are stored were so
        by another sweep and are loaded again; values known once a row are taken from there.
        """
        formulas, known, writes = self.formulas(), {}, []
        order = self._cone(ids, store | later)
        for i in order:
            s = self.nest.body[i]
            stores = s.stores or self.stash.get(i, ())
            if stores and i not in store and i not in later:
                known[i] = self.read(formulas, stores[0], at(stores[0]))
                continue
            operands = []
            for ref in s.refs:
                operands.append(self.operand(formulas, ref, at, known))
            numbers = frozenset(n for n, ref in enumerate(s.refs) if ref[0] == "s")
            value = formulas.operator(s.op, s.compute, s.result, operands, numbers)
            known[i] = (value, s.result)
            for k in stores if i in store else ():
                have = self.dtype_of(k)
                writes.append((k, formulas.cast(value, s.result, have)))
        # after every load: a store may take over the memory of an input read at the same place
        for k, value in writes:
            self.write(k, at(k), value)
        return known

    def first(self) -> set[int]:
        """Statements that stand once a row and need no reduction: column and split kernels store
        them only when all elements are done."""
        return {i for i, s in enumerate(self.nest.body)
                if s.level == "row" and not s.combine and s.phase == 0}

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
