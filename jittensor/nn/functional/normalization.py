"""In: a tensor, weights. Out: the tensor normalised over its last dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from ... import functions
from ...tensor import Tensor


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`(x - mean) / sqrt(var + eps) * weight + bias` over the last dimensions; the variance is
    the biased one."""
    return functions.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """`x / sqrt(mean(x ** 2) + eps) * weight` over the last dimensions; eps None means the
    smallest step of the dtype."""
    return functions.rms_norm(input, normalized_shape, weight, eps)
