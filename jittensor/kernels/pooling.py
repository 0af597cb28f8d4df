"""Pooling: opaque entries in, launches of kernels over rows of windows out.

`_max_pool` are the maxima of windows, `_max_places` the places of those in their planes, and
`_max_pool_back` the gradient of the first, which finds the places again instead of keeping them.
`_avg_pool` and `_avg_pool_back` are the means and their gradient. Signals are contiguous, of one to
three dims; missing ones count as dims of size 1 in front. All sizes are words. Padding is never
looked at. Of equal maxima the first counts, a NaN counts as the largest, the last of several.
attrs: (kernel, stride, padding, dilation, windows), for the backward ones then the size; for
means the mode of the divisor (0: a number, 1: padding counts, 2: it does not) comes last.
"""

from __future__ import annotations

from math import prod

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite

STRIP = 512            # windows of a row at a time
PLANES = 16            # planes from which on each is an item

HEAD = '''from numba import {number}, int32, int64
from jittensor.kernels.cpu.intrinsics import load, peek, poke, ptr_{code}, ptr_i64, select, shift
from jittensor.kernels.cpu.intrinsics import store0, tile_{code}, tile_i32, udiv, word
from jittensor.kernels.cpu.recurrent_tile import again0


def kernel(begin, end, args):
    x, out, grad = ptr_{code}(args, 0), ptr_{kind}(args, 1), ptr_{code}(args, 2)
    rows = word(args, 3)
    c0, c1, c2 = word(args, 4), word(args, 5), word(args, 6)
    n0, n1, n2 = word(args, 7), word(args, 8), word(args, 9)
    k0, k1, k2 = word(args, 10), word(args, 11), word(args, 12)
    s0, s1, s2 = word(args, 13), word(args, 14), word(args, 15)
    p0, p1, p2 = word(args, 16), word(args, 17), word(args, 18)
    d0, d1, d2 = word(args, 19), word(args, 20), word(args, 21)
    size, mode, number = n0 * n1 * n2, word(args, 22), {number}(word(args, 23))
    best, where = tile_{code}({strip}), tile_i32({strip})
    for item in range(begin * rows, end * rows):
        plane = udiv(item, c0 * c1)
        row = item - plane * c0 * c1
        j0 = udiv(row, c1)
        i0, i1 = j0 * s0 - p0, (row - j0 * c1) * s1 - p1
{start}
        for first in range(0, c2, {strip}):
            count = min({strip}, c2 - first)
{begin}
            for m0 in range(k0):
                x0 = i0 + m0 * d0
                if x0 < 0 or x0 >= n0:
                    continue
                for m1 in range(k1):
                    x1 = i1 + m1 * d1
                    if x1 < 0 or x1 >= n1:
                        continue
                    for m2 in range(k2):
                        # the windows whose place m2 lies in the signal, not in its padding
                        at = m2 * d2 - p2 + first * s2
                        low = udiv(s2 - 1 - at, s2) if at < 0 else 0
                        high = min(count, udiv(n2 - 1 - at, s2) + 1) if at < n2 else 0
                        base = (x0 * n1 + x1) * n2 + at
                        source = shift(x, plane * size + base)
                        if s2 == 1:
                            for j in range(low, high):
{one}
                        elif s2 == 2:
                            for j in range(low, high):
{two}
                        else:
                            for j in range(low, high):
{any}
{finish}
'''
MAX = '''\
v = load(source, {at})
b = again0(goal, j)
store0(goal, j, select((v > b) | (v != v), v, b))'''
PLACE = '''\
v = load(source, {at})
b, w = peek(best, j), peek(where, j)
take = (v > b) | (v != v) | (w < 0)
poke(best, j, select(take, v, b))
poke(where, j, select(take, int32(base + {at}), w))'''
SUM = '''\
store0(goal, j, again0(goal, j) + load(source, {at}))'''
SPREAD = '''\
poke(source, {at}, peek(source, {at}) + peek(best, j))'''
LOWEST = '''\
for j in range(count):
    poke(best, j, {number}(-np.inf))
    poke(where, j, int32(-1))'''
GOAL = '''\
goal = shift(out, item * c2 + first)
for j in range(count):
    store0(goal, j, {number}({value}))'''
STORE_PLACES = '''\
for j in range(count):
    poke(out, item * c2 + first + j, int64(peek(where, j)))'''
SCATTER = '''\
for j in range(count):
    to = plane * size + int64(peek(where, j))
    poke(out, to, peek(out, to) + peek(grad, item * c2 + first + j))'''
ZEROS = '''\
if row == 0:
    for j in range(size):
        poke(out, plane * size + j, {number}(0))'''
# the divisor of window j: the number given, or the elements it has, padding counted or not
DIVIDE = '''\
top, end0, end1 = p2 if mode == 1 else 0, min(i0 + k0, n0 + p0), min(i1 + k1, n1 + p1)
area = (end0 - i0) * (end1 - i1)
if mode == 2:
    area = (min(end0, n0) - max(i0, 0)) * (min(end1, n1) - max(i1, 0))
for j in range(count):
    i2 = (first + j) * s2 - p2
    width = min(i2 + k2, n2 + top) - (i2 if mode == 1 else max(i2, 0))
    share = number if mode == 0 else {number}(area * width)
    {write}'''


