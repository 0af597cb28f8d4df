"""In: a recurrent cell and a dtype. Out: the sources of its kernels, forward and backward in time.

A work item is a row of the batch. The kernel runs the whole loop over time for its rows: a
product with the recurrent weight, which `PACK` has cut into panels (see `cpu.recurrent_tile`), then
the gates, row by row. Sequences of unequal
length come packed: step t has rows 0..sizes[t]-1, the longest sequences first. What the words of
a launch mean is in `FORWARD_WORDS` and `BACKWARD_WORDS`.
"""

from __future__ import annotations

FORWARD_WORDS = ("steps batch hidden state items reverse keep sizes xp weight h0 c0 "
                 "bias_x bias_h project before out hn cn gates cells raw scratch extra").split()
BACKWARD_WORDS = ("steps batch hidden state items reverse sizes weight h0 c0 project "
                  "out cells gates grad_out grad_hn grad_cn dx dh0 dc0 dp dh scratch "
                  "extra").split()
_NUMBERS = frozenset("steps batch hidden state items reverse keep".split())
PANEL = {"f32": 32, "f64": 16}         # columns of a panel: 128 bytes

HEAD = '''from numba import float32, float64
from jittensor.kernels.cpu.functions import sigmoid_{code}, tanh_{code}
from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, ptr_i64, select, shift
from jittensor.kernels.cpu.intrinsics import store0, store1, store2, store3, store4, store5
from jittensor.kernels.cpu.intrinsics import store6, store7, store8, udiv, word
from jittensor.kernels.cpu.recurrent_tile import again4, again5, again6, again7
from jittensor.kernels.cpu.recurrent_tile import tile1_{code}, tile2_{code}
from jittensor.kernels.cpu.recurrent_tile import tile4_{code}, tile8_{code}


def kernel(begin, end, args):
{words}
    zero, one = {number}(0), {number}(1)
    wide = udiv({columns} + {panel} - 1, {panel}) * {panel}
    first, count = begin, end - begin
'''

FORWARD = '''\
    for i in range(first * state, (first + count) * state):
        store7(hn, i, load(h0, i))
        store8(before, i, load(h0, i))
{begin}
    start = items if reverse else 0
    for step in range(steps):
        t = steps - 1 - step if reverse else step
        size = load(sizes, t) if at_sizes else batch
        if reverse:
            start -= size
        rows = min(count, size - first)
        if rows > 0:
{product}
            for r in range(first, first + rows):
                at = start + r
                kept = at if keep else r
                x = shift(xp, at * {gates} * hidden)
                s = shift(scratch, r * wide)
                h = shift({value}, {value_row} * hidden)
                last = shift(hn, r * state)
{row}
{after}
        if not reverse:
            start += size
'''

RAW = '''\
            narrow = udiv(state + {panel} - 1, {panel}) * {panel}
{product}
            for r in range(first, first + rows):
                source, h = shift(extra, r * narrow), shift(out, (start + r) * state)
                last = shift(hn, r * state)
                for j in range(state):
                    store6(h, j, load(source, j))
                    store7(last, j, load(source, j))
'''

BACKWARD = '''\
    for r in range(first, first + count):
        for j in range(state):
            store7(scratch, r * wide + j, load(grad_hn, r * state + j))
{begin}
    start = 0 if reverse else items
    for step in range(steps):
        t = step if reverse else steps - 1 - step
        size = load(sizes, t) if at_sizes else batch
        previous = 0                # rows of the step before this one, in the order of forward
        if reverse and t < steps - 1:
            previous = load(sizes, t + 1) if at_sizes else batch
        elif not reverse and t > 0:
            previous = load(sizes, t - 1) if at_sizes else batch
        if not reverse:
            start -= size
        begun = start + size if reverse else start - previous
        rows = min(count, size - first)
        if rows > 0:
{before}
            for r in range(first, first + rows):
                at = start + r
                has = r < previous
                dx_ = shift(dx, at * {gates} * hidden)
                back = shift(scratch, r * wide)
                dout = shift(grad_out, at * state)
{row}
{product}
        if reverse:
            start += size
    for r in range(first, first + count):
        for j in range(state):
            store5(dh0, r * state + j, {carried}again7(scratch, r * wide + j))
'''

