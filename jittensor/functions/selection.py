"""Selection: a tensor and indices or masks in, picked or replaced elements out.

`nonzero`, `argwhere`, `masked_select`, `masked_scatter` and index checks look at values when they
are called, because shapes and errors depend on them.
"""

from __future__ import annotations

import numpy as np

from .. import indexing, views
from ..creation import full, zeros, zeros_like
from ..graph import dtypes as dt
from ..graph.node import spec_of
from ..graph.ops import OPS
from ..graph.shapes import broadcast_shapes, contiguous_strides, wrap_dim
from ..kernels import along as _kernels  # noqa: F401  (fills the table of opaque operators)
from ..record import apply, cast
from ..record import elementwise as record
from ..tensor import Tensor, from_array
from .rows import into, must_be_tensor, title
from .rules import gradient_rule, with_gradient


# ── gather and scatter ────────────────────────────────────────────────────────────────────────
def _check_index(name: str, index: Tensor, x: Tensor, d: int, others: bool = True) -> Tensor:
    """An int64 index of x's rank, in range; PyTorch's errors."""
    must_be_tensor(name, "index", index, 3)
    if index.dtype not in (dt.int64, dt.int32) and index.numel():
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if max(index.ndim, 1) != max(x.ndim, 1) and index.numel():
        raise RuntimeError("Index tensor must have the same number of dimensions as "
                           f"{'input' if name == 'gather' else 'self'} tensor")
    if others and index.numel() and index.ndim:
        for k in range(x.ndim):
            if k != d and index.shape[k] > x.shape[k]:
                raise RuntimeError(
                    f"Size does not match at dimension {k} expected index {list(index.shape)} to "
                    f"be no larger than self {list(x.shape)} apart from dimension {d}")
    indexing.check_range(index, x.shape[d] if x.ndim else 1, d, RuntimeError, wraps=False)
    return index if index.dtype is dt.int64 else index.to(dt.int64)


def _fitted(x: Tensor, shape, d: int) -> Tensor:
    """x cut to an index's sizes in all dims but d."""
    for k, n in enumerate(shape):
        if k != d and x.shape[k] != n:
            x = views.narrow(x, k, 0, n)
    return x


def gather(input, dim: int, index, *, sparse_grad: bool = False,
           out: Tensor | None = None) -> Tensor:
    """Elements of a dim picked by an index for each element of the result."""
    d = wrap_dim(dim, input.ndim)
    return into(out, picked(input, d, _check_index("gather", index, input, d)))


def picked(input: Tensor, d: int, index: Tensor) -> Tensor:
    """`gather` with an int64 index that is known to be in range."""
    if not input.ndim or not index.ndim:
        got = picked(views.reshape(input, 1) if not input.ndim else input, 0,
                     views.reshape(index, 1) if not index.ndim else index)
        return views.reshape(got, index.shape)
    if not index.numel():
        return zeros(index.shape, dtype=input.dtype) + input.sum() * 0
    x = _fitted(input, index.shape, d).contiguous()
    index = index.contiguous()
    return apply("gather", (x, index), (d,), spec=lambda: spec_of(x.dtype, index.shape))


