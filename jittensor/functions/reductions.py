"""Reductions: a tensor and dims in, a tensor without them out."""

from __future__ import annotations

from ..autograd.graph import relabel
from ..graph.dtypes import Default, DType
from ..graph.node import spec_of
from ..graph.ops import OPS
from ..graph.shapes import wrap_dims
from ..record import apply, reduce
from ..record import elementwise as record
from ..tensor import Tensor
from .rows import into


def _dims(dim) -> tuple[int, ...] | None:
    if dim is None or isinstance(dim, int):
        return None if dim is None else (dim,)
    return tuple(int(d) for d in dim) or None


def _all_dims(x: Tensor, dim) -> tuple[int, ...]:
    dims = _dims(dim)
    dims = tuple(range(x.ndim)) if dims is None else wrap_dims(dims, x.ndim)
    return dims if x.ndim else ()


def sum(input, dim=None, keepdim: bool = False, *, dtype: DType | None = None, out=None,
        axis=None, keepdims=None) -> Tensor:
    """The sum, of all elements or over dims."""
    dim = axis if dim is None else dim
    keepdim = keepdim if keepdims is None else keepdims
    if dtype is not None and dtype.category < input.dtype.category:
        input = input.to(dtype)
    out_ = reduce("sum", input, _dims(dim), keepdim, dtype)
    if dim is None and out_._fn is not None:
        out_._fn.label = "SumBackward0"
    return into(out, out_)


def mean(input, dim=None, keepdim: bool = False, *, dtype: DType | None = None, out=None,
         axis=None, keepdims=None) -> Tensor:
    """The mean, of all elements or over dims."""
    dim = axis if dim is None else dim
    keepdim = keepdim if keepdims is None else keepdims
    want = dtype or input.dtype
    if want.category < 2:
        from ..graph.ops import _scalar_name
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {_scalar_name(want)}")
    if dtype is not None:
        input = input.to(dtype)
    dims = _all_dims(input, dim)
    shape = reduced_shape(input, dims, keepdim)
    result = apply("mean", (input,), (dims, keepdim, None), spec=lambda: spec_of(want, shape))
    if dim is None:
        relabel(result, "MeanBackward0")
    return into(out, result)


def reduced_shape(x: Tensor, dims, keepdim: bool) -> tuple[int, ...]:
    """The shape of a reduction over dims."""
    if keepdim:
        return tuple(1 if d in dims else n for d, n in enumerate(x.shape))
    return tuple(n for d, n in enumerate(x.shape) if d not in dims)


def var(input, dim=None, unbiased=None, keepdim: bool = False, *, correction=None,
        out=None, axis=None) -> Tensor:
    """The variance, with Bessel's correction unless told otherwise."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dim = axis if dim is None else dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    if input.dtype.category < 2:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    if input.dtype.is_complex:
        return var(input.real, dim, keepdim=keepdim, correction=correction) + var(
            input.imag, dim, keepdim=keepdim, correction=correction)
    dims = _all_dims(input, dim)
    shape = reduced_shape(input, dims, keepdim)
    return into(out, apply("var", (input,), (dims, keepdim, correction),
                           spec=lambda: spec_of(input.dtype.to_real(), shape)))


def std(input, dim=None, unbiased=None, keepdim: bool = False, *, correction=None,
        out=None, axis=None) -> Tensor:
    """The standard deviation."""
    return into(out, record(OPS["sqrt"], var(input, dim, unbiased, keepdim,
                                             correction=correction, axis=axis)))


def var_mean(input, dim=None, unbiased=None, keepdim: bool = False, *, correction=None):
    """(variance, mean)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return (var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim))


def std_mean(input, dim=None, unbiased=None, keepdim: bool = False, *, correction=None):
    """(standard deviation, mean)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return (std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim))


def prod(input, dim: int | None = None, keepdim: bool = False, *, dtype=None, out=None) -> Tensor:
    """The product."""
    if dtype is not None:
        input = input.to(dtype)
    result = reduce("prod", input, _dims(dim), keepdim, dtype)
    return into(out, result if dim is None else relabel(result, "ProdBackward1"))


def amax(input, dim=(), keepdim: bool = False, *, out=None) -> Tensor:
    """The largest value; gradients are shared among equal ones."""
    return into(out, _extreme("amax", input, _dims(dim), keepdim))


def amin(input, dim=(), keepdim: bool = False, *, out=None) -> Tensor:
    """The smallest value; gradients are shared among equal ones."""
    return into(out, _extreme("amin", input, _dims(dim), keepdim))


def _extreme(name: str, x: Tensor, dims, keepdim: bool) -> Tensor:
    if x.numel() == 0 and dims is None:
        raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() "
                           "== 0. Specify the reduction dim with the 'dim' argument.")
    return reduce(name, x, dims, keepdim)


def all(input, dim=None, keepdim: bool = False, *, out=None) -> Tensor:
    """Whether all elements are true."""
    return into(out, reduce("all", input, _dims(dim), keepdim))


def any(input, dim=None, keepdim: bool = False, *, out=None) -> Tensor:
    """Whether any element is true."""
    return into(out, reduce("any", input, _dims(dim), keepdim))


def logsumexp(input, dim, keepdim: bool = False, *, out=None) -> Tensor:
    """log(sum(exp(x))) over dims, without overflow."""
    if input.dtype.category < 2:
        input = input.to(Default.float_)
    dims = _all_dims(input, dim)
    shape = reduced_shape(input, dims, keepdim)
    if not input.ndim:
        return into(out, input.clone())
    if 0 in input.shape:
        return into(out, sum(input.exp(), dim, keepdim).log())
    return into(out, apply("logsumexp", (input,), (dims, keepdim),
                           spec=lambda: spec_of(input.dtype, shape)))
