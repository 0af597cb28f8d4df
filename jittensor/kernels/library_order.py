"""Numbers in, the order that C++'s standard library brings them into out: source of functions.

PyTorch selects and sorts with `nth_element`, `partial_sort` and `sort`, and its `kthvalue` with a
quickselect. They are not stable: which of equal values comes first follows from the steps taken,
so the same steps are taken here. Introselect and introsort: Musser, "Introspective sorting and
selection algorithms" (1997), with the median of three as pivot and insertion below 4 and 17
elements; quickselect: Press et al., Numerical Recipes 8.5.

Each function is called from one place, so that little is compiled.

`a` holds whole numbers, compared without sign, `p` what moves along with each. Kernels compile
the source; the reference backend runs it on lists.
"""

from __future__ import annotations

SOURCE = '''

@njit(error_model="numpy")
def less(x, y):
    return uint64(x) < uint64(y){unordered}


@njit(error_model="numpy")
def put(a, p, i, j):
    poke(a, i, peek(a, j))
    poke(p, i, peek(p, j))


@njit(error_model="numpy")
def swap(a, p, i, j):
    x, place = peek(a, i), peek(p, i)
    put(a, p, i, j)
    poke(a, j, x)
    poke(p, j, place)


@njit(error_model="numpy")
def insert(a, p, first, last):
    for i in range(first + 1, last):
        x, place, j = peek(a, i), peek(p, i), i
        least = i - first < 16 and less(x, peek(a, first))
        while j > first and (least or less(x, peek(a, j - 1))):
            put(a, p, j, j - 1)
            j -= 1
        poke(a, j, x)
        poke(p, j, place)


@njit(error_model="numpy")
def parted(a, p, first, last):
    low, high = peek(a, first + 1), peek(a, last - 1)
    at = first + ((last - first) >> 1)
    middle = peek(a, at)
    if less(low, middle):
        if not less(middle, high):
            at = last - 1 if less(low, high) else first + 1
    elif less(low, high):
        at = first + 1
    elif less(middle, high):
        at = last - 1
    swap(a, p, first, at)
    pivot = peek(a, first)
    i, j = first + 1, last
    while True:
        while less(peek(a, i), pivot){low}:
            i += 1
        j -= 1
        while less(pivot, peek(a, j)){high}:
            j -= 1
        if i >= j:
            return i
        swap(a, p, i, j)
        i += 1


@njit(error_model="numpy")
def sift(a, p, first, hole, n, x, place):
    top, child = hole, hole
    while child < (n - 1) >> 1:
        child = 2 * child + 2
        if less(peek(a, first + child), peek(a, first + child - 1)):
            child -= 1
        put(a, p, first + hole, first + child)
        hole = child
    if n & 1 == 0 and child == (n - 2) >> 1:
        put(a, p, first + hole, first + 2 * child + 1)
        hole = 2 * child + 1
    parent = (hole - 1) >> 1
    while hole > top and less(peek(a, first + parent), x):
        put(a, p, first + hole, first + parent)
        hole = parent
        parent = (hole - 1) >> 1
    poke(a, first + hole, x)
    poke(p, first + hole, place)


@njit(error_model="numpy")
def heap(a, p, first, middle, last, in_order):
    n = middle - first
    inner, outer = n >> 1, last - middle
    for step in range(inner + outer + (n - 1 if in_order else 0)):
        at = max(inner - 1 - step, 0)
        i = first + at
        if step >= inner + outer:
            n -= 1
            i = first + n
        elif step >= inner:
            i = middle + step - inner
            if not less(peek(a, i), peek(a, first)):
                continue
        x, place = peek(a, i), peek(p, i)
        put(a, p, i, first + at)
        sift(a, p, first, at, n, x, place)


@njit(error_model="numpy")
def depth(n):
    twice = 0
    while n > 1:
        n >>= 1
        twice += 2
    return twice


@njit(error_model="numpy")
def arranged(a, p, stack, first, last, nth, part):
    sorting = nth < 0
    poke(stack, 0, first)
    poke(stack, 1, last)
    poke(stack, 2, 0 if part else depth(last - first))
    top, low, high = 3, first, last
    while top > 0:
        top -= 3
        low, high, left = peek(stack, top), peek(stack, top + 1), peek(stack, top + 2)
        while high - low > (16 if sorting else 3):
            if left == 0:
                heap(a, p, low, part if part else (high if sorting else nth + 1), high, sorting)
                if not sorting:
                    swap(a, p, low, nth)
                low = high
                break
            left -= 1
            cut = parted(a, p, low, high)
            if sorting:
                poke(stack, top, cut)
                poke(stack, top + 1, high)
                poke(stack, top + 2, left)
                top += 3
            if sorting or cut > nth:
                high = cut
            else:
                low = cut
    if part == 0:
        insert(a, p, first if sorting else low, last if sorting else high)


@njit(error_model="numpy")
def quickselect(a, p, k, n):
    low, high = 0, n - 1
    while high > low + 1:
        swap(a, p, (low + high) >> 1, low + 1)
        if less(peek(a, high), peek(a, low + 1)):
            swap(a, p, low + 1, high)
        if less(peek(a, high), peek(a, low)):
            swap(a, p, low, high)
        if less(peek(a, low), peek(a, low + 1)):
            swap(a, p, low + 1, low)
        i, j, pivot = low + 1, high, peek(a, low)
        while True:
            i += 1
            while less(peek(a, i), pivot):
                i += 1
            j -= 1
            while less(pivot, peek(a, j)):
                j -= 1
            if j < i:
                break
            swap(a, p, i, j)
        swap(a, p, low, j)
        if j <= k:
            low = i
        if j >= k:
            high = j - 1
    if high == low + 1 and less(peek(a, high), peek(a, low)):
        swap(a, p, low, high)


@njit(error_model="numpy")
def top(a, p, stack, k, n, in_order):
    part = k if k * 64 <= n else 0
    last, nth = n, -1 if part else k - 1
    for _ in range(1 if part or not in_order else 2):
        arranged(a, p, stack, 0, last, nth, part)
        last, nth = k - 1, -1


@njit(error_model="numpy")
def mode(a, p, stack, n):
    arranged(a, p, stack, 0, n, -1, 0)
    best, length, found = 0, 0, 0
    for i in range(n):
        length += 1
        if i > 0 and (less(peek(a, i - 1), peek(a, i)){apart}):
            length = 1
        if length > best:
            best, found = length, peek(p, i)
    return found
'''


