"""In: lanes; out: lanes holding logarithms, inverse hyperbolic functions and powers.

x = m 2^k with m in [sqrt(1/2), sqrt(2)), then a minimax polynomial in f = m - 1 (float32) or in
s = f/(2+f) (float64, log(1+f) = 2 atanh(s)). Powers need log2(x) to more bits than the result has:
float32 computes it in float64 (45 bits), float64 in pairs of floats (66 bits).
"""

from __future__ import annotations

from jittensor.kernels.cpu.vector_math_exponential import (
    clamp,
    exp2_fraction,
    power_of_two,
    scale,
    split_biased,
    split_integer,
)
from jittensor.kernels.cpu.vector_math_lanes import (
    Lane,
    copysign,
    fma,
    intrinsic_call,
    polynomial,
    select,
    sign_bit,
)

INF = float("inf")
NAN = float("nan")

# log(1+f) = f + f^2 P(f) on sqrt(1/2) <= 1+f < sqrt(2)
_LOG_F32 = (-0.49999988, 0.33333325, -0.25001597, 0.20002085, -0.16608828, 0.14179337,
            -0.13242538, 0.12921281, -0.07644542)  # fmt: skip
# log(1+f) = 2s + s z P(z), s = f/(2+f), z = s^2
_LOG_F64 = (
    0.6666666666666734, 0.39999999999414304, 0.28571428742478044, 0.22222198563197254,
    0.18183564879559735, 0.15314035555688943, 0.14796107792158067,
)  # fmt: skip
# log2(1+f) = s P(z), to 45 bits
_LOG2_45_BITS = (
    2.8853900817778495, 0.961796694114052, 0.5770779421695522, 0.41220927118985734,
    0.3199049571805988, 0.28291034195969667,
)  # fmt: skip
# atanh(s) = s (1 + z/3 + z^2 P(z)), to 66 bits of the whole
_ATANH_REST = (
    0.1999999999999999, 0.14285714285722556, 0.11111111108768268, 0.09090909435153215,
    0.07692278435758972, 0.06668158700475074, 0.058374094161550545, 0.05994505402024052,
)  # fmt: skip

# constants as high + low, high rounded to the format
_LN2 = ((0.6931471824645996, -1.904654299957768e-09), (0.6931471805599453, 2.3190468138462996e-17))
_LOG2_E = ((1.4426950216293335, 1.9259629911266175e-08),
           (1.4426950408889634, 2.0355273740931033e-17))  # fmt: skip
_LOG10_E = ((0.4342944920063019, -1.0103050052231683e-08),
            (0.4342944819032518, 1.098319650216765e-17))  # fmt: skip
_LOG10_2 = ((0.3010300099849701, -1.4320988897559699e-08),
            (0.3010299956639812, -2.8037281277851704e-18))  # fmt: skip
_TWO_LOG2_E = (2.8853900817779268, 4.0710547481862066e-17)
_THIRD = (0.3333333333333333, 1.850371707708594e-17)


# -- building blocks ---------------------------------------------------------------------------
def _split_exponent(x: Lane) -> tuple[Lane, Lane, Lane]:
    """(m, k, biased k as an integer), x = m * 2^k, m in [sqrt(1/2), sqrt(2)), x > 0 finite."""
    bias, mantissa, tiny = x.pick((127, 23, 2.0**-126), (1023, 52, 2.0**-1022))
    sqrt_half = x.const(0.7071067811865476).bits()
    magic = x.const(x.pick(8388608.0, 4503599627370496.0))
    lift = mantissa + 1
    denormal = x < tiny
    bits = select(denormal, x * 2.0**lift, x).bits()
    moved = bits + (x.const(1.0).bits() - sqrt_half)
    biased = moved.logical_shift_right(mantissa)
    # put under the magic number's mantissa, an integer becomes a float by subtraction
    offset = x.pick(8388608.0, 4503599627370496.0) + bias
    k = (biased | magic.bits()).as_float() - select(denormal, x.const(offset + lift), offset)
    m = ((moved & ((1 << mantissa) - 1)) + sqrt_half).as_float()
    return m, k, biased


def _log_tail(f: Lane) -> Lane:
    """log(1+f) - f for 1+f in [sqrt(1/2), sqrt(2))."""
    if f.is_short:
        return f * f * polynomial(f, _LOG_F32)
    s = f / (f + 2.0)
    z = s * s
    half_square = f * f * 0.5
    return fma(s, fma(z, polynomial(z, _LOG_F64), half_square), -half_square)


def _log_edges(x: Lane, result: Lane) -> Lane:
    """`result`, but +inf at +inf, -inf at zero, NaN below zero and at NaN."""
    result = select(x < INF, result, x)
    return select(x > 0.0, result, select(x == 0.0, x.const(-INF), x.const(NAN)))


def _natural(k: Lane, f: Lane, tail: Lane) -> Lane:
    """k ln(2) + f + tail; in float32 ln(2) is near enough to its rounding to need no low part."""
    high, low = f.pick(*_LN2)
    if not f.is_f32:
        tail = fma(k, low, tail)
    return fma(k, high, f + tail)


def _log1p_core(x: Lane) -> Lane:
    """log(1+x); the sign of a zero is lost."""
    bias, mantissa = x.pick((127, 23), (1023, 52))
    total = x + 1.0
    virtual = total - 1.0
    lost = (1.0 - (total - virtual)) + (x - virtual)
    m, k, biased = _split_exponent(total)
    biased = select(biased > 2 * bias - 1, x.const(0.0).bits() + (2 * bias - 1), biased)
    # 2^-k, with which f takes in what 1 + x lost
    unscale = ((2 * bias - biased) << mantissa).as_float()
    f = fma(lost, unscale, m - 1.0)
    return _log_edges(total, _natural(k, f, _log_tail(f)))


