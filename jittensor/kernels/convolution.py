"""Convolutions: opaque entries in, launches of the kernels of `convolution_source` out.

`_slide` is the convolution, `_slide_back` the gradient of its input, `_correlate` that of its
weight. Signals have one to three dims; missing ones count as dims of size 1 in front. All sizes
are words, so that one kernel serves every shape. Each result is one chain of additions, or a
number of them that depends on the shape alone: the bits do not depend on the threads.
attrs: (stride, low padding, dilation, groups, kernel, signal size or number of windows).
"""

from __future__ import annotations

from math import gcd, prod

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite
from .convolution_source import (
    BORDER,
    CORRELATE,
    FLIP,
    GATHERED,
    HEIGHT,
    PHASE,
    ROWWISE,
    SLIDE,
    source,
)

ITEMS = 8              # items among which a sum over images is shared
IMAGES = 8             # items from which on an image is an item of its own
HELD = 1 << 16         # elements of an item's result that stay in the cache
WORK = 1 << 18         # multiplications that are worth an item


def _three(values, fill: int) -> list[int]:
    return [fill] * (3 - len(values)) + [int(v) for v in values]


def _address(entry, place, k: int) -> tuple:
    p = place(entry.srcs[k], entry.offsets[k], entry.slots[k])
    return "address", p.memory, p.offset * entry.reads[k].dtype.itemsize


def _target(entry, index: int, place) -> tuple:
    p = place(index, 0, -1)
    return "address", p.memory, p.offset * entry.spec.dtype.itemsize


def _dims(sizes, strides, low, dilation, kernel) -> list[tuple]:
    """The one phase of a plain convolution: for each dim (windows, their stride, where the first
    begins, dilation, kernel size, first result, step of results)."""
    return [(m, s, -p, d, k, 0, 1) for m, s, p, d, k in zip(
        _three(sizes, 1), _three(strides, 1), _three(low, 0), _three(dilation, 1),
        _three(kernel, 1), strict=True)]


