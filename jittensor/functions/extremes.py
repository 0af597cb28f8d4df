"""Extremes and counts: a tensor and a dim in, largest and smallest values and their places out."""

from __future__ import annotations

from .. import return_types, views
from ..autograd.graph import relabel
from ..graph import dtypes as dt
from ..graph.node import spec_of
from ..graph.ops import OPS
from ..graph.shapes import wrap_dim
from ..kernels import scan as _kernels  # noqa: F401  (fills the table of opaque operators)
from ..record import apply
from ..record import elementwise as record
from ..tensor import Tensor
from .reductions import amax, amin
from .rows import into, must_be_tensor, title
from .selection import picked


def _place(name: str, x: Tensor, d: int) -> Tensor:
    """The index of the first extreme of a dim, kept as size 1."""
    if x.dtype.is_complex:
        raise RuntimeError(f'"{name}_cpu" not implemented for \'{title(x)}\'')
    x = x.contiguous()
    shape = (*x.shape[:d], 1, *x.shape[d + 1:])
    return apply("_" + name, (x,), (d,), spec=lambda: spec_of(dt.int64, shape))


def _arg(name: str, input: Tensor, dim, keepdim: bool) -> Tensor:
    if dim is None:
        if not input.numel():
            raise IndexError(f"{name}(): Expected reduction dim to be specified for input.numel() "
                             "== 0.")
        got = _place(name, views.reshape(input, -1), 0)
        return views.reshape(got, [1] * input.ndim if keepdim else [])
    d = wrap_dim(dim, input.ndim)
    if not input.ndim:
        return views.reshape(_place(name, views.reshape(input, 1), 0), ())
    _not_empty(name, input, d)
    got = _place(name, input, d)
    return got if keepdim else views.squeeze(got, d)


def _not_empty(name: str, x: Tensor, d: int) -> None:
    if x.ndim and x.shape[d] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")


def argmax(input, dim: int | None = None, keepdim: bool = False, *,
           out: Tensor | None = None) -> Tensor:
    """The index of the largest value (the first of equals), of all elements or of a dim."""
    return into(out, _arg("argmax", input, dim, keepdim))


def argmin(input, dim: int | None = None, keepdim: bool = False, *,
           out: Tensor | None = None) -> Tensor:
    """The index of the smallest value (the first of equals), of all elements or of a dim."""
    return into(out, _arg("argmin", input, dim, keepdim))


def _extreme(name: str, input: Tensor, dim, keepdim: bool, out):
    kind = getattr(return_types, name)
    must_be_tensor(name, "input", input)
    if isinstance(dim, Tensor):
        return into(out, record(OPS[name + "imum"], input, dim))
    if dim is None:
        if not input.numel():
            raise RuntimeError(f"{name}(): Expected reduction dim to be specified for "
                               "input.numel() == 0. Specify the reduction dim with the 'dim' "
                               "argument.")
        whole = amax if name == "max" else amin
        return into(out, relabel(whole(input), name.title() + "Backward1"))
    if not hasattr(dim, "__index__"):
        raise TypeError(f"{name}() received an invalid combination of arguments: 'dim' must be "
                        f"int, not {type(dim).__name__}")
    d = wrap_dim(dim, input.ndim)
    if not input.ndim:
        results = input.clone(), views.reshape(_place("arg" + name, views.reshape(input, 1), 0),
                                               ())
    else:
        _not_empty(name, input, d)
        index = _place("arg" + name, input, d)
        values = picked(input, d, index)
        results = (values, index) if keepdim else (views.squeeze(values, d),
                                                   views.squeeze(index, d))
    relabel(results[0], name.title() + "Backward0")
    if out is not None:
        results = tuple(into(o, r) for o, r in zip(out, results, strict=True))
    return kind(*results)


def max(input, dim=None, keepdim: bool = False, *, other=None, out=None):
    """The largest element; (values, indices) of a dim; or the larger elements of two tensors."""
    return _extreme("max", input, dim if other is None else other, keepdim, out)


def min(input, dim=None, keepdim: bool = False, *, other=None, out=None):
    """The smallest element; (values, indices) of a dim; or the smaller elements of two."""
    return _extreme("min", input, dim if other is None else other, keepdim, out)


def aminmax(input, *, dim: int | None = None, keepdim: bool = False, out=None):
    """(smallest, largest), of all elements or of a dim."""
    dims = () if dim is None else (wrap_dim(dim, input.ndim),)
    if dim is None and not input.numel():
        raise RuntimeError("aminmax(): cannot compute aminmax over an empty dimension as the "
                           "operation has no identity.")
    if not input.ndim:
        dims = ()
    low, high = amin(input, dims, keepdim), amax(input, dims, keepdim)
    if dim is None and keepdim:
        low, high = (views.reshape(v, [1] * input.ndim) for v in (low, high))
    if out is not None:
        low, high = (into(o, r) for o, r in zip(out, (low, high), strict=True))
    return return_types.aminmax(low, high)


def count_nonzero(input, dim=None) -> Tensor:
    """How many elements are not zero, of all or over dims."""
    return (input != 0).sum(() if dim is None else dim)