# -- logarithms --------------------------------------------------------------------------------
def log(x: Lane) -> Lane:
    m, k, _ = _split_exponent(x)
    f = m - 1.0
    return _log_edges(x, _natural(k, f, _log_tail(f)))


def _in_base(f: Lane, factor: tuple[float, float]) -> Lane:
    """log(1+f) * factor, the factor given as high + low."""
    high, low = factor
    head = f * high
    tail = fma(f, low, fma(f, high, -head))
    return head + fma(_log_tail(f), high, tail)


def log2(x: Lane) -> Lane:
    m, k, _ = _split_exponent(x)
    return _log_edges(x, k + _in_base(m - 1.0, x.pick(*_LOG2_E)))


def log10(x: Lane) -> Lane:
    m, k, _ = _split_exponent(x)
    high, low = x.pick(*_LOG10_2)
    return _log_edges(x, fma(k, high, fma(k, low, _in_base(m - 1.0, x.pick(*_LOG10_E)))))


def log1p(x: Lane) -> Lane:
    return copysign(_log1p_core(x), x)


# -- inverse hyperbolic functions --------------------------------------------------------------
def asinh(x: Lane) -> Lane:
    """log1p(|x| + x^2/(1 + sqrt(1+x^2))), log|x| + log(2) where the square is all there is."""
    size = abs(x)
    big = size > 2.0**60
    square = size * size
    whole = size + square / (intrinsic_call("sqrt", square + 1.0) + 1.0)
    result = _log1p_core(select(big, size, whole)) + select(big, x.const(_LN2[1][0]), 0.0)
    return copysign(result, x)


def acosh(x: Lane) -> Lane:
    """log1p(t + sqrt(t(t+2))) with t = x - 1; NaN below one."""
    t = x - 1.0
    big = x > 2.0**60
    whole = t + intrinsic_call("sqrt", t * (t + 2.0))
    result = _log1p_core(select(big, x, whole)) + select(big, x.const(_LN2[1][0]), 0.0)
    return select(x < 1.0, x.const(NAN), result)


def atanh(x: Lane) -> Lane:
    """log1p(2x/(1-x))/2 of |x|, with the sign of x."""
    size = abs(x)
    result = _log1p_core((size + size) / (1.0 - size)) * 0.5
    return copysign(select(size < 2.0**-30, size, result), x)


# -- powers ------------------------------------------------------------------------------------
def _log2_pair(m: Lane, k: Lane) -> tuple[Lane, Lane]:
    """log2(m 2^k) as high + low, 66 bits of it right."""
    f = m - 1.0
    total = f + 2.0
    total_lost = f - (total - 2.0)
    inverse = 1.0 / total
    s = f * inverse
    s_low = fma(-s, total_lost, fma(-s, total, f)) * inverse
    z = s * s
    z_low = fma(s + s, s_low, fma(s, s, -z))
    third = z * _THIRD[0]
    third_low = fma(z_low, _THIRD[0], fma(z, _THIRD[1], fma(z, _THIRD[0], -third)))
    rest = z * z * polynomial(z, _ATANH_REST)
    u = third + rest
    u_low = (third - u) + rest + third_low
    p = s * u
    p_low = fma(s_low, u, fma(s, u_low, fma(s, u, -p)))
    head = s + p
    head_low = (s - head) + p + (p_low + s_low)
    g = head * _TWO_LOG2_E[0]
    g_low = fma(head_low, _TWO_LOG2_E[0], fma(head, _TWO_LOG2_E[1], fma(head, _TWO_LOG2_E[0], -g)))
    high = k + g
    return high, (k - high) + g + g_low


def _power_edges(x: Lane, y: Lane, size: Lane, result: Lane) -> Lane:
    """C's special cases of pow, given |x| and |x|^y of the general case."""
    whole = intrinsic_call("floor", y) == y
    half = y * 0.5
    odd = whole & (intrinsic_call("floor", half) != half)
    result = select(odd & sign_bit(x), -result, result)
    result = select((x < 0.0) & (x > -INF) & ~whole, x.const(NAN), result)
    result = select((size == 1.0) & (abs(y) == INF), 1.0, result)
    return select((y == 0.0) | (x == 1.0), 1.0, result)


def pow_short(x: Lane, y: Lane) -> Lane:
    """x^y to float32's precision, on wide lanes."""
    size = abs(x)
    m, k, _ = _split_exponent(size)
    f = m - 1.0
    s = f / (f + 2.0)
    exponent = y * _log_edges(size, fma(s, polynomial(s * s, _LOG2_45_BITS), k))
    n, n_int = split_integer(clamp(exponent, -200.0, 200.0), 1.0)
    r = clamp(exponent, -200.0, 200.0) - n
    return _power_edges(x, y, size, exp2_fraction(r) * power_of_two(x, n_int))


def pow_long(x: Lane, y: Lane) -> Lane:
    """x^y in float64, log2(x) and its product with y in pairs of floats."""
    size = abs(x)
    m, k, _ = _split_exponent(size)
    high, low = _log2_pair(m, k)
    high = _log_edges(size, high)
    product = y * high
    product_low = fma(y, low, fma(y, high, -product))
    limited = clamp(product, -1100.0, 1100.0)
    n, both = split_biased(limited, 1.0, 2046)
    # past the limits the low part is noise, or NaN
    r = (limited - n) + select(limited == product, product_low, 0.0)
    return _power_edges(x, y, size, scale(exp2_fraction(r), both))
