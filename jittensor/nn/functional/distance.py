"""In: vectors along a dimension. Out: distances and similarities between them, unit vectors."""

from __future__ import annotations

from ... import functions
from ...tensor import Tensor
from .activation import scalar_name


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """`x1 . x2 / (max(|x1|, eps) * max(|x2|, eps))` along `dim`; shapes are broadcast.

    Raises:
        RuntimeError: neither of them is floating point.
    """
    dtype = functions.result_type(x1, x2)
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {scalar_name(dtype)}"
        )
    x1, x2 = functions.broadcast_tensors(x1.to(dtype), x2.to(dtype))
    # Each is made a unit vector first: the product of two large norms would overflow.
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


def _unit(x: Tensor, dim: int, eps: float) -> Tensor:
    return x / x.norm(2, dim, keepdim=True).clamp_min(eps)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of `x1 - x2 + eps` along the last dimension."""
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """`x / max(|x|_p, eps)` along `dim`."""
    norms = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / norms if out is None else functions.div(input, norms, out=out)
