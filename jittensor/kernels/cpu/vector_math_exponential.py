"""In: lanes; out: lanes holding exp, its relatives and the hyperbolic functions.

Polynomials are minimax fits (Remez exchange in 60-digit arithmetic, relative error below a tenth
of the format's half ulp); argument reductions are the classical ones (W. J. Cody, W. Waite,
*Software Manual for the Elementary Functions*, 1980; P. T. P. Tang, ACM TOMS 15-16, 1989-90).
"""

from __future__ import annotations

from jittensor.kernels.cpu.vector_math_lanes import Lane, copysign, fma, polynomial, select

# exp(r) = 1 + r + r^2 P(r) on |r| <= ln(2)/2
_EXP_F32 = (0.49999994, 0.16666521, 0.04166839, 0.008368727, 0.0013814659)
_EXP_F64 = (
    0.5000000000000011, 0.1666666666666641, 0.04166666666652999, 0.008333333333494716,
    0.0013888888943686419, 0.00019841269506584036, 2.480149303229213e-05, 2.7557585951226455e-06,
    2.763027447770034e-07, 2.5000308082928256e-08,
)  # fmt: skip
# 2^r = 1 + r P(r) on |r| <= 1/2
_EXP2_F32 = (0.6931472, 0.2402265, 0.055504005, 0.009618057, 0.0013341954, 0.00015461391,
             1.3359956e-05)  # fmt: skip
_EXP2_F64 = (
    0.6931471805599453, 0.24022650695910072, 0.055504108664821736, 0.009618129107628562,
    0.001333355814638166, 0.00015403530393171433, 1.5252733864921303e-05, 1.3215487003720673e-06,
    1.01780474990414e-07, 7.054814737480943e-09, 4.457244198336757e-10, 2.5855339708445714e-11,
)  # fmt: skip
# tanh(x) = x + x z P(z), z = x^2, on |x| <= 0.55
_TANH_F32 = (-0.3333332, 0.13332608, -0.053852852, 0.02107155, -0.006274105)

_LOG2_E = 1.4426950408889634
_LN2_HIGH_F32, _LN2_LOW_F32 = 0.6931471824645996, -1.904654299957768e-09
_LN2_HIGH_F64, _LN2_LOW_F64 = 0.6931471805599453, 2.3190468138462996e-17


# -- building blocks ---------------------------------------------------------------------------
def split_integer(x: Lane, factor: float) -> tuple[Lane, Lane]:
    """n = rint(x * factor) as a float lane and as an integer lane; |n| below 2^21.

    Adding 1.5 * 2^(mantissa bits) leaves n in the low bits; a NaN gives any integer, no trap.
    """
    magic = x.const(x.pick(12582912.0, 6755399441055744.0))
    shifted = fma(x, factor, magic)
    return shifted - magic, shifted.bits() - magic.bits()


def split_biased(x: Lane, factor: float, bias: int) -> tuple[Lane, Lane]:
    """As `split_integer`, but the integer lane holds n + bias in its low bits and noise above."""
    magic = x.const(x.pick(12582912.0, 6755399441055744.0) + bias)
    shifted = fma(x, factor, magic)
    return shifted - magic, shifted.bits()


def power_of_two(x: Lane, n: Lane) -> Lane:
    """2^n as a float of x's type, n an integer lane within the normal exponents."""
    bias, mantissa = x.pick((127, 23), (1023, 52))
    return ((n + bias) << mantissa).as_float()


def scale(x: Lane, both: Lane) -> Lane:
    """x * 2^n rounded once, for n past the normal exponents too (x near 1); `both` is n + 2 bias.

    The power is applied in two halves: only the second product can round or overflow.
    """
    mantissa = x.pick(23, 52)
    half = both.logical_shift_right(1)
    return x * (half << mantissa).as_float() * ((both - half) << mantissa).as_float()


def clamp(x: Lane, low: float, high: float) -> Lane:
    """x limited to [low, high]; a NaN stays."""
    x = select(x < low, low, x)
    return select(x > high, high, x)


def _remainder(x: Lane, n: Lane) -> Lane:
    """x - n ln(2), ln(2) in two parts."""
    high, low = x.pick((_LN2_HIGH_F32, _LN2_LOW_F32), (_LN2_HIGH_F64, _LN2_LOW_F64))
    return fma(n, -low, fma(n, -high, x))


def _exp_fraction(r: Lane) -> Lane:
    """exp(r) for |r| <= ln(2)/2."""
    tail = polynomial(r, r.coefficients(_EXP_F32, _EXP_F64))
    return fma(r, fma(r, tail, 1.0), 1.0)


def _expm1_fraction(r: Lane) -> Lane:
    """exp(r) - 1 for |r| <= ln(2)/2."""
    return fma(r * r, polynomial(r, r.coefficients(_EXP_F32, _EXP_F64)), r)


