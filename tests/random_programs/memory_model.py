"""Tensors as the tests model them: bytes, dtype, shape, strides, offset; promotion by table."""

from __future__ import annotations

import ml_dtypes
import numpy as np


class Rejected(Exception):
    """The operation drawn does not fit the values at hand; another one is drawn."""


ORDER = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
         "float64", "complex64", "complex128")
KIND = {d: 0 if d == "bool" else 1 if "int" in d else 2 if "float" in d else 3 for d in ORDER}


class Store:
    """Bytes, and how far from exact the numbers in them may be."""

    def __init__(self, nbytes: int):
        self.bytes = np.zeros(max(nbytes, 16), np.uint8)
        self.nbytes = nbytes
        self.error = 0.0


class Var:
    """A named view of a store; strides and offset in elements."""

    def __init__(self, name, store: Store, dtype: str, shape, strides, offset: int = 0):
        self.name, self.store, self.dtype = name, store, dtype
        self.shape, self.strides, self.offset = tuple(shape), tuple(strides), offset

    @classmethod
    def fresh(cls, name: str, dtype: str, shape, strides=None) -> Var:
        """A variable with memory of its own (row-major unless strides are given)."""
        itemsize = numpy_type(dtype).itemsize
        if strides is None:
            strides, step = [], 1
            for n in reversed(shape):
                strides.insert(0, step)
                step *= max(n, 1)
        return cls(name, Store(int(np.prod(shape, dtype=np.int64)) * itemsize), dtype, shape,
                   strides)

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return len(self.shape)

    @property
    def error(self) -> float:
        """The store's bound on rounding errors."""
        return self.store.error

    @property
    def array(self) -> np.ndarray:
        """The elements, as a view of the bytes."""
        kind = numpy_type(self.dtype)
        usable = len(self.store.bytes) // kind.itemsize * kind.itemsize
        flat = self.store.bytes[:usable].view(kind)
        return np.lib.stride_tricks.as_strided(
            flat[self.offset:] if 0 not in self.shape else flat, self.shape,
            [s * kind.itemsize for s in self.strides])

    def broadcast(self, shape) -> tuple[int, ...]:
        """Strides when broadcast to `shape`."""
        extra = len(shape) - self.ndim
        return (0,) * extra + tuple(0 if n == 1 and m != 1 else s for n, m, s in zip(
            self.shape, shape[extra:], self.strides, strict=True))


def numpy_type(dtype: str) -> np.dtype:
    """The NumPy dtype of a torch dtype's name."""
    return np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)


def addresses(v: Var) -> np.ndarray:
    """The first byte of every element."""
    at = np.full(v.shape, v.offset, np.int64)
    for d, (n, s) in enumerate(zip(v.shape, v.strides, strict=True)):
        at += (np.arange(n) * s).reshape([-1 if k == d else 1 for k in range(v.ndim)])
    return at.reshape(-1) * numpy_type(v.dtype).itemsize


def overlaps_itself(v: Var) -> bool:
    """Whether two indices name one element."""
    if all(s > 0 or n <= 1 for n, s in zip(v.shape, v.strides, strict=True)):
        step = 0
        for s, n in sorted((s, n) for n, s in zip(v.shape, v.strides, strict=True) if n > 1):
            if s <= step:
                break
            step += s * (n - 1)
        else:
            return False
    return True      # also where strides interleave: PyTorch and the engine refuse some of those


def share_memory(a: Var, b: Var) -> bool:
    """Whether two views of one store have a byte in common."""
    x, y = addresses(a), addresses(b)
    i, j = numpy_type(a.dtype).itemsize, numpy_type(b.dtype).itemsize
    if not x.size or not y.size:
        return False
    touched = np.zeros(len(a.store.bytes) + 16, bool)
    for k in range(i):
        touched[x + k] = True
    return any(touched[y + k].any() for k in range(j))


def promote(tensors: list[Var], scalars: list) -> str:
    """The dtype of arithmetic on tensors and Python numbers."""
    groups = [[v.dtype for v in tensors if v.shape], [v.dtype for v in tensors if not v.shape],
              [{bool: "bool", int: "int64", float: "float32", complex: "complex64"}[type(s)]
               for s in scalars]]
    out = None
    for group in reversed(groups):
        joined = None
        for d in group:
            joined = d if joined is None else join(joined, d)
        out = joined if out is None else out if joined is None else lower(joined, out)
    return out


def join(a: str, b: str) -> str:
    """The smallest dtype for both."""
    a, b = sorted((a, b), key=ORDER.index)
    special = {("uint8", "int8"): "int16", ("float16", "bfloat16"): "float32",
               ("float64", "complex64"): "complex128"}
    return special.get((a, b), b)


def lower(high: str, low: str) -> str:
    """`high` beside an operand of lower priority: only a higher kind of number counts."""
    if KIND[low] <= KIND[high]:
        return high
    if KIND[high] == 2:
        return "complex128" if high == "float64" else "complex64"
    return join(high, low)


def fits_view(shape, strides, new_shape):
    """Strides of a no-copy reshape, found by trying them on NumPy, or None."""
    from jittensor.graph.shapes import view_strides
    return view_strides(tuple(shape), tuple(strides), tuple(new_shape))


# ── arithmetic on NumPy arrays in a torch dtype ───────────────────────────────────────────────
def is_float(dtype: str) -> bool:
    """Whether a dtype has rounding."""
    return "float" in dtype or "complex" in dtype


def largest(array: np.ndarray) -> float:
    """The largest magnitude (0 of nothing; NaN where there is one)."""
    if not array.size:
        return 0.0
    with np.errstate(all="ignore"):
        wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
        return float(np.max(np.abs(wide)))


EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52,
       "complex64": 2.0**-22}


def rounding(dtype: str, array: np.ndarray) -> float:
    """One unit in the last place of the largest element."""
    return EPS.get(dtype, 0.0) * largest(array)


def cast(array: np.ndarray, dtype: str) -> np.ndarray:
    """An array in a torch dtype."""
    want = numpy_type(dtype)
    if array.dtype == want:
        return array
    if dtype == "bool":
        return array != 0
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind == "f" and want.kind in "iu" and want.itemsize < 4:
        array = array.astype(np.int64)
    if array.dtype == np.float64 and want.itemsize == 2 and want.kind not in "iu":
        array = array.astype(np.float32)
    with np.errstate(all="ignore"):
        return array.astype(want)


def compute_type(dtype: str) -> np.dtype:
    """The dtype that arithmetic is done in."""
    return np.dtype(np.float32) if dtype in ("float16", "bfloat16") else numpy_type(dtype)
