"""In: lanes; out: lanes holding sin, cos, tan and the inverse circular functions.

Angles up to NEAR are reduced to half turns by multiples of pi in three parts (W. J. Cody, W. Waite,
*Software Manual for the Elementary Functions*, 1980); `sin`, `cos` and `tan` take that result too,
so that the bits are the same whichever a kernel calls. Larger angles are reduced to quarter turns,
for the whole range of the format and without a branch, by the method of M. H. Payne and R. N.
Hanek (*Radian reduction for trigonometric functions*, SIGNUM Newsletter 18, 1983): the bits of 2/pi
whose product with x is a multiple of 4 are left out, which bits these are follows from x's
exponent, so what is left comes from a small table (a gather).
"""

from __future__ import annotations

import math
from functools import cache

import llvmlite.ir as ir

from jittensor.kernels.cpu.vector_math_exponential import split_biased
from jittensor.kernels.cpu.vector_math_lanes import (
    F64,
    I32,
    I64,
    Lane,
    copysign,
    fma,
    intrinsic_call,
    polynomial,
    select,
    sign_bit,
)

_TWO_OVER_PI_BITS = 1344
_TWO_OVER_PI = int(
    "a2f9836e4e441529fc2757d1f534ddc0db6295993c439041fe5163abdebbc561b7246e3a424dd2e00649"
    "2eea09d1921cfe1deb1cb129a73ee88235f52ebb4484e99c7026b45f7e413991d639835339f49c845f8b"
    "bdf9283b1ff897ffde05980fef2f118b5a0a6d1f6d367ecf27cb09b74f463f669e5fea2d7527bac7ebe5"
    "f17b3d0739f78a5292ea6bfb5fb11f8d5d0856033046fc7b6babf0cfbc209af4361da9e391615ee61b08",
    16,
)

# sin(r) = r + r z P(z), cos(r) = 1 - z/2 + z^2 P(z), z = r^2, |r| <= pi/4
_SIN_F32 = (-0.16666655, 0.008332178, -0.00019517221)
_COS_F32 = (0.041666646, -0.0013887367, 2.4438385e-05)
_SIN_F64 = (
    -0.16666666666666632, 0.008333333333322411, -0.00019841269829805731,
    2.755731369117565e-06, -2.5050757997622106e-08, 1.5896788522862663e-10,
)  # fmt: skip
_COS_F64 = (
    0.0416666666666666, -0.001388888888887412, 2.480158728948015e-05,
    -2.7557314351718804e-07, 2.0875723186387486e-09, -1.1359643140810989e-11,
)  # fmt: skip
# atan(x) = x + x z P(z): on [0, 1] in float32, on [0, tan(pi/8)] in float64
_ATAN_F32 = (-0.33333153, 0.19993773, -0.14211056, 0.106660075, -0.07552221, 0.043211933,
             -0.016367972, 0.002920703)  # fmt: skip
_ATAN_F64 = (
    -0.33333333333333326, 0.19999999999997692, -0.1428571428539078, 0.11111111088350722,
    -0.09090908150774983, 0.07692282900074415, -0.06666228848231981, 0.05877042298284871,
    -0.05218536521744976, 0.04504087408796932, -0.033486998480061585, 0.015207908322169872,
)  # fmt: skip
# asin(x) = x + x z P(z) on [0, 1/2]
_ASIN_F32 = (0.16666754, 0.07495241, 0.045477223, 0.024146948, 0.04221975)
_ASIN_F64 = (
    0.1666666666666538, 0.07500000000343253, 0.04464285682330899, 0.030381959338480913,
    0.02237175334834014, 0.017359773770851704, 0.013884571879481116, 0.012173455940497879,
    0.006510080032676017, 0.019576048847937715, -0.016297477738200693, 0.03196132768324719,
)  # fmt: skip

# tan(r) = r + r z P(z), |r| <= pi/4
_TAN_F32 = (0.33333349718740257, 0.1333266534758255, 0.05405965342836332, 0.021283621721559186,
            0.010832026328432423, 9.43413372377476e-05, 0.004373923721523594)  # fmt: skip
# sin(r) = r + r z P(z), |r| <= pi/2 and a little
_HALF_TURN_F32 = (-0.16666657, 0.008333038, -0.0001980867, 2.6046232e-06)
_HALF_TURN_F64 = (
    -0.16666666666666666, 0.008333333333333186, -0.00019841269841206302, 2.7557319210626137e-06,
    -2.5052106825038495e-08, 1.6058937258895703e-10, -7.642926671361353e-13,
    2.7204811093433575e-15,
)  # fmt: skip

