"""Code generation for CUDA: a LoopNest in, the numba.cuda source of its kernels out.

The source names each kernel's parameters; an `EntryPoint` says which word of the launch each one
is, so that the CPU's launch words serve both targets. Loops are skeletons over threads:

- map: an element a thread, in steps of the grid; neighbours read neighbouring addresses;
- row: a row a block; threads stride over the row, then join in a tree in shared memory;
- split: a chunk of a row a block, partial results in scratch memory, a second kernel to join them;
- col: 32 columns a block, its other threads share the rows.

The order of combining depends on the shape and on THREADS only, never on what is fused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ...compiler.fuse import LONG_ROW
from ...compiler.lower import LoopNest
from ..emit import IDENTITY, Kernel, _Indented
from ..formula import BY_CODE
from .formula import CudaFormulas

THREADS = 256          # of a block
WARP = 32              # columns of a block in a column reduction


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


@dataclass(frozen=True, slots=True)
class Source:
    """A module's text and its kernels, in launch order, for blocks of `threads`."""

    text: str
    entries: tuple[EntryPoint, ...]
    threads: int


def emit(nest: LoopNest, threads: int = THREADS) -> Source:
    """The source of a nest's kernels; `threads` is a power of two, 32 or more."""
    if threads < WARP or threads & (threads - 1):
        raise ValueError(f"threads of a block: a power of two from {WARP}, not {threads}")
    skeletons = {"map": [MapKernel], "row": [RowKernel], "split": [ChunkKernel, JoinKernel],
                 "col": [ColumnKernel]}[nest.kind]
    kernels = [skeleton(nest, threads) for skeleton in skeletons]
    imports, constants = kernels[0].imports, kernels[0].constants
    for kernel in kernels:                     # one file, so one set of names
        kernel.imports, kernel.constants = imports, constants
    parts = [kernel.function() for kernel in kernels]
    head = ["import numpy as np", "from numba import cuda"]
    body = "\n\n\n".join(parts)
    kinds = sorted(k for k in {*BY_CODE.values(), "uint64"} if re.search(rf"\b{k}[()]", body))
    own = sorted(imports - {"int64"})
    head += [f"from numba.types import {', '.join(kinds)}"] if kinds else []
    head += [f"from jittensor.kernels.cuda.functions import {', '.join(own)}"] if own else []
    head += [f"{name} = np.{text}" for text, name in constants.items()]
    entries = tuple(kernel.entry() for kernel in kernels)
    return Source("\n".join(head) + "\n\n\n" + body + "\n", entries, threads)


