"""In: a dtype. Out: the sources of the kernels of convolutions.

`SLIDE` computes out = weight @ windows, an image (or a part of one) an item. The windows of a
panel of results are laid out in a block on the stack, which the product then reads again and
again. It serves the convolution and, by `phases`, the gradient of its input: with a stride s,
the elements at places of one remainder by s see the same part of the kernel, and so each
remainder is a convolution of stride 1 of its own. `FLIP` lays the weight out for that.
The gradient of the weight is a sum over images: `BORDER` adds the padding, `CORRELATE`
computes parts of the sum (`ROWWISE` where groups have one channel), `GATHERED` adds them up.
What the words mean is said in `convolution`.
"""

from __future__ import annotations

PHASE = 24             # words of a phase: 7 a dim, then the weight's place and its row
DEPTH = 512            # rows of the block that windows are laid out in
HEIGHT = 256           # rows of the weight's gradient in an item
PIXELS = 256           # windows that are turned at a time

SLIDE = '''from numba import int32, int64
from jittensor.kernels.cpu.intrinsics import peek, poke, ptr_{code}, shift, tile_{code}, tile_i32
from jittensor.kernels.cpu.intrinsics import tile_i64, udiv, word
from jittensor.kernels.cpu.convolution_tile import inside_{code}, pick_{code}, place_{code}
from jittensor.kernels.cpu.convolution_tile import place_second_{code}, product1_{code}, taps_{code}
from jittensor.kernels.cpu.convolution_tile import product2_{code}, product4_{code}, product8_{code}


def kernel(begin, end, args):
    x, w, out = ptr_{code}(args, 0), ptr_{code}(args, 1), ptr_{code}(args, 2)
    images, each, joined, chunks = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    groups, depth, rows = word(args, 7), word(args, 8), word(args, 9)
    image_step, channel_step = word(args, 10), word(args, 11)
    plane, phases = word(args, 12), word(args, 13)
    xs0, xs1, xs2 = word(args, 14), word(args, 15), word(args, 16)
    n0, n1, n2 = word(args, 17), word(args, 18), word(args, 19)
    os0, os1, os2 = word(args, 20), word(args, 21), word(args, 22)
    picture = groups * rows * plane
    block, edge = tile_{code}({block}), tile_{code}({edge})
    q0, q1, q2 = tile_i32({panel}), tile_i32({panel}), tile_i32({panel})
    index, places = tile_i32({panel}), tile_i32({panel})
    run_at, run_to, run_lanes = tile_i64(8), tile_i64(8), tile_i64(8)
    masks, moves = tile_i64({depth}), tile_i64({depth})
    for item in range(begin, end):
        part = udiv(item, chunks)
        chunk = item - part * chunks
        several = min(each, images - part * each)
        repeats, pictures = (1, several) if joined else (several, 1)
        for phase in range(phases):
            at = 23 + {phase} * phase
            c0, a0, b0, e0, t0 = (word(args, at), word(args, at + 1), word(args, at + 2),
                                  word(args, at + 3), word(args, at + 4))
            f0, g0 = word(args, at + 5), word(args, at + 6)
            at += 7
            c1, a1, b1, e1, t1 = (word(args, at), word(args, at + 1), word(args, at + 2),
                                  word(args, at + 3), word(args, at + 4))
            f1, g1 = word(args, at + 5), word(args, at + 6)
            at += 7
            c2, a2, b2, e2, t2 = (word(args, at), word(args, at + 1), word(args, at + 2),
                                  word(args, at + 3), word(args, at + 4))
            f2, g2 = word(args, at + 5), word(args, at + 6)
            wp, taps = shift(w, word(args, at + 7)), t0 * t1 * t2
            whole, hop = depth * taps, a2 * xs2
            pixels = pictures * c0 * c1 * c2
            panels = udiv(pixels + {panel} - 1, {panel})
            for panel in range(udiv(panels * chunk, chunks), udiv(panels * (chunk + 1), chunks)):
                first = panel * {panel}
                count = min({panel}, pixels - first)
                # where the panel's windows begin, and where their results go
                rest = udiv(first, c2)
                j2 = first - rest * c2
                j1 = rest
                rest = udiv(j1, c1)
                j1 -= rest * c1
                j = udiv(rest, c0)
                j0 = rest - j * c0
                for l in range({panel}):
                    x0, x1, x2 = j0 * a0 + b0, j1 * a1 + b1, j2 * a2 + b2
                    poke(q0, l, int32(x0))
                    poke(q1, l, int32(x1))
                    poke(q2, l, int32(x2))
                    poke(index, l, int32(j * image_step + x0 * xs0 + x1 * xs1 + x2 * xs2))
                    poke(places, l, int32(j * picture + (f0 + j0 * g0) * os0
                                          + (f1 + j1 * g1) * os1 + (f2 + j2 * g2) * os2))
                    j2 += 1
                    if j2 == c2:
                        j2 = 0
                        j1 += 1
                        if j1 == c1:
                            j1 = 0
                            j0 += 1
                            if j0 == c0:
                                j0 = 0
                                j += 1
                dense = True
                for l in range(1, count):
                    dense &= (peek(places, l) == peek(places, l - 1) + 1) | (l == {lanes})
                start, second = int64(peek(places, 0)), int64(peek(places, {lanes}))
                # runs of neighbours, at most a vector each
                runs, l = 0 if hop == 1 or hop == 2 else 99, 0
                while l < count and runs < 7:
                    vector = udiv(l, {lanes})
                    stop = min(count, (vector + 1) * {lanes})
                    last = l + 1
                    while last < stop and peek(index, last) == peek(index, last - 1) + hop:
                        last += 1
                    lane = l - vector * {lanes}
                    poke(run_at, runs, int64(peek(index, l)) - lane * hop)
                    poke(run_to, runs, vector * {lanes})
                    poke(run_lanes, runs, ((1 << (last - l)) - 1) << lane)
                    runs += 1
                    l = last
                columns = (1 << count) - 1
                wide = max(1, udiv({depth}, max(1, taps)))       # channels at a time
                high = min(taps, {depth})                        # places in the kernel at a time
                known = -1
                for step in range(repeats * groups):
                    repeat = udiv(step, groups)
                    group = step - repeat * groups
                    number = part * each + repeat
                    xg = shift(x, number * image_step + group * depth * channel_step)
                    og = shift(out, number * picture + group * rows * plane)
                    old, channel, tap = 0, 0, 0
                    while True:
                        channels, some = min(wide, depth - channel), min(high, taps - tap)
                        if known != tap:
                            known = tap
                            rest = udiv(tap, max(1, t2))
                            m2 = tap - rest * t2
                            m0 = udiv(rest, max(1, t1))
                            m1 = rest - m0 * t1
                            both = inside_{code}(q0, m0 * e0, n0) & inside_{code}(q1, m1 * e1, n1)
                            for t in range(some):
                                valid = columns & both & inside_{code}(q2, m2 * e2, n2)
                                poke(masks, t, valid)
                                poke(moves, t, m0 * e0 * xs0 + m1 * e1 * xs1 + m2 * e2 * xs2)
                                m2 += 1
                                if m2 == t2:
                                    m2 = 0
                                    m1 += 1
                                    if m1 == t1:
                                        m1 = 0
                                        m0 += 1
                                    both = (inside_{code}(q0, m0 * e0, n0)
                                            & inside_{code}(q1, m1 * e1, n1))
                        left = shift(wp, group * rows * whole + channel * taps + tap)
                        if whole == some and rows <= 2 and dense and runs <= 6 and hop == 1:
                            # one channel, few results: no use in laying windows out
                            for r in range(rows):
                                result = shift(og, r * plane)
                                for s in range(runs):
                                    to = peek(run_to, s)
                                    goal = second if to else start
                                    taps_{code}(some, shift(xg, peek(run_at, s)), moves, masks, to,
                                                peek(run_lanes, s), shift(left, r * whole),
                                                shift(result, goal))
                            break
                        xc = shift(xg, channel * channel_step)
                        if runs <= 6:
                            for t in range(some):
                                source, valid = shift(xc, peek(moves, t)), peek(masks, t)
                                for s in range(runs):
                                    to, lanes = peek(run_to, s), peek(run_lanes, s)
                                    here, left_of = shift(source, peek(run_at, s)), valid >> to
                                    goal = shift(block, t * {panel} + to)
                                    if hop == 1:
                                        for c in range(channels):
                                            place_{code}(shift(goal, c * some * {panel}), shift(
                                                here, c * channel_step), lanes, left_of)
                                    else:
                                        for c in range(channels):
                                            place_second_{code}(
                                                shift(goal, c * some * {panel}), shift(
                                                    here, c * channel_step), lanes, left_of)
                        else:
                            for t in range(some):
                                source, valid = shift(xc, peek(moves, t)), peek(masks, t)
                                for c in range(channels):
                                    here = shift(source, c * channel_step)
                                    goal = shift(block, (c * some + t) * {panel})
                                    pick_{code}(goal, here, index, valid)
                                    pick_{code}(shift(goal, {lanes}), here,
                                                shift(index, {lanes}), valid >> {lanes})
                        k = channels * some
                        r = 0
                        while r < rows:
                            ahead = rows - r
                            size = 8 if ahead >= 8 else 4 if ahead >= 4 else 2 if ahead >= 2 else 1
                            result = shift(og, r * plane)
                            goal, more = shift(result, start), shift(result, second)
                            line = plane
                            if not dense:
                                goal, more, line = edge, shift(edge, {lanes}), {panel}
                                if old:
                                    for i in range(size):
                                        for l in range(count):
                                            poke(edge, i * {panel} + l, peek(
                                                result, i * plane + peek(places, l)))
                            here = shift(left, r * whole)
                            if size == 8:
                                product8_{code}(k, here, whole, block, goal, more, line, old,
                                                columns)
                            elif size == 4:
                                product4_{code}(k, here, whole, block, goal, more, line, old,
                                                columns)
                            elif size == 2:
                                product2_{code}(k, here, whole, block, goal, more, line, old,
                                                columns)
                            else:
                                product1_{code}(k, here, whole, block, goal, more, line, old,
                                                columns)
                            if not dense:
                                for i in range(size):
                                    for l in range(count):
                                        poke(result, i * plane + peek(places, l),
                                             peek(edge, i * {panel} + l))
                            r += size
                        old = columns
                        tap += some
                        if tap >= taps:
                            tap = 0
                            channel += channels
                            if channel >= depth:
                                break
'''