def _remainders(size: int, stride: int, low: int, dilation: int, kernel: int) -> list[tuple]:
    """The phases of a dim of the gradient of the input, as (dim of a phase, first place in the
    kernel, step of places): element r + stride * j meets only the places t of the kernel where
    t * dilation = r + low (mod stride)."""
    found = []
    step = stride // gcd(stride, dilation)
    for r in range(min(stride, size)):
        first = next((t for t in range(min(step, kernel))
                      if (r + low - t * dilation) % stride == 0), None)
        count = -(-(size - r) // stride)
        if first is None:
            found.append(((count, 1, 0, 0, 0, r, stride), 0, 1))
            continue
        begin = (r + low - first * dilation) // stride
        taps = -(-(kernel - first) // step)
        found.append(((count, 1, begin, -(step * dilation // stride), taps, r, stride), first,
                      step))
    return found


def _slide_words(x, sizes, out_shape, groups: int, depth: int, rows: int, phases: list) -> list:
    """Words 7.. of `SLIDE`; `phases` are (dims, place of the weight)."""
    lead, inner = x.strides[:2], _three(x.strides[2:], 0)
    full = _three(out_shape, 1)
    words = [groups, depth, rows, *lead, prod(full), len(phases), *inner, *_three(sizes, 1),
             full[1] * full[2], full[2], 1]
    for dims, at in phases:
        words += [v for d in dims for v in d] + [at]
        words += [0] * (PHASE - 22)
    return words


def _slide_launch(entry, pointers: list, x, sizes, out_shape, groups: int, depth: int, rows: int,
                  phases: list, taps: int, scratch: int = 0) -> Launch:
    from .cpu.convolution_tile import PANEL
    code, images, pixels = entry.spec.dtype.code, x.shape[0], prod(out_shape)
    work = pixels * groups * rows * depth * taps
    least = max(1, min(prod(d[0] for d in dims) for dims, _ in phases))
    each, joined, chunks = _shares(images, pixels * groups * rows, least, work, PANEL[code])
    words = [*pointers, images, each, int(joined), chunks,
             *_slide_words(x, sizes, out_shape, groups, depth, rows, phases)]
    total = -(-images // each) * chunks if pixels and rows and groups else 0
    launch = Launch(source(SLIDE, code), words, total,
                    max(1, WORK * chunks // max(1, work * each)),
                    moved=x.nbytes + entry.spec.nbytes, work=2 * images * work,
                    scratch=scratch, origin=entry.origin, label=entry.op.name.strip("_"))
    if chunks == 1:
        launch.run, launch.result = each * groups * rows * pixels, pointers[2][1:]
    return launch


def _shares(images: int, size: int, pixels: int, work: int, panel: int) -> tuple[int, bool, int]:
    """(images of an item, whether panels reach over several images, items for those images).

    Small images share panels, which would not be full otherwise; of others an item has several
    where they are small, so that what is known of a panel serves them all."""
    joined = pixels % panel > 0 and pixels < 8 * panel
    each = -(-8 * panel // pixels) if joined else max(1, min(8, images // IMAGES, HELD // size))
    each = max(1, min(each, images))
    items = -(-images // each) if images else 1
    chunks = 1
    if items < IMAGES:
        panels = -(-pixels * (each if joined else 1) // panel)
        chunks = max(1, min(-(-IMAGES // items), work * each // WORK, panels))
    return each, joined, chunks


def slide_launches(graph, index: int, place) -> list[Launch]:
    """(N, C, *size), (O, C / groups, *kernel) contiguous to (N, O, *windows)."""
    entry = graph.entries[index]
    x, weight = entry.reads
    stride, low, dilation, groups, kernel, number = entry.attrs
    pointers = [_address(entry, place, 0), _address(entry, place, 1), _target(entry, index, place)]
    phases = [(_dims(number, stride, low, dilation, kernel), 0)]
    return [_slide_launch(entry, pointers, x, x.shape[2:], number, groups, weight.shape[1],
                          weight.shape[0] // groups, phases, prod(kernel))]


def back_launches(graph, index: int, place) -> list[Launch]:
    """(N, O, *windows), (O, C / groups, *kernel) to (N, C, *size)."""
    entry = graph.entries[index]
    x, weight = entry.reads
    stride, low, dilation, groups, kernel, size = entry.attrs
    channels, rows = weight.shape[1], weight.shape[0] // groups
    parts = [_remainders(*dim) for dim in zip(
        _three(size, 1), _three(stride, 1), _three(low, 0), _three(dilation, 1),
        _three(kernel, 1), strict=True)]
    phases, table, at = [], [], 0
    for one in parts[0]:
        for two in parts[1]:
            for three in parts[2]:
                dims = (one, two, three)
                phases.append(([d[0] for d in dims], at))
                taps = prod(d[0][4] for d in dims)
                table += [v for d in dims for v in (d[1], d[2], d[0][4] if taps else 0)] + [at]
                at += groups * channels * rows * taps
    item, code = entry.spec.dtype.itemsize, entry.spec.dtype.code
    ws = [*weight.strides[:2], *_three(weight.strides[2:], 0)]
    flip = Launch(source(FLIP, code), [_address(entry, place, 1), ("scratch", 0), rows, channels,
                                       len(phases), *ws, *table], groups * channels,
                  max(1, (1 << 13) // max(1, rows * prod(kernel))), scratch=at * item,
                  moved=2 * at * item, origin=entry.origin, label="flip")
    pointers = [_address(entry, place, 0), ("scratch", 0), _target(entry, index, place)]
    taps = -(-prod(kernel) // prod(stride))
    return [flip, _slide_launch(entry, pointers, x, x.shape[2:], size, groups, rows, channels,
                                phases, taps, at * item)]


def _bordered(entry, place, number, low, reach, stride) -> tuple[list[Launch], list, tuple, int]:
    """(the launch that adds the padding, if there is any; the word of the signal, its strides, the
    end of the scratch memory)."""
    x, spec = _address(entry, place, 0), entry.reads[0]
    strides = *spec.strides[:2], *_three(spec.strides[2:], 0)
    size = _three(spec.shape[2:], 1)
    wide = [(m - 1) * s + r for m, s, r in zip(number, stride, reach, strict=True)]
    if not any(low) and all(w <= n for w, n in zip(wide, size, strict=True)):
        return [], x, strides, 0
    item, channels, planes = spec.dtype.itemsize, spec.shape[1], spec.shape[0] * spec.shape[1]
    end = -(-planes * prod(wide) * item // 64) * 64
    launch = Launch(source(BORDER, spec.dtype.code),
                    [x, ("scratch", 0), channels, *strides, *size, *low, *wide], planes,
                    max(1, (1 << 15) // prod(wide)), scratch=end, moved=2 * end,
                    origin=entry.origin, label="border")
    plane = prod(wide)
    return [launch], ("scratch", 0), (channels * plane, plane, wide[1] * wide[2], wide[2], 1), end


def correlate_launches(graph, index: int, place) -> list[Launch]:
    """(N, C, *size), (N, O, *windows) contiguous to (O, C / groups, *kernel)."""
    from .cpu.convolution_tile import PANEL
    entry = graph.entries[index]
    x, other = entry.reads
    stride, low, dilation, groups, kernel = entry.attrs
    code, item = entry.spec.dtype.code, entry.spec.dtype.itemsize
    images, depth, rows = x.shape[0], x.shape[1] // groups, other.shape[1] // groups
    number, steps = _three(other.shape[2:], 1), _three(stride, 1)
    taps, gaps = _three(kernel, 1), _three(dilation, 1)
    reach = [d * (k - 1) + 1 for d, k in zip(gaps, taps, strict=True)]
    launches, signal, strides, end = _bordered(entry, place, number, _three(low, 0), reach, steps)
    whole = depth * prod(taps)
    blocks = -(-whole // HEIGHT)
    height = -(-whole // (8 * blocks)) * 8
    blocks, panels = -(-whole // height), -(-rows // PANEL[code])
    items = blocks * panels * groups
    parts = max(1, min(images, -(-ITEMS // items)))
    target = _target(entry, index, place)
    inner = [*[d * s for d, s in zip(gaps, strides[2:], strict=True)], *number,
             *[m * s for m, s in zip(steps, strides[2:], strict=True)]]
    words = [images, parts, groups, depth, rows, *strides[:2], *taps, *inner]
    work = images * prod(number) * rows * whole * groups
    about = dict(moved=x.nbytes + other.nbytes, work=2 * work, origin=entry.origin,
                 label="correlate")
    if depth == 1 and groups > 1 and rows <= 4:
        total = groups * rows
        return [*launches, Launch(source(ROWWISE, code), [
            signal, _address(entry, place, 1), target, *words], total,
            max(1, WORK * total // max(1, work)), scratch=end, **about)]
    sums = end
    end += parts * items // blocks * whole * PANEL[code] * item
    total = parts * items
    launches.append(Launch(source(CORRELATE, code), [
        signal, _address(entry, place, 1), ("scratch", sums), *words, height, blocks, panels],
        total, max(1, WORK * total // max(1, work)), scratch=end, **about))
    blocks = -(-whole // 64)
    launches.append(Launch(source(GATHERED, code), [
        ("scratch", sums), target, parts, groups, panels, whole, rows], groups * panels * blocks,
        16, scratch=end, moved=end - sums, origin=entry.origin, label="gathered"))
    return launches


composite("_slide", slide_launches, kind=OPAQUE)
composite("_slide_back", back_launches, kind=OPAQUE)
composite("_correlate", correlate_launches, kind=OPAQUE)
