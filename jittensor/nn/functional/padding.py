"""In: a tensor and (before, after) for its last dims. Out: the tensor with its edges padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ... import creation, functions
from ...tensor import Tensor


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant",
        value: float | None = None) -> Tensor:
    """`input` with `pad` = (before, after) of the last dim, of the one before it, and so on.

    Args:
        mode: 'constant' (`value`, or zeros), 'reflect', 'replicate' or 'circular'.

    Raises:
        NotImplementedError: another mode, or dims that the mode has no form for.
        RuntimeError: more padding than the input can give.
    """
    widths = [int(n) for n in pad]
    if mode == "constant":
        return functions.constant_pad_nd(input, widths, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _PLACES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    dims = len(widths) // 2
    if len(widths) not in (2, 4, 6) or input.dim() not in (dims + 1, dims + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now")
    out = input
    for k in range(dims):
        low, high = widths[2 * k], widths[2 * k + 1]
        d = input.dim() - 1 - k
        size = input.shape[d]
        _check(mode, low, high, size, d, input)
        if not low and not high:
            continue
        if mode == "circular" and min(low, high) < 0:
            # What negative widths cut off does not come back at the other end.
            first, size = max(0, -low), size + min(low, 0) + min(high, 0)
            out, low, high = out.narrow(d, first, size), max(low, 0), max(high, 0)
        places = _PLACES[mode](np.arange(-low, size + high), size)
        out = out.index_select(d, creation.from_numpy(places))
    return out.clone() if out is input else out


_PLACES = {
    "reflect": lambda k, n: (n - 1) - np.abs((n - 1) - np.abs(k)),
    "replicate": lambda k, n: np.clip(k, 0, n - 1),
    "circular": lambda k, n: k % n,
}


def _check(mode: str, low: int, high: int, size: int, d: int, input: Tensor) -> None:
    if mode == "reflect" and (low >= size or high >= size):
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, "
            f"but got: padding ({low}, {high}) at dimension {d} of input {list(input.shape)}")
    if mode == "circular" and (low > size or high > size):
        raise RuntimeError("Padding value causes wrapping around more than once.")
    if size + low + high < 1:
        raise RuntimeError(f"input (size: {size}) is too small. Calculated output size: "
                           f"{size + low + high}")
