"""In: the gradient of a convolution's result. Out: that of its input or of its weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import autograd, creation
from ..tensor import Tensor
from .functional import conv1d, conv2d, conv3d

__all__ = ["conv1d_input", "conv1d_weight", "conv2d_input", "conv2d_weight", "conv3d_input",
           "conv3d_weight"]


def _input_gradient(convolve: Callable) -> Callable:
    def gradient(input_size: Sequence[int], weight: Tensor, grad_output: Tensor, stride: Any = 1,
                 padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:
        with autograd.enable_grad():
            x = creation.zeros(*input_size, dtype=weight.dtype, requires_grad=True)
            out = convolve(x, weight.detach(), None, stride, padding, dilation, groups)
        return autograd.grad(out, x, grad_output)[0]

    gradient.__name__ = gradient.__qualname__ = convolve.__name__ + "_input"
    gradient.__doc__ = f"The gradient of `{convolve.__name__}` in an input of `input_size`."
    return gradient


def _weight_gradient(convolve: Callable) -> Callable:
    def gradient(input: Tensor, weight_size: Sequence[int], grad_output: Tensor, stride: Any = 1,
                 padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Tensor:
        with autograd.enable_grad():
            weight = creation.zeros(*weight_size, dtype=input.dtype, requires_grad=True)
            out = convolve(input.detach(), weight, None, stride, padding, dilation, groups)
        return autograd.grad(out, weight, grad_output)[0]

    gradient.__name__ = gradient.__qualname__ = convolve.__name__ + "_weight"
    gradient.__doc__ = f"The gradient of `{convolve.__name__}` in a weight of `weight_size`."
    return gradient


conv1d_input, conv2d_input, conv3d_input = map(_input_gradient, (conv1d, conv2d, conv3d))
conv1d_weight, conv2d_weight, conv3d_weight = map(_weight_gradient, (conv1d, conv2d, conv3d))
