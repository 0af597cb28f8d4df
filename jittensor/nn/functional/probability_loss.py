"""In: (log-)probabilities or logits, and classes or probabilities. Out: cross-entropy losses."""

from __future__ import annotations

import warnings
from typing import Any

from ... import autograd, functions
from ...autograd.graph import relabel
from ...functions import losses, normalization
from ...tensor import Tensor
from .activation import scalar_name
from .reduction import reduced, reduction_name


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`-weight[y] * x[y]` for log-probabilities (N, C), (C) or (N, C, d…) and classes (N), () or
    (N, d…); the mean divides by the sum of the weights of the classes that counted.

    Raises:
        ValueError: batch sizes differ, or `reduction` is not a name of one.
        RuntimeError: targets that are not integers, weights of another length.
        IndexError: a class that is not there.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    return losses.nll_loss(input, target, weight, reduction, ignore_index)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """`-log(softmax(x)[y])` for logits (N, C), (C) or (N, C, d…).

    Args:
        target: class indices (N), () or (N, d…), or probabilities of the logits' shape.
        weight: (C), a weight for each class.
        label_smoothing: how much of each target is spread evenly over the classes.

    Raises:
        RuntimeError: `label_smoothing` not in [0, 1]; weights of another length; a target with
            the logits' shape that is not floating point.
        ValueError: batch sizes differ, or `reduction` is not a name of one.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}")
    class_dim = 0 if input.dim() == 1 else 1
    if target.size() == input.size():
        if not target.is_floating_point():
            raise RuntimeError(
                "Expected floating point type for target with class probabilities, "
                f"got {scalar_name(target.dtype)}"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        _check_weight(weight, input.size(class_dim), "cross_entropy: ")
        log_probabilities = normalization.log_softmax(input, class_dim)
        return _against_probabilities(log_probabilities, target, weight, reduction, label_smoothing)
    log_probabilities = normalization.log_softmax(input, class_dim)
    loss = losses.nll_loss(log_probabilities, target, weight, reduction, ignore_index)
    if label_smoothing == 0:
        return loss
    smooth = _against_every_class(log_probabilities, target, weight, reduction, ignore_index)
    share = label_smoothing / input.size(class_dim)
    return (1 - label_smoothing) * loss + smooth * share


def _check_weight(weight: Tensor | None, classes: int, prefix: str) -> None:
    if weight is not None and tuple(weight.size()) != (classes,):
        raise RuntimeError(
            f"{prefix}weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(weight.size())}"
        )


def _along_classes(weight: Tensor, ndim: int) -> Tensor:
    """The class weights (C) in a shape that multiplies (C) or (N, C, d…)."""
    return weight if ndim == 1 else weight.reshape([1, -1] + [1] * (ndim - 2))


def _against_probabilities(
    log_probabilities: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    ndim = log_probabilities.dim()
    class_dim = 0 if ndim == 1 else 1
    classes = log_probabilities.size(class_dim)
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    product = log_probabilities * target
    if weight is not None:
        product = product * _along_classes(weight, ndim)
    if reduction == "none":
        return -product.sum(class_dim)
    if reduction == "sum":
        return -product.sum()
    return -product.sum() / (log_probabilities.numel() / classes)


def _against_every_class(
    log_probabilities: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    ignore_index: int,
) -> Tensor:
    """The loss summed over all classes as if each were the target: what smoothing adds."""
    ndim = log_probabilities.dim()
    class_dim = 0 if ndim == 1 else 1
    if weight is None:
        loss = -log_probabilities.sum(class_dim)
    else:
        loss = -(log_probabilities * _along_classes(weight, ndim)).sum(class_dim)
    ignored = target == ignore_index
    loss = loss.masked_fill(ignored, 0.0)
    if reduction != "mean":
        return reduced(loss, reduction)
    if weight is None:
        return loss.sum() / (~ignored).sum()
    counted = weight[target.masked_fill(ignored, 0)].masked_fill(ignored, 0.0)
    return loss.sum() / counted.sum()


class BinaryCrossEntropy(autograd.Function):
    """Elementwise; its gradient stays finite where a probability is 0 or 1."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, target: Tensor) -> Tensor:
        ctx.save_for_backward(input, target)
        log_yes = input.log().clamp_min(-100)
        log_no = (-input).log1p().clamp_min(-100)
        return (target - 1) * log_no - target * log_yes

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        input, target = ctx.saved_tensors
        variance = ((1 - input) * input).clamp_min(1e-12)
        grad_input = grad * (input - target) / variance
        if not ctx.needs_input_grad[1]:
            return grad_input, None
        log_yes = input.log().clamp_min(-100)
        log_no = (-input).log1p().clamp_min(-100)
        return grad_input, grad * (log_no - log_yes)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`-w * (y * log(x) + (1 - y) * log(1 - x))`, logarithms no lower than -100.

    Raises:
        ValueError: shapes differ, or `reduction` is not a name of one.
        RuntimeError: dtypes differ, or values are not in [0, 1].
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype != input.dtype:
        raise RuntimeError(
            f"Found dtype {scalar_name(target.dtype)} but expected {scalar_name(input.dtype)}"
        )
    for name, tensor in (("input", input.detach()), ("target", target.detach())):
        if not bool(((tensor >= 0) & (tensor <= 1)).all()):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    loss = BinaryCrossEntropy.apply(input, target)
    if weight is not None:
        loss = loss * weight
    return relabel(reduced(loss, reduction), "BinaryCrossEntropyBackward0")


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """`binary_cross_entropy(sigmoid(x), y)` without its loss of precision.

    Args:
        pos_weight: what the positive part counts; broadcasts with the target.

    Raises:
        ValueError: shapes differ, or `reduction` is not a name of one.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    log_yes = functions.logsigmoid(input)
    if pos_weight is not None:
        log_yes = ((pos_weight - 1) * target + 1) * log_yes
    loss = (1 - target) * input - log_yes
    if weight is not None:
        loss = loss * weight
    return relabel(reduced(loss, reduction), "BinaryCrossEntropyWithLogitsBackward0")


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """`y * (log(y) - x)` for log-probabilities `x` and probabilities `y`, zero where `y` is.

    Args:
        reduction: also 'batchmean', the sum divided by the first size.
        log_target: `y` is given as log-probabilities.

    Raises:
        ValueError: `reduction` is not a name of one.
    """
    old_arguments = size_average is not None or reduce is not None
    if reduction == "mean" and not old_arguments:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
            "major release.",
            stacklevel=3,
        )
    batchmean = reduction == "batchmean"
    name = "sum" if batchmean and not old_arguments else reduction
    name = reduction_name(size_average, reduce, name)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = functions.xlogy(target, target) - target * input
    loss = reduced(loss, name)
    return loss / input.size(0) if batchmean and input.dim() != 0 else loss
