"""Elementary functions of complex numbers: a complex tensor in, one of its dtype out.

They are put together from real functions of the parts (Abramowitz and Stegun, chapters 3 and 4),
which the engine fuses; gradients follow from those of the parts. Cuts lie where PyTorch has them.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

from ..tensor import Tensor
from .complexes import complex as joined
from .complexes import polar
from .rows import COMPOSED


def _exp(z: Tensor) -> Tensor:
    return polar(z.real.exp(), z.imag)


def _log(z: Tensor) -> Tensor:
    return joined(z.abs().log(), z.angle())


def _sqrt(z: Tensor) -> Tensor:
    """Without cancellation: the larger part from a sum, the smaller from their product."""
    a, b = z.real, z.imag
    large = ((z.abs() + a.abs()) * 0.5).sqrt()
    none = large == 0
    small = b.abs() / (2 * large.masked_fill(none, 1))
    right = a >= 0
    return joined(large.where(right, small), small.where(right, large).copysign(b))


def _sin(z: Tensor) -> Tensor:
    a, b = z.real, z.imag
    return joined(a.sin() * b.cosh(), a.cos() * b.sinh())


def _cos(z: Tensor) -> Tensor:
    a, b = z.real, z.imag
    return joined(a.cos() * b.cosh(), -(a.sin() * b.sinh()))


def _sinh(z: Tensor) -> Tensor:
    a, b = z.real, z.imag
    return joined(a.sinh() * b.cos(), a.cosh() * b.sin())


def _cosh(z: Tensor) -> Tensor:
    a, b = z.real, z.imag
    return joined(a.cosh() * b.cos(), a.sinh() * b.sin())


def _tanh(z: Tensor) -> Tensor:
    """By tanh of the real part and tan of the imaginary one, so that nothing overflows."""
    t, u = z.real.tanh(), z.imag.tan()
    below = 1 + t * t * u * u
    return joined(t * (1 + u * u) / below, u * (1 - t * t) / below)


def _turned(z: Tensor) -> Tensor:
    """i z."""
    return joined(-z.imag, z.real)


def _tan(z: Tensor) -> Tensor:
    return -_turned(_tanh(_turned(z)))


def _signed(found: Tensor, z: Tensor) -> Tensor:
    """Each part with the sign of the argument's: on a cut the sign of a zero tells the side."""
    return joined(found.real.abs().copysign(z.real), found.imag.abs().copysign(z.imag))


def _asin(z: Tensor) -> Tensor:
    return _signed(_turned(_log(_turned(z) + _sqrt(1 - z * z))), z)


def _acos(z: Tensor) -> Tensor:
    found = _asin(z)
    return joined(math.pi / 2 - found.real, -found.imag)


def _acosh(z: Tensor) -> Tensor:
    found = _acos(z)
    return joined(found.imag.abs(), found.real.copysign(z.imag))


def _atanh(z: Tensor) -> Tensor:
    return _signed(0.5 * (_log(1 + z) - _log(1 - z)), z)


def _sigmoid(z: Tensor) -> Tensor:
    return (1 + _exp(-z)).reciprocal()


def _pow(z: Tensor, exponent) -> Tensor:
    """A power of 0 is 0; to a tensor's 0 it is NaN, to a number 0 it is 1."""
    if not isinstance(z, Tensor):
        if z != 0:
            return _exp(exponent * cmath.log(z))
        return (exponent * 0).masked_fill(exponent == 0, math.nan)
    none = z == 0
    found = _exp(_log(z.masked_fill(none, 1)) * exponent)
    if not isinstance(exponent, Tensor):
        return found.masked_fill(none, 1 if exponent == 0 else 0)
    return found.masked_fill(none, 0).masked_fill(none & (exponent == 0), math.nan)


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "exp": _exp, "log": _log, "sqrt": _sqrt, "sin": _sin, "cos": _cos, "sinh": _sinh,
    "cosh": _cosh, "tanh": _tanh, "tan": _tan, "asin": _asin, "atanh": _atanh, "pow": _pow,
    "sigmoid": _sigmoid, "silu": lambda z: z * _sigmoid(z),
    "acos": _acos, "acosh": _acosh,
    "atan": lambda z: -_turned(_atanh(_turned(z))),
    "asinh": lambda z: -_turned(_asin(_turned(z))),
    "rsqrt": lambda z: _sqrt(z).reciprocal(),
    "exp2": lambda z: _exp(z * math.log(2)), "expm1": lambda z: _exp(z) - 1,
    "log2": lambda z: _log(z) / math.log(2), "log10": lambda z: _log(z) / math.log(10),
    "log1p": lambda z: _log(joined(1 + z.real, z.imag)),
    "sinc": lambda z: (_sin(z * math.pi) / (z * math.pi).masked_fill(z == 0, 1)).masked_fill(
        z == 0, 1),
}
COMPOSED.update(FUNCTIONS)
