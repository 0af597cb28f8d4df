"""Random tensor programs: a seed in, source text and the values that NumPy gives for it out.

A program is generated while it is executed: every operation runs at once on NumPy memory laid
out as PyTorch lays it out (storages, strides, offsets), so that the next operation can be chosen
by what the values are, and the program's text is the same for every library that runs it. Each
storage carries a bound on the rounding error its values may have gathered; operations whose
result could jump (comparisons, casts to integers) take exact values only.
"""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from jittensor.graph.shapes import is_dense, output_strides
from tests.random_programs import operations
from tests.random_programs.memory_model import (
    Rejected,
    Var,
    cast,
    is_float,
    largest,
    overlaps_itself,
    rounding,
    share_memory,
)

THEMES = (
    ("float32", "int64", "bool"), ("float32", "float64", "int32"), ("float32", "float16", "uint8"),
    ("float64", "int8", "int64"), ("bfloat16", "float32", "bool"), ("complex64", "float32"),
    ("int16", "int64", "bool"), ("uint8", "int8", "float32"), ("float32",), ("float32", "int64"),
)
SMALL = ((4, 3), (2, 3, 4), (5,), (6, 4), (3, 1, 4), (8, 8), (7, 2), (2, 2, 3), (1, 5), (3, 17))
LARGE = ((3, 30_000), (2, 70_000), (600, 130), (12, 9, 40), (70_001,), (40, 3000))


