"""The k first of each row in order, or the k-th: an opaque entry in, launches of selections out.

Rows are the last dim of a contiguous tensor; results are int64 indices. Values become the numbers
of `sorting`, whose digits of 11 bits are counted from the highest on: the digit that holds the
k-th number is followed until few candidates are left, and only those are sorted. Where values are
equal, which of their indices are given is found by `library_order`; the median takes them in turn.
"""

from __future__ import annotations

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite
from .gather import _address, places_of
from .library_order import order_kernel
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
FEW = '''        left = k
{follow}        m, equal = 0, 0
        limit = uint64(want)
        for i in range(n):
            v = peek(keys, i) & mask
            if uint64(v) <= limit:
                if v == want:
                    equal += 1
                    if s == 0 and equal > left:
                        tied = 1
                        continue
                @packed poke(few, m, (peek(keys, i) << 32) | i)
                @pair poke(few, m, i)
                m += 1
        for first in range(0, m, 16):
            for i in range(first + 1, min(m, first + 16)):
                v = peek(few, i)
                @packed rank = uint64(v)
                @pair rank = uint64(peek(keys, v))
                j = i
                @packed while j > first and uint64(peek(few, j - 1)) > rank:
                @pair while j > first and uint64(peek(keys, peek(few, j - 1))) > rank:
                    poke(few, j, peek(few, j - 1))
                    j -= 1
                poke(few, j, v)
        values, other = few, more
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
        for i in range(min(m, k + 1)):
            at = peek(values, i)
            @packed at = at & 0xFFFFFFFF
            if i < k:
                poke(target, i, at)
            if i > 0 and peek(keys, at) == before:
                tied = 1
            before = peek(keys, at)
'''
TOP = HEAD + '''def kernel(begin, end, args):
    x, out, spare = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_i64(args, 2)
    n, flip, k = word(args, 3), word(args, 4), word(args, 5)
    counts, few, more = tile_i64(2048), tile_i64({room}), tile_i64({room})
    keys = shift(spare, begin * n)
    for row in range(begin, end):
        source, target = shift(x, row * n), shift(out, row * k)
        for i in range(n):
            @key
            poke(keys, i, key)
        tied, before = 0, 0
{few}        poke(spare, word(args, 6) + row * n, -tied)
        keys = shift(keys, n)
'''
KTH = HEAD + '''def kernel(begin, end, args):
    x, out, spare = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_i64(args, 2)
    n, flip, k, how = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    counts = tile_i64(2048)
    for row in range(begin, end):
        source, keys = shift(x, row * n), shift(spare, row * n)
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
{follow}        tied = how == 0 and count > 1
        poke(spare, word(args, 7) + row * n, -1 if tied else 0)
        i = 0
        while left > 0:
            left -= 1 if (peek(keys, i) & mask) == want else 0
            i += 1
        poke(out, row, i - 1)
'''
KEYS = HEAD + '''def kernel(begin, end, args):
    x, spare, n, flip = ptr_{code}(args, 0), ptr_i64(args, 2), word(args, 3), word(args, 4)
    for row in range(begin, end):
        source, keys = shift(x, row * n), shift(spare, row * n)
        for i in range(n):
            @key
            poke(keys, i, -1 if {apart} and key == {full} else key)
        poke(keys, word(args, 5), -1)
'''
HOW = {"kth": 0, "median": 1, "nanmedian": 2}


def _full(code: str) -> str:
    """The largest number of a dtype, which is that of NaN."""
    return "-1" if BITS[code] == 64 else str((1 << BITS[code]) - 1)


def _launches(entry, place, index: int, source: str, more: list, flip: bool, label: str,
              equals: tuple | None) -> list[Launch]:
    """A launch of the source and one that settles the rows in which values are equal: its source,
    k and whether order is wanted."""
    (x,) = entry.reads
    n = x.shape[-1]
    rows = x.numel // n if n else 0
    a, out = (_address(p, size) for p, size in zip(places_of(entry, place, index),
                                                   (x.dtype.itemsize, 8), strict=True))
    keys = ("scratch", 0)
    steps = [(source, [a, out, keys, n, int(_full(x.dtype.code)) if flip else 0, *more, x.numel])]
    if equals is not None:
        steps.append((equals[0], [keys, out, n, *equals[1:], x.numel]))
    return [Launch(source, words, rows, max(1, (1 << 12) // max(1, n)), scratch=16 * x.numel,
                   moved=x.numel * x.dtype.itemsize, work=16 * x.numel, origin=entry.origin,
                   label=label) for source, words in steps]


def top_launches(graph, index: int, place) -> list[Launch]:
    """out[row] = the indices of the k first values of x[row], in order unless that is not asked
    for and PyTorch leaves it at a selection."""
    entry = graph.entries[index]
    k, largest, in_order = entry.attrs
    (x,) = entry.reads
    code, n = x.dtype.code, x.shape[-1]
    equals = order_kernel("top"), k, int(in_order)
    if k > min(MOST, n // 4) or not (in_order or k * 64 <= n):
        source = written(KEYS, code, apart=False, full=_full(code))
        return _launches(entry, place, index, source, [], largest, "topk", equals)
    few = FEW.replace("{follow}", FOLLOW.format(
        bits=BITS[code], enough=f"taken + count <= k + {SLACK}"))
    source = written(TOP.replace("{few}", few), code, room=MOST + SLACK)
    return _launches(entry, place, index, source, [k], largest, "topk", equals)


def kth_launches(graph, index: int, place) -> list[Launch]:
    """out[row] = the index of the k-th smallest value, or of the median, of x[row]."""
    entry = graph.entries[index]
    how, k = entry.attrs
    code = entry.reads[0].dtype.code
    follow = FOLLOW.format(bits=BITS[code], enough="count == 1")
    source = written(KTH.replace("{follow}", follow), code, floating=code in INFINITY,
                     full=_full(code))
    equals = (order_kernel("kth"), k, 1) if how == "kth" else None
    return _launches(entry, place, index, source, [k, HOW[how]], False, how, equals)


def mode_launches(graph, index: int, place) -> list[Launch]:
    """out[row] = an index of the most frequent value of x[row], the smallest of equals; a NaN
    equals no other."""
    entry = graph.entries[index]
    code = entry.reads[0].dtype.code
    nan = code in INFINITY
    source = written(KEYS, code, apart=nan, full=_full(code))
    return _launches(entry, place, index, source, [], False, "mode",
                     (order_kernel("mode", nan), 1, 1))


composite("_top_index", top_launches, kind=OPAQUE)
composite("_kth_index", kth_launches, kind=OPAQUE)
composite("_mode_index", mode_launches, kind=OPAQUE)
