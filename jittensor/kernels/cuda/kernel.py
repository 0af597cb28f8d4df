"""What the CUDA skeletons share: a LoopNest in, the text of a kernel's function out.

Parameters, memory accesses, statements at a point and trees in shared memory; the skeleton of maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...compiler.nest import LoopNest
from ..formula import BY_CODE
from ..skeletons.base import Kernel, _Indented
from ..skeletons.row import IDENTITY
from .formula import CudaFormulas


@dataclass(frozen=True, slots=True)
class Parameter:
    """A kernel parameter: its dtype code (with a star for a pointer) and its launch word."""

    name: str
    code: str
    word: int


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A kernel of a source. `work` is what it is cut into for threads or blocks: 'elements',
    'rows', 'chunks' or 'columns'."""

    name: str
    parameters: tuple[Parameter, ...]
    work: str


def sum_of(*terms: str) -> str:
    """Text of a sum, without its zeros."""
    return " + ".join(term for term in terms if term != "0") or "0"


class CudaKernel(Kernel):
    """What the CUDA skeletons share: parameters, memory accesses, trees in shared memory."""

    name, work = "kernel", "rows"

    def __init__(self, nest: LoopNest, threads: int):
        super().__init__(nest)
        self.threads = threads
        self.parameters: dict[str, Parameter] = {}
        self.shared: dict[str, str] = {}          # shared array: its dtype
        self.held: list[str] | None = None        # stores that wait for the guard, if they do
        self.single = _single_precision(nest)

    # ── text ──────────────────────────────────────────────────────────────────────────────────
    def function(self) -> str:
        """The text of the kernel's function."""
        self.body()
        arrays = [f"    {name} = cuda.shared.array({self.threads}, {BY_CODE[code]})"
                  for name, code in self.shared.items()]
        return "\n".join([f"def {self.name}({', '.join(self.parameters)}):", *arrays, *self.lines])

    def entry(self) -> EntryPoint:
        """How the kernel is launched."""
        return EntryPoint(self.name, tuple(self.parameters.values()), self.work)

    def parameter(self, name: str, code: str, word: int) -> str:
        """A parameter of the kernel, made on first use."""
        self.parameters.setdefault(name, Parameter(name, code, word))
        return name

    def size(self, loop: int) -> str:
        """The size of a loop (outer loops first)."""
        return self.parameter(f"n{loop}", "i64", loop)

    def sizes(self, first: int, stop: int) -> str:
        """The product of the sizes of loops first..stop-1."""
        return " * ".join(self.size(k) for k in range(first, stop)) or "1"

    def stride(self, k: int, loop: int) -> str:
        """The stride of operand k over a loop."""
        return self.parameter(f"d{k}_{loop}", "i64", self.words.pointers[k] + 1 + loop)

    def pointer(self, k: int) -> str:
        """The pointer of operand k."""
        return self.parameter(f"p{k}", "*" + self.nest.operands[k].dtype, self.words.pointers[k])

    def unravel(self, index: str, sizes: list[str], names: list[str]) -> None:
        """Splits a linear index into one name a loop, by unsigned division."""
        rest = index
        for name, size in reversed(list(zip(names[1:], sizes[1:], strict=True))):
            self.put(f"{name}_q = int64(uint64({rest}) // uint64({size}))",
                     f"{name} = {rest} - {name}_q * {size}")
            rest = f"{name}_q"
        if names:
            self.put(f"{names[0]} = {rest}")

    def fast(self, k: int, step: str, index: str, loop: int) -> str:
        """Index of operand k along its fastest loop, of stride class `step`."""
        return self.along(step, index, self.stride(k, loop) if step == "n" else "")

    def named(self, letter: str, text: Callable[[int], str]) -> Callable[[int], str]:
        """Gives each operand's index, written down at its first use from here on."""
        known: set[int] = set()

        def at(k: int) -> str:
            if k not in known:
                known.add(k)
                self.put(f"{letter}{k} = {text(k)}")
            return f"{letter}{k}"

        return at

    # ── statements ────────────────────────────────────────────────────────────────────────────
    def formulas(self) -> CudaFormulas:
        return CudaFormulas(_Indented(self), self.imports, self.constants, self.fresh)

    def read(self, formulas, k: int, at: str) -> tuple[str, str]:
        """(register, code) of operand k at an index."""
        code = self.nest.operands[k].dtype
        text = formulas.step(f"{self.pointer(k)}[{at}]")
        if code in ("f16", "bf16"):
            text = formulas.call(f"f32_of_{code}", text)
        elif code == "b8":
            text = formulas.step(f"{text} != 0")
        return text, code

    def write(self, k: int, at: str, register: str) -> None:
        """Stores a register to operand k, or holds the store back for the guard."""
        code = self.nest.operands[k].dtype
        if code == "f16":
            register = f"float16({register})"
        elif code == "bf16":
            register = f"{self.use('bf16_of_f32')}({register})"
        elif code == "b8":
            register = f"uint8({register})"
        line = f"{self.pointer(k)}[{at}] = {register}"
        if self.held is None:
            self.put(line)
        else:
            self.held.append(line)

    def operand(self, formulas, ref: tuple, at, known) -> tuple[str, str]:
        """(register, code) of a ref; a scalar that only float32 work reads arrives as float32."""
        if ref[0] != "s":
            return super().operand(formulas, ref, at, known)
        code = "f32" if ref[1] in self.single else {"f": "f64", "i": "i64"}[ref[2]]
        return self.parameter(f"s{ref[1]}", code, self.words.scalars + ref[1]), code

    # ── reductions ────────────────────────────────────────────────────────────────────────────
    def identity(self, i: int) -> str:
        """What reduction i starts from, typed."""
        s = self.nest.body[i]
        if s.compute == "b8":
            return "False" if s.combine == "or" else "True"
        return self.formulas().constant(*IDENTITY(s.combine, s.compute))

    def fold(self, i: int, a: str, b: str) -> str:
        """Text of one combining step of reduction i."""
        s = self.nest.body[i]
        return CudaFormulas.fold(s.combine, s.compute, a, b)

    def accumulate(self, ids: list[int], known, at: Callable[[int], str]) -> None:
        """Folds one element into the accumulators."""
        formulas = self.formulas()
        for i in ids:
            s = self.nest.body[i]
            value, code = self.operand(formulas, s.refs[0], at, known)
            value = formulas.cast(value, code, s.compute)
            self.put(f"acc{i} = {self.fold(i, f'acc{i}', value)}")

    def tree(self, ids: list[int], stop: int = 1) -> None:
        """Joins the threads' accumulators, halving the block until `stop` threads are left:
        `total` of a reduction is then at its thread's place, modulo `stop`."""
        arrays, taken = {}, {}
        for i in ids:
            code = self.nest.body[i].compute
            taken[code] = taken.get(code, -1) + 1
            arrays[i] = f"shared_{code}_{taken[code]}"
            self.shared[arrays[i]] = code
            self.put(f"{arrays[i]}[t] = acc{i}")
        self.put("cuda.syncthreads()", f"half = {self.threads // 2}", f"while half >= {stop}:",
                 "    if t < half:")
        self.depth += 2
        for i in ids:
            self.put(f"a{i} = {arrays[i]}[t]", f"b{i} = {arrays[i]}[t + half]",
                     f"{arrays[i]}[t] = {self.fold(i, f'a{i}', f'b{i}')}")
        self.depth -= 1
        self.put("cuda.syncthreads()", "half = half >> 1")
        self.depth -= 1
        place = "0" if stop == 1 else f"t & {stop - 1}"
        for i in ids:
            self.put(f"total{i} = {arrays[i]}[{place}]")
        self.put("cuda.syncthreads()")

    def finish(self, ids: list[int], at: Callable[[int], str]) -> None:
        """Totals become row values and are stored where kept."""
        formulas = self.formulas()
        for i in ids:
            s = self.nest.body[i]
            value = formulas.cast(f"total{i}", s.compute, s.result)
            self.rows[i] = (value, s.result)
            for k in s.stores:
                self.write(k, at(k), formulas.cast(value, s.result, self.nest.operands[k].dtype))

    def reductions(self, phase: int) -> list[int]:
        """Reductions of a sweep."""
        return [i for i, s in enumerate(self.nest.body) if s.combine and s.phase == phase]

    def kept(self, phase: int) -> set[int]:
        """Elementwise statements that a sweep stores."""
        return {i for i, s in enumerate(self.nest.body)
                if s.level == "full" and s.stores and s.phase == phase and not s.combine}