def values(seed: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Small numbers that every dtype holds exactly."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype == "complex64":
        return ((rng.integers(-8, 9, shape) + 1j * rng.integers(-8, 9, shape)) / 4).astype(dtype)
    if dtype.startswith("float"):
        return (rng.integers(-16, 17, shape) / 8).astype(dtype)
    return rng.integers(0 if dtype == "uint8" else -9, 10, shape).astype(dtype)


NUMBER = re.compile(r"\(-?[\d.]+\)")      # a number as an operand: it counts as broadcast


class Program:
    """A program of about `length` operations. `source` is its text; `expected[k]` is
    (values, strides, error bound) for the k-th call of `check` in it."""

    def __init__(self, seed: int, length: int | None = None, overlap: bool = True,
                 large: bool | None = None):
        self.rng = np.random.default_rng(seed)
        self.seed, self.overlap = seed, overlap
        self.lines: list[str] = []
        self.expected: list[tuple] = []
        self.vars: list[Var] = []
        self.arrays: list[tuple[str, Var]] = []   # NumPy names over tensors' memory
        self.counts: Counter = Counter()
        self.names = iter(range(1 << 30))
        self.theme = THEMES[self.rng.integers(len(THEMES))]
        drawn = self.rng.random() < 0.08
        self.large = drawn if large is None else large
        pool = LARGE if self.large else SMALL
        self.shapes = [pool[k] for k in self.rng.integers(0, len(pool), 2)]
        length = length or int(self.rng.integers(10, 40 if self.large else 200))
        for _ in range(2 if self.large else 4):
            self.create()
        tries = 0
        while sum(self.counts.values()) < length and tries < 40 * length:
            tries += 1
            self.one_operation()
        for v in self.vars:
            self.check(v)
        self.source = "\n".join(self.lines) + "\n"

    # ── drawing ───────────────────────────────────────────────────────────────────────────────
    def pick(self, items):
        """One of a sequence."""
        if not len(items):
            raise Rejected
        return items[int(self.rng.integers(len(items)))]

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def number(self, low: int, high: int) -> int:
        """An integer in low..high."""
        return int(self.rng.integers(low, high + 1))

    def var(self, test=lambda v: True) -> Var:
        """One of the live variables, the younger ones more often."""
        found = [v for v in self.vars if test(v)]
        if not found:
            raise Rejected
        at = int(len(found) * self.rng.random() ** 0.5)
        return found[at]

    def one_operation(self) -> None:
        """Draws and performs an operation; a third of them write."""
        names = self.pick((operations.WRITES, operations.READS, operations.VIEWS,
                           operations.READS, operations.WRITES, operations.READS))
        if self.chance(0.18):
            names = operations.EVENTS
        name = self.pick(list(names))
        try:
            names[name](self)
        except Rejected:
            return
        self.counts[name] += 1
        if len(self.vars) > 14:
            self.drop(self.vars[self.number(0, 9)])

    # ── variables ─────────────────────────────────────────────────────────────────────────────
    def name(self, letter: str = "x") -> str:
        """A fresh name."""
        return f"{letter}{next(self.names)}"

    def emit(self, line: str) -> None:
        """Adds a line of source."""
        self.lines.append(line)

    def create(self) -> None:
        """A tensor of its own, or one over a NumPy array's memory."""
        dtype, shape = self.pick(self.theme), self.pick(self.shapes)
        seed, name = self.number(0, 10**6), self.name()
        plain = "float32" if dtype == "bfloat16" else dtype
        data = f"values({seed}, {shape}, '{plain}')"
        array = values(seed, shape, plain)
        v = Var.fresh(name, dtype, shape)
        v.array[...] = array
        if dtype != "bfloat16" and self.chance(0.25):
            outside = self.name("n")
            self.emit(f"{outside} = {data}")
            self.emit(f"{name} = torch.from_numpy({outside})")
            if self.chance(0.7):
                self.arrays.append((outside, v))
            else:
                self.emit(f"del {outside}")
        else:
            cast = ".to(torch.bfloat16)" if dtype == "bfloat16" else ""
            self.emit(f"{name} = torch.tensor({data}){cast}")
        self.vars.append(v)

    def drop(self, v: Var) -> None:
        """Forgets a variable."""
        self.vars.remove(v)
        self.emit(f"del {v.name}")

    def view(self, text: str, v: Var, shape, strides, offset: int, dtype: str = "") -> Var:
        """Emits a view of v and keeps it."""
        out = Var(self.name(), v.store, dtype or v.dtype, tuple(shape), tuple(strides), offset)
        self.emit(f"{out.name} = {text}")
        self.vars.append(out)
        return out

    def result(self, text: str, array: np.ndarray, dtype: str, error: float,
               operands: list[Var] = (), strides=None) -> Var:
        """Emits an operation that makes a new tensor; strides follow its operands'."""
        self.sane(array, dtype, error)
        shape = tuple(array.shape)
        if strides is None:
            plain = all(o.shape == shape for o in operands) and not NUMBER.search(text)
            strides = output_strides(shape, [(shape, o.broadcast(shape)) for o in operands], plain)
        out = Var.fresh(self.name(), dtype, shape, tuple(strides))
        out.array[...] = array
        out.store.error = error
        self.emit(f"{out.name} = {text}")
        self.vars.append(out)
        return out

    def write(self, text: str, x: Var, array: np.ndarray, error: float) -> None:
        """Emits an in-place operation that gives x the values of `array`."""
        self.sane(array, x.dtype, error)
        if error and any(v.store is x.store and not is_float(v.dtype) for v in self.vars):
            raise Rejected            # its bytes are read as integers, which are compared exactly
        new = cast(array, x.dtype)
        if array.dtype != new.dtype and is_float(x.dtype):
            error += rounding(x.dtype, new) if error else 0.0
        x.array[...] = new
        x.store.error = max(x.store.error, error)
        self.emit(text)

    def writable(self) -> Var:
        """A variable whose elements do not overlap."""
        return self.var(lambda v: not overlaps_itself(v))

    def clear_of(self, x: Var, *operands: Var) -> None:
        """Refuses operands that overlap the written x in part, where PyTorch and the engine raise
        (without gaps) and where PyTorch's answer is undefined (with gaps)."""
        for o in operands:
            dense = is_dense(o.shape, o.strides) and is_dense(x.shape, x.strides)
            if (dense or not self.overlap) and o.store is x.store and (
                    (o.shape, o.strides, o.offset) != (x.shape, x.strides, x.offset)):
                if share_memory(o, x):
                    raise Rejected

    def sane(self, array: np.ndarray, dtype: str, error: float) -> None:
        """Keeps floats finite and small, and errors small beside them."""
        if array.size > 400_000:
            raise Rejected
        if array.dtype.kind in "fc" or array.dtype.name == "bfloat16":
            size = largest(array)
            if not size < 500 or error > 0.02 * (0.1 + size):
                raise Rejected

    def check(self, v: Var) -> None:
        """Emits a comparison of a variable with what NumPy has for it."""
        self.emit(f"check({len(self.expected)}, {v.name})")
        self.expected.append((v.array.copy(), v.strides, v.store.error, v.offset))
