"""A generator and parameters, one an element, come in; gamma, Poisson and binomial draws go out.

Rejection takes a number of words that is known only afterwards, so these draws are loops over one
element after another: kernels that read words from a buffer and stop before the element for which
it is too short. The numbers are PyTorch's for the same seed, because each algorithm asks for
uniforms (of 53 bits) and normals (pairs, one kept for later) in the same order.

Gamma: Marsaglia and Tsang (2000). Poisson: products of uniforms below a rate of 10, else PTRS of
Hoermann, "The transformed rejection method for generating Poisson random variables" (1993).
Binomial: sums of geometric gaps below 10 expected successes, else BTRS of Hoermann, "The
generation of binomial random variates" (1993).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np

from .compile import kernel_address
from .mersenne_twister import MersenneWords

# state: [next word, words there are, 1 once they ran out, 1 when a normal is kept]; spare: [it]
_COMMON = '''import math

from numba import float32, float64, int64, njit
from jittensor.kernels.cpu.intrinsics import peek, poke, ptr_f32, ptr_f64, ptr_i64
from jittensor.kernels.cpu.special_math import lgamma_f64

@njit(error_model="numpy")
def unit(words, state):
    at = peek(state, 0)
    if at + 2 > peek(state, 1):
        poke(state, 2, 1)
        return 0.5
    poke(state, 0, at + 2)
    bits = ((peek(words, at) << 32) | peek(words, at + 1)) & 0x1FFFFFFFFFFFFF
    return float64(bits) * 1.1102230246251565e-16
'''

_DRIVE = '''

def kernel(begin, end, args):
    words, state, spare = ptr_i64(args, 0), ptr_i64(args, 1), ptr_f64(args, 2)
    first, second, out = ptr_{kind}(args, 3), ptr_{kind}(args, 4), ptr_{kind}(args, 5)
    for i in range(begin, end):
        at, kept, normal = peek(state, 0), peek(state, 3), peek(spare, 0)
        value = one(words, state, spare, peek(first, i), peek(second, i))
        if peek(state, 2):
            poke(state, 0, at)
            poke(state, 3, kept)
            poke(spare, 0, normal)
            poke(state, 4, i)
            return
        poke(out, i, {real}(value))
    poke(state, 4, end)
'''

_GAMMA = '''
@njit(error_model="numpy")
def normal(words, state, spare):
    if peek(state, 3):
        poke(state, 3, 0)
        return peek(spare, 0)
    angle = 2.0 * math.pi * unit(words, state)
    radius = math.sqrt(-2.0 * math.log1p(-unit(words, state)))
    poke(spare, 0, radius * math.sin(angle))
    poke(state, 3, 1)
    return radius * math.cos(angle)

@njit(error_model="numpy")
def one(words, state, spare, alpha, unused):
    if not alpha < {real}(math.inf):
        return float64(alpha)
    scale = 1.0
    if alpha < {real}(1):
        if alpha == {real}(0):
            return {least}
        scale = (1.0 - unit(words, state)) ** float64({real}(1) / alpha)
        alpha = {real}(alpha + {real}(1))
    d = float64({real}(alpha - {real}(float32(1) / float32(3))))
    c = 1.0 / math.sqrt(9.0 * d)
    while not peek(state, 2):
        x = normal(words, state, spare)
        y = 1.0 + c * x
        while y <= 0.0 and not peek(state, 2):
            x = normal(words, state, spare)
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - unit(words, state)
        xx = x * x
        if u < 1.0 - float64(float32(0.0331)) * xx * xx or math.log(u) < (
                0.5 * xx + d * (1.0 - v + math.log(v))):
            got = float64({real}(scale * d * v))
            return got if got > {least} else {least}
    return 0.0
'''

_POISSON = '''
@njit(error_model="numpy")
def large(words, state, rate):
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    narrow = 0.9277 - 3.6224 / (b - 2.0)
    while not peek(state, 2):
        u = unit(words, state) - 0.5
        v = unit(words, state)
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= narrow:
            return k
        if k < 0.0 or (us < 0.013 and v > us):
            continue
        if math.log(v) + math.log(inverse) - math.log(a / (us * us) + b) <= (
                -rate + k * math.log(rate) - lgamma_f64(k + 1.0)):
            return k
    return 0.0

@njit(error_model="numpy")
def one(words, state, spare, rate, unused):
    rate = float64(rate)
    if not rate < math.inf:
        return rate
    if rate >= 10.0:
        return large(words, state, rate)
    if rate <= 0.0:
        return 0.0
    limit, product, count = math.exp(-rate), 1.0, 0.0
    while not peek(state, 2):
        product *= unit(words, state)
        if product <= limit:
            return count
        count += 1.0
    return 0.0
'''

_BINOMIAL = '''
@njit(error_model="numpy")
def tail(k):
    if k <= 9.0:
        n = k + 1.0                  # log(k!) less Stirling's formula
        return (lgamma_f64(n) - (k + 0.5) * math.log(n) + n - 0.5 * math.log(2.0 * math.pi))
    square = (k + 1.0) * (k + 1.0)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1.0)

@njit(error_model="numpy")
def large(words, state, count, p):
    deviation = math.sqrt(float64({real}({real}(count * p) * {real}({real}(1) - p))))
    odds = float64({real}(p / {real}({real}(1) - p)))
    m = math.floor(float64({real}({real}(count + {real}(1)) * p)))
    centre = float64({real}(count * p)) + 0.5
    n, b = float64(count), 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * float64(p)
    narrow = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * deviation
    while not peek(state, 2):
        u = unit(words, state) - 0.5
        v = unit(words, state)
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + centre)
        if k < 0.0 or k > n:
            continue
        if us >= 0.07 and v <= narrow:
            return k
        v = math.log(v * alpha / (a / (us * us) + b))
        if v <= ((m + 0.5) * math.log((m + 1.0) / (odds * (n - m + 1.0)))
                 + (n + 1.0) * math.log((n - m + 1.0) / (n - k + 1.0))
                 + (k + 0.5) * math.log(odds * (n - k + 1.0) / (k + 1.0))
                 + tail(m) + tail(n - m) - tail(k) - tail(n - k)):
            return k
    return 0.0

@njit(error_model="numpy")
def small(words, state, count, p):
    scale, total, successes = float64({real}(math.log1p(-p))), 0.0, 0.0
    while not peek(state, 2):
        total += math.ceil(math.log(unit(words, state)) / scale)
        if total > float64(count):
            return successes
        successes += 1.0
    return 0.0

@njit(error_model="numpy")
def one(words, state, spare, count, p):
    if count <= {real}(0) or p <= {real}(0):
        return 0.0
    if p >= {real}(1):
        return float64(count)
    if p != p or not count < {real}(math.inf):
        return float64(count * p)
    rare = p if p <= {real}(0.5) else {real}({real}(1) - p)
    if {real}(count * rare) >= {real}(10):
        got = large(words, state, count, rare)
    else:
        got = small(words, state, count, rare)
    return got if p <= {real}(0.5) else float64(count) - got
'''


@cache
def _kernel(body: str, kind: str) -> Callable:
    """The machine code of a draw for float32 or float64 parameters."""
    real = {"f32": "float32", "f64": "float64"}[kind]
    least = repr(float(np.finfo(real).tiny))
    source = (_COMMON + body + _DRIVE).replace("{kind}", kind).replace("{real}", real).replace(
        "{least}", least)
    return ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(
        kernel_address(source))


def _draw(generator: MersenneWords, body: str, first: np.ndarray,
          second: np.ndarray | None = None, words: int = 8) -> np.ndarray:
    """Draws for each element of `first` (float32 or float64), about `words` words an element."""
    first = np.ascontiguousarray(first)
    second = first if second is None else np.ascontiguousarray(second)
    out = np.empty(first.shape, first.dtype)
    kernel = _kernel(body, "f64" if first.dtype == np.float64 else "f32")
    state, spare = np.zeros(5, np.int64), np.zeros(1)
    done, total = 0, first.size
    with generator.lock:
        while done < total:
            before, fresh = generator._bits.state, generator._untouched
            buffer = generator.words(min(1 << 18, words * (total - done) + 64))
            state[:] = (0, buffer.size, 0, generator.next_double is not None, done)
            spare[0] = generator.next_double or 0.0
            args = np.array([buffer.ctypes.data, state.ctypes.data, spare.ctypes.data,
                             first.ctypes.data, second.ctypes.data, out.ctypes.data], np.int64)
            kernel(done, total, args.ctypes.data)
            generator._bits.state = before
            generator._untouched = fresh
            generator.words(int(state[0]))
            generator.next_double = float(spare[0]) if state[3] else None
            words = 2 * words if int(state[4]) == done else words
            done = int(state[4])
    return out


def standard_gamma(generator: MersenneWords, alpha: np.ndarray) -> np.ndarray:
    """Gamma draws of shape `alpha` and rate 1; never below the least normal number."""
    return _draw(generator, _GAMMA, alpha)


def poisson(generator: MersenneWords, rate: np.ndarray) -> np.ndarray:
    """Poisson draws of the given rates, as floats."""
    peak = float(np.max(rate, initial=0.0))
    return _draw(generator, _POISSON, rate, words=int(min(24, 2 * peak + 6)))


def binomial(generator: MersenneWords, count: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Numbers of successes among `count` trials of probability `p`, as floats."""
    return _draw(generator, _BINOMIAL, count, p, words=12)


def dirichlet(generator: MersenneWords, alpha: np.ndarray) -> np.ndarray:
    """Points of the simplex along the last dim: gammas in float64, divided by their sum."""
    gammas = _draw(generator, _GAMMA, alpha.astype(np.float64))
    kind = alpha.dtype.type
    share = (gammas / gammas.sum(-1, keepdims=True)).astype(alpha.dtype)
    return np.clip(share, np.finfo(kind).tiny, np.nextafter(kind(1), kind(0)))