# weight [groups * O, C, kernel] to [phase][groups * C][O, kernel of the phase]
FLIP = '''from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, shift, store0, udiv, word


def kernel(begin, end, args):
    w, out = ptr_{code}(args, 0), ptr_{code}(args, 1)
    rows, depth, phases = word(args, 2), word(args, 3), word(args, 4)
    ws0, ws1, ws2, ws3, ws4 = (word(args, 5), word(args, 6), word(args, 7), word(args, 8),
                               word(args, 9))
    for item in range(begin, end):
        group = udiv(item, depth)
        channel = item - group * depth
        for phase in range(phases):
            at = 10 + 10 * phase
            s0, d0, t0 = word(args, at), word(args, at + 1), word(args, at + 2)
            s1, d1, t1 = word(args, at + 3), word(args, at + 4), word(args, at + 5)
            s2, d2, t2 = word(args, at + 6), word(args, at + 7), word(args, at + 8)
            to = word(args, at + 9) + item * rows * t0 * t1 * t2
            for row in range(rows):
                source = shift(w, (group * rows + row) * ws0 + channel * ws1)
                for m0 in range(t0):
                    for m1 in range(t1):
                        here = (s0 + m0 * d0) * ws2 + (s1 + m1 * d1) * ws3 + s2 * ws4
                        for m2 in range(t2):
                            store0(out, to, load(source, here + m2 * d2 * ws4))
                            to += 1
'''


