"""In: signals (N, C, *size), a size or a factor. Out: the signals resampled.

Linear, cubic and area resampling are linear maps of one dim after the other: a matrix each.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from ... import creation
from ...autograd.graph import relabel
from ...graph.dtypes import BY_NAME
from ...tensor import Tensor
from .adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    along,
)

_DIMS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
_LABELS = {"linear": "UpsampleLinear1D", "bilinear": "UpsampleBilinear2D",
           "bicubic": "UpsampleBicubic2D", "trilinear": "UpsampleTrilinear3D"}


def _sizes(input: Tensor, size, scale_factor, recompute: bool | None):
    """(output size, factors by dim or None where the sizes decide)."""
    dims = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if isinstance(size, (list, tuple)):
            if len(size) != dims:
                raise ValueError(
                    "Input and output must have the same number of spatial dimensions, but got "
                    f"input with spatial dimensions of {list(input.shape[2:])} and output size of "
                    f"{size}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
                    "output size in (o1, o2, ...,oK) format.")
            return [int(n) for n in size], [None] * dims
        return [int(size)] * dims, [None] * dims
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    factors = list(scale_factor) if isinstance(scale_factor, (list, tuple)) else (
        [scale_factor] * dims)
    if len(factors) != dims:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got "
            f"input with spatial dimensions of {list(input.shape[2:])} and scale_factor of shape "
            f"{scale_factor}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
            "scale_factor in (s1, s2, ...,sK) format.")
    out = [math.floor(float(n) * float(f)) for n, f in zip(input.shape[2:], factors, strict=True)]
    return out, [None] * dims if recompute else [float(f) for f in factors]


def _step(have: int, want: int, factor: float | None, corners: bool) -> float:
    """How far apart in the input two neighbours of the output lie."""
    if corners:
        return (have - 1) / (want - 1) if want > 1 else 0.0
    return 1 / factor if factor else have / want


def _nearest(x: Tensor, d: int, want: int, factor: float | None, exact: bool) -> Tensor:
    have = x.shape[d]
    step = np.float32(_step(have, want, factor, False))
    at = np.arange(want, dtype=np.float32) + np.float32(0.5 if exact else 0)
    places = np.minimum(np.floor(at * step).astype(np.int64), have - 1)
    return x.index_select(d, creation.from_numpy(places))


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    """The cubic convolution kernel (Keys 1981)."""
    t = np.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def _matrix(have: int, want: int, factor: float | None, corners: bool, cubic: bool,
            real: type) -> np.ndarray:
    """The weights (want, have) of linear or cubic interpolation, places computed in a precision."""
    step, k = real(_step(have, want, factor, corners)), np.arange(want)
    at = k * step if corners else (k + 0.5) * np.float64(step) - 0.5    # one rounding, as by fma
    at = at.astype(real)
    if not cubic:
        at = np.maximum(at, 0)
    low = np.floor(at).astype(np.int64)
    matrix = np.zeros((want, have), real)
    for tap in range(-1, 3) if cubic else range(2):
        gap = np.abs(at - (low + tap).astype(real))
        weight = _cubic(gap, -0.75) if cubic else np.maximum(1 - gap, 0)
        np.add.at(matrix, (k, np.clip(low + tap, 0, have - 1)), weight)
    return matrix


def _smooth_matrix(have: int, want: int, factor: float | None, corners: bool,
                   cubic: bool) -> np.ndarray:
    """The weights (want, have) of interpolation that averages what it skips (antialias)."""
    step = _step(have, want, factor, corners)
    reach = (2.0 if cubic else 1.0) * max(step, 1.0)
    squeeze = 1 / step if step >= 1 else 1.0
    matrix = np.zeros((want, have))
    for k in range(want):
        centre = step * (k + 0.5)
        low = max(int(centre - reach + 0.5), 0)
        high = min(int(centre + reach + 0.5), have)
        gap = (np.arange(low, high) - centre + 0.5) * squeeze
        weight = _cubic(gap, -0.5) if cubic else np.maximum(1 - np.abs(gap), 0)
        matrix[k, low:high] = weight / weight.sum()
    return matrix


def interpolate(input: Tensor, size=None, scale_factor=None, mode: str = "nearest",
                align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
                antialias: bool = False) -> Tensor:
    """(N, C, *size) resampled to another size.

    Args:
        mode: 'nearest', 'nearest-exact', 'area', 'linear' (3-d), 'bilinear' and 'bicubic' (4-d),
            'trilinear' (5-d).
        align_corners: whether the first and last elements keep their places.
        antialias: whether bilinear and bicubic shrinking averages what it skips.

    Raises:
        ValueError: both or none of `size` and `scale_factor`, or options that do not go together.
        NotImplementedError: the mode does not suit the input's dims.
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError("align_corners option can only be set with the interpolating modes: "
                             "linear | bilinear | bicubic | trilinear")
    sizes, factors = _sizes(input, size, scale_factor, recompute_scale_factor)
    dims = input.dim() - 2
    if antialias and (mode not in ("bilinear", "bicubic") or dims != 2):
        raise ValueError("Anti-alias option is restricted to bilinear and bicubic modes and "
                         "requires a 4-D tensor as input")
    if dims not in (1, 2, 3) or (mode not in ("nearest", "nearest-exact", "area")
                                 and mode not in _DIMS):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported "
            f"(got {input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | "
            f"trilinear | area | nearest-exact (got {mode})")
    if _DIMS.get(mode, dims) != dims:
        raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs "
                                  f"{_DIMS[mode] + 2}D input")
    if min(sizes) <= 0 or 0 in input.shape[1:]:
        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"({', '.join(f'{n}' for n in input.shape[2:])}) output "
            f"({', '.join(f'{n}' for n in sizes)})")
    return _resampled(input, sizes, factors, mode, bool(align_corners), antialias)


def _resampled(x: Tensor, sizes, factors, mode: str, corners: bool, antialias: bool) -> Tensor:
    dims = x.dim() - 2
    if mode == "area":
        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dims - 1]
        return pool(x, sizes)
    nearest = mode in ("nearest", "nearest-exact")
    out = wide = x if nearest else x.to(x.dtype.compute)
    for d, (want, factor) in enumerate(zip(sizes, factors, strict=True), 2):
        if nearest:
            out = _nearest(out, d, want, factor, mode == "nearest-exact")
        elif x.shape[d] != want or factor is not None:
            options = x.shape[d], want, factor, corners, mode == "bicubic"
            out = along(out, d, _smooth_matrix(*options) if antialias else _matrix(
                *options, np.float64 if x.dtype is BY_NAME["float64"] else np.float32))
    label = _LABELS.get(mode) or ("UpsampleNearest" + ("Exact" if "exact" in mode else "")
                                  + f"{dims}D")
    out = x.clone() if out is wide else out.contiguous().to(x.dtype)
    return relabel(out, label + "Backward0")


def upsample(input: Tensor, size=None, scale_factor=None, mode: str = "nearest",
             align_corners: bool | None = None) -> Tensor:
    """The old name of `interpolate`."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` "
                  "instead.", stacklevel=3)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size=None, scale_factor=None) -> Tensor:
    """The old name of `interpolate` with the mode 'nearest'."""
    warnings.warn("`nn.functional.upsample_nearest` is deprecated. Use "
                  "`nn.functional.interpolate` instead.", stacklevel=3)
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size=None, scale_factor=None) -> Tensor:
    """The old name of `interpolate` with the mode 'bilinear' and aligned corners."""
    warnings.warn("`nn.functional.upsample_bilinear` is deprecated. Use "
                  "`nn.functional.interpolate` instead.", stacklevel=3)
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