def _indented(text: str, depth: int) -> str:
    return "\n".join(" " * depth + line for line in text.split("\n"))


def _source(code: str, kind: str, step: str, **parts: str) -> str:
    number = {"f32": "float32", "f64": "float64"}[code]
    filled = {name: parts.get(name, "").replace("{number}", number)
              for name in ("start", "begin", "finish")}
    places = {"one": "j", "two": "2 * j", "any": "j * s2"}
    text = HEAD.format(
        code=code, kind=kind, number=number, strip=STRIP,
        **{name: _indented(part, 8 if name == "start" else 12) for name, part in filled.items()},
        **{name: _indented(step.replace("{at}", at), 32) for name, at in places.items()})
    text = "\n".join(line for line in text.split("\n") if line.strip() or not line)
    return text.replace("from numba", "import numpy as np\nfrom numba", 1)


def _three(values, fill: int) -> list[int]:
    return [fill] * (3 - len(values)) + [int(v) for v in values]


def _launch(graph, index: int, place, text: str, size, whole: bool, mode: int = 0,
            divisor: int = 1) -> list[Launch]:
    """The launch over planes (N, C): each an item, or each row of windows unless `whole`."""
    entry = graph.entries[index]
    kernel, stride, padding, dilation, number = entry.attrs[:5]
    places = [place(s, o, k) for s, o, k in zip(entry.srcs, entry.offsets, entry.slots,
                                                strict=True)]
    words = [("address", p.memory, p.offset * r.dtype.itemsize)
             for p, r in zip(places, entry.reads, strict=True)]
    to = place(index, 0, -1)
    target = ("address", to.memory, to.offset * entry.spec.dtype.itemsize)
    x, grad = (words[0], words[-1]) if text.count("peek(grad") and len(words) > 1 else (
        words[0], words[0])
    counts = _three(number, 1)
    planes = entry.reads[0].shape[0] * entry.reads[0].shape[1]
    rows = counts[0] * counts[1] if whole or planes >= PLANES else 1
    total = planes * counts[0] * counts[1] // rows
    cost = rows * counts[2] * prod(kernel)
    launch = Launch(text, [x, target, grad, rows, *counts, *_three(size, 1), *_three(kernel, 1),
                           *_three(stride, 1), *_three(padding, 0), *_three(dilation, 1), mode,
                           divisor], total, max(1, (1 << 15) // max(1, cost)),
                    moved=entry.spec.nbytes + sum(r.nbytes for r in entry.reads),
                    origin=entry.origin, label=entry.op.name.strip("_"))
    if not whole and rows > 1:
        launch.run, launch.result = rows * counts[2], target[1:]
    return [launch]


def max_launches(graph, index: int, place) -> list[Launch]:
    """(N, C, *size) to (N, C, *windows)."""
    entry = graph.entries[index]
    code = entry.spec.dtype.code
    text = _source(code, code, MAX, begin=GOAL.replace("{value}", "-np.inf"))
    return _launch(graph, index, place, text, entry.reads[0].shape[2:], False)


def place_launches(graph, index: int, place) -> list[Launch]:
    """(N, C, *size) to int64 (N, C, *windows)."""
    entry = graph.entries[index]
    text = _source(entry.reads[0].dtype.code, "i64", PLACE, begin=LOWEST, finish=STORE_PLACES)
    return _launch(graph, index, place, text, entry.reads[0].shape[2:], False)


def max_back_launches(graph, index: int, place) -> list[Launch]:
    """(N, C, *size), (N, C, *windows) to (N, C, *size)."""
    entry = graph.entries[index]
    code = entry.spec.dtype.code
    text = _source(code, code, PLACE, start=ZEROS, begin=LOWEST, finish=SCATTER)
    return _launch(graph, index, place, text, entry.spec.shape[2:], True)


def avg_launches(graph, index: int, place) -> list[Launch]:
    """(N, C, *size) to (N, C, *windows)."""
    entry = graph.entries[index]
    code, (mode, divisor) = entry.spec.dtype.code, entry.attrs[-2:]
    text = _source(code, code, SUM, begin=GOAL.replace("{value}", "0"), finish=DIVIDE.replace(
        "{write}", "store0(goal, j, again0(goal, j) / share)"))
    return _launch(graph, index, place, text, entry.reads[0].shape[2:], False, mode, divisor)


def avg_back_launches(graph, index: int, place) -> list[Launch]:
    """(N, C, *windows) to (N, C, *size)."""
    entry = graph.entries[index]
    code, (mode, divisor) = entry.spec.dtype.code, entry.attrs[-2:]
    text = _source(code, code, SPREAD, start=ZEROS, begin=DIVIDE.replace(
        "{write}", "poke(best, j, peek(grad, item * c2 + first + j) / share)"))
    text = text.replace("source = shift(x,", "source = shift(out,")
    return _launch(graph, index, place, text, entry.spec.shape[2:], True, mode, divisor)


composite("_max_pool", max_launches, kind=OPAQUE)
composite("_max_places", place_launches, kind=OPAQUE)
composite("_max_pool_back", max_back_launches, kind=OPAQUE)
composite("_avg_pool", avg_launches, kind=OPAQUE)
composite("_avg_pool_back", avg_back_launches, kind=OPAQUE)