# x with zeros around it, as far as windows reach; a plane [n0, n1, n2] an item
BORDER = '''from numba import {number}
from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, shift, store0, udiv, word


def kernel(begin, end, args):
    x, out, channels = ptr_{code}(args, 0), ptr_{code}(args, 1), word(args, 2)
    image_step, channel_step = word(args, 3), word(args, 4)
    xs0, xs1, xs2 = word(args, 5), word(args, 6), word(args, 7)
    n0, n1, n2 = word(args, 8), word(args, 9), word(args, 10)
    low0, low1, low2 = word(args, 11), word(args, 12), word(args, 13)
    w0, w1, w2 = word(args, 14), word(args, 15), word(args, 16)
    zero = {number}(0)
    for item in range(begin, end):
        image = udiv(item, channels)
        plane = shift(x, image * image_step + (item - image * channels) * channel_step)
        for i in range(w0):
            for j in range(w1):
                row = shift(out, ((item * w0 + i) * w1 + j) * w2)
                i0, j0, first, last = i - low0, j - low1, 0, 0
                if 0 <= i0 < n0 and 0 <= j0 < n1:
                    first, last = min(low2, w2), min(low2 + n2, w2)
                source = shift(plane, i0 * xs0 + j0 * xs1)
                for k in range(first):
                    store0(row, k, zero)
                if xs2 == 1:
                    for k in range(first, last):
                        store0(row, k, load(source, k - low2))
                else:
                    for k in range(first, last):
                        store0(row, k, load(source, (k - low2) * xs2))
                for k in range(last, w2):
                    store0(row, k, zero)
'''