def take_along_dim(input, indices, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """`gather` with the other dims broadcast; over the flattened input without a dim."""
    must_be_tensor("take_along_dim", "indices", indices, 2)
    if dim is None:
        return into(out, gather(views.reshape(input, -1), 0, views.reshape(indices, -1)))
    if indices.dtype not in (dt.int64, dt.int32):
        raise RuntimeError("torch.take_along_dim(): dtype of indices should be Long but got "
                           f"{title(indices)}")
    if input.ndim != indices.ndim:
        raise RuntimeError("torch.take_along_dim(): input and indices should have the same number "
                           f"of dimensions, but got {input.ndim} dimensions for input, and "
                           f"{indices.ndim} dimensions for indices")
    d = wrap_dim(dim, input.ndim)
    indices = indices.remainder(max(1, input.shape[d] if input.ndim else 1))
    a, b = list(input.shape), list(indices.shape)
    a[d] = b[d] = 1
    shape = list(broadcast_shapes(a, b))
    a, b = shape[:], shape[:]
    a[d], b[d] = input.shape[d], indices.shape[d]
    return gather(views.expand(input, *a), d, views.expand(indices, *b), out=out)


def _scattered(x: Tensor, d: int, index: Tensor, src: Tensor, mode: str) -> Tensor:
    """x with src combined into the places of the index; no gradient."""
    if not x.ndim:
        return views.reshape(_scattered(views.reshape(x, 1), 0, views.reshape(index, -1),
                                        views.reshape(src, -1), mode), ())
    if not index.numel():
        return x.clone()
    index = views.reshape(index, 1) if not index.ndim else index
    src = views.reshape(src, 1) if not src.ndim else src
    for k, n in enumerate(index.shape):
        if src.shape[k] != n:
            src = views.narrow(src, k, 0, n)
    region = _fitted(x, index.shape, d)
    a, b, c = region.contiguous(), index.contiguous(), src.contiguous()
    got = apply("_scatter_" + mode, (a, b, c), (d,), spec=lambda: spec_of(a.dtype, a.shape))
    if region is x:
        return got
    whole = cast(x, x.dtype, contiguous_strides(x.shape))
    _fitted(whole, index.shape, d).copy_(got)
    return whole


def _picked(grad: Tensor, d: int, index: Tensor, spec) -> Tensor:
    """The gradient of scattered values: grad at the index, zeros where values were not used."""
    got = gather(grad, d, index)
    if got.shape == spec.shape:
        return got
    whole = zeros(spec.shape, dtype=got.dtype)
    region = whole
    for k, n in enumerate(got.shape):
        region = views.narrow(region, k, 0, n)
    region.copy_(got)
    return whole


def _scatter_backward(node, grad):
    d, index = node.attrs[0], node.saved(1)
    out = [None, None, None]
    if node.edges[0] is not None:
        out[0] = scatter(grad, d, index, 0)
    if node.edges[2] is not None:
        out[2] = _picked(grad, d, index, node.specs[2])
    return out


def _scatter_add_backward(node, grad):
    d, index = node.attrs[0], node.saved(1)
    return [grad, None, None if node.edges[2] is None else _picked(grad, d, index, node.specs[2])]


_SCATTER = gradient_rule("scatter", _scatter_backward, saves=(1,))
_SCATTER_ADD = gradient_rule("scatter_add", _scatter_add_backward, saves=(1,))


def _check_src(name: str, x: Tensor, d: int, index: Tensor, src: Tensor) -> None:
    if src.dtype is not x.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if index.numel() and index.ndim and any(n > m for n, m in zip(
            index.shape, src.shape, strict=False)):
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart "
            f"from dimension {d} and to be no larger size than src {list(src.shape)}")


def scatter(input, dim: int, index, src: Tensor | float | None = None, value=None, *,
            reduce: str | None = None, out: Tensor | None = None) -> Tensor:
    """A copy with `src` (a tensor or number) put in the places that the index names; later ones
    win. With `reduce` 'add' or 'multiply' it is combined with what is there."""
    src = value if src is None else src
    d = wrap_dim(dim, input.ndim)
    index = _check_index("scatter", index, input, d)
    if reduce is not None and reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if not isinstance(src, Tensor):
        src = full(index.shape, src, dtype=input.dtype)
    _check_src("scatter", input, d, index, src)
    if reduce is not None:
        mode = "sum" if reduce == "add" else "prod"
        return into(out, scatter_reduce(input, d, index, src, mode))
    return into(out, with_gradient(_SCATTER, lambda: _scattered(input, d, index, src, "copy"),
                                   (input, index, src), (d,)))


def scatter_add(input, dim: int, index, src, *, out: Tensor | None = None) -> Tensor:
    """A copy with `src` added at the places that the index names, in their order."""
    d = wrap_dim(dim, input.ndim)
    index = _check_index("scatter", index, input, d)
    _check_src("scatter", input, d, index, src)
    return into(out, with_gradient(_SCATTER_ADD,
                                   lambda: _scattered(input, d, index, src, "add"),
                                   (input, index, src), (d,)))


