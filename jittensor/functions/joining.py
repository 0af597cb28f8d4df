"""Joining and repeating: tensors in, a longer tensor out."""

from __future__ import annotations

import itertools

from .. import views
from ..autograd.graph import attach
from ..autograd.modes import modes
from ..creation import zeros
from ..graph import dtypes as dt
from ..graph.node import Storage, spec_of, user_frame
from ..graph.ops import OPS, Op
from ..graph.shapes import contiguous_strides, wrap_dim
from ..record import cast, finish, sources, store, write_rule
from ..tensor import Tensor, new_tensor
from .rows import into, title
from .rules import gradient_rule


def _tensors(tensors, name: str) -> list[Tensor]:
    if isinstance(tensors, Tensor) or not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
                        f"{type(tensors).__name__}")
    for k, x in enumerate(tensors):
        if not isinstance(x, Tensor):
            raise TypeError(f"expected Tensor as element {k} in argument 0, but got "
                            f"{type(x).__name__}")
    return list(tensors)


# ── joining ───────────────────────────────────────────────────────────────────────────────────
def _cat_backward(node, grad):
    (dim,) = node.attrs
    out, at = [], 0
    for edge, spec in zip(node.edges, node.specs, strict=True):
        size = 0 if spec.shape == (0,) and grad.ndim != 1 else spec.shape[dim]
        if edge is None:
            out.append(None)
        elif size == 0:
            out.append(zeros(spec.shape, dtype=grad.dtype))
        else:
            out.append(views.narrow(grad, dim, at, size))
        at += size
    return out


_CAT = gradient_rule("cat", _cat_backward)


def _common_dtype(tensors: list[Tensor]):
    return dt.result_type([x.dtype for x in tensors if x.ndim],
                          [x.dtype for x in tensors if not x.ndim], [])


def cat(tensors, dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors one after another along a dim; their other sizes must agree.

    >>> import jittensor as torch
    >>> torch.cat([torch.ones(2), torch.zeros(1)])
    tensor([1., 1., 0.])
    """
    parts = _tensors(tensors, "cat")
    key = (dim, dim.__class__, *[x.spec for x in parts])
    layout = _LAYOUTS.get(key)
    if layout is None:
        layout = _LAYOUTS[key] = _layout(parts, dim)
    result = _joined(_CAT, parts, layout)
    return result if out is None else into(out, result)


_LAYOUTS: dict[tuple, tuple] = {}


def _joined(op: Op, parts: list[Tensor], layout: tuple) -> Tensor:
    """The tensors written to their regions of a new one."""
    d, spec, places = layout
    storage = Storage(None, spec.nbytes)
    whole, origin = new_tensor(storage, spec), user_frame()
    for k, region, offset, rule in places:
        part = (parts[k],)
        store(storage, region, offset, rule, *sources(part), (), origin)
        finish(part)
    if modes.grad:
        for x in parts:
            if x._leaf or x._fn is not None:
                attach(whole, op, tuple(parts), (d,))
                break
    return whole


def _layout(parts: list[Tensor], dim: int) -> tuple:
    """(dim, spec of the result, [(number of a tensor, spec and offset of its region in the result,
    the rule of its write)])."""
    first = _check_sizes(parts, dim)
    d = wrap_dim(dim, first.ndim)
    real = [k for k, x in enumerate(parts) if tuple(x.shape) != (0,) or x is first]
    shape = list(first.shape)
    shape[d] = sum(parts[k].shape[d] for k in real)
    spec = spec_of(_common_dtype(parts), shape)
    places, at = [], 0
    for k in real:
        x = parts[k]
        if x.numel():
            region = spec_of(spec.dtype, x.shape, spec.strides)
            places.append((k, region, at * spec.strides[d],
                           write_rule(region, OPS["cast"], (x,))))
        at += x.shape[d]
    return d, spec, places


def _check_sizes(parts: list[Tensor], dim: int) -> Tensor:
    """The tensor whose sizes the others must have but along `dim`; PyTorch's errors."""
    if not parts:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for k, x in enumerate(parts):
        if not x.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {k}) cannot be concatenated")
    first = next((x for x in parts if tuple(x.shape) != (0,)), parts[0])
    d = wrap_dim(dim, first.ndim)
    for k, x in enumerate(parts):
        if tuple(x.shape) == (0,) and x is not first:
            continue
        if x.ndim != first.ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and "
                               f"{x.ndim}")
        for axis in range(first.ndim):
            if axis != d and x.shape[axis] != first.shape[axis]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size "
                    f"{first.shape[axis]} but got size {x.shape[axis]} for tensor number {k} in "
                    "the list.")
    return first


