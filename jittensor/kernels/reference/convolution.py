"""Convolutions and their gradients in NumPy: an entry and the arrays it reads in, its values out.

Each is a sum over the places of the kernel, of products with the elements that a place meets.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from ...compiler.graph import Entry


def _grouped(x: np.ndarray, groups: int, axis: int) -> np.ndarray:
    """The channels of an axis as (groups, channels of a group)."""
    shape = x.shape
    return x.reshape(*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1:])


def _met(place, stride, dilation, number) -> tuple:
    """What a place of the kernel meets of the padded signal, as slices."""
    starts = [k * d for k, d in zip(place, dilation, strict=True)]
    return (..., *[slice(a, a + s * (m - 1) + 1, s)
                   for a, s, m in zip(starts, stride, number, strict=True)])


def _wide(size, stride, low, dilation, kernel, number) -> list[tuple[int, int]]:
    """The padding of each dim, so that every window fits."""
    ends = [(m - 1) * s + d * (k - 1) + 1
            for m, s, d, k in zip(number, stride, dilation, kernel, strict=True)]
    return [(p, max(0, e - n - p)) for n, p, e in zip(size, low, ends, strict=True)]


def _slide(entry: Entry, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    stride, low, dilation, groups, kernel, number = entry.attrs
    padding = _wide(x.shape[2:], stride, low, dilation, kernel, number)
    x = _grouped(np.pad(x, [(0, 0), (0, 0), *padding]), groups, 1)
    weight = _grouped(weight, groups, 0)
    out = 0
    for place in product(*map(range, kernel)):
        out = out + np.einsum("goc,ngc...->ngo...", weight[(..., *place)],
                              x[_met(place, stride, dilation, number)])
    return out.reshape(entry.spec.shape)


def _slide_back(entry: Entry, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    stride, low, dilation, groups, kernel, size = entry.attrs
    number = x.shape[2:]
    padding = _wide(size, stride, low, dilation, kernel, number)
    x, weight = _grouped(x, groups, 1), _grouped(weight, groups, 0)
    out = np.zeros((x.shape[0], groups, weight.shape[2],
                    *[n + a + b for n, (a, b) in zip(size, padding, strict=True)]), x.dtype)
    for place in product(*map(range, kernel)):
        out[_met(place, stride, dilation, number)] += np.einsum(
            "goc,ngo...->ngc...", weight[(..., *place)], x)
    inner = (..., *[slice(a, a + n) for n, (a, _) in zip(size, padding, strict=True)])
    return out[inner].reshape(entry.spec.shape)


def _correlate(entry: Entry, x: np.ndarray, other: np.ndarray) -> np.ndarray:
    stride, low, dilation, groups, kernel = entry.attrs
    number = other.shape[2:]
    padding = _wide(x.shape[2:], stride, low, dilation, kernel, number)
    x = _grouped(np.pad(x, [(0, 0), (0, 0), *padding]), groups, 1)
    other = _grouped(other, groups, 1).reshape(x.shape[0], groups, -1, int(np.prod(number)))
    out = np.empty((groups, other.shape[2], x.shape[2], *kernel), other.dtype)
    for place in product(*map(range, kernel)):
        met = x[_met(place, stride, dilation, number)]
        out[(..., *place)] = np.einsum("ngcp,ngop->goc", met.reshape(*met.shape[:3], -1), other)
    return out.reshape(entry.spec.shape)


CONVOLUTION = {"_slide": _slide, "_slide_back": _slide_back, "_correlate": _correlate}
