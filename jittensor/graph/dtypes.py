"""Dtypes and promotion: names in, DType objects and result types out (PyTorch's table)."""

from __future__ import annotations

import ctypes

import ml_dtypes
import numpy as np

BOOL, INT, FLOAT, COMPLEX = 0, 1, 2, 3


class DType:
    """An element type. `code` is its short name in generated kernels (`f32`, `i64`, `b8`); `cell`
    is C's type of an element, where C has it."""

    __slots__ = (
        "name", "code", "category", "itemsize", "numpy", "compute", "is_floating_point",
        "is_complex", "is_signed", "rank", "cell",
    )

    def __init__(self, name: str, code: str, category: int, numpy_type, rank: int, cell=None):
        self.name, self.code, self.category, self.rank = name, code, category, rank
        self.cell = cell
        self.numpy = np.dtype(numpy_type)
        self.itemsize = self.numpy.itemsize
        self.is_floating_point = category == FLOAT
        self.is_complex = category == COMPLEX
        self.is_signed = category != BOOL and code != "u8"
        self.compute = self  # the type its arithmetic is done in; 16-bit floats use float32

    def __repr__(self) -> str:
        return "torch." + self.name

    def __reduce__(self):
        return (_by_name, (self.name,))

    def to_complex(self) -> DType:
        """The complex dtype with parts of this precision."""
        return {"float64": complex128, "complex128": complex128}.get(self.name, complex64)

    def to_real(self) -> DType:
        """The dtype of the real part."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)


def _by_name(name: str) -> DType:
    return BY_NAME[name]


bool_ = DType("bool", "b8", BOOL, np.bool_, 0, ctypes.c_bool)
uint8 = DType("uint8", "u8", INT, np.uint8, 1, ctypes.c_uint8)
int8 = DType("int8", "i8", INT, np.int8, 2, ctypes.c_int8)
int16 = DType("int16", "i16", INT, np.int16, 3, ctypes.c_int16)
int32 = DType("int32", "i32", INT, np.int32, 4, ctypes.c_int32)
int64 = DType("int64", "i64", INT, np.int64, 5, ctypes.c_int64)
float16 = DType("float16", "f16", FLOAT, np.float16, 6)
bfloat16 = DType("bfloat16", "bf16", FLOAT, ml_dtypes.bfloat16, 7)
float32 = DType("float32", "f32", FLOAT, np.float32, 8, ctypes.c_float)
float64 = DType("float64", "f64", FLOAT, np.float64, 9, ctypes.c_double)
complex64 = DType("complex64", "c64", COMPLEX, np.complex64, 10)
complex128 = DType("complex128", "c128", COMPLEX, np.complex128, 11)
float16.compute = bfloat16.compute = float32

ALL = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64,
       complex64, complex128)
BY_NAME = {d.name: d for d in ALL}
ALIASES = {"half": float16, "float": float32, "double": float64, "short": int16, "int": int32,
           "long": int64, "cfloat": complex64, "cdouble": complex128}
_FROM_NUMPY = {d.numpy: d for d in ALL}


def from_numpy_dtype(dtype) -> DType:
    """The DType of a NumPy dtype; TypeError where PyTorch has none."""
    found = _FROM_NUMPY.get(np.dtype(dtype))
    if found is None:
        raise TypeError(
            f"can't convert np.ndarray of type {np.dtype(dtype)}. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, "
            "uint8, and bool."
        )
    return found


def _promote(a: DType, b: DType) -> DType:
    if a.rank > b.rank:
        a, b = b, a
    if a is b or a is bool_:
        return b
    if a is uint8 and b is int8:
        return int16
    if b is bfloat16 and a is float16:
        return float32
    if b is complex64 and a is float64:
        return complex128
    return b


_TABLE = {(a, b): _promote(a, b) for a in ALL for b in ALL}


def promote_types(a: DType, b: DType) -> DType:
    """The smallest dtype that holds both.

    >>> promote_types(uint8, int8)
    torch.int16
    """
    return _TABLE[a, b]


class Default:
    """The dtype that Python floats and float factories get (`set_default_dtype`)."""

    float_ = float32

    @classmethod
    def of(cls, kind: type) -> DType:
        """The dtype a tensor made from a Python scalar of that type has."""
        if kind is bool:
            return bool_
        if kind is int:
            return int64
        if kind is complex:
            return cls.float_.to_complex()
        return cls.float_


def result_type(dimensioned: list[DType], zero_dim: list[DType], scalars: list[type]) -> DType:
    """PyTorch's result type of operands with dimensions, 0-d tensors and Python scalars.

    A lower-priority operand counts only where its category is higher.

    >>> result_type([float32], [float64], [int])
    torch.float32
    """
    wrapped = [Default.of(kind) for kind in scalars]
    return _combine(_join(dimensioned), _combine(_join(zero_dim), _join(wrapped)))


def _join(dtypes: list[DType]) -> DType | None:
    result = None
    for dtype in dtypes:
        result = dtype if result is None else _TABLE[result, dtype]
    return result


def _combine(higher: DType | None, lower: DType | None) -> DType | None:
    """What `higher` becomes beside a lower-priority operand."""
    if higher is None or lower is None:
        return higher or lower
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        return higher.to_complex() if lower.is_complex else higher
    if higher is bool_ or lower.category >= FLOAT:
        return _TABLE[higher, lower]
    return higher
