"""In: signals (N, C, *size) or (C, *size), an output size. Out: means and maxima of that many
parts of them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from ... import creation, functions
from ...autograd.graph import relabel
from ...random import rand
from ...tensor import Tensor
from .pooling import take_largest
from .windows import Sizes, several


def _sizes(output_size, size, dims: int, name: str) -> Sizes:
    """The output size with the input's own where it is None."""
    if output_size is None or isinstance(output_size, int):
        output_size = (output_size,) * dims
    wanted = tuple(output_size)
    if len(wanted) == 1:
        wanted *= dims
    if len(wanted) != dims:
        raise RuntimeError(f"{name}: output_size must be {dims}")
    out = tuple(int(n) if m is None else int(m) for m, n in zip(wanted, size, strict=True))
    if min(out) < 0:
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0 "
                           f"but received {list(out)}")
    return out


def _bounds(size: int, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each part starts and ends: floor(k n / m) and ceil((k + 1) n / m)."""
    k = np.arange(parts)
    return k * size // max(parts, 1), -((k + 1) * size // -max(parts, 1))


def _batched(name: str, x: Tensor, dims: int) -> Tensor:
    if x.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(f"{name}(): Expected {dims + 1}D or {dims + 2}D tensor, but got "
                           f"{list(x.shape)}")
    if 0 in x.shape[x.dim() - dims:]:
        raise RuntimeError(f"{name}(): Expected input to have non-zero size for non-batch "
                           f"dimensions, but input has sizes {list(x.shape)}")
    return x if x.dim() == dims + 2 else x.unsqueeze(0)


def along(x: Tensor, d: int, matrix: np.ndarray) -> Tensor:
    """A linear map (out, in) of dim d."""
    weights = creation.from_numpy(np.ascontiguousarray(matrix)).to(x.dtype)
    return functions.matmul(x.movedim(d, -1), weights.t()).movedim(-1, d)


def _mean_parts(x: Tensor, d: int, parts: int) -> Tensor:
    size = x.shape[d]
    if parts == size:
        return x
    if parts and size % parts == 0:
        return x.unflatten(d, (parts, size // parts)).mean(d + 1)
    start, stop = _bounds(size, parts)
    at = np.arange(size)[None]
    inside = (at >= start[:, None]) & (at < stop[:, None])
    return along(x, d, inside / (stop - start)[:, None])


def _adaptive_avg(dims: int) -> Callable:
    name = f"adaptive_avg_pool{dims}d"

    def pool(input: Tensor, output_size) -> Tensor:
        x = _batched(name, input, dims)
        wanted = _sizes(output_size, x.shape[2:], dims, name)
        if set(wanted) == {1}:
            out = x.mean(tuple(range(2, 2 + dims)), keepdim=True)
        else:
            out = wide = x.to(x.dtype.compute)
            for d in range(dims):
                out = _mean_parts(out, 2 + d, wanted[d])
            out = x.clone() if out is wide else relabel(
                out.contiguous().to(x.dtype), f"AdaptiveAvgPool{dims}DBackward0")
        return out if x is input else out.squeeze(0)

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = ("The means of `output_size` parts of each dim (None: the input's size).\n\n"
                    "Raises:\n    RuntimeError: dims or sizes do not fit.\n")
    return pool


adaptive_avg_pool1d, adaptive_avg_pool2d = _adaptive_avg(1), _adaptive_avg(2)
adaptive_avg_pool3d = _adaptive_avg(3)


def _product_table(parts: list[list[np.ndarray]], size: Sizes) -> np.ndarray:
    """Places (cells, elements) in a plane, given each dim's places for each of its cells; shorter
    rows are filled up with their first place."""
    rows = [np.zeros(1, np.int64)]
    for cells, n in zip(parts, size, strict=True):
        rows = [(row[:, None] * n + cell).reshape(-1) for row in rows for cell in cells]
    longest = max(map(len, rows))
    return np.stack([np.concatenate([r, np.full(longest - len(r), r[0])]) for r in rows])


def _adaptive_max(dims: int, with_indices: bool = False) -> Callable:
    name = f"adaptive_max_pool{dims}d"

    def pool(input: Tensor, output_size, return_indices: bool = False):
        x = _batched(name, input, dims)
        size = tuple(x.shape[2:])
        wanted = _sizes(output_size, size, dims, name)
        if 0 in wanted:
            values = creation.zeros((*x.shape[:2], *wanted), dtype=x.dtype)
            places = values.to(creation.arange(1).dtype)
        else:
            parts = [[np.arange(a, b) for a, b in zip(*_bounds(n, m), strict=True)]
                     for n, m in zip(size, wanted, strict=True)]
            values, places = take_largest(x, _product_table(parts, size), wanted)
        relabel(values, f"AdaptiveMaxPool{dims}DBackward0")
        if x is not input:
            values, places = values.squeeze(0), places.squeeze(0)
        return (values, places) if return_indices or with_indices else values

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = ("The maxima of `output_size` parts of each dim (None: the input's size).\n\n"
                    "Raises:\n    RuntimeError: dims or sizes do not fit.\n")
    return pool


adaptive_max_pool1d, adaptive_max_pool2d = _adaptive_max(1), _adaptive_max(2)
adaptive_max_pool3d = _adaptive_max(3)
adaptive_max_pool1d_with_indices = _adaptive_max(1, True)
adaptive_max_pool2d_with_indices = _adaptive_max(2, True)
adaptive_max_pool3d_with_indices = _adaptive_max(3, True)


# ── fractional pooling (Graham 2014) ──────────────────────────────────────────────────────────
def _starts(sample: float, size: int, parts: int, kernel: int) -> np.ndarray:
    """The pseudo-random starts of the windows of a dim."""
    last = size - kernel
    if parts == 1:
        return np.array([last])
    alpha = np.float32(last) / np.float32(parts - 1)
    k = np.arange(parts, dtype=np.float32)
    sample = np.float32(sample)
    starts = ((k + sample) * alpha).astype(np.int64) - int(sample * alpha)
    starts[-1] = last
    return starts


def _fractional(dims: int, with_indices: bool = False) -> Callable:
    name = f"fractional_max_pool{dims}d"

    def pool(input: Tensor, kernel_size, output_size=None, output_ratio=None,
             return_indices: bool = False, _random_samples: Tensor | None = None):
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an "
                             "output_ratio")
        x = input if input.dim() == dims + 2 else input.unsqueeze(0)
        kernel, size = several(kernel_size, dims, "kernel_size", name), tuple(x.shape[2:])
        if output_size is None:
            ratio = (output_ratio,) * dims if isinstance(output_ratio, float) else output_ratio
            output_size = [int(n * r) for n, r in zip(size, ratio, strict=True)]
        wanted = several(output_size, dims, "output_size", name)
        for n, m, k in zip(size, wanted, kernel, strict=True):
            if m + k - 1 > n:
                raise RuntimeError(f"{name}(): pool {k} too large relative to input {n}")
        if _random_samples is None:
            _random_samples = rand(*x.shape[:2], dims, dtype=x.dtype)
        values, places = _fraction(x, kernel, wanted, _random_samples.detach()._array())
        relabel(values, f"FractionalMaxPool{dims}DBackward0")
        if x is not input:
            values, places = values.squeeze(0), places.squeeze(0)
        return (values, places) if return_indices or with_indices else values

    pool.__name__ = pool.__qualname__ = name
    pool.__doc__ = ("The maxima of windows that start at pseudo-random places (Graham 2014).\n\n"
                    "Raises:\n    ValueError: neither a size nor a ratio is given.\n"
                    "    RuntimeError: the windows do not fit.\n")
    return pool


def _fraction(x: Tensor, kernel: Sizes, wanted: Sizes, samples) -> tuple[Tensor, Tensor]:
    """Maxima and their places; each plane has windows of its own."""
    size, dims = tuple(x.shape[2:]), len(kernel)
    tables = []
    for row in np.asarray(samples, np.float32).reshape(-1, dims):
        # The samples are in the order of x, y, z: the last dim first.
        parts = [[s + np.arange(kernel[d]) for s in _starts(
            row[dims - 1 - d], size[d], wanted[d], kernel[d])] for d in range(dims)]
        tables.append(_product_table(parts, size))
    planes = x.shape[0] * x.shape[1]
    stacked = np.stack(tables) + (np.arange(planes) * prod(size))[:, None, None]
    values, places = take_largest(x.reshape(1, 1, planes * prod(size)),
                                  stacked.reshape(-1, stacked.shape[-1]),
                                  (planes, prod(wanted)))
    places = places % prod(size)
    return (values.reshape(*x.shape[:2], *wanted), places.reshape(*x.shape[:2], *wanted))


fractional_max_pool2d, fractional_max_pool3d = _fractional(2), _fractional(3)
fractional_max_pool2d_with_indices = _fractional(2, True)
fractional_max_pool3d_with_indices = _fractional(3, True)
