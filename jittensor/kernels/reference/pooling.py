"""Pooling in NumPy: an entry and the arrays it reads in, its values out, window by window."""

from __future__ import annotations

import numpy as np

from ...compiler.graph import Entry


def _inside(entry: Entry, size):
    """For each window: its place and the places of its elements in the signal (a mesh of them)."""
    kernel, stride, padding, dilation, number = entry.attrs[:5]
    for window in np.ndindex(*number):
        axes = []
        for j, k, s, p, d, n in zip(window, kernel, stride, padding, dilation, size, strict=True):
            at = j * s - p + np.arange(k) * d
            axes.append(at[(at >= 0) & (at < n)])
        yield window, np.ix_(*axes)


def _winners(entry: Entry, x: np.ndarray) -> np.ndarray:
    """The place in its plane of each window's maximum: the last NaN, or the first of equals."""
    size = x.shape[2:]
    numbers = np.arange(int(np.prod(size))).reshape(size)
    out = np.empty((*x.shape[:2], *entry.attrs[4]), np.int64)
    for window, mesh in _inside(entry, size):
        values = x[(..., *mesh)].reshape(*x.shape[:2], -1)
        lost = np.isnan(values)
        last = values.shape[-1] - 1 - np.argmax(lost[..., ::-1], -1)
        best = np.where(lost.any(-1), last, np.argmax(np.where(lost, -np.inf, values), -1))
        out[(..., *window)] = numbers[mesh].reshape(-1)[best]
    return out


def _max_pool(entry: Entry, x: np.ndarray) -> np.ndarray:
    places = _winners(entry, x).reshape(*x.shape[:2], -1)
    return np.take_along_axis(x.reshape(*x.shape[:2], -1), places, 2).reshape(entry.spec.shape)


def _max_pool_back(entry: Entry, x: np.ndarray, grad: np.ndarray) -> np.ndarray:
    out = np.zeros((*x.shape[:2], int(np.prod(x.shape[2:]))), grad.dtype)
    places = _winners(entry, x).reshape(*x.shape[:2], -1)
    for n, c in np.ndindex(*x.shape[:2]):
        np.add.at(out[n, c], places[n, c], grad[n, c].reshape(-1))
    return out.reshape(entry.spec.shape)


def _share(entry: Entry, size, window, mesh) -> float:
    kernel, stride, padding, _, _ = entry.attrs[:5]
    mode, divisor = entry.attrs[-2:]
    if mode == 0:
        return divisor
    if mode == 2:
        return float(np.prod([m.size for m in mesh]))
    ends = [min(j * s - p + k, n + p) - (j * s - p)
            for j, s, p, k, n in zip(window, stride, padding, kernel, size, strict=True)]
    return float(np.prod(ends))


def _avg_pool(entry: Entry, x: np.ndarray) -> np.ndarray:
    out = np.empty(entry.spec.shape, x.dtype)
    axes = tuple(range(2, x.ndim))
    for window, mesh in _inside(entry, x.shape[2:]):
        total = x[(..., *mesh)].sum(axes)
        out[(..., *window)] = total / _share(entry, x.shape[2:], window, mesh)
    return out


def _avg_pool_back(entry: Entry, grad: np.ndarray) -> np.ndarray:
    out = np.zeros(entry.spec.shape, grad.dtype)
    for window, mesh in _inside(entry, out.shape[2:]):
        share = grad[(..., *window)] / _share(entry, out.shape[2:], window, mesh)
        out[(..., *mesh)] += share.reshape(*share.shape, *[1] * (out.ndim - 2))
    return out


POOLING = {"_max_pool": _max_pool, "_max_places": _winners, "_max_pool_back": _max_pool_back,
           "_avg_pool": _avg_pool, "_avg_pool_back": _avg_pool_back}
