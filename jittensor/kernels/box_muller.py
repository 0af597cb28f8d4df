"""Uniforms in blocks of 16 come in; PyTorch's normals, eight cosines then eight sines, go out.

Box and Muller, "A note on the generation of random normal deviates", 1958: of each 16 uniforms the
first eight make radii sqrt(-2 log(1 - u)) and the others angles 2 pi u. In float64 the functions
are the library's. In float32, PyTorch's x86 builds evaluate the single-precision polynomials of
Moshier's Cephes library (logf, sinf, cosf) with fused multiply-adds; so does this file, in the same
order, which is why the normals are equal bit for bit.

A fused multiply-add of float32 is done here in float64, where the product is exact, and rounded:
the sum is rounded twice, which may be seen in a last bit once in some 10**8 steps.
"""

from __future__ import annotations

import numpy as np

from .random_arithmetic import scale_and_shift32, scale_and_shift64

_BLOCK = 16384  # radii at a time: temporaries of 128 KiB stay in the second-level cache

# Cephes: logf on [sqrt(1/2), sqrt(2)), log(2) in two parts, cosf and sinf to pi/4, pi/4 in three
_LOG = (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
        -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)  # fmt: skip
_LOG_OF_2 = (-2.12194440e-4, 0.693359375)
_COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)

_SINGLE = np.float32


def _as_singles(numbers: tuple[float, ...]) -> tuple[np.float64, ...]:
    """The numbers as float32 holds them, in the float64 in which they are used."""
    return tuple(np.float64(_SINGLE(number)) for number in numbers)


_LOG, _COSINE, _SINE = _as_singles(_LOG), _as_singles(_COSINE), _as_singles(_SINE)
_LOG_OF_2, _QUARTER_PI = _as_singles(_LOG_OF_2), _as_singles(_QUARTER_PI)


class _Fused:
    """Fused multiply-adds on float64 arrays that hold float32 values, rounding through a buffer."""

    def __init__(self, size: int) -> None:
        self.single = np.empty(size, np.float32)

    def polynomial(self, coefficients: tuple[np.float64, ...], x: np.ndarray) -> np.ndarray:
        """Horner's scheme in x, each step rounded to float32."""
        y = x * coefficients[0]
        y += coefficients[1]
        self.round(y)
        for coefficient in coefficients[2:]:
            y *= x
            y += coefficient
            self.round(y)
        return y

    def round(self, values: np.ndarray) -> np.ndarray:
        """`values` rounded to float32, in place."""
        np.copyto(self.single, values, casting="same_kind")
        np.copyto(values, self.single)
        return values


def _log32(u: np.ndarray, fused: _Fused) -> np.ndarray:
    """log of float32 `u` in (0, 1], as float64 numbers that are float32 ones."""
    mantissa, exponent = np.frexp(u)
    low = (mantissa < _SINGLE(0.707106781186547524)).view(np.int8)
    mantissa += mantissa * low  # doubled where it is low, in arithmetic: it is faster than a mask
    mantissa -= _SINGLE(1)
    exponent -= low
    x, e = mantissa.astype(np.float64), exponent.astype(np.float64)
    z = fused.round(x * x)
    y = fused.polynomial(_LOG, x)
    y *= x
    fused.round(y)
    y *= z
    y += fused.round(e * _LOG_OF_2[0])
    fused.round(y)
    z *= 0.5
    y -= z
    fused.round(y)
    y += x
    fused.round(y)
    e *= _LOG_OF_2[1]
    y += e
    return y


def _cosine_and_sine32(angle: np.ndarray, fused: _Fused) -> tuple[np.ndarray, np.ndarray]:
    """float32 cos and sin of float32 angles in [0, 2 pi]."""
    octant = (angle * _SINGLE(1.27323954473516)).astype(np.int32)
    octant += 1
    octant &= ~1
    y = octant.astype(np.float64)
    x = angle - y * _QUARTER_PI[0]  # exact, as the difference of neighbours
    x -= y * _QUARTER_PI[1]
    fused.round(x)
    y *= _QUARTER_PI[2]
    x -= y
    fused.round(x)
    z = fused.round(x * x)
    cosine = fused.polynomial(_COSINE, z)
    cosine *= z
    fused.round(cosine)
    cosine *= z
    cosine -= z * 0.5
    fused.round(cosine)
    cosine += 1.0
    sine = fused.polynomial(_SINE, z)
    sine *= z
    fused.round(sine)
    sine *= x
    sine += x
    # in every second quarter the two change places; the sign is the top bit
    cosine_bits = cosine.astype(np.float32).view(np.int32)
    sine_bits = sine.astype(np.float32).view(np.int32)
    exchange = cosine_bits ^ sine_bits
    exchange &= -((octant >> 1) & 1)
    cosine_bits ^= exchange
    cosine_bits ^= ((octant + 2) & 4) << 29
    sine_bits ^= exchange
    sine_bits ^= (octant & 4) << 29
    return cosine_bits.view(np.float32), sine_bits.view(np.float32)


def _normals32(blocks: np.ndarray) -> None:
    """Turns uniforms of shape [n, 16] into standard normals, in place."""
    radius = (_SINGLE(1) - blocks[:, :8]).reshape(-1)  # in (0, 1], so that its logarithm is finite
    angle = (blocks[:, 8:] * _SINGLE(2 * np.pi)).reshape(-1)
    fused = _Fused(radius.size)
    np.copyto(radius, _log32(radius, fused), casting="same_kind")
    radius *= _SINGLE(-2)
    np.sqrt(radius, out=radius)
    radius = radius.reshape(-1, 8)
    cosine, sine = _cosine_and_sine32(angle, fused)
    np.multiply(cosine.reshape(-1, 8), radius, out=blocks[:, :8])
    np.multiply(sine.reshape(-1, 8), radius, out=blocks[:, 8:])


def _normals64(blocks: np.ndarray) -> None:
    radius = np.sqrt(-2.0 * np.log(1.0 - blocks[:, :8]))
    angle = 2.0 * np.pi * blocks[:, 8:]
    np.multiply(np.cos(angle), radius, out=blocks[:, :8])
    np.multiply(np.sin(angle), radius, out=blocks[:, 8:])


def box_muller(unit: np.ndarray, mean: float, std: float) -> None:
    """Turns uniforms into normals of `mean` and `std` in place, each 16 into 16.

    `unit`: contiguous, float32 or float64, its size a multiple of 16.
    """
    kind = unit.dtype.type
    double = kind is np.float64
    blocks = unit.reshape(-1, 16)
    for start in range(0, len(blocks), _BLOCK // 8):
        (_normals64 if double else _normals32)(blocks[start : start + _BLOCK // 8])
    if mean != 0.0:
        unit[...] = (scale_and_shift64 if double else scale_and_shift32)(
            unit, kind(std), kind(mean)
        )
    elif std != 1.0:
        unit *= kind(std)
