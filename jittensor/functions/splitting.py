"""Splitting: a tensor and sizes in, views of its parts out."""

from __future__ import annotations

from .. import views
from ..graph.shapes import broadcast_shapes, wrap_dim
from ..tensor import Tensor


def unbind(input, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dim."""
    d = wrap_dim(dim, input.ndim, False)
    return tuple([views.select(input, d, k) for k in range(input.shape[d])])


def split(tensor, split_size_or_sections, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of one size (the last may be smaller), or of the sizes given."""
    if not hasattr(split_size_or_sections, "__index__"):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    size = split_size_or_sections.__index__()
    if not tensor.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, tensor.ndim)
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    have = tensor.shape[d]
    if size == 0:
        if have:
            raise RuntimeError("split_size can only be 0 if dimension size is 0, but got dimension "
                               f"size of {have}")
        return (views.narrow(tensor, d, 0, 0),)
    starts = range(0, have, size) if have else (0,)
    return tuple([views.narrow(tensor, d, at, min(size, have - at)) for at in starts])


def split_with_sizes(input, split_sizes, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of the sizes given, which must add up to the dim's."""
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, input.ndim)
    sizes = views.sizes_of((split_sizes,), "split_sizes")
    if any(n < 0 for n in sizes):
        raise RuntimeError("split_with_sizes expects split_sizes have only non-negative entries, "
                           f"but got split_sizes={list(sizes)}")
    if sum(sizes) != input.shape[d]:
        raise RuntimeError(f"split_with_sizes expects split_sizes to sum exactly to "
                           f"{input.shape[d]} (input tensor's size at dimension {d}), but got "
                           f"split_sizes={list(sizes)}")
    out, at = [], 0
    for n in sizes:
        out.append(views.narrow(input, d, at, n))
        at += n
    return tuple(out)


def chunk(input, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` parts of one size (the last may be smaller)."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = wrap_dim(dim, input.ndim)
    have = input.shape[d]
    size = -(-have // chunks)
    if size == 0:
        return tuple([views.narrow(input, d, 0, 0) for _ in range(chunks)])
    return split(input, size, d)


unsafe_chunk, unsafe_split, unsafe_split_with_sizes = chunk, split, split_with_sizes


def tensor_split(input, indices_or_sections, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts between indices, or a number of parts whose sizes differ by one at most."""
    if not input.ndim:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a "
                           "tensor with 0 dims")
    d = wrap_dim(dim, input.ndim)
    have = input.shape[d]
    where = indices_or_sections
    if isinstance(where, Tensor):
        if where.ndim > 1:
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to be a "
                               "zero-dimensional or one-dimensional tensor, but got a tensor with "
                               f"{where.ndim} dims")
        where = where.tolist()
    if hasattr(where, "__index__"):
        parts = where.__index__()
        if parts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {parts}")
        small, extra = divmod(have, parts)
        return split_with_sizes(input, [small + (k < extra) for k in range(parts)], d)
    out, at = [], 0
    for stop in [*where, have]:
        a, b, _ = slice(at, stop).indices(have)
        out.append(views.slice_dim(input, d, a, max(a, b), 1))
        at = stop
    return tuple(out)


def hsplit(input, indices_or_sections) -> tuple[Tensor, ...]:
    """Parts along dim 1 (dim 0 of a vector)."""
    if not input.ndim:
        raise RuntimeError("torch.hsplit requires a tensor with at least 1 dimension, but got a "
                           "tensor with 0 dimensions!")
    return _evenly(input, indices_or_sections, 0 if input.ndim == 1 else 1, "hsplit")


def vsplit(input, indices_or_sections) -> tuple[Tensor, ...]:
    """Parts along dim 0."""
    if input.ndim < 2:
        raise RuntimeError("torch.vsplit requires a tensor with at least 2 dimension, but got a "
                           f"tensor with {input.ndim} dimensions!")
    return _evenly(input, indices_or_sections, 0, "vsplit")


def dsplit(input, indices_or_sections) -> tuple[Tensor, ...]:
    """Parts along dim 2."""
    if input.ndim < 3:
        raise RuntimeError("torch.dsplit requires a tensor with at least 3 dimension, but got a "
                           f"tensor with {input.ndim} dimensions!")
    return _evenly(input, indices_or_sections, 2, "dsplit")


def _evenly(input: Tensor, where, dim: int, name: str) -> tuple[Tensor, ...]:
    if hasattr(where, "__index__") and (where == 0 or input.shape[dim] % where):
        raise RuntimeError(f"torch.{name} attempted to split along dimension {dim}, but the size "
                           f"of the dimension {input.shape[dim]} is not divisible by the "
                           f"split_size {where}!")
    return tensor_split(input, where, dim)


def broadcast_to(input, *sizes, size=None) -> Tensor:
    """The tensor expanded to a shape."""
    return views.expand(input, *views.sizes_of(sizes, "size", size))


def broadcast_tensors(*tensors) -> tuple[Tensor, ...]:
    """The tensors expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*[t.shape for t in tensors])
    return tuple(views.expand(t, *shape) for t in tensors)
