"""Operators that are no formula, in NumPy: an entry and the arrays it reads in, its values out.

The kernels written by hand (products, gather and scatter, scans) have their oracles here.
"""

from __future__ import annotations

import functools

import numpy as np

from ...compiler.graph import Entry
from ..library_order import order_source
from .attention import ATTENTION
from .convolution import CONVOLUTION
from .pooling import POOLING
from .recurrent import RECURRENT


def _matmul(entry: Entry, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.matmul(a, b)


# ── gather and scatter ────────────────────────────────────────────────────────────────────────
def _index_select(entry: Entry, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.take(x, index, axis=entry.attrs[0])


def _gather(entry: Entry, x: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.take_along_axis(x, index, axis=entry.attrs[0])


def _rows(join):
    """out = x, then out[index[k]] = join(out[index[k]], values[k]) along a dim, in order."""
    def scatter(entry: Entry, x, index, values) -> np.ndarray:
        out = x.copy()
        rows = np.moveaxis(out, entry.attrs[0], 0)
        new = np.moveaxis(values, entry.attrs[0], 0)
        for k, at in enumerate(index.reshape(-1)):
            rows[at] = join(rows[at], new[k])
        return out

    return scatter


def _elements(join):
    """out = x, then out[.., index[i], ..] = join(that, values[i]), in the order of i."""
    def scatter(entry: Entry, x, index, values) -> np.ndarray:
        out = x.copy()
        (dim,) = entry.attrs
        for at in np.ndindex(index.shape):
            place = (*at[:dim], index[at], *at[dim + 1:])
            out[place] = join(out[place], values[at])
        return out

    return scatter


# ── scans ─────────────────────────────────────────────────────────────────────────────────────
def _wide(x: np.ndarray) -> np.ndarray:
    """Values in the dtype that sums and products along a dim are kept in."""
    kind = {"float32": np.float64, "float16": np.float32, "bfloat16": np.float32}.get(x.dtype.name)
    return x.astype(kind) if kind else x if x.dtype.kind in "fc" else x.astype(np.int64)


def _scan(function):
    def scan(entry: Entry, x: np.ndarray) -> np.ndarray:
        dim, reverse = entry.attrs
        values = np.flip(_wide(x), dim) if reverse else _wide(x)
        with np.errstate(all="ignore"):
            out = function(values, dim)
        return np.flip(out, dim) if reverse else out

    return scan


def _recurrence(entry: Entry, x: np.ndarray, a: np.ndarray) -> np.ndarray:
    """y[k] = x[k] + a[k] y[k - 1] (from the end with `reverse`)."""
    dim, reverse = entry.attrs
    values, factors = np.moveaxis(_wide(x), dim, 0), np.moveaxis(_wide(a), dim, 0)
    out = np.empty_like(values)
    total = np.zeros_like(values[0]) if len(values) else None
    order = range(len(values))
    for k in reversed(order) if reverse else order:
        total = values[k] + factors[k] * total
        out[k] = total
    return np.moveaxis(out, 0, dim)


def _running(better):
    """The index of the best element so far along a dim; the last of equals, the last NaN."""
    def index(entry: Entry, x: np.ndarray) -> np.ndarray:
        rows = np.moveaxis(x, entry.attrs[0], 0)
        out = np.empty(rows.shape, np.int64)
        if len(rows):
            best, at = rows[0].copy(), np.zeros(rows.shape[1:], np.int64)
            for k, row in enumerate(rows):
                with np.errstate(all="ignore"):
                    take = (row != row) | ((best == best) & better(row, best))
                best, at = np.where(take, row, best), np.where(take, k, at)
                out[k] = at
        return np.moveaxis(out, 0, entry.attrs[0])

    return index


def _extreme_place(function):
    def place(entry: Entry, x: np.ndarray) -> np.ndarray:
        values = x.astype(np.float32) if x.dtype.name == "bfloat16" else x
        return function(values, axis=entry.attrs[0]).reshape(entry.spec.shape)

    return place


# ── order of the last dim ─────────────────────────────────────────────────────────────────────
def _ranks(x: np.ndarray, descending: bool) -> np.ndarray:
    """Stable order, NaN as the largest."""
    values = x.astype(np.float32) if x.dtype.name == "bfloat16" else x
    if not descending:
        return np.argsort(values, axis=-1, kind="stable")
    order = np.argsort(np.flip(values, -1), axis=-1, kind="stable")
    return np.flip(values.shape[-1] - 1 - order, -1)


def _sort_index(entry: Entry, x: np.ndarray) -> np.ndarray:
    return _ranks(x, entry.attrs[0])


def _keys(x: np.ndarray, descending: bool = False) -> np.ndarray:
    """Whole numbers in the values' order, NaN as the largest."""
    values = x.astype(np.float32) if x.dtype.name == "bfloat16" else x
    found, keys = np.unique(values, return_inverse=True)
    keys = keys.reshape(x.shape)
    return len(found) - keys if descending else keys


@functools.cache
def _library(nan: bool = False) -> dict:
    """The functions of `library_order` on lists."""
    names = {"uint64": lambda x: x % (1 << 64), "peek": list.__getitem__, "poke": list.__setitem__,
             "njit": lambda **given: lambda function: function}
    exec(order_source(nan), names)
    return names


def _by_rows(keys: np.ndarray, size: int, choose) -> np.ndarray:
    """What `choose(keys of a row, their places)` finds, for each row of the last dim."""
    n = keys.shape[-1]
    out = [choose(row, list(range(n))) for row in keys.reshape(-1, n).tolist()] if n else []
    return np.array(out, np.int64).reshape(*keys.shape[:-1], size)


def _top_index(entry: Entry, x: np.ndarray) -> np.ndarray:
    k, largest, in_order = entry.attrs

    def choose(row: list, places: list) -> list:
        _library()["top"](row, places, [0] * 512, k, len(row), in_order)
        return places[:k]

    return _by_rows(_keys(x, largest), k, choose)


def _mode_index(entry: Entry, x: np.ndarray) -> np.ndarray:
    keys = np.where(x == x, _keys(x), -1)
    return _by_rows(keys, 1, lambda row, places: _library(True)["mode"](
        row, places, [0] * 512, len(row)))


def _kth_index(entry: Entry, x: np.ndarray) -> np.ndarray:
    """Of the k-th smallest; of the lower median, the first NaN if there is one; of the median of
    what is a number."""
    how, k = entry.attrs
    size = x.shape[-1]
    if how == "kth":
        def choose(row: list, places: list) -> int:
            _library()["quickselect"](row, places, k - 1, size)
            return places[k - 1]

        return _by_rows(_keys(x), 1, choose)
    lost = (x != x).sum(-1, keepdims=True)
    rank = {"median": np.where(lost > 0, size - lost, (size - 1) // 2),
            "nanmedian": np.maximum(size - lost - 1, 0) // 2}[how]
    return np.take_along_axis(_ranks(x, False), rank, -1)


def _join(function):
    """A combining step, a truth value by logic and a 16-bit float in float32."""
    def join(a, b):
        if a.dtype == np.bool_:
            return function(a, b) != 0
        if a.dtype.itemsize == 2 and a.dtype.kind not in "iu":
            return function(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
        return function(a, b).astype(a.dtype)

    return join


OPAQUE = {
    **ATTENTION, **CONVOLUTION, **POOLING, **RECURRENT,
    "matmul": _matmul, "linear": _matmul, "index_select": _index_select, "gather": _gather,
    "index_add": _rows(_join(np.add)), "index_copy": _rows(lambda old, new: new),
    "_scatter_copy": _elements(lambda old, new: new), "_scatter_add": _elements(_join(np.add)),
    "_scatter_mul": _elements(_join(np.multiply)),
    "_scatter_amax": _elements(_join(np.maximum)), "_scatter_amin": _elements(_join(np.minimum)),
    "cumsum": _scan(lambda x, d: np.cumsum(x, d)), "cumprod": _scan(lambda x, d: np.cumprod(x, d)),
    "logcumsumexp": _scan(lambda x, d: np.logaddexp.accumulate(x, d)),
    "_recurrence": _recurrence, "_cummax_index": _running(np.greater_equal),
    "_cummin_index": _running(np.less_equal), "_argmax": _extreme_place(np.argmax),
    "_argmin": _extreme_place(np.argmin), "_sort_index": _sort_index, "_top_index": _top_index,
    "_kth_index": _kth_index, "_mode_index": _mode_index,
}
