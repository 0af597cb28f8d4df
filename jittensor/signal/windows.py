"""`torch.signal.windows`: a length in, the weights of a window out.

Formulas: Harris, "On the use of windows for harmonic analysis with the discrete Fourier
transform" (1978); Nuttall (1981). A window that is not symmetric (`sym=False`) is periodic: the
first M weights of the symmetric one of M + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ..creation import _finish
from ..graph import dtypes as dt
from ..graph.dtypes import Default
from ..tensor import Tensor, check_device, from_array


def window(name: str, length: int, sym: bool, weights: Callable[[np.ndarray, int], np.ndarray],
           dtype=None, device=None, requires_grad: bool = False, layout=None) -> Tensor:
    """The window weights(k, last): k = 0 … length - 1, `last` the index of the last weight of the
    symmetric window."""
    if length < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={length}")
    dtype = dtype or Default.float_
    if dtype not in (dt.float32, dt.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    if getattr(layout, "name", "strided") != "strided":
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    check_device(device)
    last = length - 1 if sym else length
    values = np.ones(length) if length < 2 else weights(np.arange(length, dtype=np.float64), last)
    return _finish(from_array(values.astype(dtype.numpy), dtype), requires_grad)


def general_cosine(M: int, *, a: Iterable, sym: bool = True, dtype=None,  # noqa: N803
                   layout=None, device=None, requires_grad: bool = False) -> Tensor:
    """The sum of (-1)^i a_i cos(2 pi i k / last)."""
    if not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    terms = list(a)
    if not terms:
        raise ValueError("Coefficients cannot be empty")

    def weights(k, last):
        return sum((-1) ** i * c * np.cos(2 * np.pi * i * k / last) for i, c in enumerate(terms))

    return window("general_cosine", M, sym, weights, dtype, device, requires_grad, layout)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options) -> Tensor:  # noqa: N803
    """alpha - (1 - alpha) cos(2 pi k / last)."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options) -> Tensor:  # noqa: N803
    """0.54 - 0.46 cos(2 pi k / last)."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options) -> Tensor:  # noqa: N803
    """sin^2(pi k / last)."""
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options) -> Tensor:  # noqa: N803
    """Three cosines: 0.42, 0.5, 0.08."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options) -> Tensor:  # noqa: N803
    """Four cosines, with least side lobes."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def bartlett(M: int, *, sym: bool = True, dtype=None, layout=None,  # noqa: N803
             device=None, requires_grad: bool = False) -> Tensor:
    """1 - |2 k / last - 1|, a triangle."""
    return window("bartlett", M, sym, lambda k, last: 1 - np.abs(2 * k / last - 1), dtype, device,
                  requires_grad, layout)


def cosine(M: int, *, sym: bool = True, dtype=None, layout=None,  # noqa: N803
           device=None, requires_grad: bool = False) -> Tensor:
    """sin(pi (k + 1/2) / (last + 1))."""
    return window("cosine", M, sym, lambda k, last: np.sin(np.pi * (k + 0.5) / (last + 1)), dtype,
                  device, requires_grad, layout)


def exponential(M: int, *, center: float | None = None, tau: float = 1.0,  # noqa: N803
                sym: bool = True, dtype=None, layout=None, device=None,
                requires_grad: bool = False) -> Tensor:
    """exp(-|k - center| / tau)."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def weights(k, last):
        return np.exp(-np.abs(k - (last / 2 if center is None else center)) / tau)

    return window("exponential", M, sym, weights, dtype, device, requires_grad, layout)


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, dtype=None, layout=None,  # noqa: N803
             device=None, requires_grad: bool = False) -> Tensor:
    """exp(-((k - last / 2) / std)^2 / 2)."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return window("gaussian", M, sym, lambda k, last: np.exp(-0.5 * ((k - last / 2) / std) ** 2),
                  dtype, device, requires_grad, layout)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, dtype=None, layout=None,  # noqa: N803
           device=None, requires_grad: bool = False) -> Tensor:
    """I_0(beta sqrt(1 - (2 k / last - 1)^2)) / I_0(beta)."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return window("kaiser", M, sym, lambda k, last: kaiser_weights(k, last, beta), dtype, device,
                  requires_grad, layout)


def kaiser_weights(k: np.ndarray, last: float, beta: float) -> np.ndarray:
    """Kaiser's weights at k of 0 … last."""
    return np.i0(beta * np.sqrt(np.maximum(1 - (2 * k / last - 1) ** 2, 0))) / np.i0(beta)


__all__ = ["bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
           "general_hamming", "hamming", "hann", "kaiser", "nuttall"]
