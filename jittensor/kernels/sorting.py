"""Order of the last dim of a contiguous tensor: an opaque entry in, launches of radix sorts out.

`_sort_index` gives the stable order of each row as int64 indices. A value becomes a whole number
whose unsigned order is that of the values: NaN is the largest, both zeros are one number. Up to
four bytes, number and index are one 64-bit word; eight bytes are kept beside their index. Digits
of eight bits are sorted from the lowest on (Knuth, The Art of Computer Programming 3, 5.2.5).
Rows are shared among threads; few long rows are cut into pieces, counted and moved piece by piece.
"""

from __future__ import annotations

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite
from .gather import _address, places_of

BITS = {"b8": 8, "u8": 8, "i8": 8, "i16": 16, "f16": 16, "bf16": 16, "i32": 32, "f32": 32,
        "i64": 64, "f64": 64}
INFINITY = {"f16": 0x7C00, "bf16": 0x7F80, "f32": 0x7F800000, "f64": 0x7FF0000000000000}
POINTERS = {"f16": "i16", "bf16": "i16", "f32": "i32", "f64": "i64", "b8": "u8"}
MANY_ROWS, LONG = 8, 1 << 16     # fewer rows, of so many elements, are cut into pieces
PIECE, DIGITS = 1 << 15, 256     # elements of a piece at the least; values of a digit


def pointer_of(code: str) -> str:
    """The dtype as whose numbers a dtype's bits are read."""
    return POINTERS.get(code, code)


def key_lines(code: str) -> list[str]:
    """Statements that make `key`, in whose unsigned order the values are, of element `i` of
    `source`; `flip` has all bits set where the largest value comes first."""
    bits = BITS[code]
    sign = f"{1 << bits - 1:#x}" if bits < 64 else "(-0x7FFFFFFFFFFFFFFF - 1)"
    full = f"{(1 << bits) - 1:#x}" if bits < 64 else "-1"
    rest = f"{(1 << bits - 1) - 1:#x}"
    read = "key = int64(load(source, i))" + ("" if bits == 64 else f" & {full}")
    if code in ("b8", "u8"):
        return [read, "key = key ^ flip"]
    if code not in INFINITY:
        return [read, f"key = key ^ {sign} ^ flip"]
    return [read, f"size = key & {rest}", f"key = key ^ ({full} if key != size else {sign})",
            f"key = {sign} if size == 0 else key",
            f"key = {full} if size > {INFINITY[code]:#x} else key", "key = key ^ flip"]


def written(template: str, code: str, **fields) -> str:
    """A template with the dtype's statements in it; each stands alone on its line."""
    pair = BITS[code] == 64
    chosen = {
        "@key": key_lines(code),
        "@word": ["v = key"] if pair else ["v = (key << 32) | i"],
        "@pair": None if pair else [],
        "@packed": [] if pair else None,
    }
    lines: list[str] = []
    for line in template.splitlines():
        text = line.lstrip()
        indent = line[:len(line) - len(text)]
        name, _, rest = text.partition(" ")
        have = chosen.get(name)
        if name not in chosen:
            lines.append(line)
        elif have is None:
            lines.append(indent + rest)
        else:
            lines += [indent + part for part in have]
    out = "\n".join(lines) + "\n"
    for name, value in {"code": pointer_of(code), "shift0": 0 if pair else 32,
                        "places": BITS[code] // 8, "tile": BITS[code] // 8 * DIGITS,
                        **fields}.items():
        out = out.replace("{" + name + "}", str(value))
    return out


