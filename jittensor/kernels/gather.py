"""Gather and scatter along a dim: opaque entries in, launches of kernels of loops out.

`gather_rows`: out[i, ...] = x[index[i], ...]. `index_add`: out = x, then out[index[i], ...] +=
values[i, ...], in the order of i, columns shared among threads, so that the result does not
depend on the number of threads. Indices are checked before they are recorded.
"""

from __future__ import annotations

from ..compiler.lower import Launch
from ..graph.ops import OPAQUE, composite

GATHER_SOURCE = '''from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, ptr_i64, shift
from jittensor.kernels.cpu.intrinsics import store0, udiv, word


def kernel(begin, end, args):
    x, index, out = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_{code}(args, 2)
    rows, width, count, step = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    for item in range(begin, end):
        lead = udiv(item, count)
        i = item - lead * count
        at = load(index, i * step)
        if at < 0:
            at += rows
        at = min(max(at, 0), rows - 1)       # the range was checked; this keeps memory safe
        source = shift(x, (lead * rows + at) * width)
        target = shift(out, item * width)
        for c in range(width):
            store0(target, c, load(source, c))
'''

ADD_SOURCE = '''from numba import float32, float64, int64, int32, int16, int8, uint8
from jittensor.kernels.cpu.intrinsics import load, peek, poke, ptr_{code}, ptr_i64, shift
from jittensor.kernels.cpu.intrinsics import udiv, word{extra}


def kernel(begin, end, args):
    out, index, values = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_{code}(args, 2)
    rows, width, count, step = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    blocks, block = word(args, 7), word(args, 8)
    for item in range(begin, end):
        lead = udiv(item, blocks)
        c0 = (item - lead * blocks) * block
        c1 = min(width, c0 + block)
        for i in range(count):
            at = load(index, i * step)
            if at < 0:
                at += rows
            at = min(max(at, 0), rows - 1)
            target = shift(out, (lead * rows + at) * width)
            source = shift(values, (lead * count + i) * width)
            for c in range(c0, c1):
                poke(target, c, {add})
'''
BLOCK = 256


def _split(shape, dim: int) -> tuple[int, int, int]:
    lead = width = 1
    for n in shape[:dim]:
        lead *= n
    for n in shape[dim + 1:]:
        width *= n
    return lead, shape[dim], width


def _address(place, itemsize: int) -> tuple:
    return ("address", place.memory, place.offset * itemsize)


def gather_launches(graph, index: int, place) -> list[Launch]:
    """out = x.index_select(dim, index) for contiguous x."""
    entry = graph.entries[index]
    x, positions = entry.reads
    (dim,) = entry.attrs
    lead, rows, width = _split(x.shape, dim)
    item = x.dtype.itemsize
    sources = [place(s, o, k) for s, o, k in
               zip(entry.srcs, entry.offsets, entry.slots, strict=True)]
    count = positions.numel
    step = positions.strides[0] if positions.ndim else 0
    words = [_address(sources[0], item), _address(sources[1], 8),
             _address(place(index, 0, -1), item), rows, width, count, step]
    return [Launch(GATHER_SOURCE.format(code=x.dtype.code), words, lead * count,
                   max(1, (1 << 14) // max(1, width)), moved=2 * lead * count * width * item,
                   origin=entry.origin, label="gather")]


def _gather_backward(node, grad):
    (dim,) = node.attrs
    spec = node.specs[0]
    from ..creation import zeros
    empty = zeros(spec.shape, dtype=spec.dtype)
    return [empty.index_add(dim, node.saved(1), grad), None]


composite("index_select", gather_launches, _gather_backward, saves=(1,), kind=OPAQUE)

_ADD = {"b8": "peek(target, c) | load(source, c)",
        "bf16": "bf16_of_f32(f32_of_bf16(peek(target, c)) + f32_of_bf16(load(source, c)))",
        "f16": "f16_of_f32(f32_of_f16(peek(target, c)) + f32_of_f16(load(source, c)))"}
_EXTRA = {"bf16": ", bf16_of_f32, f32_of_bf16", "f16": ", f16_of_f32, f32_of_f16"}


def add_launches(graph, index: int, place) -> list[Launch]:
    """out = copy of x, then out.index_add_(dim, index, values)."""
    entry = graph.entries[index]
    x, positions, values = entry.reads
    (dim,) = entry.attrs
    lead, rows, width = _split(x.shape, dim)
    item, code = x.dtype.itemsize, x.dtype.code
    sources = [place(s, o, k) for s, o, k in
               zip(entry.srcs, entry.offsets, entry.slots, strict=True)]
    out = _address(place(index, 0, -1), item)
    copy = Launch(GATHER_COPY.format(code=code),
                  [_address(sources[0], item), out], x.numel, 1 << 15,
                  moved=2 * x.nbytes, origin=entry.origin, label="copy")
    plain = {"c64", "c128", "f32", "f64"}
    number = x.dtype.numpy.name
    total = "peek(target, c) + load(source, c)"
    add = _ADD.get(code) or (total if code in plain else f"{number}({total})")
    blocks = -(-width // BLOCK)
    words = [out, _address(sources[1], 8), _address(sources[2], item), rows, width,
             positions.numel, positions.strides[0] if positions.ndim else 0, blocks, BLOCK]
    step = Launch(ADD_SOURCE.format(code=code, add=add, extra=_EXTRA.get(code, "")), words,
                  lead * blocks, 1, moved=3 * values.nbytes, origin=entry.origin,
                  label="index_add")
    return [copy, step]


GATHER_COPY = '''from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, store0


def kernel(begin, end, args):
    x, out = ptr_{code}(args, 0), ptr_{code}(args, 1)
    for i in range(begin, end):
        store0(out, i, load(x, i))
'''


def _add_backward(node, grad):
    (dim,) = node.attrs
    return [grad, None, grad.index_select(dim, node.saved(1))]


composite("index_add", add_launches, _add_backward, saves=(1,), kind=OPAQUE)


COPY_SOURCE = ADD_SOURCE.replace("{add}", "load(source, c)").replace("load, peek, poke",
                                                                    "load, poke")


def copy_launches(graph, index: int, place) -> list[Launch]:
    """out = copy of x, then out.index_copy_(dim, index, values)."""
    entry = graph.entries[index]
    copy, step = add_launches(graph, index, place)
    step.kernel = COPY_SOURCE.format(code=entry.reads[0].dtype.code, extra="")
    step.label = "index_copy"
    return [copy, step]


def _copy_backward(node, grad):
    (dim,) = node.attrs
    from ..creation import zeros
    index = node.saved(1)
    rows = grad.index_select(dim, index)
    return [grad.index_copy(dim, index, zeros(rows.shape, dtype=rows.dtype)), None, rows]


composite("index_copy", copy_launches, _copy_backward, saves=(1,), kind=OPAQUE)
