"""In: elementwise losses and the name of a reduction. Out: the loss."""

from __future__ import annotations

import warnings

from ...tensor import Tensor


def legacy_reduction(size_average: bool | None, reduce: bool | None) -> str:
    """The reduction that the two old arguments mean, with a warning that they are old."""
    if reduce is None or reduce:
        name = "mean" if size_average is None or size_average else "sum"
    else:
        name = "none"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{name}' instead.",
        stacklevel=5,
    )
    return name


def reduction_name(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """'none', 'mean' or 'sum' out of a loss's arguments, the old two included.

    Raises:
        ValueError: another name.
    """
    if size_average is not None or reduce is not None:
        return legacy_reduction(size_average, reduce)
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
            stacklevel=4,
        )
        return "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean or the sum of `loss`, or `loss` itself."""
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss
