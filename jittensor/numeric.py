"""Numeric limits: dtypes in, finfo and iinfo out; numbers that do not fit a dtype."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np

from .graph import dtypes as dt
from .graph.arguments import dtype_of
from .graph.dtypes import DType


class finfo:  # noqa: N801
    """Limits of a floating dtype (the default one if none is given)."""

    def __init__(self, dtype: DType | None = None):
        dtype = dtype_of(dtype or dt.Default.float_, "finfo")
        if dtype.category < dt.FLOAT:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo "
                            f"to handle '{dtype}'")
        dtype = dtype.to_real()
        info = (ml_dtypes.finfo if dtype is dt.bfloat16 else np.finfo)(dtype.numpy)
        self.bits = dtype.itemsize * 8
        self.max, self.min, self.eps = float(info.max), float(info.min), float(info.eps)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(info.resolution)
        self.dtype = dtype.name

    def __repr__(self) -> str:
        return (f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
                f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, "
                f"tiny={self.tiny:g}, dtype={self.dtype})")


class iinfo:  # noqa: N801
    """Limits of an integer dtype."""

    def __init__(self, dtype: DType):
        dtype = dtype_of(dtype, "iinfo")
        if dtype.category != dt.INT:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to "
                            f"handle '{dtype}'")
        info = np.iinfo(dtype.numpy)
        self.bits, self.max, self.min = info.bits, int(info.max), int(info.min)
        self.dtype = dtype.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


_C_NAMES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int",
            "int64": "int64_t", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
            "float32": "float", "float64": "double"}


def check_fits(value, dtype: DType) -> None:
    """RuntimeError when a number cannot be stored as a dtype: a finite one beyond its range, or
    a complex one where the dtype is real. Negative ones wrap round in uint8.

    >>> from jittensor.graph import dtypes as dt
    >>> check_fits(-1, dt.uint8)
    """
    kind = dtype.category
    if kind == 0 or value.__class__ is bool:
        return
    if isinstance(value, complex):
        if kind == dt.COMPLEX:
            return
        fits, value = not value.imag, value.real
    else:
        fits = True
    if fits and -128 <= value <= 127 and (kind != dt.INT or value >= 0):
        return
    if kind == dt.INT:
        info = np.iinfo(dtype.numpy)
        least = -info.max if info.min == 0 else info.min
        fits = fits and least <= value <= info.max
    elif kind == dt.FLOAT and fits and -math.inf < value < math.inf:
        info = (ml_dtypes.finfo if dtype is dt.bfloat16 else np.finfo)(dtype.numpy)
        fits = abs(value) <= float(info.max)
    if not fits:
        raise RuntimeError(f"value cannot be converted to type {_C_NAMES[dtype.name]} without "
                           "overflow")
