"""The k first of each row in order, or the k-th: an opaque entry in, launches of selections out.

Rows are the last dim of a contiguous tensor; results are int64 indices. Values become the numbers
of `sorting`, whose digits of 11 bits are counted from the highest on: the digit that holds the
k-th number is followed until few candidates are left, and only those are sorted. Of equal values
the first ones are taken.
"""

from __future__ import annotations

from ..compiler.lower import Launch
from ..graph.ops import OPAQUE, composite
from .gather import _address, places_of
from .sorting import BITS, HEAD, INFINITY, written

MOST, SLACK = 512, 64     # the largest k that is selected; candidates beyond k that are sorted too

FOLLOW = '''        taken, mask, want, s = 0, 0, 0, {bits}
        while s > 0:
            w = min(11, s)
            s -= w
            for d in range(1 << w):
                poke(counts, d, 0)
            for i in range(n):
                key = peek(keys, i)
                if (key & mask) == want:
                    d = (key >> s) & ((1 << w) - 1)
                    poke(counts, d, peek(counts, d) + 1)
            d = 0
            count = peek(counts, 0)
            while count < left:
                left -= count
                taken += count
                d += 1
                count = peek(counts, d)
            want |= d << s
            mask |= ((1 << w) - 1) << s
            if {enough}:
                break
'''
TOP = HEAD + '''def kernel(begin, end, args):
    x, out, spare = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_i64(args, 2)
    n, flip, k = word(args, 3), word(args, 4), word(args, 5)
    counts, a, b = tile_i64(2048), tile_i64({room}), tile_i64({room})
    keys = shift(spare, begin * n)
    for row in range(begin, end):
        source, target = shift(x, row * n), shift(out, row * k)
        for i in range(n):
            @key
            poke(keys, i, key)
        left = k
{follow}        m, equal = 0, 0
        limit = uint64(want)
        for i in range(n):
            v = peek(keys, i) & mask
            if uint64(v) <= limit:
                if v == want:
                    equal += 1
                    if s == 0 and equal > left:
                        continue
                @packed poke(a, m, (peek(keys, i) << 32) | i)
                @pair poke(a, m, i)
                m += 1
        for first in range(0, m, 16):
            for i in range(first + 1, min(m, first + 16)):
                v = peek(a, i)
                @packed rank = uint64(v)
                @pair rank = uint64(peek(keys, v))
                j = i
                @packed while j > first and uint64(peek(a, j - 1)) > rank:
                @pair while j > first and uint64(peek(keys, peek(a, j - 1))) > rank:
                    poke(a, j, peek(a, j - 1))
                    j -= 1
                poke(a, j, v)
        values, other = a, b
        size = 16
        while size < m:
            for first in range(0, m, 2 * size):
                i, middle = first, min(m, first + size)
                j, last = middle, min(m, first + 2 * size)
                for at in range(first, last):
                    low, high = peek(values, min(i, m - 1)), peek(values, min(j, m - 1))
                    @packed later = uint64(high) < uint64(low)
                    @pair later = uint64(peek(keys, high)) < uint64(peek(keys, low))
                    if j < last and (i >= middle or later):
                        poke(other, at, high)
                        j += 1
                    else:
                        poke(other, at, low)
                        i += 1
            values, other = other, values
            size *= 2
        for i in range(k):
            @packed poke(target, i, peek(values, i) & 0xFFFFFFFF)
            @pair poke(target, i, peek(values, i))
'''
KTH = HEAD + '''def kernel(begin, end, args):
    x, out, spare = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_i64(args, 2)
    n, flip, k, how = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    counts = tile_i64(2048)
    keys = shift(spare, begin * n)
    for row in range(begin, end):
        source = shift(x, row * n)
        for i in range(n):
            @key
            poke(keys, i, key)
        lost = 0
        if {floating} and how > 0:
            for i in range(n):
                lost += 1 if peek(keys, i) == {full} else 0
        left = k
        if how == 1:
            left = n - lost + 1 if lost else udiv(n - 1, 2) + 1
        elif how == 2:
            left = udiv(max(n - lost - 1, 0), 2) + 1
{follow}        i = 0
        while left > 0:
            left -= 1 if (peek(keys, i) & mask) == want else 0
            i += 1
        poke(out, row, i - 1)
'''
HOW = {"kth": 0, "median": 1, "nanmedian": 2}


def _launch(entry, place, index: int, source: str, more: list, flip: bool, label: str) -> Launch:
    (x,) = entry.reads
    n, bits = x.shape[-1], BITS[x.dtype.code]
    rows = x.numel // n if n else 0
    a, out = (_address(p, size) for p, size in zip(places_of(entry, place, index),
                                                   (x.dtype.itemsize, 8), strict=True))
    full = -1 if bits == 64 else (1 << bits) - 1
    return Launch(source, [a, out, ("scratch", 0), n, full if flip else 0, *more], rows,
                  max(1, (1 << 12) // max(1, n)), scratch=8 * x.numel,
                  moved=x.numel * x.dtype.itemsize, work=16 * x.numel, origin=entry.origin,
                  label=label)


def top_launches(graph, index: int, place) -> list[Launch]:
    """out[row] = the indices of the k first values of x[row], in order."""
    entry = graph.entries[index]
    k, largest = entry.attrs
    code = entry.reads[0].dtype.code
    follow = FOLLOW.format(bits=BITS[code], enough=f"taken + count <= k + {SLACK}")
    source = written(TOP.replace("{follow}", follow), code, room=MOST + SLACK)
    return [_launch(entry, place, index, source, [k], largest, "topk")]


def kth_launches(graph, index: int, place) -> list[Launch]:
    """out[row] = the index of the k-th smallest value, or of the median, of x[row]."""
    entry = graph.entries[index]
    how, k = entry.attrs
    code = entry.reads[0].dtype.code
    follow = FOLLOW.format(bits=BITS[code], enough="count == 1")
    source = written(KTH.replace("{follow}", follow), code, floating=code in INFINITY,
                     full=-1 if BITS[code] == 64 else (1 << BITS[code]) - 1)
    return [_launch(entry, place, index, source, [k, HOW[how]], False, how)]


composite("_top_index", top_launches, kind=OPAQUE)
composite("_kth_index", kth_launches, kind=OPAQUE)
