"""What a CUDA kernel may call by name: in, the tables of `kernels.cuda.formula`; out, libdevice
functions of an explicit type and device functions of our own.

Under Numba's CUDA simulator, which runs kernels as Python, libdevice is not there: each name is
then the NumPy or SciPy function of the same values.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, types
from numba.core import config

from .formula import LIBDEVICE

SIMULATED = bool(config.ENABLE_CUDASIM)
EULER_SHIFT = 10.0  # the asymptotic series below are good to float64's rounding from here on


# inlined before typing: a call of a separate function would be compiled for the present device
device = cuda.jit(device=True, inline="always")


# ── 16-bit floats and libdevice ───────────────────────────────────────────────────────────────
def _device_functions() -> dict:
    from numba.cuda import libdevice

    @device
    def f32_of_bf16(bits):
        """The float32 of bfloat16's bits."""
        return libdevice.int_as_float(types.int32(bits) << 16)

    @device
    def bf16_of_f32(value):
        """bfloat16's bits of a float32, rounded to nearest even."""
        bits = types.uint32(libdevice.float_as_int(value))
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return types.uint16(0x7FC0) if value != value else types.uint16(rounded)

    out = {"f32_of_bf16": f32_of_bf16, "bf16_of_f32": bf16_of_f32,
           "signbit_f32": libdevice.signbitf, "signbit_f64": libdevice.signbitd}
    for name, theirs in LIBDEVICE.items():
        out[f"{name}_f32"] = getattr(libdevice, theirs + "f")
        out[f"{name}_f64"] = getattr(libdevice, theirs)
    # sqrt's rounding would follow a compiler flag
    out["sqrt_f32"], out["sqrt_f64"] = libdevice.fsqrt_rn, libdevice.dsqrt_rn
    return out


def _simulated_functions() -> dict:
    import ml_dtypes
    import scipy.special

    numpy_names = {"round": "rint", "lgamma": "gammaln", "normal_cdf": "ndtr",
                   "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh",
                   "atan": "arctan", "atan2": "arctan2",
                   "atanh": "arctanh", "pow": "power"}

    def typed(function, kind):
        def compute(*arguments):
            with np.errstate(all="ignore"):
                return kind(function(*arguments))

        return compute

    bf16 = ml_dtypes.bfloat16
    out = {"f32_of_bf16": lambda bits: np.uint16(bits).view(bf16).astype(np.float32),
           "bf16_of_f32": lambda value: np.float32(value).astype(bf16).view(np.uint16),
           "signbit_f32": np.signbit, "signbit_f64": np.signbit}
    for name in LIBDEVICE:
        theirs = numpy_names.get(name, name)
        function = getattr(np, theirs, None) or getattr(scipy.special, theirs)
        out[f"{name}_f32"] = typed(function, np.float32)
        out[f"{name}_f64"] = typed(function, np.float64)
    return out


_FUNCTIONS = _simulated_functions() if SIMULATED else _device_functions()
globals().update(_FUNCTIONS)
exp, floor, log, sin, sqrt, tan = (_FUNCTIONS[f"{name}_f64"] for name in (
    "exp", "floor", "log", "sin", "sqrt", "tan"))


# ── device functions ──────────────────────────────────────────────────────────────────────────
@device
def gcd(a, b):
    """Greatest common divisor of two integers, by Euclid's algorithm; gcd(0, 0) is 0."""
    x = types.int64(a)
    y = types.int64(b)
    x = -x if x < 0 else x
    y = -y if y < 0 else y
    while y != 0:
        rest = x % y
        x = y
        y = rest
    return x


@device
def int_pow(a, b):
    """a ** b of integers by squaring; a negative power of anything but 1 and -1 is 0."""
    base = types.int64(a)
    power = types.int64(b)
    out = types.int64(1)
    if power < 0:
        odd = (power & 1) != 0
        out = types.int64(0)
        if base == 1 or base == -1:
            out = base if odd else types.int64(1)
        power = types.int64(0)
    while power != 0:
        if (power & 1) != 0:
            out = out * base
        base = base * base
        power = power >> 1
    return out


@device
def divide(a, b):
    """a / b of complex numbers by Smith's method: no overflow between, IEEE values at zero."""
    if abs(b.real) >= abs(b.imag):
        if b.real == 0:
            return complex(a.real / b.real, a.imag / b.real)
        ratio = b.imag / b.real
        whole = b.real + b.imag * ratio
        return complex((a.real + a.imag * ratio) / whole, (a.imag - a.real * ratio) / whole)
    ratio = b.real / b.imag
    whole = b.imag + b.real * ratio
    return complex((a.real * ratio + a.imag) / whole, (a.imag * ratio - a.real) / whole)


@device
def digamma(x):
    """Derivative of log gamma: reflection, recurrence up to 10, then the asymptotic series (DLMF
    5.5.4, 5.5.2, 5.11.2)."""
    z = types.float64(x)
    out = 0.0
    if z == 0.0:
        out = -math.copysign(math.inf, z)
        z = EULER_SHIFT
    elif z < 0.0:
        if z == floor(z):
            out = math.nan
            z = EULER_SHIFT
        else:
            part = z - floor(z)
            out = -math.pi / tan(math.pi * part)
            z = 1.0 - z
    while z < EULER_SHIFT:
        out -= 1.0 / z
        z += 1.0
    w = 1.0 / (z * z)
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w * (1 / 132)))))
    return out + log(z) - 0.5 / z - series


@device
def trigamma(x):
    """Second derivative of log gamma, by the derivatives of the same formulas."""
    z = types.float64(x)
    out = 0.0
    sign = 1.0
    if z <= 0.0:
        if z == floor(z):
            out = math.inf
            z = EULER_SHIFT
        else:
            sine = sin(math.pi * (z - floor(z)))
            out = (math.pi / sine) * (math.pi / sine)
            sign = -1.0
            z = 1.0 - z
    tail = 0.0
    while z < EULER_SHIFT:
        tail += 1.0 / (z * z)
        z += 1.0
    w = 1.0 / (z * z)
    series = w * (1 / 6 - w * (1 / 30 - w * (1 / 42 - w * (1 / 30 - w * (5 / 66)))))
    return out + sign * (tail + (1.0 + 0.5 / z + series) / z)


@device
def _bessel(z, order):
    """I0 or I1 (order 0, 1) of z >= 0: the power series, all of whose terms are positive, up to 30,
    then the asymptotic one (DLMF 10.25.2, 10.40.1). Of infinity it is NaN, as in PyTorch."""
    term = 1.0
    total = 1.0
    k = 1.0
    if z <= 30.0:
        while term > total * 1e-17:
            term *= z * z / (4.0 * k * (k + order))
            total += term
            k += 1.0
        return total * (z / 2 if order == 1.0 else 1.0)
    while k < 25.0:
        term *= ((2.0 * k - 1.0) * (2.0 * k - 1.0) - 4.0 * order) / (8.0 * z * k)
        total += term
        k += 1.0
    half = exp(z / 2)
    return half / sqrt(2 * math.pi * z) * total * half


@device
def i0(x):
    """Modified Bessel function of order 0; NaN stays NaN."""
    z = abs(types.float64(x))
    return z if z != z else _bessel(z, 0.0)


@device
def i1(x):
    """Modified Bessel function of order 1, which is odd; NaN stays NaN."""
    z = types.float64(x)
    return z if z != z else math.copysign(_bessel(abs(z), 1.0), z)
