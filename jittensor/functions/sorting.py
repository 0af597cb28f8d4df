"""Order: a tensor in, sorted values, ranks, quantiles, distinct values or counts out.

Orders and selections are recorded as indices, by which the values are picked, so that they have
gradients. Distinct values, places and counts are found by NumPy when the function is called.
"""

from __future__ import annotations

import numpy as np

from .. import return_types, views
from ..creation import full, zeros
from ..graph import dtypes as dt
from ..graph.node import spec_of
from ..graph.shapes import wrap_dim
from ..indexing import check_range
from ..kernels import selecting as _selecting  # noqa: F401  (and this)
from ..kernels import sorting as _kernels  # noqa: F401  (fills the table of opaque operators)
from ..record import apply, cast
from ..tensor import Tensor, from_array
from .rows import into, title
from .selection import gather, picked


def _values(x: Tensor) -> np.ndarray:
    values = x._array()
    return values.astype(np.float32) if x.dtype is dt.bfloat16 else values


def _index(name: str, x: Tensor, d: int, attrs: tuple, size: int) -> Tensor:
    """What an operator on the rows of the last dim says of dim d: `size` int64 indices a row."""
    if x.dtype.is_complex:
        raise RuntimeError("Sort does not support complex dtypes on CPU")
    if not x.ndim:
        return zeros((), dtype=dt.int64)
    last = d == x.ndim - 1
    rows = (x if last else views.movedim(x.detach(), d, -1)).contiguous()
    index = apply(name, (rows,), attrs,
                  spec=lambda: spec_of(dt.int64, (*rows.shape[:-1], size)))
    return index if last else views.movedim(index, -1, d).contiguous()


def _order(input: Tensor, dim: int, descending: bool) -> Tensor:
    """Stable order along a dim, NaN as the largest."""
    return _index("_sort_index", input, dim, (bool(descending),),
                  input.shape[dim] if input.ndim else 1)


def _outs(out, results):
    return results if out is None else tuple(
        into(o, r) for o, r in zip(out, results, strict=True))


def _like(input: Tensor, result: Tensor) -> Tensor:
    """The result with the input's strides where they are dense."""
    spec = input.spec
    if not spec.dense or spec.contiguous:
        return result
    return cast(result, result.dtype, spec.strides)


def sort(input, dim: int = -1, descending: bool = False, stable: bool = False, *, out=None):
    """(values in order along a dim, their indices); equal values keep their order."""
    d = wrap_dim(dim, input.ndim)
    index = _order(input, d, descending)
    got = _like(input, picked(input, d, index)), _like(input, index)
    return return_types.sort(*_outs(out, got))


