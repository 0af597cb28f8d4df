"""In: lanes; out: lanes holding roots, roundings, remainders, maxima and other exact functions."""

from __future__ import annotations

from jittensor.kernels.cpu.vector_math_lanes import (
    Lane,
    copysign,
    fma,
    intrinsic_call,
    select,
    sign_bit,
)

INF = float("inf")


def sqrt(x: Lane) -> Lane:
    return intrinsic_call("sqrt", x)


def rsqrt(x: Lane) -> Lane:
    return 1.0 / intrinsic_call("sqrt", x)


def floor(x: Lane) -> Lane:
    return intrinsic_call("floor", x)


def ceil(x: Lane) -> Lane:
    return intrinsic_call("ceil", x)


def trunc(x: Lane) -> Lane:
    return intrinsic_call("trunc", x)


def round_half_even(x: Lane) -> Lane:
    return intrinsic_call("rint", x)


def frac(x: Lane) -> Lane:
    return x - intrinsic_call("trunc", x)


def fmod(x: Lane, y: Lane) -> Lane:
    """C's fmod: exact, with the sign of x."""
    return Lane(x.builder, x.builder.frem(x.value, y.value))


def maximum(x: Lane, y: Lane) -> Lane:
    """The greater; a NaN on either side wins; of equal zeros the first."""
    return select(y == y, select(x < y, y, x), y)


def minimum(x: Lane, y: Lane) -> Lane:
    """The smaller; a NaN on either side wins; of equal zeros the first."""
    return select(y == y, select(x > y, y, x), y)


def isnan(x: Lane) -> Lane:
    return x != x


def hypot_long(x: Lane, y: Lane) -> Lane:
    """sqrt(x^2 + y^2) in float64, scaled by a power of two lest the squares overflow."""
    x, y = abs(x), abs(y)
    big, small = select(x < y, y, x), select(x < y, x, y)
    huge, tiny = big > 2.0**500, big < 2.0**-500
    scale = select(huge, x.const(2.0**-600), select(tiny, x.const(2.0**600), x.const(1.0)))
    unscale = select(huge, x.const(2.0**600), select(tiny, x.const(2.0**-600), x.const(1.0)))
    a, b = big * scale, small * scale
    result = intrinsic_call("sqrt", fma(a, a, b * b)) * unscale
    infinite = (x == INF) | (y == INF)
    return select(infinite, x.const(INF), select((x != x) | (y != y), x + y, result))


def hypot_short(x: Lane, y: Lane) -> Lane:
    """sqrt(x^2 + y^2) to float32's precision, on wide lanes."""
    result = intrinsic_call("sqrt", fma(x, x, y * y))
    return select((abs(x) == INF) | (abs(y) == INF), x.const(INF), result)


def nextafter(x: Lane, y: Lane) -> Lane:
    """The float after x on the way to y."""
    bits = x.bits()
    one = bits ^ bits
    away = (y > x) ^ sign_bit(x)
    moved = select(away, bits + 1, bits - 1).as_float()
    smallest = copysign((one + 1).as_float(), y)
    moved = select(x == 0.0, smallest, moved)
    return select((x != x) | (y != y), x + y, select(x == y, y, moved))