# A part of the images, of the weight's rows (channel, place in the kernel) and a panel of output
# channels are an item; partial sums are [part, group, panel of outputs, row, output].
CORRELATE = '''from numba import {number}
from jittensor.kernels.cpu.intrinsics import peek, poke, ptr_{code}, shift, tile_{code}
from jittensor.kernels.cpu.intrinsics import tile_i64, udiv, word
from jittensor.kernels.cpu.convolution_tile import turn_{code}, walk1_{code}, walk2_{code}
from jittensor.kernels.cpu.convolution_tile import walk4_{code}, walk8_{code}


def kernel(begin, end, args):
    x, y, out = ptr_{code}(args, 0), ptr_{code}(args, 1), ptr_{code}(args, 2)
    images, parts, groups, depth, rows = (word(args, 3), word(args, 4), word(args, 5),
                                          word(args, 6), word(args, 7))
    image_step, channel_step = word(args, 8), word(args, 9)
    t0, t1, t2 = word(args, 10), word(args, 11), word(args, 12)
    e0, e1, e2 = word(args, 13), word(args, 14), word(args, 15)
    c0, c1, c2 = word(args, 16), word(args, 17), word(args, 18)
    g0, g1, g2 = word(args, 19), word(args, 20), word(args, 21)
    height, blocks, panels = word(args, 22), word(args, 23), word(args, 24)
    taps = t0 * t1 * t2
    whole, pixels = depth * taps, c0 * c1 * c2
    starts, places = tile_i64({high}), tile_i64({pixels})
    turned = tile_{code}({turned})
    for item in range(begin, end):
        rest = udiv(item, panels)
        panel = item - rest * panels
        block = rest
        rest = udiv(block, blocks)
        block -= rest * blocks
        part = udiv(rest, groups)
        group = rest - part * groups
        begun = block * height
        count = min(height, whole - begun)
        for k in range(count):
            c = udiv(begun + k, taps)
            t = begun + k - c * taps
            m0 = udiv(t, t1 * t2)
            t -= m0 * t1 * t2
            m1 = udiv(t, t2)
            poke(starts, k, c * channel_step + m0 * e0 + m1 * e1 + (t - m1 * t2) * e2)
        goal = shift(out, (((part * groups + group) * panels + panel) * whole + begun) * {panel})
        columns, old, known = min({panel}, rows - panel * {panel}), 0, -1
        for image in range(udiv(images * part, parts), udiv(images * (part + 1), parts)):
            xg = shift(x, image * image_step + group * depth * channel_step)
            yg = shift(y, ((image * groups + group) * rows + panel * {panel}) * pixels)
            for first in range(0, pixels, {pixels}):
                many = min({pixels}, pixels - first)
                if first != known:
                    known = first
                    rest = udiv(first, c2)
                    j2 = first - rest * c2
                    j0 = udiv(rest, c1)
                    j1 = rest - j0 * c1
                    for i in range(many):
                        poke(places, i, j0 * g0 + j1 * g1 + j2 * g2)
                        j2 += 1
                        if j2 == c2:
                            j2 = 0
                            j1 += 1
                            if j1 == c1:
                                j1 = 0
                                j0 += 1
                for i in range(0, many, {lanes}):
                    for o in range(0, {panel}, {lanes}):
                        turn_{code}(shift(turned, i * {panel} + o), {panel},
                                    shift(yg, o * pixels + first + i), pixels,
                                    min({lanes}, max(0, columns - o)), min({lanes}, many - i),
                                    {lanes})
                k = 0
                while k < count:
                    ahead, here, to = count - k, shift(starts, k), shift(goal, k * {panel})
                    if ahead >= 8:
                        walk8_{code}(many, xg, here, places, turned, to, old)
                        k += 8
                    elif ahead >= 4:
                        walk4_{code}(many, xg, here, places, turned, to, old)
                        k += 4
                    elif ahead >= 2:
                        walk2_{code}(many, xg, here, places, turned, to, old)
                        k += 2
                    else:
                        walk1_{code}(many, xg, here, places, turned, to, old)
                        k += 1
                old = (1 << {panel}) - 1
'''