LSTM_BEGIN = '''\
    for i in range(first * hidden, (first + count) * hidden):
        store4(cn, i, load(c0, i))
'''
LSTM_ROW = '''\
                g = shift(gates, kept * 4 * hidden)
                now = shift(cells, kept * hidden)
                c_last = shift(cn, r * hidden)
                for j in range(hidden):
                    k = hidden + j
                    vi = sigmoid_{code}(load(x, j) + load(bias_x, j)
                                    + (load(s, j) + load(bias_h, j)))
                    vf = sigmoid_{code}(load(x, k) + load(bias_x, k)
                                    + (load(s, k) + load(bias_h, k)))
                    k += hidden
                    vg = tanh_{code}(load(x, k) + load(bias_x, k)
                                 + (load(s, k) + load(bias_h, k)))
                    k += hidden
                    vo = sigmoid_{code}(load(x, k) + load(bias_x, k)
                                    + (load(s, k) + load(bias_h, k)))
                    c = vf * again4(c_last, j) + vi * vg
                    v = vo * tanh_{code}(c)
                    store0(g, j, vi)
                    store1(g, hidden + j, vf)
                    store2(g, 2 * hidden + j, vg)
                    store3(g, 3 * hidden + j, vo)
                    store4(c_last, j, c)
                    store5(now, j, c)
                    store6(h, j, v)
'''
LSTM_BACK_BEGIN = '''\
    for i in range(first * hidden, (first + count) * hidden):
        store4(dc0, i, load(grad_cn, i))
'''
LSTM_BACK_ROW = '''\
                g = shift(gates, at * 4 * hidden)
                now = shift(cells, at * hidden)
                c_last = shift(cells, (begun + r) * hidden) if has else shift(c0, r * hidden)
                dc_last = shift(dc0, r * hidden)
                for j in range(hidden):
                    d = {value}
                    vi, vf = load(g, j), load(g, hidden + j)
                    vg, vo = load(g, 2 * hidden + j), load(g, 3 * hidden + j)
                    tc = tanh_{code}(load(now, j))
                    dc = again4(dc_last, j) + d * vo * (one - tc * tc)
                    store0(dx_, j, dc * vg * vi * (one - vi))
                    store1(dx_, hidden + j, dc * load(c_last, j) * vf * (one - vf))
                    store2(dx_, 2 * hidden + j, dc * vi * (one - vg * vg))
                    store3(dx_, 3 * hidden + j, d * tc * vo * (one - vo))
                    store4(dc_last, j, dc * vf)
'''
# with a projection, the gradient of the state goes through it before it meets the gates
PROJECT_BACK = '''\
            for r in range(first, first + rows):
                for j in range(state):
                    at = (start + r) * state + j
                    store6(dh, at, load(grad_out, at) + again7(scratch, r * wide + j))
            narrow = udiv(hidden + {panel} - 1, {panel}) * {panel}
{product}
'''
GRU_ROW = '''\
                g = shift(gates, kept * 4 * hidden)
                for j in range(hidden):
                    k = hidden + j
                    vr = sigmoid_{code}(load(x, j) + load(bias_x, j)
                                    + (load(s, j) + load(bias_h, j)))
                    vz = sigmoid_{code}(load(x, k) + load(bias_x, k)
                                    + (load(s, k) + load(bias_h, k)))
                    k += hidden
                    vp = load(s, k) + load(bias_h, k)
                    vn = tanh_{code}(load(x, k) + load(bias_x, k) + vr * vp)
                    v = vn + vz * (again7(last, j) - vn)
                    store0(g, j, vr)
                    store1(g, hidden + j, vz)
                    store2(g, 2 * hidden + j, vn)
                    store3(g, 3 * hidden + j, vp)
                    store6(h, j, v)
                    store7(last, j, v)
'''
GRU_BACK_ROW = '''\
                g = shift(gates, at * 4 * hidden)
                h_last = shift(out, (begun + r) * hidden) if has else shift(h0, r * hidden)
                dp_ = shift(dp, at * 3 * hidden)
                carry = shift(dh0, r * hidden)
                for j in range(hidden):
                    d = load(dout, j) + (again5(carry, j) + again7(back, j))
                    vr, vz = load(g, j), load(g, hidden + j)
                    vn, vp = load(g, 2 * hidden + j), load(g, 3 * hidden + j)
                    dn = d * (one - vz) * (one - vn * vn)
                    dz = d * (load(h_last, j) - vn) * vz * (one - vz)
                    dr = dn * vp * vr * (one - vr)
                    store0(dx_, j, dr)
                    store1(dx_, hidden + j, dz)
                    store2(dx_, 2 * hidden + j, dn)
                    store3(dp_, j, dr)
                    store4(dp_, hidden + j, dz)
                    store6(dp_, 2 * hidden + j, dn * vr)
                    store5(carry, j, d * vz)
'''
GRU_BACK_BEGIN = '''\
    for i in range(first * state, (first + count) * state):
        store5(dh0, i, zero)
'''
# c[rows, n] = a[rows, k] @ weight, in panels of the packed weight
PRODUCT = '''\
            pace = udiv(8 * 128, max(8, rows))
            for n in range(0, {n}, {panel}):
                panel = shift({weight}, n * ({k}))
                ahead = at_{weight} + {item} * (n + {panel}) * ({k})
                r = 0
                while r < rows:
                    left = shift({a}, r * ({k}))
                    target = shift({c}, (first + r) * {wide} + n)
                    if r + 8 <= rows:
                        tile8_{code}({k}, left, {k}, panel, target, {wide}, ahead, pace)
                        r += 8
                    elif r + 4 <= rows:
                        tile4_{code}({k}, left, {k}, panel, target, {wide}, ahead, pace)
                        r += 4
                    elif r + 2 <= rows:
                        tile2_{code}({k}, left, {k}, panel, target, {wide}, ahead, pace)
                        r += 2
                    else:
                        tile1_{code}({k}, left, {k}, panel, target, {wide}, ahead, pace)
                        r += 1
                    ahead += pace * ({k})
'''
PACK = '''from numba import {number}
from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, shift, store0, word


def kernel(begin, end, args):
    weight, out = ptr_{code}(args, 0), ptr_{code}(args, 1)
    n, k, row, column = word(args, 2), word(args, 3), word(args, 4), word(args, 5)
    for panel in range(begin, end):
        first = panel * {panel}
        count = min({panel}, n - first)
        source, target = shift(weight, first * column), shift(out, first * k)
        for block in range(0, k, 16):
            for j in range({panel}):
                for i in range(block, min(k, block + 16)):
                    if j < count:
                        store0(target, i * {panel} + j, load(source, i * row + j * column))
                    else:
                        store0(target, i * {panel} + j, {number}(0))
'''
RNN_ROW = '''\
                for j in range(hidden):
                    v = load(x, j) + load(bias_x, j) + (load(s, j) + load(bias_h, j))
                    v = {function}
                    store6(h, j, v)
                    store7(last, j, v)
'''
RNN_BACK_ROW = '''\
                y = shift(out, at * hidden)
                for j in range(hidden):
                    d = load(dout, j) + again7(back, j)
                    v = load(y, j)
                    store0(dx_, j, {slope})
'''
_FUNCTIONS = {"rnn_tanh": ("tanh_{code}(v)", "d * (one - v * v)"),
              "rnn_relu": ("select(v <= zero, zero, v)", "select(v <= zero, zero, d)")}