# pi in three floats, the first two cut off: all positive, so that zero keeps its sign
_PI_F32 = (3.141592502593994, 1.5099578831723193e-07, 1.0780605716316238e-14)
_PI_F64 = (3.141592653589793, 1.224646799147353e-16, 2.165713347843828e-32)
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)
_HALF_PI_F32 = (1.5707963705062866, -4.371138828673793e-08)
_TAN_PI_8 = 0.41421356237309503
NAN = float("nan")
NEAR = 131072.0  # the near formulas are for angles up to here


# -- reduction to a quarter turn -----------------------------------------------------------------
@cache
def _two_over_pi_table(
    rows: int, first_weight: int, step: int, widths: tuple[int, ...], lifted: int
) -> list[list[float]]:
    """2/pi cut into floats of `widths` bits, one list of rows per float.

    Row j lacks the bits of weight 2^(first_weight - step j) and above; rows from `lifted` on are
    multiplied by 2^512.
    """
    columns: list[list[float]] = [[] for _ in widths]
    for row in range(rows):
        kept = min(_TWO_OVER_PI_BITS, _TWO_OVER_PI_BITS + first_weight - step * row)
        exponent = (512 if row >= lifted else 0) - _TWO_OVER_PI_BITS
        rest = _TWO_OVER_PI & ((1 << kept) - 1)
        for column, width in zip(columns, widths):
            shift = max(rest.bit_length() - width, 0)
            column.append(math.ldexp(rest >> shift, shift + exponent))
            rest &= (1 << shift) - 1
    return columns


def _gather(name: str, column: list[float], index: Lane) -> Lane:
    """column[index], the column a constant of the module."""
    builder = index.builder
    table = builder.module.globals.get(name)
    if table is None:
        kind = ir.ArrayType(F64, len(column))
        table = ir.GlobalVariable(builder.module, kind, name)
        table.initializer = ir.Constant(kind, column)
        table.global_constant = True
        table.linkage = "internal"
    address = builder.gep(table, [ir.Constant(I64, 0), index.value], inbounds=True)
    return Lane(builder, builder.load(address))


def _reduce_f32(x: Lane) -> tuple[Lane, Lane]:
    """(r in float64, quarter turns): x = r + n pi/2, |r| <= pi/4, from a float32 x."""
    high, low = _two_over_pi_table(256, 152, 1, (29, 53), 256)
    exponent = (x.bits().logical_shift_right(23) & 255).to(I64)
    wide = x.to(F64)
    # 24 bits times 29: exact
    product = wide * _gather("two_over_pi_f32_high", high, exponent)
    rest = wide * _gather("two_over_pi_f32_low", low, exponent)
    magic = wide.const(6755399441055744.0)
    shifted = (product + rest) + magic
    turns = shifted - magic
    return ((product - turns) + rest) * _HALF_PI[0], shifted.bits().to(I32)


def _fold(x: Lane) -> Lane:
    """x mod 4 in [-2, 2], exactly."""
    return fma(intrinsic_call("rint", x * 0.25), -4.0, x)


def _two_sum(a: Lane, b: Lane) -> tuple[Lane, Lane]:
    total = a + b
    virtual = total - a
    return total, (a - (total - virtual)) + (b - virtual)


def _reduce_f64(x: Lane) -> tuple[Lane, Lane, Lane]:
    """(r, its tail, quarter turns): x = r + tail + n pi/2, |r| <= pi/4 and a little.

    Four floats of 2/pi: enough that even the double nearest to a multiple of pi/2 keeps all bits.
    """
    columns = _two_over_pi_table(128, 1077, 16, (53, 53, 53, 53), 96)
    bucket = x.bits().logical_shift_right(56) & 127
    parts = [_gather(f"two_over_pi_f64_{i}", column, bucket) for i, column in enumerate(columns)]
    # both factors stay away from the denormals
    x = x * select(bucket >= 96, x.const(2.0**-512), 1.0)
    products = [x * part for part in parts]
    errors = [fma(x, part, -product) for part, product in zip(parts, products)]
    head, tail = _two_sum(_fold(products[0]), _fold(errors[0]))
    head, tail2 = _two_sum(head, _fold(products[1]))
    magic = x.const(6755399441055744.0)
    shifted = head + magic
    head, tail = _two_sum(head - (shifted - magic), tail)
    head, tail2 = _two_sum(head, tail2)
    mid, mid_low = _two_sum(errors[1], products[2])
    head, rest = _two_sum(head, tail + tail2)
    head, rest2 = _two_sum(head, mid)
    low = (rest + rest2) + (mid_low + (errors[2] + products[3]))
    r = head * _HALF_PI[0]
    r_low = fma(head, _HALF_PI[0], -r) + fma(head, _HALF_PI[1], low * _HALF_PI[0])
    return r, r_low, shifted.bits()


