"""In: a tensor. Out: it normalised over its last dimensions (layer norm, RMS norm)."""

from __future__ import annotations

import numbers
from typing import Any

from ... import creation
from ...autograd.function import Function
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module

__all__ = ["CrossMapLRN2d", "LayerNorm", "RMSNorm"]


def _as_shape(normalized_shape: Any) -> tuple[int, ...]:
    if isinstance(normalized_shape, numbers.Integral):
        return (normalized_shape,)
    return tuple(normalized_shape)


class LayerNorm(Module):
    """`(x - mean) / sqrt(var + eps) * weight + bias` over the last dimensions (Ba et al. 2016).

    Args:
        normalized_shape: the sizes of those dimensions.
        elementwise_affine: whether there are a weight (ones) and a bias (zeros) of that shape.
        bias: whether there is a bias, if elementwise_affine.
    """

    normalized_shape: tuple[int, ...]
    eps: float
    elementwise_affine: bool

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(creation.empty(shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        if elementwise_affine and bias:
            self.bias = Parameter(creation.empty(shape, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight ones, bias zeros."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """(…, *normalized_shape) to the same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """`x / sqrt(mean(x ** 2) + eps) * weight` over the last dimensions (Zhang, Sennrich 2019).

    Args:
        normalized_shape: the sizes of those dimensions.
        eps: None means the smallest step of the input's dtype, `finfo(dtype).eps`.
        elementwise_affine: whether there is a weight (ones) of that shape.
    """

    normalized_shape: tuple[int, ...]
    eps: float | None
    elementwise_affine: bool

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(creation.empty(shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight ones."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, *normalized_shape) to the same shape."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class _CrossMapLRN(Function):
    """The numbers of PyTorch's CrossMapLRN2d: its sums keep the first channel once it has been in
    the window, and its gradient's window reaches back only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        reach = int((size - 1) / 2 + 1)
        at = creation.arange(x.shape[1])
        counted = ((at - at.unsqueeze(1)).abs() < reach) | ((at == 0) & (at.unsqueeze(1) >= reach))
        scale = _mixed(counted, x.square()) * (alpha / size) + k
        out = scale.pow(-beta) * x
        ctx.save_for_backward(x, out, scale)
        ctx.numbers = size, alpha, beta
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        x, out, scale = ctx.saved_tensors
        size, alpha, beta = ctx.numbers
        first = int(size - (size - 1) / 2)
        at = creation.arange(x.shape[1])
        back = at - at.unsqueeze(1)
        total = _mixed((back >= -first) & (back < size - first), grad * out / scale)
        return scale.pow(-beta) * grad - x * total * (2 * alpha * beta / size), *(None,) * 4


def _mixed(counted: Tensor, x: Tensor) -> Tensor:
    """Sums over the channels that a (C, C) mask counts."""
    return (counted.to(x.dtype) @ x.flatten(2)).view(x.shape)


class CrossMapLRN2d(Module):
    """(N, C, H, W) divided by the activity of the channels around (Krizhevsky et al. 2012):
    `x / (k + alpha / size * sum of squares) ** beta`.

    The numbers are PyTorch's; `LocalResponseNorm` has the windows of the paper.

    Raises:
        ValueError: an input of other than four dims.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        return _CrossMapLRN.apply(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
