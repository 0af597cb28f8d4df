"""Gather and scatter along a dim: opaque entries in, launches of kernels of loops out.

`gather_rows`: out[i, ...] = x[index[i], ...]. `index_add`: out = x, then out[index[i], ...] +=
values[i, ...], in the order of i. Columns are shared among threads, or where there is one column
ranges of the rows, so that the result does not depend on the number of threads. Indices are
checked before they are recorded. Where nobody needs x any more, out is x's own memory.
"""

from __future__ import annotations

from ..compiler.nest import Launch
from ..config import config
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

LINE_SOURCE = '''from numba import int64, uint64
from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, ptr_i64, shift
from jittensor.kernels.cpu.intrinsics import store0, udiv, word


def kernel(begin, end, args):
    x, index, out = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_{code}(args, 2)
    rows, count, step, next_step = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    blocks, block, last = word(args, 7), word(args, 8), uint64(rows - 1)
    for item in range(begin, end):
        lead = udiv(item, blocks)
        c0 = (item - lead * blocks) * block
        source, target = shift(x, lead * rows), shift(out, lead * count)
        places = shift(index, lead * next_step)
        for c in range(c0, min(count, c0 + block)):
            at = load(places, c{step})
            {wrap}at = int64(min(uint64(at), last))
            store0(target, c, load(source, at))
'''

JOIN_SOURCE = '''from numba import float32, float64, int64, int32, int16, int8, uint8
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
                a, b = {read_a}, {read_b}
                poke(target, c, {write})
'''

# one column: each part of the rows belongs to one thread, which walks all values in their order;
# those of the other parts go to cells that nobody reads, which costs less than a branch
PARTS_SOURCE = '''from numba import float32, float64, int64, int32, int16, int8, uint8, uint64
from jittensor.kernels.cpu.intrinsics import load, peek, poke, ptr_{code}, ptr_i64, select, shift
from jittensor.kernels.cpu.intrinsics import tile_{code}, udiv, word{extra}


def kernel(begin, end, args):
    out, index, values = ptr_{code}(args, 0), ptr_i64(args, 1), ptr_{code}(args, 2)
    rows, count, step, next_step = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    parts, last = word(args, 7), uint64(rows - 1)
    spare = tile_{code}(64)
    for c in range(64):
        poke(spare, c, load(values, 0))
    for item in range(begin, end):
        lead = udiv(item, parts)
        part = item - lead * parts
        low, high = udiv(rows * part, parts), udiv(rows * (part + 1), parts)
        target, source = shift(out, lead * rows), shift(values, lead * count)
        places = shift(index, lead * next_step)
        for c in range(count):
            at = load(places, c * step)
            {wrap}at = int64(min(uint64(at), last))
            cell = {cell}
            a, b = {read_a}, {read_b}
            poke(cell, 0, {write})
'''
MODES = {"copy": "b", "add": "a + b", "mul": "a * b",
         "amax": "b if b > a or b != b else a", "amin": "b if b < a or b != b else a"}
BOOL_MODES = {"add": "a | b", "mul": "a & b"}
WRAP = "at += rows if at < 0 else 0\n            "     # only an index of whole rows may wrap
MANY = 1 << 14         # values of a column that are worth parts
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


def conversions(code: str) -> tuple[str, str, str]:
    """(reading, writing, names to import) of a value as an arithmetic register."""
    if code in ("f16", "bf16"):
        return f"f32_of_{code}({{}})", f"{code}_of_f32({{}})", f", {code}_of_f32, f32_of_{code}"
    if code in ("c64", "c128"):
        return "{}", "{}", ""
    number = {"f32": "float32", "f64": "float64", "b8": "uint8", "u8": "uint8"}.get(
        code, "int" + code[1:])
    return "{}", f"{number}({{}})", ""


def joining(source: str, code: str, mode: str, a: str, b: str, **fields) -> str:
    """A kernel's source in which `b` joins `a` by a mode."""
    read, write, extra = conversions(code) if mode != "copy" else ("{}", "{}", "")
    text = (BOOL_MODES.get(mode) if code == "b8" else None) or MODES[mode]
    return source.format(code=code, extra=extra, read_a="0" if mode == "copy" else read.format(a),
                         read_b=read.format(b), write=write.format(text), **fields)


def places_of(entry, place, index: int) -> list:
    """Where the operands of an entry lie, and where its result does."""
    sources = [place(s, o, k) for s, o, k in
               zip(entry.srcs, entry.offsets, entry.slots, strict=True)]
    start = entry.out_offset if entry.writes is not None else 0
    return [*sources, place(index, start, entry.out_slot)]


