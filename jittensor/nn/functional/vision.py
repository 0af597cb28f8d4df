"""In: pictures (N, C, *size), grids of places in them. Out: sampled and rearranged pictures."""

from __future__ import annotations

import itertools
import warnings
from math import prod

import numpy as np

from ... import creation, functions
from ...autograd.graph import relabel
from ...graph.dtypes import bool_, int64
from ...tensor import Tensor

_MODES, _EDGES = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


# ── sampling ──────────────────────────────────────────────────────────────────────────────────
def _reflected(x: Tensor, low: float, high: float) -> Tensor:
    """x mirrored at both ends until it lies between them."""
    if high <= low:
        return x * 0
    gap, span = (x - low).abs(), high - low
    turns = (gap / span).floor().detach()
    rest = gap - turns * span
    return functions.where(turns % 2 == 0, rest + low, high - rest)


def _inside(x: Tensor, size: int, edges: str, corners: bool) -> Tensor:
    """Coordinates brought into the picture as the padding mode says."""
    if edges == "reflection":
        x = _reflected(x, 0, size - 1) if corners else _reflected(x, -0.5, size - 0.5)
    return x if edges == "zeros" else x.clamp(0, size - 1)


def _picked(flat: Tensor, size, places: list[Tensor]) -> Tensor:
    """The elements (N, C, P) at whole coordinates (N, P) of each dim; zeros outside."""
    index = valid = None
    for n, at in zip(size, places, strict=True):
        ok = (at >= 0) & (at <= n - 1)
        k = at.detach().clamp(0, n - 1).to(int64)
        index = k if index is None else index * n + k
        valid = ok if valid is None else valid & ok
    shape = (flat.shape[0], flat.shape[1], index.shape[-1])
    values = flat.gather(2, index.unsqueeze(1).expand(shape))
    return functions.where(valid.unsqueeze(1), values, 0.0)


def _cubic_weights(t: Tensor) -> list[Tensor]:
    """The weights of four neighbours at -1, 0, 1, 2 for a fraction t (Keys 1981, a = -3/4)."""
    a = -0.75

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _sample(input: Tensor, grid: Tensor, mode: str, edges: str, corners: bool) -> Tensor:
    size, dims = tuple(input.shape[2:]), input.dim() - 2
    flat = input.reshape(*input.shape[:2], prod(size))
    points = grid.reshape(grid.shape[0], -1, dims)
    at = []
    for d, n in enumerate(size):
        g = points[..., dims - 1 - d]               # a grid names the last dim first
        at.append((g + 1) / 2 * (n - 1) if corners else ((g + 1) * n - 1) / 2)
    if mode != "bicubic":
        at = [_inside(x, n, edges, corners) for x, n in zip(at, size, strict=True)]
    if mode == "nearest":
        # A grid has a gradient here too: zeros.
        still = points[..., 0].masked_fill(creation.ones(points.shape[:2], dtype=bool_), 0)
        out = _picked(flat, size, [x.detach().round() for x in at]) + still.unsqueeze(1)
    else:
        low = [x.detach().floor() for x in at]
        if mode == "bilinear":
            steps = [[(k, base + 1 - x), (k1, x - base)] for x, base in zip(at, low, strict=True)
                     for k, k1 in ((base, base + 1),)]
        else:
            steps = [[(_inside(base + tap, n, edges, corners), w) for tap, w in zip(
                range(-1, 3), _cubic_weights(x - base), strict=True)]
                for x, base, n in zip(at, low, size, strict=True)]
        out = 0
        for corner in itertools.product(*steps):
            weight = corner[0][1]
            for _, w in corner[1:]:
                weight = weight * w
            out = out + _picked(flat, size, [k for k, _ in corner]) * weight.unsqueeze(1)
    return out.reshape(*input.shape[:2], *grid.shape[1:-1])


def _checked(input: Tensor, grid: Tensor, mode: int, edges: int, corners: bool,
             dims: int) -> Tensor:
    if input.dim() != dims + 2 or input.dim() != grid.dim():
        raise RuntimeError(
            f"grid_sampler(): expected {dims + 2}D input and grid with same number of "
            f"dimensions, but got input with sizes {list(input.shape)} and grid with sizes "
            f"{list(grid.shape)}")
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError("grid_sampler(): expected grid and input to have same batch size, but "
                           f"got input with sizes {list(input.shape)} and grid with sizes "
                           f"{list(grid.shape)}")
    if grid.shape[-1] != dims:
        raise RuntimeError(f"grid_sampler(): expected grid to have size {dims} in last dimension, "
                           f"but got grid with sizes {list(grid.shape)}")
    if 0 in input.shape[2:]:
        raise RuntimeError("grid_sampler(): expected input to have non-empty spatial dimensions, "
                           f"but input has sizes {list(input.shape)}")
    if dims == 3 and mode == 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    return _sample(input, grid, _MODES[mode], _EDGES[edges], bool(corners))


