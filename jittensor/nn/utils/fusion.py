"""In: a convolution or linear layer and the batch norm after it. Out: one layer that does both."""

from __future__ import annotations

import copy
from typing import Any

from ... import creation
from ...tensor import Tensor
from ..modules.module import Module
from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval",
           "fuse_linear_bn_weights"]


def _fused(layer: Module, bn: Module, fuse: Any, *rest: Any) -> Module:
    """A copy of the layer with fused weights."""
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    made = copy.deepcopy(layer)
    made.weight, made.bias = fuse(made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps,
                                  bn.weight, bn.bias, *rest)
    return made


def _scaled(weight: Tensor, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float,
            gamma: Tensor | None, beta: Tensor | None,
            shape: list[int]) -> tuple[Parameter, Parameter]:
    """The weight times, and the bias moved by, what batch norm does to each output."""
    bias_dtype = weight.dtype if bias is None else bias.dtype
    start = creation.zeros_like(mean) if bias is None else bias
    scale = (var + eps).rsqrt()
    scale = scale if gamma is None else gamma * scale
    moved = (start - mean) * scale
    moved = moved if beta is None else moved + beta
    return (Parameter((weight * scale.reshape(shape)).to(weight.dtype).detach(),
                      weight.requires_grad),
            Parameter(moved.to(bias_dtype).detach(), start.requires_grad))


def fuse_conv_bn_weights(conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor,
                         bn_eps: float, bn_w: Tensor | None, bn_b: Tensor | None,
                         transpose: bool = False) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution followed by a batch norm.

    Args:
        conv_w: (out, in, *kernel), or (in, out, *kernel) with `transpose`.
        bn_rm, bn_rv: running mean and variance. bn_w, bn_b: weight and bias, or None.
    """
    rest = [1] * (conv_w.dim() - 2)
    return _scaled(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b,
                   [1, -1, *rest] if transpose else [-1, 1, *rest])


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Module:
    """A convolution that does what `conv` and then `bn` do in evaluation.

    Raises:
        AssertionError: a module is in training, or `bn` has no running statistics.
    """
    return _fused(conv, bn, fuse_conv_bn_weights, transpose)


def fuse_linear_bn_weights(linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor,
                           bn_rv: Tensor, bn_eps: float, bn_w: Tensor,
                           bn_b: Tensor) -> tuple[Parameter, Parameter]:
    """Weight (out, in) and bias of a linear layer followed by a batch norm."""
    return _scaled(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Module:
    """A linear layer that does what `linear` and then `bn` do in evaluation.

    Raises:
        AssertionError: a module is in training, or the sizes do not fit.
    """
    if linear.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.num_features not in (1, linear.out_features):
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features "
                             f"== 1, got linear.out_features={linear.out_features} and "
                             f"bn.num_features={bn.num_features}")
    return _fused(linear, bn, fuse_linear_bn_weights)
