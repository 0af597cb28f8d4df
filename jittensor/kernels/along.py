"""Gather and scatter along a dim with an index for every element: opaque entries in, launches out.

`gather`: out[l, i, c] = x[l, index[l, i, c], c]. `scatter_<mode>`: out = x, then
out[l, index[l, i, c], c] becomes `mode` of itself and values[l, i, c], in the order of i. Columns
and leading dims (or ranges of rows) are shared among threads, so that the result does not depend
on their number. Where nobody needs x any more, out is x's own memory.
Operands are contiguous; indices are checked before they are recorded.
"""

from __future__ import annotations

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite
from .gather import (
    BLOCK,
    MODES,
    _address,
    _split,
    copied,
    joining,
    line_launch,
    parts_launch,
    places_of,
)

GATHER = '''from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, ptr_i64, shift, store0
from jittensor.kernels.cpu.intrinsics import udiv, word


def kernel(begin, end, args):
    x, index, out = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_{code}(args, 2)
    rows, width, count = word(args, 3), word(args, 4), word(args, 5)
    for item in range(begin, end):
        lead = udiv(item, count)
        source = shift(x, lead * rows * width)
        places = shift(index, item * width)
        target = shift(out, item * width)
        for c in range(width):
            at = load(places, c)
            if at < 0:
                at += rows
            at = min(max(at, 0), rows - 1)       # the range was checked; this keeps memory safe
            store0(target, c, load(source, at * width + c))
'''

SCATTER = '''from numba import float32, float64, int64, int32, int16, int8, uint8
from jittensor.kernels.cpu.intrinsics import load, peek, poke, ptr_{code}, ptr_i64, shift
from jittensor.kernels.cpu.intrinsics import udiv, word{extra}


def kernel(begin, end, args):
    out, index, values = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_{code}(args, 2)
    rows, width, count = word(args, 3), word(args, 4), word(args, 5)
    blocks, block = word(args, 6), word(args, 7)
    for item in range(begin, end):
        lead = udiv(item, blocks)
        c0 = (item - lead * blocks) * block
        c1 = min(width, c0 + block)
        target = shift(out, lead * rows * width)
        for i in range(count):
            places = shift(index, (lead * count + i) * width)
            source = shift(values, (lead * count + i) * width)
            for c in range(c0, c1):
                at = load(places, c)
                if at < 0:
                    at += rows
                at = min(max(at, 0), rows - 1) * width + c
                a, b = {read_a}, {read_b}
                poke(target, at, {write})
'''

def gather_launches(graph, index: int, place) -> list[Launch]:
    """out[l, i, c] = x[l, index[l, i, c], c]."""
    entry = graph.entries[index]
    x, positions = entry.reads
    (dim,) = entry.attrs
    lead, rows, width = _split(x.shape, dim)
    item, count = x.dtype.itemsize, positions.shape[dim]
    a, b, out = places_of(entry, place, index)
    words = [_address(a, item), _address(b, 8), _address(out, item)]
    if width == 1:
        return [line_launch(entry, x.dtype.code, words, (lead, rows, count), (1, count))]
    return [Launch(GATHER.format(code=x.dtype.code), [*words, rows, width, count],
                   lead * count if width else 0,
                   max(1, (1 << 14) // max(1, width)), moved=positions.numel * (2 * item + 8),
                   origin=entry.origin, label="gather")]


def _gather_backward(node, grad):
    from ..creation import zeros
    (dim,) = node.attrs
    spec = node.specs[0]
    return [zeros(spec.shape, dtype=grad.dtype).scatter_add(dim, node.saved(1), grad), None]


composite("gather", gather_launches, _gather_backward, saves=(1,), kind=OPAQUE)


def scatter_launches(mode: str):
    """Launches of out = copy of x, then its elements named by index combined with values."""
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        x, positions, values = entry.reads
        (dim,) = entry.attrs
        lead, rows, width = _split(x.shape, dim)
        item, code, count = x.dtype.itemsize, x.dtype.code, positions.shape[dim]
        a, b, c, out = places_of(entry, place, index)
        source, target = _address(a, item), _address(out, item)
        words = [target, _address(b, 8), _address(c, item)]
        if width == 1:
            join = parts_launch(entry, code, mode, words, (lead, rows, count), (1, count))
        else:
            blocks = -(-width // BLOCK)
            join = Launch(joining(SCATTER, code, mode, "peek(target, at)", "load(source, c)"),
                          [*words, rows, width, count, blocks, BLOCK], lead * blocks, 1,
                          moved=3 * values.nbytes, origin=entry.origin, label="scatter")
        return [*copied(entry, source, target), join]

    return launches


# their gradients belong to the functions that use them
for _mode in MODES:
    composite("_scatter_" + _mode, scatter_launches(_mode), kind=OPAQUE, overwrites=True)
