"""In: (x, n) in a Numba kernel; out: the value at x of the n-th orthogonal polynomial of a family.

`<name>_f32` and `<name>_f64` are Numba intrinsics. Each family is a three-term recurrence
p[k + 1] = (a x + b) p[k] - c p[k - 1] (Abramowitz & Stegun, table 22.7), walked in float64. The
degree is truncated to a whole number; a negative one gives 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from numba import types

from .special_math import _as_intrinsic, _composed_emitter


def _chebyshev(first: int, shifted: bool) -> Callable:
    """p[k + 1] = 2 y p[k] - p[k - 1] with y = x or 2 x - 1; p[1] is y for T, and 2 y + `first`
    for U (0), V (-1) and W (1)."""
    is_t = first == 2
    offset = float(first)

    def value(x: float, n: float) -> float:
        if n <= -1.0:
            return 0.0
        y = 2.0 * x - 1.0 if shifted else x
        low, high = 1.0, y if is_t else 2.0 * y + offset
        if n < 1.0:
            return low
        for _ in range(int(n) - 1):
            low, high = high, 2.0 * y * high - low
        return high

    return value


def hermite_h(x: float, n: float) -> float:
    """H: the physicists'."""
    if n <= -1.0:
        return 0.0
    low, high = 1.0, 2.0 * x
    if n < 1.0:
        return low
    for k in range(1, int(n)):
        low, high = high, 2.0 * (x * high - k * low)
    return high


def hermite_he(x: float, n: float) -> float:
    """He: the probabilists'."""
    if n <= -1.0:
        return 0.0
    low, high = 1.0, x
    if n < 1.0:
        return low
    for k in range(1, int(n)):
        low, high = high, x * high - k * low
    return high


def laguerre_l(x: float, n: float) -> float:
    """L."""
    if n <= -1.0:
        return 0.0
    low, high = 1.0, 1.0 - x
    if n < 1.0:
        return low
    for k in range(1, int(n)):
        low, high = high, ((2.0 * k + 1.0 - x) * high - k * low) / (k + 1.0)
    return high


def legendre_p(x: float, n: float) -> float:
    """P."""
    if n <= -1.0:
        return 0.0
    low, high = 1.0, x
    if n < 1.0:
        return low
    for k in range(1, int(n)):
        low, high = high, ((2.0 * k + 1.0) * x * high - k * low) / (k + 1.0)
    return high


def spherical_j0(x: float) -> float:
    """The spherical Bessel function sin(x) / x, 1 at 0 and 0 at infinity."""
    if abs(x) == math.inf:
        return 0.0
    if abs(x) < 1e-4:
        return 1.0 - x * x / 6.0
    return math.sin(x) / x


POLYNOMIALS: dict[str, Callable] = {
    **{("shifted_" if shifted else "") + "chebyshev_" + kind: _chebyshev(first, shifted)
       for shifted in (False, True) for kind, first in (("t", 2), ("u", 0), ("v", -1), ("w", 1))},
    "hermite_h": hermite_h, "hermite_he": hermite_he, "laguerre_l": laguerre_l,
    "legendre_p": legendre_p,
}
__all__: list[str] = []


def _install(name: str, function: Callable, count: int) -> None:
    for suffix, kind in (("f32", types.float32), ("f64", types.float64)):
        globals()[f"{name}_{suffix}"] = _as_intrinsic(
            f"{name}_{suffix}", _composed_emitter(function, count), kind, count)
        __all__.append(f"{name}_{suffix}")


for _name, _function in POLYNOMIALS.items():
    _install(_name, _function, 2)
_install("spherical_j0", spherical_j0, 1)
