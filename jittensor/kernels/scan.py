"""Scans and arg-extremes along a dim: opaque entries in, launches of kernels of loops out.

Each work item walks one row [count] of a contiguous [lead, count, width] operand. Sums and
products of float32 are kept in float64, as PyTorch keeps them.
"""

from __future__ import annotations

from ..compiler.lower import Launch
from ..graph.ops import OPAQUE, composite
from .along import _places, conversions
from .gather import _address, _split

HEAD = '''from numba import float32, float64, int64, int32, int16, int8, uint8
from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, ptr_i64, shift, store0
from jittensor.kernels.cpu.intrinsics import udiv, word{extra}
{imports}

def kernel(begin, end, args):
    x, out = ptr_{code}(args, 0), ptr_{out}(args, 1)
    count, width, reverse = word(args, 2), word(args, 3), word(args, 4)
    for item in range(begin, end):
        lead = udiv(item, width)
        first = lead * count * width + item - lead * width
        step = width
        if reverse:
            first += (count - 1) * width
            step = -width
        source = shift(x, first)
        target = shift(out, first)
'''
TOTAL = HEAD + '''        total = {start}
        for i in range(count):
            total = total {sign} {kind}({read})
            store0(target, i * step, {write})
'''
LOG = HEAD + '''        total = -inf
        for i in range(count):
            v = {kind}({read})
            low, high = (v, total) if v < total else (total, v)
            if v != v or total != total:
                total = v + total
            elif low != high or abs(high) != inf:
                total = high + log1p(exp(low - high))
            store0(target, i * step, {write})
'''
EXTREME = HEAD + '''        best, at = {first}, 0
        for i in range(count):
            v = {read}
            if v != v or (best == best and v {sign} best):
                best, at = v, i
            store0(target, i * step, at)
'''
ARG = HEAD.replace("target = shift(out, first)", "target = shift(out, item)") + '''\
        best, at = {first}, 0
        for i in range(1, count):
            v = {read}
            if best == best and (v != v or v {sign} best):
                best, at = v, i
        store0(target, 0, at)
'''
RECURRENCE = '''from numba import float32, float64
from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, shift, store0, udiv, word{extra}


def kernel(begin, end, args):
    x, a, out = ptr_{code}(args, 0), ptr_{code}(args, 1), ptr_{code}(args, 2)
    count, width, reverse = word(args, 3), word(args, 4), word(args, 5)
    for item in range(begin, end):
        lead = udiv(item, width)
        first = lead * count * width + item - lead * width
        step = width
        if reverse:
            first += (count - 1) * width
            step = -width
        source, factor, target = shift(x, first), shift(a, first), shift(out, first)
        total = {kind}(0)
        for i in range(count):
            total = {kind}({read}) + {kind}({read_a}) * total
            store0(target, i * step, {write})
'''


def _accumulator(code: str) -> str:
    if code in ("c64", "c128"):
        return ""
    return {"f32": "float64", "f64": "float64", "f16": "float32", "bf16": "float32"}.get(
        code, "int64")


def _format(template: str, code: str, out: str, **fields) -> str:
    read, write, extra = conversions(code)
    return template.format(code=code, out=out, extra=extra, kind=_accumulator(code),
                           read=read.format("load(source, i * step)"),
                           read_a=read.format("load(factor, i * step)"),
                           first=read.format("load(source, 0)"),
                           write=write.format("total"), **fields)


def _launch(entry, place, index: int, source: str, dim: int, reverse: bool, label: str) -> Launch:
    x = entry.reads[0]
    lead, count, width = _split(x.shape, dim)
    places = _places(entry, place, index)
    sizes = [r.dtype.itemsize for r in entry.reads] + [entry.spec.dtype.itemsize]
    words = [_address(p, s) for p, s in zip(places, sizes, strict=True)]
    return Launch(source, [*words, count, width, int(reverse)], lead * width if count else 0,
                  max(1, (1 << 14) // max(1, count)), moved=2 * x.nbytes, origin=entry.origin,
                  label=label)


def _total(name: str, sign: str, start: int):
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        dim, reverse = entry.attrs
        code = entry.reads[0].dtype.code
        kind = _accumulator(code)
        source = _format(TOTAL, code, code, sign=sign, start=f"{kind}({start})" if kind else
                         f"load(source, 0) * 0 + {start}", imports="")
        return [_launch(entry, place, index, source, dim, reverse, name)]

    return launches


def _log(graph, index: int, place) -> list[Launch]:
    entry = graph.entries[index]
    dim, reverse = entry.attrs
    code = entry.reads[0].dtype.code
    source = _format(LOG, code, code, imports="from math import exp, inf, log1p\n")
    return [_launch(entry, place, index, source, dim, reverse, "logcumsumexp")]


def _walk(template: str, sign: str, label: str):
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        (dim,) = entry.attrs
        source = _format(template, entry.reads[0].dtype.code, "i64", sign=sign, imports="")
        return [_launch(entry, place, index, source, dim, False, label)]

    return launches


def _recurrence(graph, index: int, place) -> list[Launch]:
    """y[k] = x[k] + a[k] y[k - 1] (from the end with `reverse`)."""
    entry = graph.entries[index]
    dim, reverse = entry.attrs
    code = entry.reads[0].dtype.code
    return [_launch(entry, place, index, _format(RECURRENCE, code, code), dim, reverse,
                    "recurrence")]


def _cumsum_backward(node, grad):
    dim, reverse = node.attrs
    return [grad._scan("cumsum", dim, not reverse)]


def _cumprod_backward(node, grad):
    return [grad._cumprod_grad(node.saved(0), *node.attrs[:2])]


def _logcumsumexp_backward(node, grad):
    """d = exp(x) * reversed cumsum(grad / exp(y)), positive and negative parts apart."""
    dim, reverse = node.attrs
    x, y = node.saved(0), node.result()
    # finite, because the difference of two infinities is not a number
    low = -1e300 if x.dtype.itemsize == 8 else -3e38 if x.dtype.itemsize == 4 else -6e4
    up = grad.log().where(grad > 0, low) - y
    down = (-grad).log().where(grad < 0, low) - y
    return [(up._scan("logcumsumexp", dim, not reverse) + x).exp()
            - (down._scan("logcumsumexp", dim, not reverse) + x).exp()]


def _recurrence_backward(node, grad):
    dim, reverse = node.attrs
    a, y = node.saved(1), node.result()
    ahead, behind = (1, -1) if reverse else (-1, 1)
    inner = grad._recurrence(a._shifted(dim, ahead, 0), dim, not reverse)
    return [inner, inner * y._shifted(dim, behind, 0)]


composite("cumsum", _total("cumsum", "+", 0), _cumsum_backward, kind=OPAQUE)
composite("cumprod", _total("cumprod", "*", 1), _cumprod_backward, saves=(0,), kind=OPAQUE)
composite("logcumsumexp", _log, _logcumsumexp_backward, saves=(0, "result"), kind=OPAQUE)
composite("_recurrence", _recurrence, _recurrence_backward, saves=(1, "result"), kind=OPAQUE)
for _name, _template, _sign in (("_cummax_index", EXTREME, ">="), ("_cummin_index", EXTREME, "<="),
                                ("_argmax", ARG, ">"), ("_argmin", ARG, "<")):
    composite(_name, _walk(_template, _sign, _name.strip("_")), kind=OPAQUE)
