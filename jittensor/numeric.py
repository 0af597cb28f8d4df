"""Numeric limits: dtypes in, finfo and iinfo out."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from .graph import dtypes as dt
from .graph.dtypes import DType


class finfo:  # noqa: N801
    """Limits of a floating dtype (the default one if none is given)."""

    def __init__(self, dtype: DType | None = None):
        dtype = dtype or dt.Default.float_
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
        if dtype.category != dt.INT:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to "
                            f"handle '{dtype}'")
        info = np.iinfo(dtype.numpy)
        self.bits, self.max, self.min = info.bits, int(info.max), int(info.min)
        self.dtype = dtype.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
