"""Scans and arg-extremes along a dim: opaque entries in, launches of kernels of loops out.

Operands are contiguous [lead, count, width]. A work item is a row of count elements where width is
1, else a block of columns, whose states wait in stack tiles while the rows pass by. Sums and
products of float32 are kept in float64, of complex64 in complex128, as PyTorch keeps them; rows of
floats go side by side in vector lanes. The place of an extreme in a row is found in two passes:
the extreme in vector lanes, then where it first stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..compiler.nest import Launch
from ..graph.ops import OPAQUE, composite
from .cpu.lanes import LANES
from .gather import _address, _split, conversions, places_of

COLUMNS = 128        # columns of a block
TOGETHER = 4         # rows of short steps that are walked side by side, for their latency

HEAD = """from numba import complex64, complex128, float32, float64
from numba import int64, int32, int16, int8, uint8
from jittensor.kernels.cpu.intrinsics import load, peek, poke, {pointers}, select, shift, store0
from jittensor.kernels.cpu.intrinsics import udiv, word{extra}
{imports}

def kernel(begin, end, args):
    {operands}
    count, width, reverse = word(args, {k}), word(args, {k} + 1), word(args, {k} + 2)
    back = (count - 1) * width if reverse else 0
    step = -width if reverse else width
"""


@dataclass(frozen=True)
class Scan:
    """A scan: its states as (name, code of their dtype, text that each starts from), the
    statements that take in an element `v` (and the factor `f`), the result's text.

    `each`: a result an element, not one a row. `wide`: rows are walked side by side. `lanes`: the
    operation of which there is a scan of rows in vector lanes, for these codes.
    """

    states: tuple[tuple[str, str, str], ...]
    lines: tuple[str, ...]
    result: str
    each: bool = True
    wide: bool = False
    imports: str = ""
    factor: bool = False
    lanes: str = ""


IN_LANES = ("f32", "f64")      # dtypes that have scans in vector lanes


def source_of(scan: Scan, code: str, out: str, rows: bool) -> str:
    """The kernel of a scan of rows, or of columns."""
    _, _, extra = conversions(code)
    names = ["x", "a", "out"] if scan.factor else ["x", "out"]
    codes = [code, code, out] if scan.factor else [code, out]
    tiles = sorted({f"tile_{kind}" for _, kind, _ in scan.states})
    pointers = sorted({f"ptr_{c}" for c in codes} | (set() if rows else set(tiles)))
    imports = scan.imports
    if rows and scan.lanes and code in IN_LANES:
        imports += (f"from jittensor.kernels.cpu.scan_tile import BESIDE, "
                    f"scan_{scan.lanes}_{code}\n")
    head = HEAD.format(
        pointers=", ".join(pointers), extra=extra, imports=imports, k=len(names),
        operands="\n    ".join(f"{n} = ptr_{c}(args, {k})"
                               for k, (n, c) in enumerate(zip(names, codes, strict=True))))
    body = _rows(scan, code) if rows else _columns(scan, code)
    return head + "\n".join("    " + line for line in body) + "\n"


def _element(scan: Scan, code: str, at: str) -> list[str]:
    read, _, _ = conversions(code)
    lines = ["v = " + read.format(f"load(source, {at})")]
    if scan.factor:
        lines.append("f = " + read.format(f"load(factor, {at})"))
    return [*lines, *scan.lines]


def _beside(lines: list[str], scan: Scan, k: int) -> list[str]:
    """Statements of the k-th of several rows."""
    own = [name for name, _, _ in scan.states] + ["v", "f", "source", "factor", "target", "row"]
    pattern = re.compile(rf"\b({'|'.join(own)})\b")
    return [pattern.sub(rf"\1_{k}", line) for line in lines]


def _rows(scan: Scan, code: str) -> list[str]:
    """Rows one by one, after groups of rows side by side."""
    read, _, _ = conversions(code)
    start = ["source = shift(x, row * count + back)"]
    if scan.factor:
        start.append("factor = shift(a, row * count + back)")
    start.append("target = shift(out, " + ("row * count + back)" if scan.each else "row)"))
    start += [f"{name} = {first.format(first=read.format('load(source, 0)'))}"
              for name, _, first in scan.states]
    element = _element(scan, code, "i * step")
    store = "store0(target, " + ("i * step, " if scan.each else "0, ") + scan.result + ")"
    out = ["begun = begin"]
    if scan.lanes and code in IN_LANES:
        out += ["while not reverse and begun + BESIDE <= end:",
                f"    scan_{scan.lanes}_{code}(shift(x, begun * count), shift(out, begun * count), "
                "count)", "    begun += BESIDE"]
    if scan.wide:
        out += [f"while begun + {TOGETHER} <= end:"]
        for k in range(TOGETHER):
            out += ["    " + line for line in [f"row_{k} = begun + {k}",
                                               *_beside(start, scan, k)]]
        out.append("    for i in range(count):")
        for k in range(TOGETHER):
            out += ["        " + line for line in _beside([*element, store], scan, k)]
        out.append(f"    begun += {TOGETHER}")
    out += ["for row in range(begun, end):", *("    " + line for line in start),
            "    for i in range(count):", *("        " + line for line in element),
            ("        " if scan.each else "    ") + store]
    return out


def _columns(scan: Scan, code: str) -> list[str]:
    """Blocks of columns."""
    read, _, _ = conversions(code)
    tiles = [f"{name}s = tile_{kind}({COLUMNS})" for name, kind, _ in scan.states]
    peeks = [f"{name} = peek({name}s, c)" for name, _, _ in scan.states]
    pokes = [f"poke({name}s, c, {name})" for name, _, _ in scan.states]
    starts = [f"poke({name}s, c, {first.format(first=read.format('load(source, c)'))})"
              for name, _, first in scan.states]
    out = [*tiles, f"blocks = udiv(width + {COLUMNS - 1}, {COLUMNS})",
           "for item in range(begin, end):", "    lead = udiv(item, blocks)",
           f"    c0 = (item - lead * blocks) * {COLUMNS}",
           f"    columns = min({COLUMNS}, width - c0)",
           "    first = lead * count * width + c0 + back",
           "    source, target = shift(x, first), shift(out, lead * width + c0)",
           "    for c in range(columns):", *("        " + line for line in starts),
           "    for i in range(count):", "        source = shift(x, first + i * step)"]
    if scan.factor:
        out.append("        factor = shift(a, first + i * step)")
    if scan.each:
        out.append("        target = shift(out, first + i * step)")
    store = f"store0(target, c, {scan.result})"
    element = [*peeks, *_element(scan, code, "c"), *pokes, *([store] if scan.each else [])]
    out += ["        for c in range(columns):", *("            " + line for line in element)]
    if not scan.each:
        out += ["    for c in range(columns):", *("        " + line for line in [*peeks, store])]
    return out


EXTREME = """from jittensor.kernels.cpu.intrinsics import {start}, {sweep}, {end}, tile_{code}
from jittensor.kernels.cpu.intrinsics import load, ptr_{code}, ptr_i64, shift, store0, word


