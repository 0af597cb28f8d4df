"""In: a tensor. Out: the tensor with random elements or channels dropped."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

from ... import creation, functions
from ...config import config
from ...random import draw_key, kept
from ...tensor import Tensor
from .activation import write_back

# -(scale * alpha) of SELU: the value that a dropped unit takes (Klambauer et al. 2017).
_SELU_ALPHA = 1.7580993408473766


def _check_probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element zero with probability `p`, else `x / (1 - p)`; `x` itself if not training.

    Raises:
        ValueError: `p` is not in [0, 1].
    """
    _check_probability(p)
    if inplace:
        return write_back(functions.dropout, input, p, training)
    return functions.dropout(input, p, training)


def _noise(input: Tensor, p: float, whole_channels: bool) -> Tensor:
    """Ones with probability 1 - p, else zeros: of the input's shape, or one for each channel."""
    shape: Sequence[int] = input.shape
    if whole_channels:
        if input.dim() < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        shape = [*input.shape[:2], *[1] * (input.dim() - 2)]
    if config.fast_dropout:
        return kept(tuple(shape), p, draw_key()).to(input.dtype)
    noise = creation.empty(shape, dtype=input.dtype, device=input.device)
    return noise.bernoulli_(1 - p)


def _feature_dropout(input: Tensor, p: float, training: bool) -> Tensor:
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        return input * creation.zeros((), dtype=input.dtype, device=input.device)
    return input * _noise(input, p, whole_channels=True).div_(1 - p)


def _alpha_dropout(input: Tensor, p: float, training: bool, whole_channels: bool) -> Tensor:
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        return input * creation.zeros((), dtype=input.dtype, device=input.device)
    noise = _noise(input, p, whole_channels)
    scale = 1 / math.sqrt((_SELU_ALPHA * _SELU_ALPHA * p + 1) * (1 - p))
    shift = noise.add(-1).mul_(_SELU_ALPHA * scale).add_(_SELU_ALPHA * scale * p)
    return input * noise.mul_(scale) + shift


def _features(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    if inplace:
        return write_back(_feature_dropout, input, p, training)
    return _feature_dropout(input, p, training)


def _with_batch(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """Channel dropout of one sample without its batch dimension."""
    if inplace:
        _features(input.unsqueeze(0), p, training, inplace)
        return input
    return _features(input.unsqueeze(0), p, training, inplace).squeeze(0)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (N, C, L) or (C, L) dropped.

    Raises:
        ValueError: `p` is not in [0, 1].
        RuntimeError: another number of dimensions.
    """
    _check_probability(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    run = _features if input.dim() == 3 else _with_batch
    return run(input, p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (N, C, H, W) dropped; three dimensions are taken as (N, C, L).

    Raises:
        ValueError: `p` is not in [0, 1].
    """
    _check_probability(p)
    if input.dim() not in (3, 4):
        _warn_of_dimensions("dropout2d", input.dim(), "2", "3D or 4D")
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.",
            stacklevel=3,
        )
    return _features(input, p, training, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels of (N, C, D, H, W) or (C, D, H, W) dropped.

    Raises:
        ValueError: `p` is not in [0, 1].
    """
    _check_probability(p)
    if input.dim() not in (4, 5):
        _warn_of_dimensions("dropout3d", input.dim(), "3", "4D or 5D")
    run = _features if input.dim() == 5 else _with_batch
    return run(input, p, training, inplace)


def _warn_of_dimensions(name: str, ndim: int, spatial: str, expected: str) -> None:
    warnings.warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an "
        "error in a future release. To retain the behavior and silence this warning, please use "
        f"dropout instead. Note that {name} exists to provide channel-wise dropout on inputs with "
        f"{spatial} spatial dimensions, a channel dimension, and an optional batch dimension "
        f"(i.e. {expected} inputs).",
        stacklevel=4,
    )


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 after SELU (Klambauer et al. 2017).

    Raises:
        ValueError: `p` is not in [0, 1].
    """
    _check_probability(p)
    if inplace:
        return write_back(_alpha_dropout, input, p, training, False)
    return _alpha_dropout(input, p, training, False)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, …).

    Raises:
        ValueError: `p` is not in [0, 1].
        RuntimeError: fewer than two dimensions.
    """
    _check_probability(p)
    if inplace:
        return write_back(_alpha_dropout, input, p, training, True)
    return _alpha_dropout(input, p, training, True)