# one channel a group: sums of products of rows, a (group, output, part of the images) an item
ROWWISE = '''from numba import {number}
from jittensor.kernels.cpu.intrinsics import peek, poke, ptr_{code}, shift, tile_{code}
from jittensor.kernels.cpu.intrinsics import udiv, word
from jittensor.kernels.cpu.convolution_tile import dot_{code}


def kernel(begin, end, args):
    x, y, out = ptr_{code}(args, 0), ptr_{code}(args, 1), ptr_{code}(args, 2)
    images, groups, rows = word(args, 3), word(args, 5), word(args, 7)
    image_step, channel_step = word(args, 8), word(args, 9)
    t0, t1, t2 = word(args, 10), word(args, 11), word(args, 12)
    e0, e1, e2 = word(args, 13), word(args, 14), word(args, 15)
    c0, c1, c2 = word(args, 16), word(args, 17), word(args, 18)
    g0, g1, g2 = word(args, 19), word(args, 20), word(args, 21)
    sums = tile_{code}({lanes})
    for item in range(begin, end):
        group = udiv(item, rows)
        for m0 in range(t0):
            for m1 in range(t1):
                for m2 in range(t2):
                    for k in range({lanes}):
                        poke(sums, k, {number}(0))
                    start = group * channel_step + m0 * e0 + m1 * e1 + m2 * e2
                    for image in range(images):
                        xi = shift(x, image * image_step + start)
                        yi = shift(y, (image * groups * rows + item) * c0 * c1 * c2)
                        for j0 in range(c0):
                            for j1 in range(c1):
                                left = shift(xi, j0 * g0 + j1 * g1)
                                right = shift(yi, (j0 * c1 + j1) * c2)
                                if g2 == 1:
                                    dot_{code}(c2, left, right, sums)
                                else:
                                    for k in range(c2):
                                        poke(sums, k % {lanes}, peek(sums, k % {lanes})
                                             + peek(left, k * g2) * peek(right, k))
                    total = {number}(0)
                    for k in range({lanes}):
                        total += peek(sums, k)
                    poke(out, ((item * t0 + m0) * t1 + m1) * t2 + m2, total)
'''

# the parts of the sum are added up and turned: [group, panel, row, output] to [group, output, row]
GATHERED = '''from jittensor.kernels.cpu.intrinsics import peek, poke, ptr_{code}, shift, udiv, word
from jittensor.kernels.cpu.convolution_tile import turn_{code}


def kernel(begin, end, args):
    sums, out, parts = ptr_{code}(args, 0), ptr_{code}(args, 1), word(args, 2)
    groups, panels, whole, rows = word(args, 3), word(args, 4), word(args, 5), word(args, 6)
    blocks = udiv(whole + 63, 64)
    for item in range(begin, end):
        rest = udiv(item, blocks)
        block = (item - rest * blocks) * 64
        group = udiv(rest, panels)
        panel = rest - group * panels
        many, columns = min(64, whole - block), min({panel}, rows - panel * {panel})
        here = shift(sums, (rest * whole + block) * {panel})
        for part in range(1, parts):
            other = shift(here, part * groups * panels * whole * {panel})
            for i in range(many * {panel}):
                poke(here, i, peek(here, i) + peek(other, i))
        for k in range(0, many, {lanes}):
            wide = min({lanes}, many - k)
            for o in range(0, columns, {lanes}):
                turn_{code}(shift(out, (group * rows + panel * {panel} + o) * whole + block + k),
                            whole, shift(here, k * {panel} + o), {panel}, wide,
                            min({lanes}, columns - o), wide)
'''


def source(text: str, code: str) -> str:
    """A kernel's source for a dtype."""
    from .cpu.convolution_tile import LANES, PANEL
    panel = PANEL[code]
    return text.format(code=code, panel=panel, lanes=LANES[code], block=DEPTH * panel,
                       edge=8 * panel, phase=PHASE, depth=DEPTH, high=HEIGHT, pixels=PIXELS,
                       turned=PIXELS * panel,
                       number={"f32": "float32", "f64": "float64"}[code])
