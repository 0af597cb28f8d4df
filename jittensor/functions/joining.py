"""Joining and splitting: tensors in, a longer tensor or views of its parts out."""

from __future__ import annotations

from .. import views
from ..graph.shapes import broadcast_shapes, wrap_dim
from ..tensor import Tensor


def unbind(input, dim: int = 0) -> tuple:
    """The slices along a dim."""
    d = wrap_dim(dim, input.ndim, False)
    return tuple([views.select(input, d, k) for k in range(input.shape[d])])


def broadcast_tensors(*tensors) -> tuple:
    """The tensors expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*[t.shape for t in tensors])
    return tuple(views.expand(t, *shape) for t in tensors)