KERNEL = '''from numba import int64, njit, uint64
from jittensor.kernels.cpu.intrinsics import peek, poke, ptr_i64, shift, tile_i64, word
{functions}

def kernel(begin, end, args):
    keys, out = ptr_i64(args, 0), ptr_i64(args, 1)
    n, k, in_order, total = word(args, 2), word(args, 3), word(args, 4), word(args, 5)
    stack = tile_i64(512)
    for row in range(begin, end):
        a, p = shift(keys, row * n), shift(keys, total + row * n)
        if peek(p, 0) < 0:
            for i in range(n):
                poke(p, i, i)
            {call}
'''
CALLS = {
    "top": """top(a, p, stack, k, n, in_order)
            for i in range(k):
                poke(out, row * k + i, peek(p, i))""",
    "kth": """quickselect(a, p, k - 1, n)
            poke(out, row, peek(p, k - 1))""",
    "mode": "poke(out, row, mode(a, p, stack, n))",
}


def order_source(nan: bool = False) -> str:
    """The functions; with `nan` the number -1 is neither before nor after any other, and equal to
    none (else it is the largest)."""
    chosen = dict.fromkeys(("unordered", "apart", "low", "high"), "") if not nan else {
        "unordered": " and y != -1", "low": " and i < last - 1", "high": " and j > first",
        "apart": " or peek(a, i) == -1 or peek(a, i - 1) == -1 or less(peek(a, i), peek(a, i - 1))"}
    source = SOURCE
    for name, text in chosen.items():
        source = source.replace("{" + name + "}", text)
    return source


def order_kernel(call: str, nan: bool = False) -> str:
    """Source of a kernel that does one of CALLS for each row whose first place is below 0. Keys
    and, `total` words behind them, places are 64-bit words, whatever the dtype was."""
    return KERNEL.replace("{functions}", order_source(nan)).replace("{call}", CALLS[call])