def _reduce_exp(x: Lane) -> tuple[Lane, Lane]:
    """(exp(r) - 1, n) with x = n ln(2) + r, |r| <= ln(2)/2."""
    n, n_int = split_integer(x, _LOG2_E)
    return _expm1_fraction(_remainder(x, n)), n_int


def exp_shifted(x: Lane, shift: int = 0) -> Lane:
    """exp(x) * 2^shift, for shift -1, 0 or 1, without overflow before its time."""
    x = clamp(x, *x.pick((-104.5, 89.5), (-746.0, 711.0)))
    n, both = split_biased(x, _LOG2_E, x.pick(254, 2046) + shift)
    return scale(_exp_fraction(_remainder(x, n)), both)


def exp_in_range(x: Lane) -> Lane:
    """exp(x) where neither x nor the result leaves the normal numbers (one product less)."""
    bias, mantissa = x.pick((127, 23), (1023, 52))
    n, biased = split_biased(x, _LOG2_E, bias)
    return _exp_fraction(_remainder(x, n)) * (biased << mantissa).as_float()


def exp2_fraction(r: Lane) -> Lane:
    """2^r for |r| <= 1/2."""
    return fma(r, polynomial(r, r.coefficients(_EXP2_F32, _EXP2_F64)), 1.0)


def _expm1_in_range(x: Lane) -> Lane:
    """exp(x) - 1 where exp(x) is a normal number; the sign of a zero is lost."""
    bias, mantissa = x.pick((127, 23), (1023, 52))
    n, biased = split_biased(x, _LOG2_E, bias)
    power = (biased << mantissa).as_float()
    return fma(power, _expm1_fraction(_remainder(x, n)), power - 1.0)


# -- exponentials ------------------------------------------------------------------------------
def exp(x: Lane) -> Lane:
    return exp_shifted(x)


def exp2(x: Lane) -> Lane:
    x = clamp(x, *x.pick((-151.0, 129.0), (-1076.0, 1025.0)))
    n, both = split_biased(x, 1.0, x.pick(254, 2046))
    return scale(exp2_fraction(x - n), both)


def expm1(x: Lane) -> Lane:
    small, n = _reduce_exp(clamp(x, *x.pick((-40.0, 89.0), (-60.0, 709.9))))
    top = x.pick(127, 1023)
    over = n > top
    power = power_of_two(x, select(over, top, n))
    result = fma(power, small, power - 1.0) * select(over, x.const(2.0), 1.0)
    return copysign(result, x)


def sigmoid(x: Lane) -> Lane:
    """c / (c + c exp(-x)), right down to the denormals: c exp(-x) does not overflow before."""
    x = clamp(-x, -40.0, x.pick(104.5, 746.0))
    bias, mantissa, lift = x.pick((127, 23, 24), (1023, 52, 60))
    n, biased = split_biased(x, _LOG2_E, bias - lift)
    power = (biased << mantissa).as_float()
    scaled_one = 2.0**-lift
    return scaled_one / fma(power, _expm1_fraction(_remainder(x, n)), power + scaled_one)


# -- hyperbolic functions ----------------------------------------------------------------------
def tanh(x: Lane) -> Lane:
    """1 - 2 / (exp(2|x|) + 1) with the sign of x, a polynomial below 0.55; float64 E / (E + 2)."""
    size = abs(x)
    limit = x.pick(10.0, 20.0)
    size = select(size > limit, limit, size)
    if not x.is_f32:
        e = _expm1_in_range(size + size)
        return copysign(e / (e + 2.0), x)
    n, biased = split_biased(size + size, _LOG2_E, 127)
    fraction = _exp_fraction(_remainder(size + size, n))
    large = 1.0 - 2.0 / fma(fraction, (biased << 23).as_float(), 1.0)
    square = x * x
    small = fma(size * square, polynomial(square, _TANH_F32), size)
    return copysign(select(size < 0.55, small, large), x)


def cosh(x: Lane) -> Lane:
    half = exp_shifted(abs(x), -1)
    return half + 0.25 / half


def sinh(x: Lane) -> Lane:
    """(E + E/(E+1))/2 with E = exp|x| - 1, halved from the start so that it does not overflow."""
    size = abs(x)
    limit = 100.0 if x.is_short else 710.5
    small, n = _reduce_exp(select(size > limit, limit, size))
    over = n > 1024
    power = power_of_two(x, select(over, 1023, n - 1))
    half = fma(power, small, power - 0.5)
    half = half * select(over, x.const(2.0), 1.0)
    result = half + select(over, x.const(0.0), half / fma(half, 2.0, 1.0))
    return copysign(select(size < 2.0**-28, size, result), x)
