"""Matrix products: an opaque entry in, launches of a kernel that calls the BLAS out.

The kernel computes a tile of the result a call, with one BLAS thread, so that threads are the
driver's own. The tiling depends on the shape only, and so do the bits. Integers have a plain
kernel of loops.
"""

from __future__ import annotations

import ctypes
from functools import cache

from ..compiler.nest import Launch
from ..graph.node import spec_of
from ..graph.ops import OPAQUE, composite
from ..graph.shapes import broadcast_shapes, expand_strides

PART = 6_000_000       # multiplications that are worth a tile of their own
BLAS = {"f32": "sgemm", "f64": "dgemm", "c64": "cgemm", "c128": "zgemm"}

BLAS_SOURCE = '''from jittensor.kernels.cpu.blas import gemm_{code}
from jittensor.kernels.cpu.intrinsics import udiv, word


def kernel(begin, end, args):
    gemm = word(args, 0)
    m, n, k = word(args, 1), word(args, 2), word(args, 3)
    ta, lda, tb, ldb = word(args, 4), word(args, 5), word(args, 6), word(args, 7)
    mt, nt, mtiles, ntiles = word(args, 8), word(args, 9), word(args, 10), word(args, 11)
    a, b, c = word(args, 12), word(args, 13), word(args, 14)
    rank = word(args, 15)
    for item in range(begin, end):
        batch = udiv(item, mtiles * ntiles)
        tile = item - batch * mtiles * ntiles
        i = udiv(tile, ntiles) * mt
        j = (tile - udiv(tile, ntiles) * ntiles) * nt
        pa, pb, rest = a, b, batch
        for d in range(rank):
            size = word(args, 16 + 3 * d)
            q = udiv(rest, size)
            at = rest - q * size
            pa += at * word(args, 17 + 3 * d)
            pb += at * word(args, 18 + 3 * d)
            rest = q
        rows, cols = min(mt, m - i), min(nt, n - j)
        pa += {item} * i * (1 if ta else lda)
        pb += {item} * j * (ldb if tb else 1)
        gemm_{code}(gemm, ta, tb, rows, cols, k, pa, lda, pb, ldb,
                    c + {item} * (batch * m * n + i * n + j), n)
'''

LOOP_SOURCE = '''from numba import {number}
from jittensor.kernels.cpu.intrinsics import peek, poke, ptr_{code}, shift, udiv, word


def kernel(begin, end, args):
    m, n, k = word(args, 1), word(args, 2), word(args, 3)
    ra, ca, rb, cb = word(args, 4), word(args, 5), word(args, 6), word(args, 7)
    a, b, c = ptr_{code}(args, 12), ptr_{code}(args, 13), ptr_{code}(args, 14)
    rank = word(args, 15)
    for item in range(begin, end):
        batch = udiv(item, m)
        i = item - batch * m
        pa, pb, rest = 0, 0, batch
        for d in range(rank):
            size = word(args, 16 + 3 * d)
            q = udiv(rest, size)
            at = rest - q * size
            pa += at * word(args, 17 + 3 * d)
            pb += at * word(args, 18 + 3 * d)
            rest = q
        for j in range(n):
            total = {number}(0)
            for l in range(k):
                left, right = peek(a, pa + i * ra + l * ca), peek(b, pb + l * rb + j * cb)
                total = {number}(total + left * right)
            poke(c, item * n + j, total)
'''


@cache
def gemm_address(name: str) -> int:
    """The address of SciPy's BLAS routine."""
    from numba.extending import get_cython_function_address
    return get_cython_function_address("scipy.linalg.cython_blas", name)


@cache
def _openblas():
    """SciPy's OpenBLAS, so that its threads can be set; None where it is another library."""
    import glob
    import os

    import scipy
    folder = os.path.join(os.path.dirname(os.path.dirname(scipy.__file__)), "scipy.libs")
    for path in glob.glob(os.path.join(folder, "*openblas*")):
        library = ctypes.CDLL(path)
        for prefix in ("scipy_", ""):
            if hasattr(library, prefix + "openblas_set_num_threads"):
                return (getattr(library, prefix + "openblas_set_num_threads"),
                        getattr(library, prefix + "openblas_get_num_threads"))
    return None


def set_blas_threads(count: int) -> int:
    """Sets the BLAS threads and returns what they were (0: unknown library, left alone)."""
    found = _openblas()
    if found is None:
        return 0
    put, get = found
    before = get()
    if before != count:
        put(count)
    return before


def one_blas_thread() -> None:
    """The BLAS uses the caller's thread alone until `all_blas_threads`."""
    global _blas_threads
    if not _blas_threads:
        _blas_threads = set_blas_threads(1)


def all_blas_threads() -> None:
    """Gives the BLAS the threads that it had before `one_blas_thread`."""
    global _blas_threads
    if _blas_threads > 1:
        set_blas_threads(_blas_threads)
    _blas_threads = 0


_blas_threads = 0           # that the BLAS shall have again, or 0