HEAD = '''from numba import int64, uint64
from jittensor.kernels.cpu.intrinsics import load, peek, poke, ptr_{code}, ptr_i64, shift
from jittensor.kernels.cpu.intrinsics import tile_i64, udiv, word


'''
ROWS = HEAD + '''def kernel(begin, end, args):
    x, out, spare = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_i64(args, 2)
    n, flip = word(args, 3), word(args, 4)
    counts = tile_i64({tile})
    other = shift(spare, begin * n)
    @pair keys = shift(spare, word(args, 5) + begin * n)
    @pair more = shift(spare, 2 * word(args, 5) + begin * n)
    for row in range(begin, end):
        source, target = shift(x, row * n), shift(out, row * n)
        @packed a, b = target, other
        @pair a, b = keys, more
        @pair p, q = target, other
        if n <= 32:
            for i in range(n):
                @key
                @word
                k = i
                while k > 0 and uint64(peek(a, k - 1)) > uint64(v):
                    poke(a, k, peek(a, k - 1))
                    @pair poke(p, k, peek(p, k - 1))
                    k -= 1
                poke(a, k, v)
                @pair poke(p, k, i)
        else:
            for i in range(n):
                @key
                @word
                poke(a, i, v)
                @pair poke(p, i, i)
            for d in range({tile}):
                poke(counts, d, 0)
            for i in range(n):
                v = peek(a, i)
                for place in range({places}):
                    at = place * 256 + ((v >> ({shift0} + 8 * place)) & 255)
                    poke(counts, at, peek(counts, at) + 1)
            for place in range({places}):
                s = {shift0} + 8 * place
                count = shift(counts, place * 256)
                if peek(count, (peek(a, 0) >> s) & 255) == n:
                    continue
                total = 0
                for d in range(256):
                    c = peek(count, d)
                    poke(count, d, total)
                    total += c
                for i in range(n):
                    v = peek(a, i)
                    d = (v >> s) & 255
                    at = peek(count, d)
                    poke(count, d, at + 1)
                    poke(b, at, v)
                    @pair poke(q, at, peek(p, i))
                a, b = b, a
                @pair p, q = q, p
        for i in range(n):
            @packed poke(target, i, peek(a, i) & 0xFFFFFFFF)
            @pair poke(target, i, peek(p, i))
'''
START = HEAD + '''def kernel(begin, end, args):
    source, out, spare = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_i64(args, 2)
    n, flip, state = word(args, 3), word(args, 4), ptr_i64(args, 5)
    @packed a = out
    @pair a = ptr_i64(args, 6)
    if begin == 0:
        poke(state, 0, 0)
    for at in range(begin, end):
        i = at
        @key
        i = at - udiv(at, n) * n
        @word
        poke(a, at, v)
        @pair poke(out, at, i)
'''
COUNT = HEAD + '''def kernel(begin, end, args):
    state, a, b, counts = ptr_i64(args, 0), ptr_i64(args, 1), ptr_i64(args, 2), ptr_i64(args, 3)
    n, s, pieces, piece = word(args, 4), word(args, 5), word(args, 6), word(args, 7)
    if begin < 0:
        idle = 1
        for row in range(word(args, 8)):
            total = 0
            for d in range(256):
                before = total
                for k in range(row * pieces, (row + 1) * pieces):
                    c = peek(counts, k * 256 + d)
                    poke(counts, k * 256 + d, total)
                    total += c
                if before < total < n or 0 < before < total:
                    idle = 0
        poke(state, 1, idle)
        return
    if peek(state, 0):
        a = b
    own = tile_i64(256)
    for item in range(begin, end):
        row = udiv(item, pieces)
        first = (item - row * pieces) * piece
        values = shift(a, row * n)
        for d in range(256):
            poke(own, d, 0)
        for i in range(first, min(n, first + piece)):
            d = (peek(values, i) >> s) & 255
            poke(own, d, peek(own, d) + 1)
        for d in range(256):
            poke(counts, item * 256 + d, peek(own, d))
'''
MOVE = HEAD + '''def kernel(begin, end, args):
    state, a, b, counts = ptr_i64(args, 0), ptr_i64(args, 1), ptr_i64(args, 2), ptr_i64(args, 3)
    n, s, pieces, piece = word(args, 4), word(args, 5), word(args, 6), word(args, 7)
    @pair p, q = ptr_i64(args, 8), ptr_i64(args, 9)
    if peek(state, 1):
        return
    if begin < 0:
        poke(state, 0, 1 - peek(state, 0))
        return
    if peek(state, 0):
        a, b = b, a
        @pair p, q = q, p
    own = tile_i64(256)
    for item in range(begin, end):
        row = udiv(item, pieces)
        first = (item - row * pieces) * piece
        values, target = shift(a, row * n), shift(b, row * n)
        @pair index, place = shift(p, row * n), shift(q, row * n)
        for d in range(256):
            poke(own, d, peek(counts, item * 256 + d))
        for i in range(first, min(n, first + piece)):
            v = peek(values, i)
            d = (v >> s) & 255
            at = peek(own, d)
            poke(own, d, at + 1)
            poke(target, at, v)
            @pair poke(place, at, peek(index, i))
'''
END = HEAD + '''def kernel(begin, end, args):
    state, out, b = ptr_i64(args, 0), ptr_i64(args, 1), ptr_i64(args, 2)
    moved = peek(state, 0)
    @pair if moved == 0:
    @pair     return
    a = b if moved else out
    for i in range(begin, end):
        @packed poke(out, i, peek(a, i) & 0xFFFFFFFF)
        @pair poke(out, i, peek(a, i))
'''


