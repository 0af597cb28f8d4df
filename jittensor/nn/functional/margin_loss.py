"""In: scores or embeddings, and what is right. Out: losses that want a margin between them."""

from __future__ import annotations

from collections.abc import Callable

from ... import creation, functions
from ...graph.dtypes import int64
from ...tensor import Tensor
from .activation import logsigmoid
from .distance import pairwise_distance
from .linear import linear
from .probability_loss import cross_entropy
from .reduction import reduced, reduction_name


def multi_margin_loss(input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0,
                      weight: Tensor | None = None, size_average: bool | None = None,
                      reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """sum over wrong classes of max(0, margin - x[right] + x[wrong]) ** p / C.

    Args:
        input: scores (N, C) or (C). target: right classes (N) or ().

    Raises:
        ValueError: p is not 1 or 2. RuntimeError: shapes do not fit.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    if input.dim() > 2 or input.shape[-1:] == (0,):
        raise RuntimeError("Expected non-empty vector or matrix with optional 0-dim batch size, "
                           f"but got: {list(input.shape)}")
    x = input.reshape(1, -1) if input.dim() < 2 else input
    right = target.reshape(-1)
    if target.dim() > 1 or right.shape[0] != x.shape[0]:
        raise RuntimeError(f"inconsistent target size, expected {x.shape[0]} but got "
                           f"{list(target.shape)}")
    if weight is not None and weight.numel() != x.shape[1]:
        raise RuntimeError(f"inconsistent weight size, expected {x.shape[1]} but got "
                           f"{list(weight.shape)}")
    if right.numel() and not 0 <= int(right.min()) <= int(right.max()) < x.shape[1]:
        raise RuntimeError("target out of range")
    index = right.unsqueeze(1)
    gap = (margin - x.gather(1, index) + x).clamp_min(0)
    gap = gap if p == 1 else gap * gap
    if weight is not None:
        gap = gap * weight[right].unsqueeze(1)
    wrong = creation.arange(x.shape[1]).unsqueeze(0) != index
    loss = (gap * wrong).sum(1) / x.shape[1]
    loss = loss.reshape(()) if target.dim() == 0 and input.dim() < 2 else loss
    return reduced(loss, reduction)


def multilabel_margin_loss(input: Tensor, target: Tensor, size_average: bool | None = None,
                           reduce: bool | None = None, reduction: str = "mean") -> Tensor:
    """sum over right y and wrong k of max(0, 1 - x[y] + x[k]) / C; a row of `target` (N, C) or
    (C) holds the right classes up to the first -1.

    Raises:
        RuntimeError: shapes do not fit, or a class is out of range.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if input.dim() > 2 or 0 in input.shape[-1:]:
        raise RuntimeError("Expected non-empty vector or matrix with optional 0-dim batch size, "
                           f"but got: {list(input.shape)}")
    if target.shape != input.shape:
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: "
                           f"{list(input.shape)}")
    if target.numel() and not -1 <= int(target.min()) <= int(target.max()) < max(
            1, input.shape[-1] if input.dim() else 1):
        raise RuntimeError("target out of range")
    x = input.reshape(1, -1) if input.dim() < 2 else input
    labels = target.reshape(x.shape)
    classes = x.shape[1]
    used = (labels < 0).to(int64).cumsum(1) == 0
    index = labels.clamp_min(0)
    right = creation.zeros(x.shape, dtype=int64).scatter_add(1, index, used.to(int64)) > 0
    gap = (1 - x.gather(1, index).unsqueeze(2) + x.unsqueeze(1)).clamp_min(0)
    pairs = used.unsqueeze(2) & ~right.unsqueeze(1)
    loss = (gap * pairs).sum((1, 2)) / classes
    return reduced(loss.reshape(()) if input.dim() < 2 else loss, reduction)


def multilabel_soft_margin_loss(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                size_average: bool | None = None, reduce: bool | None = None,
                                reduction: str = "mean") -> Tensor:
    """The mean over classes of the binary cross entropies of sigmoid(x)."""
    reduction = reduction_name(size_average, reduce, reduction)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.mean(-1) if input.dim() else loss, reduction)