def _single_precision(nest: LoopNest) -> set[int]:
    """Scalars that are floats and that only float32 statements read."""
    users: dict[int, set[str]] = {}
    for s in nest.body:
        for ref in s.refs:
            if ref[0] == "s" and ref[2] == "f":
                users.setdefault(ref[1], set()).add(s.compute)
    return {k for k, codes in users.items() if codes <= {"f32", "f16", "bf16"}}


class MapKernel(CudaKernel):
    """Elementwise: thread i has elements i, i + threads of the grid, …"""

    work = "elements"

    def body(self) -> None:
        nest = self.nest
        last = nest.n_outer - 1
        self.put("i = cuda.grid(1)", "step = cuda.gridsize(1)",
                 f"total = {self.sizes(0, nest.n_outer)}", "while i < total:")
        self.depth += 1
        names = [f"x{k}" for k in range(nest.n_outer)]
        if last > 0:
            self.unravel("i", [self.size(k) for k in range(nest.n_outer)], names)
            lead = dict(enumerate(names[:-1]))
            at = self.named("o", lambda k: sum_of(self.base(k, lead), self.fast(
                k, nest.operands[k].outer, names[-1], last)))
        else:
            at = lambda k: self.fast(k, nest.operands[k].outer, "i", last)
        keep = {i for i, s in enumerate(nest.body) if s.stores}
        self.compute(sorted(keep), at, keep)
        self.put("i += step")
        self.depth -= 1