def layout(spec) -> tuple[int, int] | None:
    """(transposed, leading dimension) of a matrix as the BLAS takes it, or None (copy first)."""
    rows, cols = spec.shape[-2:]
    r, c = spec.strides[-2:]
    if (c == 1 or cols <= 1) and (r >= max(1, cols) or rows <= 1):
        return 0, max(r if rows > 1 else cols, cols, 1)
    if (r == 1 or rows <= 1) and (c >= max(1, rows) or cols <= 1):
        return 1, max(c if cols > 1 else rows, rows, 1)
    return None


def tiling(m: int, n: int, k: int) -> tuple[int, int]:
    """Rows and columns of a tile; a function of the shape alone.

    Few large tiles: each packs its operands anew, and the BLAS likes 64 rows and more. Where there
    are rows enough, tiles are whole rows: what a thread writes lies together, and the element by
    element work that follows finds it in that thread's cache.
    """
    work = m * n * k
    parts = min(8, work // PART) if work < 16 * PART else min(32, max(8, work // (64 * PART)))
    rows, cols = max(m, 1), max(n, 1)
    whole = m >= 64 * parts
    while parts > 1 and max(rows, cols) >= 128:
        if rows < 128 or cols >= rows and not whole:
            cols = -(-cols // 32) * 16
        else:
            rows = -(-rows // 32) * 16
        parts //= 2
    return rows, cols


def launches(graph, index: int, place) -> list[Launch]:
    """The launch of a batched matrix product [..., m, k] @ [..., k, n]."""
    entry = graph.entries[index]
    a, b = entry.reads
    m, k = a.shape[-2:]
    n = b.shape[-1]
    code = a.dtype.code
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    steps_a = expand_strides(a.shape[:-2], a.strides[:-2], lead)
    steps_b = expand_strides(b.shape[:-2], b.strides[:-2], lead)
    item = a.dtype.itemsize
    places = [place(s, o, slot) for s, o, slot in
              zip(entry.srcs, entry.offsets, entry.slots, strict=True)] + [place(index, 0, -1)]
    pointers = [("address", p.memory, p.offset * item) for p in places]
    scale = item if code in BLAS else 1
    tail: list = [len(lead)]
    for size, sa, sb in reversed(list(zip(lead, steps_a, steps_b, strict=True))):
        tail += [size, sa * scale, sb * scale]
    batches = 1
    for size in lead:
        batches *= size
    run = 0
    if code in BLAS:
        (ta, lda), (tb, ldb) = layout(a), layout(b)
        mt, nt = tiling(m, n, k)
        tiles = -(-m // mt), -(-n // nt)
        words = [gemm_address(BLAS[code]), m, n, k, ta, lda, tb, ldb, mt, nt, *tiles]
        source = BLAS_SOURCE.format(code=code, item=item)
        total, cost = batches * tiles[0] * tiles[1], mt * nt * k
        if tiles[1] == 1 and (tiles[0] == 1 or batches == 1 or m % mt == 0):
            run = min(mt, m) * n          # whole rows lie together
    else:
        words = [0, m, n, k, a.strides[-2], a.strides[-1], b.strides[-2], b.strides[-1], 0, 0, 0, 0]
        source = LOOP_SOURCE.format(code=code, number=a.dtype.numpy.name)
        total, cost = batches * m, n * k
    launch = Launch(source, words + pointers + tail, total if n else 0,
                    max(1, (1 << 17) // max(1, cost)),
                    moved=item * batches * (m * k + k * n + m * n), work=2 * batches * m * n * k,
                    origin=entry.origin, label="matmul")
    launch.blas = code in BLAS
    launch.run, launch.result = run, (places[2].memory, places[2].offset * item)
    return [launch]


def _backward(node, grad):
    a, b = node.saved(0), node.saved(1)
    left = right = None
    if node.edges[0] is not None:
        left = (grad @ b.mH).sum_to_size(node.specs[0].shape)
    if node.edges[1] is not None:
        # in the layout of b, so that the gradient of a transposed weight needs no transposing
        if node.specs[1].strides[-2] == 1 and node.specs[1].strides[-1] != 1:
            right = (grad.mT @ a.conj()).mT
        else:
            right = a.mH @ grad
        right = right.sum_to_size(node.specs[1].shape)
    return [left, right]


def transposed(spec):
    """The spec of the transposed matrix."""
    shape, strides = spec.shape, spec.strides
    return spec_of(spec.dtype, (*shape[:-2], shape[-1], shape[-2]),
                   (*strides[:-2], strides[-1], strides[-2]), spec.device)


def _linear_backward(node, grad):
    left = right = None
    if node.edges[0] is not None:
        left = grad @ node.saved(1)
    if node.edges[1] is not None:
        right = grad.mT @ node.saved(0)
    return [left, right]


composite("linear", launches, _linear_backward, saves=(0, 1), grad_name="MmBackward0",
          kind=OPAQUE)
composite("matmul", launches, _backward, saves=(0, 1), grad_name="MmBackward0", kind=OPAQUE)