def line_launch(entry, code: str, words: list, sizes: tuple, steps: tuple) -> Launch:
    """out[l, c] = x[l, index[l, c]]; `sizes` are those of l, x's rows, c; `steps` the strides of
    the index over c and l."""
    lead, rows, count = sizes
    block = min(max(count, 1), 1 << 11)
    blocks = -(-count // block)
    source = LINE_SOURCE.format(code=code, step="" if steps[0] == 1 else " * step",
                                wrap="" if steps[1] else WRAP)
    item = entry.spec.dtype.itemsize
    return Launch(source, [*words, rows, count, *steps, blocks, block],
                  lead * blocks, max(1, (1 << 14) // block), moved=lead * count * (2 * item + 8),
                  origin=entry.origin, label="gather")


def parts_launch(entry, code: str, mode: str, words: list, sizes: tuple, steps: tuple) -> Launch:
    """values[l, c] joins out[l, index[l, c]]; sizes and steps as in `line_launch`."""
    lead, rows, count = sizes
    parts = config.threads if lead < config.threads and count >= MANY and rows >= MANY else 1
    cell = "shift(target, at)"
    if parts > 1:
        cell = f"select((at >= low) & (at < high), {cell}, shift(spare, c & 63))"
    source = joining(PARTS_SOURCE, code, mode, "peek(cell, 0)", "load(source, c)", cell=cell,
                     wrap="" if steps[1] else WRAP)
    return Launch(source, [*words, rows, count, *steps, parts], lead * parts if count else 0,
                  max(1, (1 << 13) // max(1, count)), origin=entry.origin,
                  moved=lead * count * (2 * entry.spec.dtype.itemsize + 8), label="scatter")


def copied(entry, source, out) -> list[Launch]:
    """The copy of the first operand with which an update begins: none where it is in place."""
    if entry.base is not None:
        return []
    x = entry.reads[0]
    return [Launch(GATHER_COPY.format(code=x.dtype.code), [source, out], x.numel, 1 << 15,
                   moved=2 * x.nbytes, origin=entry.origin, label="copy")]


def gather_launches(graph, index: int, place) -> list[Launch]:
    """out = x.index_select(dim, index) for contiguous x."""
    entry = graph.entries[index]
    x, positions = entry.reads
    (dim,) = entry.attrs
    lead, rows, width = _split(x.shape, dim)
    item = x.dtype.itemsize
    count = positions.numel
    step = positions.strides[0] if positions.ndim else 0
    words = [_address(p, size) for p, size in zip(places_of(entry, place, index), (item, 8, item),
                                                  strict=True)]
    if width == 1:
        return [line_launch(entry, x.dtype.code, words, (lead, rows, count), (step, 0))]
    return [Launch(GATHER_SOURCE.format(code=x.dtype.code), [*words, rows, width, count, step],
                   lead * count if width else 0, max(1, (1 << 14) // max(1, width)),
                   moved=2 * lead * count * width * item, origin=entry.origin, label="gather")]


def _gather_backward(node, grad):
    (dim,) = node.attrs
    spec = node.specs[0]
    from ..creation import zeros
    empty = zeros(spec.shape, dtype=spec.dtype)
    return [empty._add_rows(dim, node.saved(1), grad), None]


composite("index_select", gather_launches, _gather_backward, saves=(1,), kind=OPAQUE)

def join_launches(mode: str, label: str):
    """Launches of out = x, then values that join the rows that the index names, in order."""
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        x, positions, values = entry.reads
        (dim,) = entry.attrs
        lead, rows, width = _split(x.shape, dim)
        item, code, count = x.dtype.itemsize, x.dtype.code, positions.numel
        source, *others = (_address(p, size) for p, size in zip(
            places_of(entry, place, index), (item, 8, item, item), strict=True))
        step = positions.strides[0] if positions.ndim else 0
        words = [others[2], *others[:2]]
        if width == 1:
            join = parts_launch(entry, code, mode, words, (lead, rows, count), (step, 0))
        else:
            blocks = -(-width // BLOCK)
            join = Launch(joining(JOIN_SOURCE, code, mode, "peek(target, c)", "load(source, c)"),
                          [*words, rows, width, count, step, blocks, BLOCK], lead * blocks, 1,
                          moved=3 * values.nbytes, origin=entry.origin)
        join.label = label
        return [*copied(entry, source, others[2]), join]

    return launches


GATHER_COPY = '''from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, store0


def kernel(begin, end, args):
    x, out = ptr_{code}(args, 0), ptr_{code}(args, 1)
    for i in range(begin, end):
        store0(out, i, load(x, i))
'''


def _add_backward(node, grad):
    (dim,) = node.attrs
    return [grad, None, grad._select_rows(dim, node.saved(1))]


composite("index_add", join_launches("add", "index_add"), _add_backward, saves=(1,), kind=OPAQUE,
          overwrites=True)


def _copy_backward(node, grad):
    (dim,) = node.attrs
    from ..creation import zeros
    index = node.saved(1)
    rows = grad._select_rows(dim, index)
    return [grad._copy_rows(dim, index, zeros(rows.shape, dtype=rows.dtype)), None, rows]


composite("index_copy", join_launches("copy", "index_copy"), _copy_backward, saves=(1,),
          kind=OPAQUE, overwrites=True)