def sort_launches(graph, index: int, place) -> list[Launch]:
    """out[row] = the indices that put x[row] in stable order."""
    entry = graph.entries[index]
    (x,) = entry.reads
    (descending,) = entry.attrs
    code, n = x.dtype.code, x.shape[-1]
    rows = x.numel // n if n else 0
    a, out = (_address(p, size) for p, size in zip(places_of(entry, place, index),
                                                   (x.dtype.itemsize, 8), strict=True))
    flip = (-1 if BITS[code] == 64 else (1 << BITS[code]) - 1) if descending else 0
    if rows < MANY_ROWS and n >= LONG:
        return _pieces(entry, code, rows, n, a, out, flip)
    scratch = x.numel * 8 * (3 if BITS[code] == 64 else 1)
    words = [a, out, ("scratch", 0), n, flip, x.numel]
    return [Launch(written(ROWS, code), words, rows, max(1, (1 << 12) // max(1, n)),
                   scratch=scratch, moved=x.numel * (16 + x.dtype.itemsize), work=64 * x.numel,
                   origin=entry.origin, label="sort")]


def _pieces(entry, code: str, rows: int, n: int, x, out, flip: int) -> list[Launch]:
    """Few long rows: each digit is counted and moved in pieces that threads share. A state tells
    which of two buffers holds the numbers, and whether a digit is the same for all of them."""
    pair, total = BITS[code] == 64, rows * n
    pieces = min(64, -(-n // PIECE))
    piece = -(-n // pieces)
    state, spare, keys, more, counts = (
        ("scratch", at) for at in (0, 64, 64 + 8 * total, 64 + 16 * total,
                                   64 + 8 * total * (3 if pair else 1)))
    scratch = counts[1] + 8 * DIGITS * rows * pieces
    launches = []

    def launch(source: str, words: list, items: int, grain: int, finish: bool = False) -> None:
        launches.append(Launch(written(source, code), words, items, grain, finish, scratch,
                               moved=16 * total, origin=entry.origin, label="sort"))

    launch(START, [x, out, spare, n, flip, state, *([keys] if pair else [])], total, 1 << 13)
    buffers = [keys, more] if pair else [out, spare]
    for digit in range(BITS[code] // 8):
        words = [state, *buffers, counts, n, 8 * digit + (0 if pair else 32), pieces, piece]
        launch(COUNT, [*words, rows], rows * pieces, 1, True)
        launch(MOVE, [*words, *([out, spare] if pair else [])], rows * pieces, 1, True)
    launch(END, [state, out, spare], total, 1 << 13)
    return launches


composite("_sort_index", sort_launches, kind=OPAQUE)
