"""Recurrent layers in NumPy, step by step: an entry and the arrays that it reads in, the flat
result of `kernels.recurrent` out."""

from __future__ import annotations

import numpy as np

from ...compiler.graph import Entry
from .. import recurrent as layers


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _steps(n: layers.Sizes, sizes: np.ndarray | None, reverse: bool) -> list[tuple[int, int]]:
    """(first row, rows) of each step, in the order in which the layer goes through them."""
    counts = [n.batch] * (n.rows // max(1, n.batch)) if sizes is None else sizes.tolist()
    steps = list(zip(np.cumsum([0, *counts[:-1]]).tolist(), counts, strict=True))
    return steps[::-1] if reverse else steps


def _parts(flat: np.ndarray, offsets: dict[str, int], **shapes: tuple) -> dict[str, np.ndarray]:
    """Views of the regions of a flat result."""
    return {name: flat[offsets[name]:offsets[name] + int(np.prod(shape))].reshape(shape)
            for name, shape in shapes.items()}


def _regions(flat: np.ndarray, cell: str, n: layers.Sizes, reverse: bool, save: bool) -> dict:
    offsets, _ = layers.forward_regions(cell, n, reverse, save)
    what, rows = layers.CELLS[cell], n.rows if save else n.batch
    return _parts(flat, offsets, out=(n.rows, n.state), before=(n.batch, n.state),
                  hn=(n.batch, n.state), cn=(n.batch, n.hidden * what.memory),
                  cells=(rows, n.hidden * what.memory), gates=(rows, n.hidden * what.kept),
                  raw=(rows, n.hidden * (n.state != n.hidden)))


def _forward(cell: str):
    def run(entry: Entry, *arrays: np.ndarray) -> np.ndarray:
        reverse, save, projected, packed = entry.attrs
        given = dict(zip(layers.operands(cell, projected, packed), arrays, strict=True))
        n = layers.sizes_of(cell, len(given["xp"]), given["weight"], given["h0"], packed)
        flat = np.zeros(entry.spec.shape, entry.spec.dtype.numpy)
        parts = _regions(flat, cell, n, reverse, save)
        parts["before"][:] = parts["hn"][:] = given["h0"]
        if "c0" in given:
            parts["cn"][:] = given["c0"]
        for start, size in _steps(n, given.get("sizes"), reverse):
            rows = slice(start, start + size)
            kept = rows if save else slice(size)
            x = given["xp"][rows] + given["bias_x"]
            s = parts["hn"][:size] @ given["weight"].T + given["bias_h"]
            h = _advance(cell, x, s, parts, size, kept)
            if projected:
                parts["raw"][kept] = h
                h = h @ given["project"].T
            parts["out"][rows] = parts["hn"][:size] = h
        return flat

    return run


def _advance(cell: str, x: np.ndarray, s: np.ndarray, parts: dict, size: int,
             kept: slice) -> np.ndarray:
    """The output of one step; what backward needs is kept."""
    if cell == "lstm":
        i, f, g, o = np.split(x + s, 4, axis=1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        c = f * parts["cn"][:size] + i * g
        parts["cn"][:size] = parts["cells"][kept] = c
        parts["gates"][kept] = np.concatenate([i, f, g, o], 1)
        return o * np.tanh(c)
    if cell == "gru":
        (xr, xz, xn), (sr, sz, sn) = np.split(x, 3, axis=1), np.split(s, 3, axis=1)
        r, z = _sigmoid(xr + sr), _sigmoid(xz + sz)
        new = np.tanh(xn + r * sn)
        parts["gates"][kept] = np.concatenate([r, z, new, sn], 1)
        return new + z * (parts["hn"][:size] - new)
    return np.tanh(x + s) if cell == "rnn_tanh" else np.where(x + s <= 0, 0, x + s)


def _backward(cell: str):
    def run(entry: Entry, *arrays: np.ndarray) -> np.ndarray:
        reverse, projected, packed, count = entry.attrs
        given = dict(zip(layers.gradient_operands(cell, projected, packed), arrays, strict=True))
        n = layers.sizes_of(cell, count, given["weight"], given["h0"], packed)
        saved = _regions(given["result"], cell, n, reverse, True)
        what, flat = layers.CELLS[cell], np.zeros(entry.spec.shape, entry.spec.dtype.numpy)
        width = what.gates * n.hidden
        back = _parts(flat, layers.backward_regions(cell, n)[0], dx=(n.rows, width),
                      dh0=(n.batch, n.state), dc0=(n.batch, n.hidden * what.memory),
                      dp=(n.rows, width * (cell == "gru")), dh=(n.rows, n.state * projected))
        back["dh0"][:] = given["grad_hn"]
        if what.memory:
            back["dc0"][:] = given["grad_cn"]
        order = _steps(n, given.get("sizes"), reverse)
        for k in reversed(range(len(order))):
            _return(cell, given, saved, back, order[k], order[k - 1] if k else (0, 0))
        return flat

    return run


def _return(cell: str, given: dict, saved: dict, back: dict, step: tuple[int, int],
            before: tuple[int, int]) -> None:
    """One step of backward: `step` and the one before it, as (first row, rows)."""
    start, size = step
    rows, has = slice(start, start + size), min(size, before[1])

    def last(first: np.ndarray, values: np.ndarray) -> np.ndarray:
        """What the step began with."""
        return np.concatenate([values[before[0]:before[0] + has], first[has:size]])

    d = given["grad_out"][rows] + back["dh0"][:size]
    if "project" in given:
        back["dh"][rows] = d
        d = d @ given["project"]
    if cell == "lstm":
        i, f, g, o = np.split(saved["gates"][rows], 4, axis=1)
        t = np.tanh(saved["cells"][rows])
        dc = back["dc0"][:size] + d * o * (1 - t * t)
        dp = np.concatenate([dc * g * i * (1 - i), dc * last(given["c0"], saved["cells"]) * f
                             * (1 - f), dc * i * (1 - g * g), d * t * o * (1 - o)], 1)
        back["dx"][rows], back["dc0"][:size] = dp, dc * f
    elif cell == "gru":
        r, z, new, sn = np.split(saved["gates"][rows], 4, axis=1)
        dn = d * (1 - z) * (1 - new * new)
        dz = d * (last(given["h0"], saved["out"]) - new) * z * (1 - z)
        dr = dn * sn * r * (1 - r)
        back["dx"][rows] = np.concatenate([dr, dz, dn], 1)
        back["dp"][rows] = dp = np.concatenate([dr, dz, dn * r], 1)
    else:
        y = saved["out"][rows]
        back["dx"][rows] = dp = d * (1 - y * y) if cell == "rnn_tanh" else np.where(y <= 0, 0, d)
    back["dh0"][:size] = dp @ given["weight"] + (d * z if cell == "gru" else 0)


RECURRENT = {name: _forward(name) for name in layers.CELLS} | {
    name + "_backward": _backward(name) for name in layers.CELLS}