concat = concatenate = cat


def stack(tensors, dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """Tensors of one shape as the slices of a new dim."""
    parts = _tensors(tensors, "stack")
    key = ("stack", dim, dim.__class__, *[x.spec for x in parts])
    layout = _LAYOUTS.get(key)
    if layout is None:
        layout = _LAYOUTS[key] = _stacked_layout(parts, dim)
    result = _joined(_STACK, parts, layout)
    return result if out is None else into(out, result)


def _stack_backward(node, grad):
    (d,) = node.attrs
    return [None if edge is None else views.select(grad, d, k)
            for k, edge in enumerate(node.edges)]


_STACK = gradient_rule("stack", _stack_backward)


def _stacked_layout(parts: list[Tensor], dim: int) -> tuple:
    """`_layout` of slices of a new dim; PyTorch's errors."""
    if not parts:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = parts[0].spec.sizes
    d = wrap_dim(dim, len(shape) + 1)
    for k, x in enumerate(parts):
        if x.spec.sizes != shape:
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {list(shape)} "
                               f"at entry 0 and {list(x.shape)} at entry {k}")
    dtype = dt.result_type([x.dtype for x in parts], [], [])
    spec = spec_of(dtype, (*shape[:d], len(parts), *shape[d:]))
    region = spec_of(dtype, shape, spec.strides[:d] + spec.strides[d + 1:])
    places = [(k, region, k * spec.strides[d], write_rule(region, OPS["cast"], (x,)))
              for k, x in enumerate(parts)] if region.numel else []
    return d, spec, places


def atleast_1d(*tensors):
    """Tensors with at least one dim."""
    return _each(tensors, lambda x: views.reshape(x, 1) if not x.ndim else x)


def atleast_2d(*tensors):
    """Tensors with at least two dims, new ones first."""
    return _each(tensors, lambda x: views.reshape(x, 1, 1) if not x.ndim else (
        views.unsqueeze(x, 0) if x.ndim == 1 else x))


def atleast_3d(*tensors):
    """Tensors with at least three dims."""
    def raised(x: Tensor) -> Tensor:
        if x.ndim == 0:
            return views.reshape(x, 1, 1, 1)
        if x.ndim == 1:
            return views.unsqueeze(views.unsqueeze(x, 0), -1)
        return views.unsqueeze(x, -1) if x.ndim == 2 else x

    return _each(tensors, raised)


def _each(tensors, function):
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return function(tensors[0])
    if len(tensors) == 1:
        tensors = tensors[0]
    return tuple(function(x) for x in tensors)


def hstack(tensors, *, out: Tensor | None = None) -> Tensor:
    """Joined along dim 1 (dim 0 of vectors)."""
    parts = list(atleast_1d(_tensors(tensors, "hstack")))
    if not parts:
        raise RuntimeError("hstack expects a non-empty TensorList")
    return cat(parts, 0 if parts[0].ndim == 1 else 1, out=out)


def vstack(tensors, *, out: Tensor | None = None) -> Tensor:
    """Joined along dim 0, vectors as rows."""
    parts = list(atleast_2d(_tensors(tensors, "vstack")))
    if not parts:
        raise RuntimeError("vstack expects a non-empty TensorList")
    return cat(parts, 0, out=out)


row_stack = vstack


def dstack(tensors, *, out: Tensor | None = None) -> Tensor:
    """Joined along dim 2."""
    parts = list(atleast_3d(_tensors(tensors, "dstack")))
    if not parts:
        raise RuntimeError("dstack expects a non-empty TensorList")
    return cat(parts, 2, out=out)


def column_stack(tensors, *, out: Tensor | None = None) -> Tensor:
    """Joined along dim 1, vectors as columns."""
    parts = _tensors(tensors, "column_stack")
    if not parts:
        raise RuntimeError("column_stack expects a non-empty TensorList")
    return cat([views.reshape(x, x.numel(), 1) if x.ndim <= 1 else x for x in parts], 1, out=out)