def kernel(begin, end, args):
    x, out, count = ptr_{code}(args, 0), ptr_i64(args, 1), word(args, 2)
    lanes = tile_{code}({lanes})
    for row in range(begin, end):
        source = shift(x, row * count)
        {start}(lanes)
        {sweep}(lanes, source, count)
        best = {end}(lanes)
        lost = best != best
        at = 0
        while at + 64 <= count:
            part = shift(source, at)
            hits = 0
            for i in range(64):
                v = load(part, i)
                hits += 1 if (v == best) | (lost & (v != v)) else 0
            if hits:
                break
            at += 64
        while at < count:
            v = load(source, at)
            if v == best or (lost and v != v):
                break
            at += 1
        store0(out, row, at)
"""


def _kind(code: str) -> tuple[str, str]:
    """(Numba's name, code) of the dtype that sums and products are kept in."""
    kept = {"f32": "f64", "c64": "c128", "f16": "f32", "bf16": "f32"}.get(code, code)
    kept = kept if kept[0] in "cf" else "i64"
    return {"f64": "float64", "f32": "float32", "c128": "complex128", "i64": "int64"}[kept], kept


def _kept_as(code: str) -> str:
    """The text of `total` as an element."""
    return "complex64(total)" if code == "c64" else conversions(code)[1].format("total")


def _launch(entry, place, index: int, source: str, label: str, reverse: bool = False) -> Launch:
    x = entry.reads[0]
    lead, count, width = _split(x.shape, entry.attrs[0])
    places = places_of(entry, place, index)
    sizes = [r.dtype.itemsize for r in entry.reads] + [entry.spec.dtype.itemsize]
    words = [_address(p, s) for p, s in zip(places, sizes, strict=True)]
    total, cost = (lead, count) if width == 1 else (lead * -(-width // COLUMNS), COLUMNS * count)
    return Launch(source, [*words, count, width, int(reverse)], total if count else 0,
                  max(1, (1 << 14) // max(1, cost)), moved=2 * x.nbytes, origin=entry.origin,
                  label=label)


def scan_launches(make, label: str):
    """Launches of the scan that `make(code)` describes."""
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        dim, reverse = entry.attrs if len(entry.attrs) == 2 else (*entry.attrs, False)
        code = entry.reads[0].dtype.code
        rows = _split(entry.reads[0].shape, dim)[2] == 1
        source = source_of(make(code), code, entry.spec.dtype.code, rows)
        return [_launch(entry, place, index, source, label, reverse)]

    return launches


def _total(sign: str, first: int):
    def make(code: str) -> Scan:
        kind, kept = _kind(code)
        return Scan((("total", kept, f"{kind}({first})"),), (f"total = total {sign} {kind}(v)",),
                    _kept_as(code), wide=True, lanes={"+": "add", "*": "mul"}[sign])

    return make


def _log(code: str) -> Scan:
    """log(exp(total) + exp(v)), without overflow."""
    kind, kept = _kind(code)
    return Scan((("total", kept, f"{kind}(-inf)"),), (
        f"v = {kind}(v)",
        "low, high = (v, total) if v < total else (total, v)",
        "if v != v or total != total:", "    total = v + total",
        "elif low != high or abs(high) != inf:", "    total = high + log1p(exp(low - high))"),
        _kept_as(code), imports="from math import exp, inf, log1p\n")


def _extreme(sign: str, each: bool):
    """The index of the best element: so far, the last of equals, or of all, the first."""
    def make(code: str) -> Scan:
        kept = "f32" if code in ("f16", "bf16") else code
        take = f"(v != v) | ((best == best) & (v {sign}= best))" if each else (
            f"(best == best) & ((v != v) | (v {sign} best))")
        return Scan((("best", kept, "{first}"), ("at", "i64", "0")), (
            f"take = {take}", "best = select(take, v, best)", "at = select(take, i, at)"),
            "at", each=each, wide=True)

    return make


def _recurrence(code: str) -> Scan:
    """y[k] = x[k] + a[k] y[k - 1] (from the end with `reverse`)."""
    kind, kept = _kind(code)
    return Scan((("total", kept, f"{kind}(0)"),), (f"total = {kind}(v) + {kind}(f) * total",),
                _kept_as(code), wide=True, factor=True)


def extreme_launches(how: str, sign: str):
    """Launches of the first place of the extreme of a dim, NaN before all."""
    scan = scan_launches(_extreme(sign, False), "arg" + how)

    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        x = entry.reads[0]
        code = x.dtype.code
        if _split(x.shape, entry.attrs[0])[2] != 1 or code not in LANES:
            return scan(graph, index, place)
        names = {name: f"{name}_{how}_{code}" for name in ("start", "sweep", "end")}
        source = EXTREME.format(code=code, lanes=LANES[code], **names)
        return [_launch(entry, place, index, source, "arg" + how)]

    return launches


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


composite("cumsum", scan_launches(_total("+", 0), "cumsum"), _cumsum_backward, kind=OPAQUE)
composite("cumprod", scan_launches(_total("*", 1), "cumprod"), _cumprod_backward, saves=(0,),
          kind=OPAQUE)
composite("logcumsumexp", scan_launches(_log, "logcumsumexp"), _logcumsumexp_backward,
          saves=(0, "result"), kind=OPAQUE)
composite("_recurrence", scan_launches(_recurrence, "recurrence"), _recurrence_backward,
          saves=(1, "result"), kind=OPAQUE)
composite("_cummax_index", scan_launches(_extreme(">", True), "cummax"), kind=OPAQUE)
composite("_cummin_index", scan_launches(_extreme("<", True), "cummin"), kind=OPAQUE)
composite("_argmax", extreme_launches("maximum", ">"), kind=OPAQUE)
composite("_argmin", extreme_launches("minimum", "<"), kind=OPAQUE)