# ── scatter_reduce ────────────────────────────────────────────────────────────────────────────
_REDUCTIONS = {"sum": "add", "prod": "mul", "mean": "add", "amax": "amax", "amin": "amin"}


def _neutral(mode: str, dtype):
    """The value that a reduction leaves alone."""
    if mode in ("sum", "mean", "prod"):
        return int(mode == "prod")
    if dtype.category >= dt.FLOAT:
        return float("-inf") if mode == "amax" else float("inf")
    if dtype is dt.bool_:
        return mode == "amin"
    info = np.iinfo(dtype.numpy)
    return int(info.min if mode == "amax" else info.max)


def _counts(x: Tensor, d: int, index: Tensor, src: Tensor, include: bool) -> Tensor:
    """How many values reach each element of the result (at least one)."""
    start = full(x.shape, int(include), dtype=x.dtype)
    ones = full(src.shape, 1, dtype=x.dtype)
    return _scattered(start, d, index, ones, "add").clamp(min=1)


def _reduced(x, d, index, src, mode: str, include: bool) -> Tensor:
    start = x
    if not include:
        blank = full(src.shape, _neutral(mode, x.dtype), dtype=x.dtype)
        start = _scattered(x, d, index, blank, "copy")
    got = _scattered(start, d, index, src, _REDUCTIONS[mode])
    if mode == "mean":
        count = _counts(x, d, index, src, include)
        got = got / count if x.dtype.category >= dt.FLOAT else got.div(
            count, rounding_mode="floor")
    return got


def _reduce_backward(node, grad):
    d, mode, include = node.attrs
    x, index, src, result = node.saved(0), node.saved(1), node.saved(2), node.result()
    if mode in ("sum", "mean"):
        if mode == "mean":
            grad = grad / _counts(x, d, index, src, include)
        own, values = grad, gather(grad, d, index)
    elif mode == "prod":
        own, values = _product_gradients(grad, x, d, index, src, result, include)
    else:
        best = gather(result, d, index)
        at_x = x == result
        at_src = (_cut(src, index) == best).to(grad.dtype)
        many = at_x.to(grad.dtype) if include else zeros(x.shape, dtype=grad.dtype)
        share = grad / scatter_add(many, d, index, at_src).clamp(min=1)
        own, values = share * at_x, at_src * gather(share, d, index)
    if not include:
        own = scatter(own, d, index, 0)
    whole = values
    if tuple(values.shape) != tuple(src.shape):
        whole = zeros(src.shape, dtype=values.dtype)
        _cut(whole, index).copy_(values)
    return [own, None, whole]


def _cut(src: Tensor, index: Tensor) -> Tensor:
    for k, n in enumerate(index.shape):
        if src.ndim and src.shape[k] != n:
            src = views.narrow(src, k, 0, n)
    return src


def _product_gradients(grad, x, d, index, src, result, include: bool):
    """Products of the other factors; zeros among the factors are counted, not divided by."""
    src = _cut(src, index)
    filled = x.masked_fill(x == 0, 1)
    own = grad * scatter_reduce(filled, d, index, src, "prod", include_self=include) / filled
    zero = src == 0
    many = gather(scatter_add(zeros(x.shape, dtype=x.dtype), d, index, zero.to(x.dtype)), d, index)
    lone = zero & (many == 1)
    without = scatter_reduce(x, d, index, src.masked_fill(lone, 1), "prod", include_self=include)
    at_lone = gather(grad * without, d, index)
    elsewhere = gather(grad * result, d, index) / src.masked_fill(zero, 1)
    return own, at_lone.where(lone, elsewhere)


_REDUCE = gradient_rule("scatter_reduce", _reduce_backward, saves=(0, 1, 2, "result"))