def _sin_cos(x: Lane) -> tuple[Lane, Lane, Lane]:
    """(sin r, cos r, quarter turns n) with x = r + n pi/2."""
    if x.is_f32:
        r, n = _reduce_f32(x)
        r = r.to(x.value.type)
        z = r * r
        sine = fma(r * z, polynomial(z, _SIN_F32), r)
        return sine, fma(z * z, polynomial(z, _COS_F32), fma(z, -0.5, 1.0)), n
    r, low, n = _reduce_f64(x)
    z = r * r
    half = z * 0.5
    rough = 1.0 - half
    sine = r + fma(r * z, polynomial(z, _SIN_F64), fma(-half, low, low))
    cosine_low = fma(z * z, polynomial(z, _COS_F64), ((1.0 - rough) - half) - r * low)
    return sine, rough + cosine_low, n


def _turn_sign(value: Lane, n: Lane) -> Lane:
    """`value`, negated in the second half turn (n mod 4 of 2 or 3)."""
    return (value.bits() ^ ((n & 2) << value.pick(30, 62))).as_float()


# -- near angles -------------------------------------------------------------------------------
def _half_turn_sine(x: Lane, n: Lane, turns: Lane) -> Lane:
    """(-1)^turns sin(x - n pi), |x - n pi| <= pi/2 and a little; pi in three parts times n.

    The first difference is exact (W. J. Cody, W. Waite).
    """
    high, middle, low = x.pick(_PI_F32, _PI_F64)
    r = fma(n, -low, fma(n, -middle, fma(n, -high, x)))
    z = r * r
    sine = fma(r * z, polynomial(z, x.pick(_HALF_TURN_F32, _HALF_TURN_F64)), r)
    return (sine.bits() ^ (turns << x.pick(31, 63))).as_float()


def sin_near(x: Lane) -> Lane:
    """sin(x) for |x| <= NEAR."""
    n, turns = split_biased(x, 1.0 / math.pi, 0)
    return select(x == 0.0, x, _half_turn_sine(x, n, turns))


def cos_near(x: Lane) -> Lane:
    """cos(x) for |x| <= NEAR, as sin(x - n pi) with n a whole number and a half."""
    # the one more turns cosine's sign into sine's
    magic = x.const(x.pick(12582913.0, 6755399441055745.0))
    shifted = fma(x, 1.0 / math.pi, -0.5) + magic
    return _half_turn_sine(x, (shifted - magic) + 0.5, shifted.bits())


def tan_near(x: Lane) -> Lane:
    """tan(x) for |x| <= NEAR; float32 in float64 up to the division."""
    wide = x.to(F64)
    n, turns = split_biased(wide, 2.0 / math.pi, 0)
    high, middle, low = _PI_F64
    r = fma(n, -0.5 * middle, fma(n, -0.5 * high, wide))
    z = r * r
    if x.is_f32:
        tangent = fma(r * z, polynomial(z, _TAN_F32), r).to(x.value.type)
        result = select((turns.to(I32) & 1) != 0, -1.0 / tangent, tangent)
        return select(abs(x) < 2.0**-13, x, result)
    r = fma(n, -0.5 * low, r)
    sine = fma(r * z, polynomial(z, _SIN_F64), r)
    cosine = fma(z * z, polynomial(z, _COS_F64), fma(z, -0.5, 1.0))
    return _quotient(x, sine, cosine, turns)


# -- circular functions ------------------------------------------------------------------------
def is_near(x: Lane) -> Lane:
    """Whether |x| <= NEAR; not so for NaN."""
    return abs(x) <= NEAR


def sin(x: Lane) -> Lane:
    sine, cosine, n = _sin_cos(x)
    far = _turn_sign(select((n & 1) != 0, cosine, sine), n)
    return select(is_near(x), sin_near(x), far)


