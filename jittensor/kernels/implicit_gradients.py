"""Parameters and draws in, launches that give the derivative of a draw by its parameter out.

A draw x that keeps its place u = F(x; a) in the distribution moves by dx/da = -(dF/da) / f(x)
(Figurnov, Mohamed and Mnih, "Implicit reparameterization gradients", 2018). F of the gamma
distribution is its series below the mode and its continued fraction above it, F of the beta
distribution its continued fraction (NIST Digital Library of Mathematical Functions, 8.7.1, 8.9.2
and 8.17.22), both with the derivative carried along term by term.
"""

from __future__ import annotations

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite

_HEAD = '''import math

from numba import {real}, float64, njit
from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, store0
from jittensor.kernels.cpu.special_math import digamma_f64

'''

GAMMA_SOURCE = _HEAD + '''
@njit(error_model="numpy")
def series(a, x):
    term, slope, total, change = 1.0, 0.0, 1.0, 0.0
    k = 0.0
    while k < 20000.0:
        k += 1.0
        slope = (slope - term / (a + k)) * x / (a + k)
        term *= x / (a + k)
        total += term
        change += slope
        if abs(slope) <= 1e-16 * abs(change) and term <= 1e-16 * total:
            break
    return -x / a * (total * (math.log(x) - digamma_f64(a + 1.0)) + change)

@njit(error_model="numpy")
def fraction(a, x):
    b, c, d1 = x + 1.0 - a, 1e300, 0.0
    d = 1.0 / b
    c1, d1 = 0.0, d * d
    h, h1 = d, d1
    k = 0.0
    while k < 20000.0:
        k += 1.0
        n, b = -k * (k - a), b + 2.0
        e, e1 = n * d + b, k * d + n * d1 - 1.0
        c1 = -1.0 + k / c - n * c1 / (c * c)
        c = b + n / c
        d = 1.0 / e
        d1 = -e1 * d * d
        step, step1 = c * d, c1 * d + c * d1
        h1 = h1 * step + h * step1
        h *= step
        if abs(step - 1.0) < 1e-15 and abs(h * step1) <= 1e-15 * abs(h1):
            break
    return x * (h * (math.log(x) - digamma_f64(a)) + h1)


def kernel(begin, end, args):
    alpha, draws, out = ptr_{code}(args, 0), ptr_{code}(args, 1), ptr_{code}(args, 2)
    for i in range(begin, end):
        a, x = float64(load(alpha, i)), float64(load(draws, i))
        if x <= 0.0:
            value = 0.0
        elif a > 1e5:
            value = 0.5 * (a + x) / a
        elif x <= a + 1.0:
            value = series(a, x)
        else:
            value = fraction(a, x)
        store0(out, i, {real}(value))
'''

BETA_SOURCE = _HEAD + '''
@njit(error_model="numpy")
def fraction(a, b, x, ua, ub):
    """The fraction of the incomplete beta function and its derivative along (ua, ub)."""
    e = 1.0 - (a + b) * x / (a + 1.0)
    e1 = -x * ((ua + ub) * (a + 1.0) - (a + b) * ua) / ((a + 1.0) * (a + 1.0))
    c, c1, d = 1.0, 0.0, 1.0 / e
    d1 = -e1 * d * d
    h, h1 = d, d1
    m = 0.0
    while m < 20000.0:
        m += 1.0
        old, old1 = h, h1
        for odd in range(2):
            if odd:
                top, top1 = -(a + m) * (a + b + m), -ua * (a + b + m) - (a + m) * (ua + ub)
                low, low1 = (a + 2.0 * m) * (a + 2.0 * m + 1.0), ua * (2.0 * a + 4.0 * m + 1.0)
            else:
                top, top1 = m * (b - m), m * ub
                low, low1 = (a + 2.0 * m - 1.0) * (a + 2.0 * m), ua * (2.0 * a + 4.0 * m - 1.0)
            n, n1 = x * top / low, x * (top1 * low - top * low1) / (low * low)
            e, e1 = 1.0 + n * d, n1 * d + n * d1
            c1 = n1 / c - n * c1 / (c * c)
            c = 1.0 + n / c
            d = 1.0 / e
            d1 = -e1 * d * d
            h1 = h1 * c * d + h * (c1 * d + c * d1)
            h *= c * d
        if abs(h - old) <= 1e-15 * abs(h) and abs(h1 - old1) <= 1e-15 * abs(h1):
            break
    return h, h1


def kernel(begin, end, args):
    draws, alpha = ptr_{code}(args, 0), ptr_{code}(args, 1)
    totals, out = ptr_{code}(args, 2), ptr_{code}(args, 3)
    for i in range(begin, end):
        x, a = float64(load(draws, i)), float64(load(alpha, i))
        b = float64(load(totals, i)) - a
        if x <= 0.0 or x >= 1.0:
            value = 0.0
        elif x * (a + b + 2.0) <= a + 1.0:
            h, h1 = fraction(a, b, x, 1.0, 0.0)
            lead = math.log(x) - digamma_f64(a + 1.0) + digamma_f64(a + b)
            value = -x / a * (h * lead + h1)
        else:
            h, h1 = fraction(b, a, 1.0 - x, 0.0, 1.0)
            lead = math.log(x) - digamma_f64(a) + digamma_f64(a + b)
            value = x / b * (h * lead + h1)
        store0(out, i, {real}(value))
'''


def _launches(source: str, label: str):
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        spec = entry.reads[0]
        size = spec.dtype.itemsize
        places = [place(s, o, k) for s, o, k in
                  zip(entry.srcs, entry.offsets, entry.slots, strict=True)]
        words = [("address", p.memory, p.offset * size) for p in (*places, place(index, 0, -1))]
        text = source.replace("{code}", spec.dtype.code).replace("{real}", spec.dtype.numpy.name)
        return [Launch(text, words, spec.numel, 256, moved=len(words) * spec.nbytes,
                       origin=entry.origin, label=label)]

    return launches


def _no_second(name: str):
    def backward(node, grad):
        raise RuntimeError(f"the derivative for '{name}' is not implemented.")

    return backward


for _name, _source in (("_standard_gamma_grad", GAMMA_SOURCE), ("_dirichlet_grad", BETA_SOURCE)):
    composite(_name, _launches(_source, _name.strip("_")), _no_second(_name), kind=OPAQUE)