def scatter_reduce(input, dim: int, index, src, reduce: str, *, include_self: bool = True,
                   out: Tensor | None = None) -> Tensor:
    """A copy with 'sum', 'prod', 'mean', 'amax' or 'amin' of `src` at the places that the index
    names (and of what is there, with include_self)."""
    if reduce not in _REDUCTIONS:
        raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin, got "
                           f"{reduce}.")
    d = wrap_dim(dim, input.ndim)
    index = _check_index("scatter", index, input, d)
    _check_src("scatter", input, d, index, src)
    return into(out, with_gradient(
        _REDUCE, lambda: _reduced(input, d, index, src, reduce, include_self),
        (input, index, src), (d, reduce, include_self)))


def index_reduce(input, dim: int, index, source, reduce: str, *, include_self: bool = True,
                 out: Tensor | None = None) -> Tensor:
    """`scatter_reduce` of whole slices of a dim ('prod', 'mean', 'amax' or 'amin')."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin "
                           f"but got {reduce}.")
    if index.ndim > 1:
        raise IndexError("index_reduce_(): Index is supposed to be a vector, but got dim: "
                         f"{index.ndim}")
    if index.dtype not in (dt.int64, dt.int32):
        raise RuntimeError("index_reduce_(): Expected dtype int32/int64 for index but got: "
                           f"{title(index)}")
    if input.dtype is not source.dtype:
        raise RuntimeError(f"index_reduce_(): self ({title(input)}) and source ({title(source)}) "
                           "must have the same scalar type")
    d = wrap_dim(dim, input.ndim)
    rows = source.shape[d] if source.ndim else 1
    if index.numel() != rows:
        raise RuntimeError(f"index_reduce_(): Number of indices ({index.numel()}) should be equal "
                           f"to source.size(dim): ({rows}), for dim: {d}")
    indexing.check_slices(input, source, d)
    indexing.check_range(index, input.shape[d] if input.ndim else 1, d, wraps=False,
                         text="index out of range in self")
    return into(out, scatter_reduce(input, dim, _spread(input, dim, index, source), source, reduce,
                                    include_self=include_self))


def _spread(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A vector of places in a dim as an index of each element."""
    if not x.ndim or not source.ndim:
        return views.reshape(index, source.shape)
    shape = [1] * x.ndim
    shape[wrap_dim(dim, x.ndim)] = -1
    return views.expand(views.reshape(index, *shape), *source.shape)


def index_fill(input, dim: int, index, value) -> Tensor:
    """A copy with `value` in the slices of a dim that a vector names."""
    must_be_tensor("index_fill", "index", index, 2)
    if index.dtype is not dt.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if not input.dtype.is_complex and (isinstance(value, complex) or isinstance(
            value, Tensor) and value.dtype.is_complex):
        raise RuntimeError("index_fill_(): Converting complex Scalar to non-complex type is not "
                           "supported")
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError("index_fill_ only supports a 0-dimensional value tensor, but got tensor "
                           f"with {value.ndim} dimension(s).")
    d = wrap_dim(dim, input.ndim)
    size = input.shape[d] if input.ndim else 1
    indexing.check_range(index, size, d)
    named = np.zeros(size, bool)
    named[index._array()] = True
    shape = [1] * input.ndim
    if input.ndim:
        shape[d] = size
    return record(OPS["masked_fill"], input, views.reshape(from_array(named), shape), value)


# ── indices and masks ─────────────────────────────────────────────────────────────────────────
def nonzero(input, *, as_tuple: bool = False, out: Tensor | None = None):
    """Indices of the elements that are not zero: [n, ndim], or a vector a dim with `as_tuple`."""
    values = input._array()
    found = np.nonzero(values.reshape(1) if as_tuple and not input.ndim else values) if (
        as_tuple or input.ndim) else None
    if as_tuple:
        if out is not None:
            raise RuntimeError("nonzero does not support the out kwarg when as_tuple is True")
        return tuple(from_array(f) for f in found)
    if found is None:
        return into(out, from_array(np.zeros((int(values != 0), 0), np.int64)))
    return into(out, views.transpose(from_array(np.stack(found)), 0, 1))


def argwhere(input) -> Tensor:
    """Indices of the elements that are not zero, [n, ndim]."""
    return nonzero(input)


