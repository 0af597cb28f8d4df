"""In: lanes; out: lanes holding the error function and its complement.

Near zero erf is x + x P(x^2), the rest 1 - P(|x|)^4, float64 P(|x|)^8. erfc is
exp(-x^2) G(t) / (1 + 2x), t = (x - K)/(x + K), which is smooth over the whole half line
(M. M. Shepherd, J. G. Laframboise, Math. Comp. 36, 1981); polynomials are minimax fits.
"""

from __future__ import annotations

from jittensor.kernels.cpu.vector_math_exponential import exp_in_range, exp_shifted
from jittensor.kernels.cpu.vector_math_lanes import Lane, copysign, fma, polynomial, select

_ERF_F32 = (0.12837915, -0.37612495, 0.1128184, -0.026767643, 0.0049947947, -0.0005999339)
_ERF_F64 = (
    0.12837916709551256, -0.37612638903183493, 0.11283791670943083, -0.026866170642930284,
    0.005223977604594624, -0.0008548325854747372, 0.00012055291307806309, -1.492466805951319e-05,
    1.6446578593944218e-06, -1.6202030419268256e-07, 1.3692264197386717e-08,
    -7.744211366776006e-10,
)  # fmt: skip
# erfc(x)^(1/4) on [0.92, 3.97], where erfc is lost beside 1 at last
_ERFC_ROOT_F32 = (
    1.0014385, -0.2900438, -0.10057134, -0.009225097, 0.038058106, -0.010246116,
    0.000111543566, 0.00027618423, -2.8463779e-05,
)  # fmt: skip
# erfc(x)^(1/8) on [1, 6]
_ERFC_ROOT_F64 = (
    0.9999999720246903, -0.14104712093657526, -0.06963153438049512, -0.0020866115959473123,
    0.0065878206829222035, 0.0001819427311384096, -0.000499208036784848, 6.893197133128416e-05,
    1.4415585744023196e-05, -1.2849247775516549e-05, 6.028333410861852e-06, -2.00953084413052e-06,
    4.870494908491244e-07, -8.809477673228193e-08, 1.202266036224947e-08, -1.2171986943889139e-09,
    8.664132084345694e-11, -3.867146488505147e-12, 8.12122834926718e-14,
)  # fmt: skip
# G with K = 2 on [0, 11] and with K = 4 on [0, 28]
_ERFC_F32 = (
    1.2769784, -0.09276388, -0.16603157, 0.16405259, -0.054202866, -0.008039216,
    0.008631619, 0.001254532, -0.0012517994, -0.0003430818, 3.7183734e-05,
)  # fmt: skip
_ERFC_F64 = (
    1.2329951186255526, -0.1396211168405629, 0.015379652102619764, 0.0680970542547366,
    -0.10103906603630118, 0.09373283499682389, -0.06633036581256366, 0.037167515561852146,
    -0.016197734048425432, 0.005031969763570336, -0.0007577734048607723, -0.0001992555612645555,
    0.0001506224715766102, -2.440294150910004e-05, -1.122528305588542e-05, 5.71729524477935e-06,
    3.019564175088411e-07, -8.342403735223915e-07, 6.23891003780791e-08, 1.145612556717765e-07,
    -7.778908510839074e-09, -1.3386232111763874e-08, -1.7176100883370977e-09,
)  # fmt: skip


# sqrt(erfc(x/sqrt(2)) / 2) on [0, 5.62], where the tail is lost beside 1
_TAIL_ROOT_F32 = (
    0.7071067690849304, -0.2820943593978882, -0.05627206340432167, 0.024562742561101913,
    0.00761916721239686, -0.002245145384222269, -0.00040869665099307895, -7.279751298483461e-05,
    0.00016793597023934126, -5.6202494306489825e-05, 8.827573765302077e-06, -7.015475489424716e-07,
    2.2882892025677393e-08,
)  # fmt: skip


def _complement(size: Lane) -> Lane:
    """erfc of |x|."""
    limit, centre = (11.0, 2.0) if size.is_short else (28.0, 4.0)
    size = select(size > limit, limit, size)
    square = size * size
    if size.is_short:
        decay = exp_in_range(-square)
    else:
        decay = exp_shifted(-square)
        decay = fma(decay, -fma(size, size, -square), decay)
    t = (size - centre) / (size + centre)
    smooth = polynomial(t, size.coefficients(_ERFC_F32, _ERFC_F64))
    return decay * (smooth / fma(size, 2.0, 1.0))


def erfc(x: Lane) -> Lane:
    size = abs(x)
    tail = _complement(size)
    result = select(x < 0.0, 2.0 - tail, tail)
    if x.is_short:
        return result
    small = fma(x, polynomial(x * x, _ERF_F64), x)
    return select(size < 0.5, 1.0 - small, result)


def erf(x: Lane) -> Lane:
    size = abs(x)
    limit, border = x.pick((3.97, 0.92), (6.0, 1.0))
    coefficients = x.pick((_ERF_F32, _ERFC_ROOT_F32), (_ERF_F64, _ERFC_ROOT_F64))
    small = fma(x, polynomial(x * x, coefficients[0]), x)
    root = polynomial(select(size > limit, limit, size), coefficients[1])
    root = root * root
    if not x.is_f32:
        root = root * root
    return copysign(select(size < border, small, fma(-root, root, 1.0)), x)


def normal_cdf(x: Lane) -> Lane:
    """The normal distribution function as a factor: exact beside 1, its lower tail in float32 not
    to the last digit."""
    if not x.is_f32:
        return erfc(x * -0.7071067811865476) * 0.5
    size = abs(x)
    root = polynomial(select(size > 5.62, 5.62, size), _TAIL_ROOT_F32)
    return select(x < 0.0, root * root, fma(-root, root, 1.0))