def block_diag(*tensors) -> Tensor:
    """The matrices along the diagonal of a larger one, zeros elsewhere."""
    parts = [atleast_2d(x) for x in tensors]
    for k, x in enumerate(tensors):
        if x.ndim > 2:
            raise RuntimeError("torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                               f"Input {k} has {x.ndim} dimensions")
    dtype = _common_dtype(list(tensors)) if tensors else None
    columns, at, rows = sum(x.shape[1] for x in parts), 0, []
    for x in parts:
        n, m = x.shape
        rows.append(cat([zeros(n, at, dtype=dtype), x, zeros(n, columns - at - m, dtype=dtype)],
                        1))
        at += m
    return cat(rows, 0) if rows else zeros(1, 0)


# ── repeating ─────────────────────────────────────────────────────────────────────────────────
def repeat(input, *counts, repeats=None) -> Tensor:
    """The tensor repeated along each dim; new dims come first."""
    counts = views.sizes_of(counts, "repeats", repeats)
    extra = len(counts) - input.ndim
    if extra < 0:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of "
                           "dimensions of tensor")
    if any(n < 0 for n in counts):
        raise RuntimeError("Trying to create tensor with negative dimension "
                           f"{min(counts)}: {list(counts)}")
    shape = (1,) * extra + tuple(input.shape)
    pairs = [n for size in shape for n in (1, size)]
    wide = [n for count, size in zip(counts, shape, strict=True) for n in (count, size)]
    total = [count * size for count, size in zip(counts, shape, strict=True)]
    spread = views.expand(views.reshape(input, *pairs) if pairs else input, *wide)
    copied = cast(spread, input.dtype, contiguous_strides(spread.shape)) if pairs else input.clone()
    return views.view(copied, *total) if pairs else copied


def tile(input, *counts, dims=None) -> Tensor:
    """`repeat` with leading ones put in where fewer counts than dims are given."""
    counts = views.sizes_of(counts, "dims", dims)
    return repeat(input, *((1,) * (input.ndim - len(counts)) + counts))


def repeat_interleave(input, repeats=None, dim: int | None = None, *,
                      output_size: int | None = None) -> Tensor:
    """Each element (or slice of a dim) repeated; `repeats` is a number or one for each slice.

    With a tensor of counts the counts are looked at when the function is called.
    """
    import numpy as np

    from ..indexing import index_select
    from ..tensor import from_array
    given = input if repeats is None else repeats
    if isinstance(given, Tensor):
        if given.dtype not in (dt.int64, dt.int32):
            raise NotImplementedError(f'"repeat_interleave_cpu" not implemented for '
                                      f"'{title(given)}'")
        if given.ndim > 1:
            raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
        if given.numel() and int(given._array().min()) < 0:
            raise RuntimeError("repeats can not be negative")
    elif given < 0:
        raise RuntimeError("repeats must be non-negative")
    if repeats is None:
        counts = input._array().reshape(-1)
        _check_total(output_size, counts.sum())
        return from_array(np.repeat(np.arange(counts.size), counts).astype(
            input.dtype.numpy), input.dtype)
    if dim is None:
        input, dim = views.flatten(input), 0
    d = wrap_dim(dim, input.ndim)
    if not input.ndim:
        input = views.reshape(input, 1)
    size = input.shape[d]
    counts = repeats._array().reshape(-1) if isinstance(repeats, Tensor) else np.array([repeats])
    if counts.size not in (1, size):
        raise RuntimeError("repeats must have the same size as input along dim, but got "
                           f"repeats.size(0) = {counts.size} and input.size({d}) = {size}")
    index = np.repeat(np.arange(size), np.broadcast_to(counts, (size,)))
    _check_total(output_size, index.size)
    return index_select(input, d, from_array(index))


def _check_total(output_size: int | None, total: int) -> None:
    if output_size is not None and output_size != total:
        raise RuntimeError("repeat_interleave: allocated size does not match required size, "
                           f"expected {total} but got {output_size}")


# ── grids ─────────────────────────────────────────────────────────────────────────────────────
def meshgrid(*tensors, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Grids of coordinates of vectors, as views."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for x in tensors:
        if x.ndim > 1:
            raise RuntimeError("torch.meshgrid: Expected 0D or 1D tensor in the tensor list but "
                               f"got: {x.ndim}")
    if indexing not in ("ij", "xy"):
        raise RuntimeError("torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received:"
                           f" {indexing}")
    swap = indexing == "xy" and len(tensors) >= 2
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    shape = [x.numel() for x in tensors]
    grids = [views.expand(views.view(x, *([1] * k + [-1] + [1] * (len(shape) - k - 1))), *shape)
             for k, x in enumerate(tensors)]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors) -> Tensor:
    """All combinations of the elements of vectors, one a row."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([views.flatten(g) for g in meshgrid(*tensors)], 1)


def combinations(input, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector, one a row."""
    from ..creation import tensor
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return zeros(0, dtype=input.dtype)
    choose = itertools.combinations_with_replacement if with_replacement else (
        itertools.combinations)
    rows = list(choose(range(input.shape[0]), r))
    return input[tensor(rows, dtype=dt.int64).reshape(len(rows), r)]