def grid_sampler_2d(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int,
                    align_corners: bool) -> Tensor:
    """`grid_sample` of (N, C, H, W) with numbers for the modes."""
    return relabel(_checked(input, grid, interpolation_mode, padding_mode, align_corners, 2),
                   "GridSampler2DBackward0")


def grid_sampler_3d(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int,
                    align_corners: bool) -> Tensor:
    """`grid_sample` of (N, C, D, H, W) with numbers for the modes."""
    return relabel(_checked(input, grid, interpolation_mode, padding_mode, align_corners, 3),
                   "GridSampler3DBackward0")


def grid_sampler(input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int,
                 align_corners: bool) -> Tensor:
    """`grid_sample` with numbers for the modes."""
    form = grid_sampler_3d if input.dim() == 5 else grid_sampler_2d
    return form(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sample(input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros",
                align_corners: bool | None = None) -> Tensor:
    """(N, C, *size) at the places (N, *out, dims), in -1 .. 1 and last dim first, to (N, C, *out).

    Raises:
        ValueError: an unknown mode.
        RuntimeError: shapes do not fit.
    """
    if mode not in _MODES:
        raise ValueError("nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' "
                         f"or 'bicubic', but got: '{mode}'")
    if padding_mode not in _EDGES:
        raise ValueError("nn.functional.grid_sample(): expected padding_mode to be 'zeros', "
                         f"'border', or 'reflection', but got: '{padding_mode}'")
    if align_corners is None:
        warnings.warn("Default grid_sample and affine_grid behavior has changed to "
                      "align_corners=False since 1.3.0. Please specify align_corners=True if the "
                      "old behavior is desired. See the documentation of grid_sample for "
                      "details.", stacklevel=3)
    return grid_sampler(input, grid, _MODES.index(mode), _EDGES.index(padding_mode),
                        bool(align_corners))


def affine_grid(theta: Tensor, size, align_corners: bool | None = None) -> Tensor:
    """Affine maps (N, dims, dims + 1) to the grid (N, *size, dims) that `grid_sample` takes.

    Raises:
        ValueError: shapes do not fit.
    """
    dims = len(size) - 2
    if tuple(theta.shape[1:]) != (dims, dims + 1) or theta.dim() != 3:
        raise ValueError(f"Expected a batch of {dims}D affine matrices of shape Nx{dims}x"
                         f"{dims + 1} for size {size}. Got {theta.shape}.")
    axes = []
    for n in size[2:]:
        line = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        axes.append(line if align_corners else line * (n - 1) / n)
    mesh = np.meshgrid(*axes, indexing="ij")
    base = np.stack([*reversed(mesh), np.ones(mesh[0].shape)], -1).reshape(1, -1, dims + 1)
    points = functions.matmul(creation.from_numpy(base).to(theta.dtype), theta.transpose(1, 2))
    return points.reshape(size[0], *size[2:], dims)


# ── channels and pixels ───────────────────────────────────────────────────────────────────────
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C r², H, W) to (*, C, H r, W r) (Shi et al. 2016).

    Raises:
        RuntimeError: r² does not divide the channels.
    """
    r = upscale_factor
    if input.dim() < 3:
        raise RuntimeError("pixel_shuffle expects input to have at least 3 dimensions, but got "
                           f"input with {input.dim()} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}")
    k = len(lead)
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    return relabel(x.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2).reshape(
        *lead, c // (r * r), h * r, w * r), "PixelShuffleBackward0")


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H r, W r) to (*, C r², H, W): what undoes `pixel_shuffle`.

    Raises:
        RuntimeError: r does not divide the height and the width.
    """
    r = downscale_factor
    if input.dim() < 3:
        raise RuntimeError("pixel_unshuffle expects input to have at least 3 dimensions, but got "
                           f"input with {input.dim()} dimension(s)")
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    for value, name, d in ((h, "height", -2), (w, "width", -1)):
        if value % r:
            raise RuntimeError(f"pixel_unshuffle expects {name} to be divisible by "
                               f"downscale_factor, but input.size({d})={value} is not divisible "
                               f"by {r}")
    k = len(lead)
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    return relabel(x.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3).reshape(
        *lead, c * r * r, h // r, w // r), "PixelUnshuffleBackward0")


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, *size) with channels of `groups` groups taken in turn (Zhang et al. 2018).

    Raises:
        RuntimeError: the groups do not divide the channels.
    """
    if input.dim() <= 2:
        raise RuntimeError("channel_shuffle expects input with > 2 dims, but got input with "
                           f"sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError("Number of groups to divide channels in must be positive. Value of "
                           f"groups:{groups}")
    count, channels, *size = input.shape
    if channels % groups:
        raise RuntimeError("Number of channels must be divisible by groups. Got "
                           f"{channels} channels and {groups} groups.")
    if not input.numel():
        return input.clone()
    turned = input.reshape(count, groups, channels // groups, -1).transpose(1, 2)
    return relabel(turned.reshape(input.shape), "ChannelShuffleBackward0")