def argsort(input, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that put a dim in order."""
    return _like(input, _order(input, wrap_dim(dim, input.ndim), descending))


def msort(input, *, out: Tensor | None = None) -> Tensor:
    """The values in order along dim 0."""
    return into(out, sort(input, 0).values)


def topk(input, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out=None):
    """(the k largest or smallest values of a dim in order, their indices)."""
    d = wrap_dim(dim, input.ndim)
    size = input.shape[d] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError("selected index k out of range")
    if not input.ndim:
        index = zeros(() if k else (0,), dtype=dt.int64)
    elif not k:
        index = zeros((*input.shape[:d], 0, *input.shape[d + 1:]), dtype=dt.int64)
    else:
        index = _index("_top_index", input, d, (k, bool(largest), bool(sorted)), k)
    return return_types.topk(*_outs(out, (picked(input, d, index), index)))


def kthvalue(input, k: int, dim: int = -1, keepdim: bool = False, *, out=None):
    """(the k-th smallest value of a dim, its index)."""
    d = wrap_dim(dim, input.ndim)
    size = input.shape[d] if input.ndim else 1
    if not 1 <= k <= size:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}")
    index = _index("_kth_index", input, d, ("kth", k), 1)
    return return_types.kthvalue(*_outs(out, _at(input, d, index, keepdim)))


def _at(x: Tensor, d: int, index: Tensor, keepdim: bool) -> tuple[Tensor, Tensor]:
    values = picked(x, d, index)
    if x.ndim and not keepdim:
        return views.squeeze(values, d), views.squeeze(index, d)
    return values, index


def _median(name: str, input: Tensor, dim, keepdim: bool):
    if dim is None:
        flat = views.reshape(input, -1)
        if not flat.numel():
            return full((), float("nan"), dtype=input.dtype)
        return _at(flat, 0, _index("_kth_index", flat, 0, (name, 0), 1), False)[0]
    d = wrap_dim(dim, input.ndim)
    if input.ndim and input.shape[d] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    return _at(input, d, _index("_kth_index", input, d, (name, 0), 1), keepdim)


def median(input, dim: int | None = None, keepdim: bool = False, *, out=None):
    """The lower median of all elements, or (medians, indices) of a dim; NaN wins."""
    got = _median("median", input, dim, keepdim)
    return into(out, got) if dim is None else return_types.median(*_outs(out, got))


def nanmedian(input, dim: int | None = None, keepdim: bool = False, *, out=None):
    """`median` without the NaNs."""
    got = _median("nanmedian", input, dim, keepdim)
    return into(out, got) if dim is None else return_types.nanmedian(*_outs(out, got))


def mode(input, dim: int = -1, keepdim: bool = False, *, out=None):
    """(the most frequent value of a dim, the smallest of equals; one of its indices)."""
    d = wrap_dim(dim, input.ndim)
    if input.ndim and input.shape[d] == 0:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    index = _index("_mode_index", input, d, (), 1)
    return return_types.mode(*_outs(out, _at(input, d, index, keepdim)))


# ── quantiles ─────────────────────────────────────────────────────────────────────────────────
def _quantile(name: str, input, q, dim, keepdim: bool, how: str, skip_nan: bool) -> Tensor:
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if input.dtype not in (dt.float32, dt.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if how not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(f"{name}() interpolation must be one of linear, lower, higher, midpoint "
                           f"or nearest, but got {how}")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = full((), float(q), dtype=input.dtype)
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    d = 0 if dim is None else wrap_dim(dim, input.ndim)
    x = views.reshape(input, -1) if dim is None or not input.ndim else input
    ordered = views.movedim(sort(x, d).values, d, -1)
    size = ordered.shape[-1]
    lead = ordered.shape[:-1]
    marks = views.reshape(q, *([1] * len(lead)), -1)
    if skip_nan:
        many = (ordered == ordered).sum(-1, keepdim=True) - 1
        rank = (marks * many).clamp(min=0)
    else:
        rank = views.expand(marks * (size - 1), *lead, q.numel())
        rank = rank.masked_fill(ordered.isnan().any(-1, keepdim=True), size - 1)
    if how == "nearest":
        rank = rank.round()
    low = rank.floor() if how != "higher" else rank.ceil()
    got = gather(ordered, len(lead), views.expand(low.to(dt.int64), *lead, q.numel()))
    if how in ("linear", "midpoint"):
        high = gather(ordered, len(lead), views.expand(rank.ceil().to(dt.int64), *lead, q.numel()))
        weight = 0.5 * (rank.ceil() != low) if how == "midpoint" else rank - low
        got = got.lerp(high, weight.to(got.dtype))
    got = views.movedim(got, -1, 0)
    if keepdim and input.ndim:
        kept = [1 if dim is None or k == d else n for k, n in enumerate(input.shape)]
        got = views.reshape(got, q.numel(), *kept)
    return views.squeeze(got, 0) if not q.ndim else got


def quantile(input, q, dim: int | None = None, keepdim: bool = False, *,
             interpolation: str = "linear", out: Tensor | None = None) -> Tensor:
    """Quantiles of all elements or along a dim; several q come as a new first dim."""
    return into(out, _quantile("quantile", input, q, dim, keepdim, interpolation, False))


def nanquantile(input, q, dim: int | None = None, keepdim: bool = False, *,
                interpolation: str = "linear", out: Tensor | None = None) -> Tensor:
    """`quantile` without the NaNs."""
    return into(out, _quantile("nanquantile", input, q, dim, keepdim, interpolation, True))


# ── distinct values ───────────────────────────────────────────────────────────────────────────
def unique(input, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None):
    """The distinct elements in order (or slices of a dim); with flags also, for each element,
    which one it is, and how often each occurs."""
    values = _values(input)
    if dim is None:
        found, inverse, counts = _unique_elements(views.reshape(input, -1), return_inverse)
        inverse = inverse.reshape(values.shape if return_inverse else -1)
    else:
        d = wrap_dim(dim, input.ndim)
        if not values.size and values.shape[d]:
            raise RuntimeError("There are 0 sized dimensions, and they aren't selected, so unique "
                               "cannot be applied")
        found, inverse, counts = np.unique(values, return_inverse=True, return_counts=True,
                                           axis=d)
        inverse = inverse.reshape(-1)
    inverse = np.asarray(inverse)
    return _distinct(input, found, inverse, counts, return_inverse, return_counts)


def _new(values: np.ndarray) -> np.ndarray:
    """Where the elements of the last dim differ from the ones before them."""
    new = np.ones(values.shape, bool)
    np.not_equal(values[..., 1:], values[..., :-1], out=new[..., 1:])
    return new


def _unique_elements(x: Tensor, inverted: bool) -> tuple:
    """(distinct values of a vector in order, which one each element is if that is wanted, how
    often each occurs)."""
    if x.dtype.is_complex:
        return np.unique(_values(x), return_inverse=True, return_counts=True, equal_nan=False)
    ordered, order = sort(x, 0)
    values = _values(ordered)
    new = _new(values)
    inverse = np.empty(values.shape if inverted else 0, np.int64)
    if inverted:
        inverse[order._array()] = np.cumsum(new) - 1
    return values[new], inverse, np.diff(np.append(np.flatnonzero(new), values.size))


def _distinct(input, found, inverse, counts, return_inverse: bool, return_counts: bool):
    out = [from_array(np.ascontiguousarray(found).astype(input.dtype.numpy), input.dtype)]
    if return_inverse:
        out.append(from_array(np.asarray(inverse, np.int64, order="C")))
    if return_counts:
        out.append(from_array(counts.astype(np.int64)))
    return out[0] if len(out) == 1 else tuple(out)


def unique_consecutive(input, return_inverse: bool = False, return_counts: bool = False,
                       dim: int | None = None):
    """The elements (or slices of a dim) with repetitions next to each other taken out."""
    values = _values(input)
    flat = values.reshape(-1) if dim is None else values
    d = 0 if dim is None else wrap_dim(dim, input.ndim)
    rows = np.moveaxis(flat, d, 0) if flat.ndim else flat.reshape(1)
    new = np.ones(rows.shape[0], bool)
    if rows.shape[0] > 1:
        change = rows[1:] != rows[:-1]
        new[1:] = change.reshape(change.shape[0], -1).any(1)
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, rows.shape[0]))
    inverse = np.cumsum(new) - 1
    if dim is None:
        inverse = inverse.reshape(values.shape)
    found = np.moveaxis(rows[starts], 0, d) if rows.ndim > 1 else rows[starts]
    return _distinct(input, found, inverse, counts, return_inverse, return_counts)


# ── places and counts ─────────────────────────────────────────────────────────────────────────
def searchsorted(sorted_sequence, input, *, out_int32: bool = False, right: bool = False,
                 side: str | None = None, sorter=None, out: Tensor | None = None) -> Tensor:
    """Where values would go into rows in order."""
    if side is not None and side not in ("left", "right"):
        raise RuntimeError("torch.searchsorted(): side can only be 'left' or 'right' but got "
                           f"{side}")
    if side == "left" and right:
        raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites, got "
                           "side of left while right was True")
    side = side or ("right" if right else "left")
    values = np.asarray(input) if not isinstance(input, Tensor) else _values(input)
    rows = _values(sorted_sequence)
    if sorter is not None:
        _check_sorter(sorter, sorted_sequence)
        rows = np.take_along_axis(rows, sorter._array(), -1)
    kind = np.int32 if out_int32 else np.int64
    if rows.ndim == 1:
        got = np.searchsorted(rows, values, side)
    else:
        if rows.shape[:-1] != values.shape[:-1]:
            raise RuntimeError("torch.searchsorted(): boundaries tensor should be 1 dimension or "
                               "the first N-1 dimensions of boundaries tensor and input value "
                               f"tensor must match, but we got boundaries tensor "
                               f"{list(rows.shape)} and input value tensor {list(values.shape)}")
        got = np.zeros(values.shape, kind)
        for place in np.ndindex(values.shape[:-1]):
            got[place] = np.searchsorted(rows[place], values[place], side)
    return into(out, from_array(np.asarray(got).astype(kind)))


def _check_sorter(sorter: Tensor, sequence: Tensor) -> None:
    """PyTorch's errors for an order that is not one of the rows' places."""
    if sorter.dtype is not dt.int64:
        raise RuntimeError("torch.searchsorted(): sorter must be a tensor of long dtype but got "
                           f"dtype {title(sorter)}")
    if sorter.shape != sequence.shape:
        raise RuntimeError("torch.searchsorted(): boundary and sorter must have the same size, but "
                           f"got boundary tensor {list(sequence.shape)} and got sorter tensor "
                           f"{list(sorter.shape)}")
    check_range(sorter, sequence.shape[-1], -1, RuntimeError, wraps=False,
                text="torch.searchsorted(): sorter index out of range")


def bucketize(input, boundaries, *, out_int32: bool = False, right: bool = False,
              out: Tensor | None = None) -> Tensor:
    """Which interval between boundaries each value lies in."""
    if boundaries.ndim != 1:
        raise RuntimeError("bucketize(): boundaries tensor must be 1 dimension, but got dim("
                           f"{boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def isin(elements, test_elements, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among the test elements."""
    a, b = (x._array() if isinstance(x, Tensor) else np.asarray(x)
            for x in (elements, test_elements))
    return from_array(np.asarray(np.isin(a, b, invert=invert)))


def bincount(input, weights=None, minlength: int = 0) -> Tensor:
    """How often each value 0, 1, … occurs (or the sum of its weights)."""
    if input.ndim != 1 or input.dtype.category > dt.INT:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    values = input._array()
    if (values < 0).any():
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is None:
        return from_array(np.bincount(values, minlength=minlength).astype(np.int64))
    kind = weights.dtype if weights.dtype is dt.float32 else dt.float64
    got = np.bincount(values, weights._array().astype(np.float64), minlength)
    return from_array(got.astype(kind.numpy), kind)


def histc(input, bins: int = 100, min=0, max=0, *, out: Tensor | None = None) -> Tensor:
    """How many elements fall into each of equal intervals from min to max."""
    if bins <= 0:
        raise RuntimeError(f"torch.histc(): bins must be > 0, but got {bins}")
    values = _values(input).reshape(-1)
    low, high = float(min), float(max)
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 1, high + 1
    if low > high:
        raise RuntimeError("torch.histc(): max must be larger than min")
    counts, _ = np.histogram(values, bins, (low, high))
    return into(out, from_array(counts.astype(input.dtype.numpy), input.dtype))


def histogram(input, bins, *, range=None, weight=None, density: bool = False):
    """(counts or weights in intervals, the intervals' edges)."""
    values = _values(input).reshape(-1)
    edges = _values(bins) if isinstance(bins, Tensor) else bins
    if range is None and not isinstance(bins, Tensor):
        range = (values.min(), values.max()) if values.size else (0.0, 1.0)
        range = (range[0] - 0.5, range[1] + 0.5) if range[0] == range[1] else range
    counts, edges = np.histogram(
        values, edges, None if range is None else tuple(map(float, range)), density,
        None if weight is None else _values(weight).reshape(-1))
    return return_types.histogram(from_array(counts.astype(input.dtype.numpy), input.dtype),
                                  from_array(edges.astype(input.dtype.numpy), input.dtype))


def histogramdd(input, bins, *, range=None, weight=None, density: bool = False):
    """(counts or weights in boxes, the edges by dim) of points: the rows over the last dim."""
    if input.ndim < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions, "
                           f"but got {input.ndim}")
    values = _values(input).reshape(-1, input.shape[-1]).astype(np.float64)
    dims = values.shape[1]
    wanted = [bins] * dims if isinstance(bins, int) else list(bins)
    if len(wanted) != dims:
        raise RuntimeError(f"torch.histogramdd: expected {dims} sequences of bin edges for a "
                           f"{dims}-dimensional histogram but got {len(wanted)}")
    ends = None if range is None else np.asarray(range, np.float64).reshape(dims, 2)
    found = [_values(b).astype(np.float64) if isinstance(b, Tensor) else _even_edges(
        values[:, d], b, None if ends is None else ends[d]) for d, b in enumerate(wanted)]
    counts = _box_counts(values, found, None if weight is None else _values(weight).reshape(-1))
    if density:
        with np.errstate(invalid="ignore", divide="ignore"):
            counts = counts / counts.sum()
            for d, edges in enumerate(found):
                counts /= np.diff(edges).reshape([-1 if k == d else 1 for k, _ in
                                                  enumerate(found)])
    return return_types.histogramdd(
        from_array(counts.astype(input.dtype.numpy), input.dtype),
        tuple(from_array(np.asarray(e).astype(input.dtype.numpy), input.dtype) for e in found))


def _even_edges(values: np.ndarray, bins: int, ends) -> np.ndarray:
    """Edges of equal intervals over the ends, or over the values."""
    if ends is None:
        ends = (values.min(), values.max()) if values.size else (0.0, 1.0)
    low, high = ends
    return np.linspace(low - 0.5, high + 0.5, bins + 1) if low == high else np.linspace(
        low, high, bins + 1)


def _box_counts(points: np.ndarray, edges: list, weight) -> np.ndarray:
    """How many points (or how much weight) lie in each box; the last edges belong to it."""
    shape = tuple(len(e) - 1 for e in edges)
    inside, place = np.ones(len(points), bool), np.zeros(len(points), np.int64)
    for x, e in zip(points.T, edges, strict=True):
        inside &= (x >= e[0]) & (x <= e[-1])
        k = np.minimum(np.searchsorted(e, x, "right") - 1, len(e) - 2)
        place = place * (len(e) - 1) + np.maximum(k, 0)
    weights = None if weight is None else weight[inside].astype(np.float64)
    size = int(np.prod(shape))
    return np.bincount(place[inside], weights, size).astype(np.float64).reshape(shape)