def triplet_margin_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0,
                        p: float = 2, eps: float = 1e-6, swap: bool = False,
                        size_average: bool | None = None, reduce: bool | None = None,
                        reduction: str = "mean") -> Tensor:
    """max(0, margin + |a - p| - |a - n|) of embeddings (N, D) or (D).

    Raises:
        ValueError: the margin is not positive. RuntimeError: dims differ.
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return _triplet(anchor, positive, negative, lambda a, b: pairwise_distance(a, b, p, eps),
                    margin, swap, reduction)


def triplet_margin_with_distance_loss(
        anchor: Tensor, positive: Tensor, negative: Tensor, *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0,
        swap: bool = False, reduction: str = "mean") -> Tensor:
    """`triplet_margin_loss` with a distance of one's own.

    Raises:
        ValueError: the margin is not positive, or the reduction is unknown.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return _triplet(anchor, positive, negative, distance_function or pairwise_distance, margin,
                    swap, reduction)


def _triplet(anchor, positive, negative, distance, margin, swap, reduction) -> Tensor:
    dims = anchor.dim(), positive.dim(), negative.dim()
    if len(set(dims)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {dims[0]}D, positive {dims[1]}D, and negative "
            f"{dims[2]}D inputs")
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = functions.minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp_min(0), reduction)


def linear_cross_entropy(input: Tensor, linear_weight: Tensor, target: Tensor, *,
                         linear_bias: Tensor | None = None, weight: Tensor | None = None,
                         reduction: str = "mean", ignore_index: int | None = None,
                         label_smoothing: float = 0.0, options=None) -> Tensor:
    """`cross_entropy` of `linear(input, linear_weight, linear_bias)`; the weight is (C, in) or
    (C, *dims, in). `options` (how to cut the batch in chunks) changes nothing here."""
    _check_linear(input, linear_weight, target, linear_bias, ignore_index)
    outputs, width = linear_weight.shape[:-1], linear_weight.shape[-1]
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    scores = linear(input, linear_weight.reshape(-1, width), bias)
    scores = scores.reshape(*input.shape[:-1], *outputs)
    return cross_entropy(scores, target, weight=weight, reduction=reduction,
                         ignore_index=-100 if ignore_index is None else ignore_index,
                         label_smoothing=label_smoothing)


def _check_linear(input: Tensor, weight: Tensor, target: Tensor, bias: Tensor | None,
                  ignore_index: int | None) -> None:
    """PyTorch's errors of `linear_cross_entropy`'s shapes."""
    if input.dim() not in (1, 2):
        raise RuntimeError("linear_cross_entropy: expected input with dimensionality 1 or 2, got "
                           f"{input.dim()}")
    if weight.dim() < 2:
        raise RuntimeError("linear_cross_entropy: expected linear_weight with dimensionality at "
                           f"least 2, got {weight.dim()}")
    if input.shape[-1] != weight.shape[-1]:
        raise RuntimeError("linear_cross_entropy: expected equal input and linear_weight last "
                           f"dimensions (in_features), got {input.shape[-1]} and "
                           f"{weight.shape[-1]}, respectively")
    if weight.dim() > 2 and input.dim() == 1:
        raise RuntimeError("linear_cross_entropy: K-dimensional loss defined by linear_weight "
                           f"shape {tuple(weight.shape)} requires batched input, (N, "
                           f"{weight.shape[-1]}), got {tuple(input.shape)}")
    if ignore_index is not None and target.dtype.is_floating_point:
        raise RuntimeError("linear_cross_entropy: ignore_index cannot be specified when target "
                           "contains probabilities")
    if bias is not None and tuple(bias.shape) != tuple(weight.shape[:-1]):
        raise RuntimeError("linear_cross_entropy: expected linear_bias shape "
                           f"{tuple(weight.shape[:-1])}, got {tuple(bias.shape)}")