def blocks_of(entry: EntryPoint, nest: LoopNest, sizes: list[int], threads: int) -> int:
    """Blocks of a launch over loops of these sizes; a kernel is right for any number of them."""
    outer, inner = sizes[:nest.n_outer], sizes[nest.n_outer:]
    rows, cols = _product(outer), _product(inner)
    if entry.work == "elements":
        return -(-rows // threads)
    if entry.work == "rows":
        return rows
    if entry.work == "chunks":
        return rows * max(1, -(-cols // LONG_ROW))
    return _product(outer[:-1]) * -(-outer[-1] // WARP)


def _product(sizes) -> int:
    out = 1
    for n in sizes:
        out *= n
    return out


def _sum(*terms: str) -> str:
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
            at = self.named("o", lambda k: _sum(self.base(k, lead), self.fast(
                k, nest.operands[k].outer, names[-1], last)))
        else:
            at = lambda k: self.fast(k, nest.operands[k].outer, "i", last)
        keep = {i for i, s in enumerate(nest.body) if s.stores}
        self.compute(sorted(keep), at, keep)
        self.put("i += step")
        self.depth -= 1


class RowKernel(CudaKernel):
    """Reductions over the inner loops, a row a block, with work between and after them."""

    def body(self) -> None:
        self.begin()
        self.put(f"row = {self.block()}", f"rows = {self.sizes(0, self.nest.n_outer)}",
                 "while row < rows:")
        self.depth += 1
        self.enter_row("row")
        phases = 1 + max(s.phase for s in self.nest.body)
        for phase in range(phases):
            self.row_statements(phase)
            ids, kept = self.reductions(phase), self.kept(phase)
            if ids or kept:
                self.sweep(ids, kept, "t", "cols")
            if ids:
                self.tree(ids)
                self.guarded(lambda ids=ids: self.finish(ids, self.row_index))
        self.put("row += cuda.gridDim.x")
        self.depth -= 1

    def begin(self) -> None:
        """The thread and the length of a row."""
        self.put("t = int64(cuda.threadIdx.x)",
                 f"cols = {self.sizes(self.nest.n_outer, self.nest.n_outer + self.nest.n_inner)}")

    @staticmethod
    def block() -> str:
        """Text of the block's number."""
        return "int64(cuda.blockIdx.x)"

    def enter_row(self, index: str) -> None:
        """Offsets of the beginning of a row."""
        n = self.nest.n_outer
        names = [f"x{k}" for k in range(n)]
        self.unravel(index, [self.size(k) for k in range(n)], names)
        for k in range(len(self.nest.operands)):
            self.put(f"r{k} = {self.base(k, dict(enumerate(names)))}")

    def row_index(self, k: int) -> str:
        """Index of a row-level operand."""
        return f"r{k}"

    def row_statements(self, phase: int) -> None:
        """Statements that stand once a row and become possible at this phase: every thread
        computes them, one stores them."""
        ids = [i for i, s in enumerate(self.nest.body)
               if s.level == "row" and not s.combine and s.phase == phase]
        if ids:
            self.guarded(lambda: self.rows.update(self.compute(ids, self.row_index, set(ids))))

    def guarded(self, write: Callable[[], None]) -> None:
        """What `write` stores, one thread stores, after every thread has read what it replaces."""
        self.held = []
        write()
        lines, self.held = self.held, None
        if not lines:
            return
        if any(o.level == "row" and o.mode != "w" for o in self.nest.operands):
            self.put("cuda.syncthreads()")
        self.put("if t == 0:", *("    " + line for line in lines))

    def sweep(self, ids: list[int], kept: set[int], first: str, stop: str) -> None:
        """One pass over a row: reductions `ids` are accumulated, statements `kept` stored."""
        for i in ids:
            self.put(f"acc{i} = {self.identity(i)}")
        self.put(f"c = {first}", f"while c < {stop}:")
        self.depth += 1
        at = self.element("c")
        wanted = {s.refs[0][1] for s in (self.nest.body[i] for i in ids) if s.refs[0][0] == "v"}
        known = self.compute(sorted(kept | (wanted - set(self.rows))), at, kept)
        self.accumulate(ids, known, at)
        self.put(f"c += {self.threads}")
        self.depth -= 1

    def element(self, index: str) -> Callable[[int], str]:
        """Offsets of an element of the row, and what gives each operand's."""
        nest = self.nest
        last = nest.n_outer + nest.n_inner - 1
        names = [f"y{k}" for k in range(nest.n_inner)]
        if nest.n_inner > 1:
            self.unravel(index, [self.size(nest.n_outer + k) for k in range(nest.n_inner)], names)
        else:
            names = [index]
        lead = {nest.n_outer + k: name for k, name in enumerate(names[:-1])}
        full = self.named("o", lambda k: _sum(f"r{k}", self.base(k, lead), self.fast(
            k, nest.operands[k].inner, names[-1], last)))
        return lambda k: full(k) if nest.operands[k].level == "full" else f"r{k}"


class ChunkKernel(RowKernel):
    """Few long rows, first part: a chunk of a row a block, partial results to scratch memory."""

    work = "chunks"

    def body(self) -> None:
        self.begin()
        ids = self.reductions(0)
        chunks = self.parameter("chunks", "i64", self.words.after)
        self.put(f"item = {self.block()}",
                 f"items = {self.sizes(0, self.nest.n_outer)} * {chunks}", "while item < items:")
        self.depth += 1
        self.put(f"row = int64(uint64(item) // uint64({chunks}))",
                 f"k0 = (item - row * {chunks}) * {LONG_ROW}", f"k1 = min(cols, k0 + {LONG_ROW})")
        self.enter_row("row")
        self.held = []              # row values are stored by the second part
        early = [i for i, s in enumerate(self.nest.body)
                 if s.level == "row" and not s.combine and s.phase == 0]
        self.rows.update(self.compute(early, self.row_index, set(early)))
        self.held = None
        self.sweep(ids, self.kept(0), "k0 + t", "k1")
        self.tree(ids)
        self.put("if t == 0:")
        for place, i in enumerate(ids):
            value = f"uint8(total{i})" if self.nest.body[i].compute == "b8" else f"total{i}"
            self.put(f"    {self.scratch(i)}[{self.part(i, place, 'item', ids)}] = {value}")
        self.put("item += cuda.gridDim.x")
        self.depth -= 1

    def scratch(self, i: int) -> str:
        """The scratch memory as a pointer to reduction i's dtype."""
        return self.parameter(f"w{i}", "*" + self.nest.body[i].compute, self.words.after + 1)

    def part(self, i: int, place: int, item: str, ids: list[int]) -> str:
        """Index of reduction i's partial result: each has 16 bytes."""
        return f"(({item}) * {len(ids)} + {place}) * {16 // ITEM_BYTES[self.nest.body[i].compute]}"


class JoinKernel(ChunkKernel):
    """Few long rows, second part: a row a block, joining its chunks' partial results."""

    name, work = "finish", "rows"

    def body(self) -> None:
        ids = self.reductions(0)
        chunks = self.parameter("chunks", "i64", self.words.after)
        self.put("t = int64(cuda.threadIdx.x)", f"row = {self.block()}",
                 f"rows = {self.sizes(0, self.nest.n_outer)}", "while row < rows:")
        self.depth += 1
        self.enter_row("row")
        self.row_statements(0)
        for i in ids:
            self.put(f"acc{i} = {self.identity(i)}")
        self.put("k = t", f"while k < {chunks}:")
        self.depth += 1
        for place, i in enumerate(ids):
            at = self.part(i, place, f"row * {chunks} + k", ids)
            zero = " != 0" if self.nest.body[i].compute == "b8" else ""
            self.put(f"q{i} = {self.scratch(i)}[{at}]{zero}", f"acc{i} = {self.fold(i, f'acc{i}', f'q{i}')}")
        self.put(f"k += {self.threads}")
        self.depth -= 1
        self.tree(ids)
        self.guarded(lambda: self.finish(ids, self.row_index))
        self.row_statements(1)
        self.put("row += cuda.gridDim.x")
        self.depth -= 1


class ColumnKernel(RowKernel):
    """Reductions over slow dims: a warp's threads have neighbouring columns, the warps of a block
    take the rows in turn and join in a tree."""

    work = "columns"

    def body(self) -> None:
        nest, ids = self.nest, self.reductions(0)
        last = nest.n_outer - 1
        self.begin()
        width = self.size(last)
        self.put(f"lane = t >> {WARP.bit_length() - 1}", f"blocks = ({width} + {WARP - 1}) >> 5",
                 f"items = {self.sizes(0, last)} * blocks", f"item = {self.block()}",
                 "while item < items:")
        self.depth += 1
        self.put("lead = int64(uint64(item) // uint64(blocks))",
                 f"col = (item - lead * blocks) * {WARP} + (t & {WARP - 1})")
        names = [f"x{k}" for k in range(last)]
        self.unravel("lead", [self.size(k) for k in range(last)], names)
        for k, o in enumerate(nest.operands):
            start = self.base(k, dict(enumerate(names)))
            self.put(f"r{k} = {_sum(start, self.fast(k, o.outer, 'col', last))}")
        for i in ids:
            self.put(f"acc{i} = {self.identity(i)}")
        self.put(f"j = lane if col < {width} else cols", "while j < cols:")
        self.depth += 1
        self.one_row(ids)
        self.put(f"j += {self.threads // WARP}")
        self.depth -= 1
        self.tree(ids, WARP)
        self.put(f"if (lane == 0) & (col < {width}):")
        self.depth += 1
        self.finish(ids, self.row_index)
        later = [i for i, s in enumerate(nest.body) if s.level == "row" and not s.combine]
        self.compute(later, self.row_index, set(later))
        self.depth -= 1
        self.put("item += cuda.gridDim.x")
        self.depth -= 1

    def one_row(self, ids: list[int]) -> None:
        """Adds one row's element of a thread's column to the accumulators."""
        at = self.element("j")
        kept = self.kept(0)
        wanted = {s.refs[0][1] for s in (self.nest.body[i] for i in ids) if s.refs[0][0] == "v"}
        self.accumulate(ids, self.compute(sorted(kept | wanted), at, kept), at)


ITEM_BYTES = {"f32": 4, "f64": 8, "i64": 8, "i32": 4, "i16": 2, "i8": 1, "u8": 1, "b8": 1,
              "c64": 8, "c128": 16}
__all__ = ["EntryPoint", "Parameter", "Source", "blocks_of", "emit"]