def cos(x: Lane) -> Lane:
    sine, cosine, n = _sin_cos(x)
    far = _turn_sign(select((n & 1) != 0, sine, cosine), n + 1)
    return select(is_near(x), cos_near(x), far)


def _quotient(x: Lane, sine: Lane, cosine: Lane, n: Lane) -> Lane:
    """sin/cos, or -cos/sin past odd quarter turns; x where that is its own tangent."""
    odd = (n & 1) != 0
    quotient = select(odd, -cosine, sine) / select(odd, sine, cosine)
    return select(abs(x) < x.pick(2.0**-13, 2.0**-27), x, quotient.to(x.value.type))


def tan(x: Lane) -> Lane:
    """tan(x); float32 in float64."""
    if x.is_f32:
        r, n = _reduce_f32(x)
        z = r * r
        sine = fma(r * z, polynomial(z, _SIN_F32), r)
        cosine = fma(z * z, polynomial(z, _COS_F32), fma(z, -0.5, 1.0))
    else:
        sine, cosine, n = _sin_cos(x)
    return select(is_near(x), tan_near(x), _quotient(x, sine, cosine, n))


# -- inverse circular functions ----------------------------------------------------------------
def asin(x: Lane) -> Lane:
    return copysign(_arc_sine(x)[0], x)


def acos(x: Lane) -> Lane:
    return _arc_sine(x)[1]


def _arc_sine(x: Lane) -> tuple[Lane, Lane]:
    """(asin|x|, acos(x)); past 1/2 by asin(y) = pi/2 - 2 asin(sqrt((1-y)/2))."""
    size = abs(x)
    large = size > 0.5
    z = select(large, fma(size, -0.5, 0.5), size * size)
    root = select(large, intrinsic_call("sqrt", z), size)
    tail = root * z * polynomial(z, x.coefficients(_ASIN_F32, _ASIN_F64))
    part = root + tail
    high, low = _HALF_PI
    arc_sine = select(large, fma(part, -2.0, high) + low, part)
    negative = sign_bit(x)
    twice = part + part
    past_half = select(negative, (high - twice) + (low + high) + low, twice)
    signed = copysign(part, x)
    arc_cosine = select(large, past_half, high - (signed - low))
    return arc_sine, arc_cosine


def _arc_tangent_ratio(y: Lane, x: Lane) -> Lane:
    """atan(y/x) in [0, pi/2] of y, x >= 0; y = x = 0 gives 0, both infinite pi/4."""
    swap = y > x
    small, big = select(swap, x, y), select(swap, y, x)
    if x.is_short:
        ratio = small / big
        z = ratio * ratio
        angle = fma(ratio * z, polynomial(z, _ATAN_F32), ratio)
    else:
        # past tan(pi/8): atan(q) = pi/4 + atan((q-1)/(q+1)); halves lest big + small overflow
        far = small > big * _TAN_PI_8
        a, b = small * 0.5, big * 0.5
        ratio = select(far, a - b, small) / select(far, a + b, big)
        z = ratio * ratio
        angle = fma(ratio * z, polynomial(z, _ATAN_F64), ratio)
        angle = select(far, x.const(_HALF_PI[0] / 2), 0.0) + (
            angle + select(far, x.const(_HALF_PI[1] / 2), 0.0)
        )
    angle = select(small == big, select(big == 0.0, x.const(0.0), _HALF_PI[0] / 2), angle)
    return select(swap, _HALF_PI[0] - (angle - _HALF_PI[1]), angle)


def atan(x: Lane) -> Lane:
    """atan(x) = pi/2 - atan(1/x) past one, in float32 itself."""
    if x.is_f32:
        size = abs(x)
        far = size > 1.0
        ratio = select(far, 1.0 / size, size)
        z = ratio * ratio
        angle = fma(ratio * z, polynomial(z, _ATAN_F32), ratio)
        high, low = _HALF_PI_F32
        return copysign(select(far, high - (angle - low), angle), x)
    return copysign(_arc_tangent_ratio(abs(x), x.const(1.0)), x)


def atan2(y: Lane, x: Lane) -> Lane:
    """The angle of the point (x, y), in [-pi, pi]; signs of zeros as in C."""
    angle = _arc_tangent_ratio(abs(y), abs(x))
    high, low = 2 * _HALF_PI[0], 2 * _HALF_PI[1]
    angle = select(sign_bit(x), high - (angle - low), angle)
    return copysign(select((x != x) | (y != y), x + y, angle), y)
