"""Attention: an opaque entry in, the launch of a kernel that never writes the scores out.

`_attention` is softmax(query @ key.T * scale + mask) @ value for query [N, H, L, E], key
[N, H / ratio, S, E], value [N, H / ratio, S, Ev], the last dims of which lie together, and a mask
[N, H, L, S] of any strides, of truth values or of numbers. A block of queries is an item. It goes
through the keys by blocks and keeps for each query the largest score so far, and sums relative to
it (Milakov & Gimelshein 2018; Dao et al. 2022). Where nothing takes part the result is zero.
attrs: (causal, ratio, scale).
"""

from __future__ import annotations

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite

QUERIES = 64           # of an item
KEYS = {"f32": 128, "f64": 64}     # of a block
WIDEST = 256           # elements of a query

SOURCE = '''import numpy as np
from numba import {number}
from jittensor.kernels.cpu.convolution_tile import place_{code}, product1_{code}, product2_{code}
from jittensor.kernels.cpu.convolution_tile import product4_{code}, product8_{code}, turn_{code}
from jittensor.kernels.cpu.intrinsics import end_add_{code}, end_maximum_{code}, fword, load, peek
from jittensor.kernels.cpu.intrinsics import poke, ptr_{code}, ptr_{mask}, select, shift
from jittensor.kernels.cpu.intrinsics import start_add_{code}, start_maximum_{code}, store0
from jittensor.kernels.cpu.intrinsics import sweep_add_{code}, sweep_maximum_{code}, tile_{code}
from jittensor.kernels.cpu.intrinsics import udiv, word
from jittensor.kernels.cpu.recurrent_tile import again0
from jittensor.kernels.cpu.vector_math import exp_{code}


def kernel(begin, end, args):
    query, key, value, out = (ptr_{code}(args, 0), ptr_{code}(args, 1), ptr_{code}(args, 2),
                              ptr_{code}(args, 3))
    mask, scale = ptr_{mask}(args, 4), {number}(fword(args, 5))
    heads, many, keys, inner, wide = (word(args, 6), word(args, 7), word(args, 8), word(args, 9),
                                      word(args, 10))
    causal, ratio = word(args, 11), word(args, 12)
    qn, qh, ql = word(args, 13), word(args, 14), word(args, 15)
    kn, kh, kl = word(args, 16), word(args, 17), word(args, 18)
    vn, vh, vl = word(args, 19), word(args, 20), word(args, 21)
    mn, mh, ml, ms = word(args, 22), word(args, 23), word(args, 24), word(args, 25)
    scores, turned = tile_{code}({scores}), tile_{code}({turned})
    panel, lanes = tile_{code}({values}), tile_{code}({lanes})
    largest, sums = tile_{code}({queries}), tile_{code}({queries})
    blocks = udiv(many + {queries} - 1, {queries})
    zero, low = {number}(0), {number}(-np.inf)
    for item in range(begin, end):
        both = udiv(item, blocks)
        first = (item - both * blocks) * {queries}
        n = udiv(both, heads)
        h = both - n * heads
        hk = udiv(h, ratio)
        rows = min({queries}, many - first)
        q = shift(query, n * qn + h * qh + first * ql)
        o = shift(out, (both * many + first) * wide)
        for r in range(rows):
            poke(largest, r, low)
            poke(sums, r, zero)
        last = min(keys, first + rows) if causal else keys
        for begun in range(0, last, {keys}):
            count = min({keys}, last - begun)
            k = shift(key, n * kn + hk * kh + begun * kl)
            v = shift(value, n * vn + hk * vh + begun * vl)
            for c in range(0, count, {panel}):
                for e in range(0, inner, {vector}):
                    for i in range(0, {panel}, {vector}):
                        turn_{code}(shift(turned, e * {panel} + i), {panel},
                                    shift(k, (c + i) * kl + e), kl,
                                    min({vector}, max(0, count - c - i)), min({vector}, inner - e),
                                    {vector})
                r = 0
                while r < rows:
                    ahead = rows - r
                    size = 8 if ahead >= 8 else 4 if ahead >= 4 else 2 if ahead >= 2 else 1
                    if not causal or first + r + size > begun + c:
                        here, goal = shift(q, r * ql), shift(scores, r * {keys} + c)
                        half = shift(goal, {vector})
                        if size == 8:
                            product8_{code}(inner, here, ql, turned, goal, half, {keys}, 0, {all})
                        elif size == 4:
                            product4_{code}(inner, here, ql, turned, goal, half, {keys}, 0, {all})
                        elif size == 2:
                            product2_{code}(inner, here, ql, turned, goal, half, {keys}, 0, {all})
                        else:
                            product1_{code}(inner, here, ql, turned, goal, half, {keys}, 0, {all})
                    r += size
            for r in range(rows):
                row = shift(scores, r * {keys})
                known = max(0, min(count, first + r + 1 - begun)) if causal else count
                full = udiv(count + {lanes} - 1, {lanes}) * {lanes}
{masked}
                start_maximum_{code}(lanes)
                sweep_maximum_{code}(lanes, row, full)
                before = peek(largest, r)
                top = max(before, end_maximum_{code}(lanes))
                base = zero if top == low else top
                for j in range(full):
                    poke(row, j, exp_{code}(peek(row, j) - base))
                start_add_{code}(lanes)
                sweep_add_{code}(lanes, row, full)
                share = exp_{code}(before - base)
                poke(sums, r, peek(sums, r) * share + end_add_{code}(lanes))
                poke(largest, r, top)
                if begun and share != 1:
                    line = shift(o, r * wide)
                    for e in range(wide):
                        poke(line, e, peek(line, e) * share)
            for c in range(0, wide, {panel}):
                columns = min({panel}, wide - c)
                have = (1 << columns) - 1
                for j in range(count):
                    for i in range(0, {panel}, {vector}):
                        place_{code}(shift(panel, j * {panel} + i), shift(v, j * vl + c + i),
                                     {ones}, have >> i)
                r = 0
                old = have if begun else 0
                while r < rows:
                    ahead = rows - r
                    size = 8 if ahead >= 8 else 4 if ahead >= 4 else 2 if ahead >= 2 else 1
                    reach = max(0, min(count, first + r + size - begun)) if causal else count
                    here, goal = shift(scores, r * {keys}), shift(o, r * wide + c)
                    half = shift(goal, {vector})
                    if size == 8:
                        product8_{code}(reach, here, {keys}, panel, goal, half, wide, old, have)
                    elif size == 4:
                        product4_{code}(reach, here, {keys}, panel, goal, half, wide, old, have)
                    elif size == 2:
                        product2_{code}(reach, here, {keys}, panel, goal, half, wide, old, have)
                    else:
                        product1_{code}(reach, here, {keys}, panel, goal, half, wide, old, have)
                    r += size
        for r in range(rows):
            total = peek(sums, r)
            share = zero if total == zero else 1 / total
            line = shift(o, r * wide)
            for e in range(wide):
                poke(line, e, peek(line, e) * share)
'''
MASKS = {
    "": '''\
for j in range(full):
    poke(row, j, select(j < known, peek(row, j) * scale, low))''',
    "b8": '''\
taken = shift(mask, n * mn + h * mh + (first + r) * ml + begun * ms)
for j in range(known):
    poke(row, j, select(load(taken, j * ms) != 0, peek(row, j) * scale, low))
for j in range(known, full):
    poke(row, j, low)''',
    "number": '''\
added = shift(mask, n * mn + h * mh + (first + r) * ml + begun * ms)
if ms == 1:
    for j in range(known):
        poke(row, j, peek(row, j) * scale + load(added, j))
else:
    for j in range(known):
        poke(row, j, peek(row, j) * scale + load(added, j * ms))
for j in range(known, full):
    poke(row, j, low)''',
}