def masked_select(input, mask, *, out: Tensor | None = None) -> Tensor:
    """The elements where a mask holds, as a vector."""
    if mask.dtype is not dt.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(input.shape, mask.shape)
    x, m = views.expand(input, *shape), views.expand(mask, *shape)
    index = from_array(np.flatnonzero(m._array()))
    return into(out, indexing.select_rows(views.reshape(x, -1), 0, index))


def masked_scatter(input, mask, source) -> Tensor:
    """A copy with the elements of `source`, in order, where a mask holds."""
    if mask.dtype is not dt.bool_:
        raise RuntimeError("masked_scatter_ only supports boolean masks, but got mask with dtype "
                           f"{title(mask)}")
    if input.dtype is not source.dtype:
        raise RuntimeError("masked_scatter_: expected self and source to have same dtypes but got "
                           f"{title(input)} and {title(source)}")
    shape = broadcast_shapes(input.shape, mask.shape)
    x, m = views.expand(input, *shape), views.expand(mask, *shape)
    places = np.flatnonzero(m._array())
    if places.size > source.numel():
        raise RuntimeError("masked_scatter: expected the number of elements in source "
                           f"{source.numel()} to be at least the number of ones in mask "
                           f"{places.size}")
    values = views.narrow(views.reshape(source, -1), 0, 0, places.size)
    got = indexing.copy_rows(views.reshape(x, -1), 0, from_array(places), values)
    return views.reshape(got, shape)


def take(input, index) -> Tensor:
    """Elements of the flattened tensor, in the index's shape."""
    if index.dtype is not dt.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {title(index)}")
    if not input.numel() and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    _check_flat(index, input.numel())
    got = indexing.select_rows(views.reshape(input, -1), 0, views.reshape(index, -1))
    return views.reshape(got, index.shape)


def _check_flat(index: Tensor, size: int) -> None:
    indexing.check_range(index, size, 0, text="out of range: tried to access index {bad} on a "
                         "tensor of {size} elements.")


def put(input, index, source, accumulate: bool = False) -> Tensor:
    """A copy with `source` at places of the flattened tensor (added with `accumulate`)."""
    if index.dtype is not dt.int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {title(index)}")
    if index.numel() != source.numel():
        raise IndexError(f"put_(): Expected source and index to have the same number of elements,"
                           f" but got source.numel() = {source.numel()}, index.numel() = "
                           f"{index.numel()}")
    if input.dtype is not source.dtype:
        raise RuntimeError(f"put_(): self and source expected to have the same dtype, but got self."
                           f"dtype = {title(input)} and source.dtype = {title(source)}")
    if not input.numel() and index.numel():
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    _check_flat(index, input.numel())
    write = indexing.add_rows if accumulate else indexing.copy_rows
    if not index.numel():
        return input.clone()
    got = write(views.reshape(input, -1), 0, views.reshape(index, -1), views.reshape(source, -1))
    got = views.reshape(got, input.shape)
    dense = input.spec.dense and not input.spec.contiguous
    return cast(got, got.dtype, input.spec.strides) if dense else got


def _fill_backward(node, grad):
    return [grad * 0, None if node.specs[1] is None else grad.sum()]


_FILL = gradient_rule("fill_value", _fill_backward, grad_name="FillBackward0")


def fill(input, value) -> Tensor:
    """`value` in every place, with the shape and dtype of the input."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError("fill only supports 0-dimension value tensor but got tensor with "
                           f"{value.ndim} dimensions.")
    operands = (input, value if isinstance(value, Tensor) else None)
    return with_gradient(_FILL, lambda: zeros_like(input).fill_(value), operands)


def index_put(input, indices, values, accumulate: bool = False) -> Tensor:
    """A copy with `values` at input[indices] (added with `accumulate`)."""
    out = input.clone()
    return index_put_(out, indices, values, accumulate)


def index_put_(input, indices, values, accumulate: bool = False) -> Tensor:
    """`values` written at input[indices] (added with `accumulate`)."""
    parts = tuple(slice(None) if i is None else i for i in indices)
    view, advanced = indexing.basic(input, parts)
    if advanced:
        indexing.put(view, advanced, values, accumulate)
    elif accumulate:
        view.add_(values)
    else:
        view.copy_(values)
    return input