_NUMBER = {"f32": "float32", "f64": "float64"}


def _unpacked(names: list[str], code: str) -> str:
    """The lines that read a launch's words: sizes and flags, and pointers."""
    lines = []
    for k, name in enumerate(names):
        if name in _NUMBERS:
            lines.append(f"    {name} = word(args, {k})")
            continue
        kind = "i64" if name == "sizes" else code
        if name in ("sizes", "weight", "project"):
            lines.append(f"    at_{name} = word(args, {k})")
        lines.append(f"    {name} = ptr_{kind}(args, {k})")
    return "\n".join(lines)


def _names(cell: str, code: str) -> tuple[str, dict]:
    """The family of a cell and what its templates are filled with."""
    family = cell.partition("_")[0]
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[family]
    return family, dict(code=code, gates=gates, panel=PANEL[code], number=_NUMBER[code],
                        item=128 // PANEL[code])


def _product(names: dict, n: str, k: str, a: str, weight: str, c: str, wide: str = "wide") -> str:
    return PRODUCT.format(**names, n=n, k=k, a=a, weight=weight, c=c, wide=wide).rstrip()


def forward_source(cell: str, code: str, projected: bool) -> str:
    """The kernel of a cell that goes through the sequence."""
    family, names = _names(cell, code)
    row = {"lstm": LSTM_ROW, "gru": GRU_ROW, "rnn": RNN_ROW}[family]
    if family == "lstm" and not projected:
        row += "                    store7(last, j, v)\n"
    if family == "rnn":
        row = row.replace("{function}", _FUNCTIONS[cell][0])
    columns = f"{names['gates']} * hidden"
    product = _product(names, columns, "state", "shift(hn, first * state)", "weight", "scratch")
    raw = "shift(raw, (start + first if keep else first) * hidden)"
    after = RAW.format(**names, product=_product(
        names, "state", "hidden", raw, "project", "extra", "narrow")) if projected else ""
    text = FORWARD.format(
        **names, begin=LSTM_BEGIN if family == "lstm" else "", row=row.format(**names).rstrip(),
        product=product, value="raw" if projected else "out",
        value_row="kept" if projected else "at", after=after)
    return _whole(HEAD.format(**names, columns=columns,
                              words=_unpacked(FORWARD_WORDS, code)) + text)


def backward_source(cell: str, code: str, projected: bool) -> str:
    """The kernel of a cell that goes back through the sequence."""
    family, names = _names(cell, code)
    row = {"lstm": LSTM_BACK_ROW, "gru": GRU_BACK_ROW, "rnn": RNN_BACK_ROW}[family]
    value = ("load(shift(extra, r * narrow), j)" if projected
             else "load(dout, j) + again7(back, j)")
    slope = _FUNCTIONS[cell][1] if family == "rnn" else ""
    begin = {"lstm": LSTM_BACK_BEGIN, "gru": GRU_BACK_BEGIN, "rnn": ""}[family]
    width = f"{names['gates']} * hidden"
    before = PROJECT_BACK.format(**names, product=_product(
        names, "hidden", "state", "shift(dh, (start + first) * state)", "project", "extra",
        "narrow")) if projected else ""
    gradient = f"shift({'dp' if family == 'gru' else 'dx'}, (start + first) * {width})"
    text = BACKWARD.format(
        **names, begin=begin, before=before,
        row=row.format(**names, value=value, slope=slope).rstrip(),
        product=_product(names, "state", width, gradient, "weight", "scratch"),
        carried="again5(dh0, r * state + j) + " if family == "gru" else "")
    return _whole(HEAD.format(**names, columns="state",
                              words=_unpacked(BACKWARD_WORDS, code)) + text)


def pack_source(code: str) -> str:
    """The kernel that cuts a weight into panels."""
    return PACK.format(code=code, panel=PANEL[code], number=_NUMBER[code])


def _whole(text: str) -> str:
    """A source without the empty lines that missing parts leave in it."""
    head, kernel = text.split("def kernel", 1)
    return head + "def kernel" + "\n".join(x for x in kernel.split("\n") if x.strip()) + "\n"