def _source(code: str, mask: str) -> str:
    from .cpu.convolution_tile import LANES as VECTOR
    from .cpu.convolution_tile import PANEL
    from .cpu.lanes import LANES
    keys, panel = KEYS[code], PANEL[code]
    text = MASKS[mask if mask in ("", "b8") else "number"]
    return SOURCE.format(
        code=code, number={"f32": "float32", "f64": "float64"}[code], mask=mask or code,
        scores=QUERIES * keys, turned=(WIDEST + VECTOR[code]) * panel, values=keys * panel,
        lanes=LANES[code], queries=QUERIES, keys=keys, panel=panel, vector=VECTOR[code],
        all=(1 << panel) - 1, ones=(1 << VECTOR[code]) - 1,
        masked="\n".join(" " * 16 + line for line in text.split("\n")))


def launches(graph, index: int, place) -> list[Launch]:
    """The launch of one attention."""
    entry = graph.entries[index]
    query, key, value, *mask = entry.reads
    causal, ratio, scale = entry.attrs
    code = query.dtype.code
    heads, many, inner = query.shape[1:]
    keys, wide = value.shape[2:]
    places = [place(s, o, k) for s, o, k in zip(entry.srcs, entry.offsets, entry.slots,
                                                strict=True)]
    words = [("address", p.memory, p.offset * r.dtype.itemsize)
             for p, r in zip(places, entry.reads, strict=True)]
    to = place(index, 0, -1)
    target = ("address", to.memory, to.offset * entry.spec.dtype.itemsize)
    strides = mask[0].strides if mask else (0,) * 4
    total = query.shape[0] * heads * -(-many // QUERIES)
    work = query.shape[0] * heads * many * keys * (inner + wide) // (1 + causal)
    return [Launch(_source(code, mask[0].dtype.code if mask else ""), [
        *words[:3], target, words[3] if mask else target, ("const", "f", scale), heads, many, keys,
        inner, wide, int(causal), ratio, *query.strides[:3], *key.strides[:3],
        *value.strides[:3], *strides],
        total, max(1, (1 << 18) * total // max(1, work)),
        moved=entry.spec.nbytes + sum(r.nbytes for r in entry.reads), work=2 * work,
        origin=entry.origin, label="attention")]


composite("_attention", launches, kind=OPAQUE)
