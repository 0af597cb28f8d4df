"""`torch.masked`: reductions and normalisations that leave out the elements whose mask is False."""

from __future__ import annotations

import math

from . import functions as F
from .creation import ones
from .graph import dtypes as dt
from .graph.dtypes import Default
from .numeric import iinfo
from .tensor import Tensor


def _dims(input: Tensor, dim) -> tuple[int, ...]:
    if dim is None:
        return tuple(range(input.ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim) or tuple(range(input.ndim))
    if not input.ndim:
        return ()
    return tuple(d % input.ndim for d in dims)


def _kept(input: Tensor, mask) -> Tensor:
    """The mask as booleans of the input's shape."""
    if mask is None:
        return ones(input.shape, dtype=dt.bool_)
    return F.broadcast_to(mask if mask.dtype is dt.bool_ else mask != 0, input.shape)


def _filled(input: Tensor, mask, value) -> Tensor:
    return input if mask is None else input.masked_fill(~_kept(input, mask), value)


def _lowest(dtype, largest: bool = False):
    if dtype.category >= dt.FLOAT:
        return math.inf if largest else -math.inf
    if dtype is dt.bool_:
        return largest
    info = iinfo(dtype)
    return info.max if largest else info.min


def _wide(input: Tensor, dtype) -> Tensor:
    """The input in the dtype that sums of it have."""
    if dtype is None:
        dtype = dt.int64 if input.dtype.category <= dt.INT else input.dtype
    return input.to(dtype)


def sum(input, dim=None, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """The sum; 0 where nothing is left."""
    return F.sum(_filled(_wide(input, dtype), mask, 0), _dims(input, dim), keepdim)


def prod(input, dim=None, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """The product; 1 where nothing is left."""
    x = _filled(_wide(input, dtype), mask, 1)
    for d in sorted(_dims(input, dim), reverse=True):
        x = F.prod(x, d, keepdim)
    return x


def cumsum(input, dim: int, *, dtype=None, mask=None) -> Tensor:
    """Running sums."""
    return F.cumsum(_filled(_wide(input, dtype), mask, 0), dim)


def cumprod(input, dim: int, *, dtype=None, mask=None) -> Tensor:
    """Running products."""
    return F.cumprod(_filled(_wide(input, dtype), mask, 1), dim)


def amax(input, dim=None, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """The largest value; the dtype's lowest where nothing is left."""
    x = input if dtype is None else input.to(dtype)
    return F.amax(_filled(x, mask, _lowest(x.dtype)), _dims(input, dim), keepdim)


def amin(input, dim=None, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """The smallest value; the dtype's largest where nothing is left."""
    x = input if dtype is None else input.to(dtype)
    return F.amin(_filled(x, mask, _lowest(x.dtype, True)), _dims(input, dim), keepdim)


def argmax(input, dim: int | None = None, *, keepdim: bool = False, dtype=None,
           mask=None) -> Tensor:
    """The index of the largest value."""
    x = input if dtype is None else input.to(dtype)
    out = F.argmax(_filled(x, mask, _lowest(x.dtype)), dim, keepdim)
    return out.to(x.dtype)


def argmin(input, dim: int | None = None, *, keepdim: bool = False, dtype=None,
           mask=None) -> Tensor:
    """The index of the smallest value."""
    x = input if dtype is None else input.to(dtype)
    out = F.argmin(_filled(x, mask, _lowest(x.dtype, True)), dim, keepdim)
    return out.to(x.dtype)


def _count(input: Tensor, dims, keepdim: bool, mask) -> Tensor:
    return F.sum(_kept(input, mask), dims, keepdim)


def mean(input, dim=None, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """The mean; NaN where nothing is left."""
    x = input if dtype is None else input.to(dtype)
    dims = _dims(input, dim)
    if x.dtype is dt.bool_:
        x = x.to(dt.int64)
    return F.sum(_filled(x, mask, 0), dims, keepdim) / _count(input, dims, keepdim, mask)


def median(input, dim: int = -1, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """The lower median along a dim; NaN where nothing is left."""
    x = input if dtype is None else input.to(dtype)
    if x.dtype.category < dt.FLOAT:
        x = x.to(Default.float_)
    if mask is None:
        return F.nanmedian(x, dim, keepdim).values
    return F.nanmedian(_filled(x, mask, math.nan), dim, keepdim).values


def norm(input, ord: float = 2.0, dim=None, *, keepdim: bool = False, dtype=None,
         mask=None) -> Tensor:
    """The norm of order `ord`."""
    x = input if dtype is None else input.to(dtype)
    x = _filled(x, mask, math.inf if ord < 0 else 0)
    return F.norm(x, ord, _dims(input, dim), keepdim)


def var(input, dim=None, unbiased: bool | None = None, *, correction=None, keepdim: bool = False,
        dtype=None, mask=None) -> Tensor:
    """The variance of what is left."""
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    x = input if dtype is None else input.to(dtype)
    if x.dtype.category < dt.FLOAT:
        x = x.to(Default.float_)
    dims = _dims(input, dim)
    count = _count(input, dims, True, mask)
    off = x - F.sum(_filled(x, mask, 0), dims, True) / count
    total = F.sum(_filled(off * off.conj(), mask, 0), dims, keepdim)
    left = _count(input, dims, keepdim, mask) - correction
    return total / left.clamp(min=0)


def std(input, dim=None, unbiased: bool | None = None, *, correction=None, keepdim: bool = False,
        dtype=None, mask=None) -> Tensor:
    """The standard deviation of what is left."""
    return var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype,
               mask=mask).sqrt()


def softmax(input, dim: int, *, dtype=None, mask=None) -> Tensor:
    """Softmax over what is left."""
    x = input if dtype is None else input.to(dtype)
    return F.softmax(_filled(x, mask, -math.inf), dim)


def log_softmax(input, dim: int, *, dtype=None, mask=None) -> Tensor:
    """The logarithm of softmax over what is left."""
    x = input if dtype is None else input.to(dtype)
    return F.log_softmax(_filled(x, mask, -math.inf), dim)


def softmin(input, dim: int, *, dtype=None, mask=None) -> Tensor:
    """Softmax of the negated values over what is left."""
    x = input if dtype is None else input.to(dtype)
    return F.softmax(-_filled(x, mask, math.inf), dim)


def normalize(input, ord: float, dim: int, *, eps: float = 1e-12, dtype=None,
              mask=None) -> Tensor:
    """Divided by the norm of what is left (at least eps)."""
    x = input if dtype is None else input.to(dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _filled(x, mask, 0) / size.clamp(min=eps)


def logsumexp(input, dim=None, *, keepdim: bool = False, dtype=None, mask=None) -> Tensor:
    """log(sum(exp(x))) of what is left."""
    x = input if dtype is None else input.to(dtype)
    return F.logsumexp(_filled(x, mask, _lowest(x.dtype)), _dims(input, dim), keepdim).to(x.dtype)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None) -> Tensor:
    """log(exp(input) + exp(other)) of what is left of each."""
    a, b = (x if dtype is None else x.to(dtype) for x in (input, other))
    return F.logaddexp(_filled(a, input_mask, -math.inf), _filled(b, other_mask, -math.inf))
