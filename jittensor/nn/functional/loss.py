"""In: predictions and targets. Out: losses of regression and of margins.

Each is composed of tensor operations and fuses with what comes before it. `reduction` is 'mean',
'sum' or 'none'; `size_average` and `reduce` are the old way to say it.
"""

from __future__ import annotations

import math
import warnings

from ... import creation, functions
from ...autograd import no_grad
from ...autograd.graph import relabel
from ...tensor import Tensor
from .reduction import reduced, reduction_name


def _same_shape(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both broadcast to one shape, with a warning where they had to be."""
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=4,
        )
    return functions.broadcast_tensors(input, target)


def _weighted(
    loss: Tensor, weight: Tensor | None, input: Tensor, reduction: str, by_weight: bool = True
) -> Tensor:
    """The reduced loss; a weighted mean divides by the sum of the weights if `by_weight`."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    if reduction == "mean" and by_weight:
        return loss.sum() / weight.sum()
    return reduced(loss, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """`|x - y|`; a mean with `weight` divides by the sum of the weights.

    Raises:
        ValueError: `reduction` is not a name of one, or `weight` has another shape.
    """
    first, second = _same_shape(input, target)
    reduction = reduction_name(size_average, reduce, reduction)
    return _weighted((first - second).abs(), weight, input, reduction)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """`(x - y) ** 2`; a mean with `weight` divides by the sum of the weights.

    Raises:
        ValueError: `reduction` is not a name of one, or `weight` has another shape.
    """
    first, second = _same_shape(input, target)
    reduction = reduction_name(size_average, reduce, reduction)
    difference = first - second
    loss = _weighted(difference * difference, weight, input, reduction)
    return relabel(loss, "MseLossBackward0") if weight is None else loss


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """`0.5 * (x - y) ** 2 / beta` where `|x - y| < beta`, else `|x - y| - 0.5 * beta`.

    Raises:
        RuntimeError: `beta` is negative.
        ValueError: `reduction` is not a name of one.
    """
    first, second = _same_shape(input, target)
    reduction = reduction_name(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    distance = (first - second).abs()
    if beta == 0:
        return reduced(distance, reduction)
    near = 0.5 * distance * distance / beta
    loss = functions.where(distance < beta, near, distance - 0.5 * beta)
    return relabel(reduced(loss, reduction), "SmoothL1LossBackward0")


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """`0.5 * (x - y) ** 2` where `|x - y| < delta`, else `delta * (|x - y| - 0.5 * delta)`.

    Raises:
        RuntimeError: `delta` is not positive.
        ValueError: `reduction` is not a name of one, or `weight` has another shape.
    """
    first, second = _same_shape(input, target)
    reduction = reduction_name(None, None, reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    distance = (first - second).abs()
    near, far = 0.5 * distance * distance, delta * (distance - 0.5 * delta)
    loss = functions.where(distance < delta, near, far)
    loss = _weighted(loss, weight, input, reduction, by_weight=False)
    return relabel(loss, "HuberLossBackward0") if weight is None else loss


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of counts `y` under Poisson(exp(x)), or Poisson(x).

    Args:
        log_input: `exp(x) - y * x`; otherwise `x - y * log(x + eps)`.
        full: add Stirling's approximation of log(y!) where y > 1.

    Raises:
        ValueError: `reduction` is not a name of one.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if log_input:
        loss = functions.exp(input) - target * input
    else:
        loss = input - target * functions.log(input + eps)
    if full:
        stirling = target * functions.log(target) - target
        stirling = stirling + 0.5 * functions.log(2 * math.pi * target)
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """`0.5 * (log(v) + (x - y) ** 2 / v)` with `v = max(var, eps)`, whose gradient is that of
    `var` (Nix, Weigend 1994).

    Args:
        var: a number, or a tensor of the input's shape, of it without the last dimension, or
            with size 1 there.
        full: add the constant 0.5 * log(2 * pi).

    Raises:
        ValueError: a negative variance, another shape, or `reduction` is not a name of one.
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * creation.ones_like(input)
    elif functions.any(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        var = _fitting_variance(var, input)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    var = var.clone()
    with no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (functions.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def _fitting_variance(var: Tensor, input: Tensor) -> Tensor:
    if input.size()[:-1] == var.size():
        return var.unsqueeze(-1)
    other = [v for x, v in zip(input.size(), var.size(), strict=False) if x != v]
    if input.dim() != var.dim() or sum(other) != 1:
        raise ValueError("var is of incorrect size")
    return var


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`x` where the target is 1, `max(0, margin - x)` where it is -1.

    Raises:
        ValueError: `reduction` is not a name of one.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    apart = functions.where(target != 1, (margin - input).clamp_min(0), 0)
    together = functions.where(target != -1, input, 0)
    return reduced(apart + together, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, -y * (x1 - x2) + margin)`.

    Raises:
        RuntimeError: different numbers of dimensions.
        ValueError: `reduction` is not a name of one.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`log(1 + exp(-y * x))` for targets 1 and -1.

    Raises:
        ValueError: `reduction` is not a name of one.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    return reduced(functions.log1p(functions.exp(-target * input)), reduction)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`1 - cos(x1, x2)` where the target is 1, `max(0, cos(x1, x2) - margin)` where it is -1.

    The inputs are (N, D) with targets (N), or (D) with a scalar target.

    Raises:
        RuntimeError: other numbers of dimensions.
        ValueError: `reduction` is not a name of one.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if target.dim() > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    expected = target.dim() + 1
    if input1.dim() != expected or input2.dim() != expected:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {expected}D input tensors, but found inputs "
            f"with sizes {list(input1.size())} and {list(input2.size())}."
        )
    tiny = 1e-12  # keeps the square root's gradient finite at zero vectors
    dim = target.dim()
    squares1 = (input1 * input1).sum(dim) + tiny
    squares2 = (input2 * input2).sum(dim) + tiny
    cosine = (input1 * input2).sum(dim) / (squares1 * squares2).sqrt()
    together = functions.where(target == 1, 1 - cosine, 0)
    apart = functions.where(target == -1, (cosine - margin).clamp_min(0), 0)
    return reduced(together + apart, reduction)
