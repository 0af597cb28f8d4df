"""Sparse products: opaque entries in, launches of kernels of loops over compressed rows out.

`csr_matmul`: out[i] = sum over k in row i of values[k] * dense[col[k]]. `csr_sampled`, its
gradient: out[k] = dot(a[i], b[col[k]]) for each k in row i. Rows are shared among threads; a row is
summed in the order of k, so the result does not depend on their number. Indices are checked before
they are recorded.
"""

from __future__ import annotations

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite
from .cpu.lanes import VECTOR

_HEAD = '''from numba import {number}
from jittensor.kernels.cpu.intrinsics import load, poke, peek, ptr_{code}, ptr_i64, shift, word
{lanes}
'''

MATMUL_SOURCE = _HEAD + '''
def kernel(begin, end, args):
    crow, col, values = ptr_i64(args, 0), ptr_i64(args, 1), ptr_{code}(args, 2)
    dense, out, width = ptr_{code}(args, 3), ptr_{code}(args, 4), word(args, 5)
    c0 = 0
{blocks}    for i in range(begin, end):
        if c0 == width:
            break
        first, last = load(crow, i), load(crow, i + 1)
        target = shift(out, i * width)
        if width == 1:
            total = {number}(0)
            for k in range(first, last):
                total = {number}(total + load(values, k) * load(dense, load(col, k)))
            poke(target, 0, total)
            continue
        for c in range(c0, width):
            poke(target, c, {number}(0))
        for k in range(first, last):
            scale = load(values, k)
            source = shift(dense, load(col, k) * width)
            for c in range(c0, width):
                poke(target, c, {number}(peek(target, c) + scale * load(source, c)))
'''

# columns that are added up in registers
BLOCK = '''    while c0 + {columns} <= width:
        for i in range(begin, end):
            weighted_rows_{code}_{count}(shift(out, i * width + c0), values, col, shift(dense, c0),
                                         load(crow, i), load(crow, i + 1), width)
        c0 += {columns}
'''

SAMPLED_SOURCE = _HEAD + '''
def kernel(begin, end, args):
    crow, col, a = ptr_i64(args, 0), ptr_i64(args, 1), ptr_{code}(args, 2)
    b, out, width = ptr_{code}(args, 3), ptr_{code}(args, 4), word(args, 5)
    for i in range(begin, end):
        left = shift(a, i * width)
        for k in range(load(crow, i), load(crow, i + 1)):
            right = shift(b, load(col, k) * width)
            total = {number}(0)
            for c in range(width):
                total = {number}(total + load(left, c) * load(right, c))
            poke(out, k, total)
'''


def _launches(source: str, label: str):
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        crow, col, _, dense = entry.reads
        sizes = (8, 8, dense.dtype.itemsize, dense.dtype.itemsize)
        words = [("address", p.memory, p.offset * size) for p, size in zip(
            (place(s, o, k) for s, o, k in zip(entry.srcs, entry.offsets, entry.slots,
                                               strict=True)), sizes, strict=True)]
        out = place(index, 0, -1)
        words += [("address", out.memory, out.offset * dense.dtype.itemsize), dense.shape[1]]
        rows = crow.numel - 1
        work = max(1, col.numel * dense.shape[1] // max(1, rows))
        code = dense.dtype.code
        blocks = lanes = ""
        if code in VECTOR and source is MATMUL_SOURCE:
            blocks = "".join(BLOCK.format(code=code, count=n, columns=n * VECTOR[code])
                             for n in (4, 1))
            lanes = "from jittensor.kernels.cpu.weighted_rows import " + ", ".join(
                f"weighted_rows_{code}_{n}" for n in (4, 1))
        text = source.format(code=code, number=dense.dtype.numpy.name, blocks=blocks, lanes=lanes)
        return [Launch(text, words, rows, max(1, (1 << 15) // work),
                       moved=col.numel * (8 + dense.dtype.itemsize * (1 + dense.shape[1])),
                       origin=entry.origin, label=label)]

    return launches


composite("csr_matmul", _launches(MATMUL_SOURCE, "csr_matmul"), kind=OPAQUE)
composite("csr_sampled", _launches(SAMPLED_SOURCE, "csr_sampled"), kind=OPAQUE)
