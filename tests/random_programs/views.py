"""Operations that make views: a variable of a program in, another one over its store out."""

from __future__ import annotations

import numpy as np

from tests.random_programs.memory_model import (
    Rejected,
    Var,
    fits_view,
    numpy_type,
)
from tests.random_programs.tables import VIEWS, entry


# ── views ─────────────────────────────────────────────────────────────────────────────────────
def random_index(p, v: Var) -> tuple[str, list, list, int]:
    """A basic index: its text, and shape, strides and offset of the view."""
    texts, shape, strides, offset = [], [], [], v.offset
    depth = p.number(1, v.ndim)
    for d in range(depth):
        n, s = v.shape[d], v.strides[d]
        if p.chance(0.12):
            texts.append("None")
            shape.append(1)
            strides.append(n * s)
        draw = p.rng.random()
        if draw < 0.3 and n:
            k = p.number(0, n - 1)
            texts.append(str(k - n if p.chance(0.3) else k))
            offset += k * s
            continue
        start, stop, step = 0, n, 1
        if draw < 0.85:
            start = p.number(0, max(0, n - 1))
            stop = p.number(start + (0 if p.chance(0.04) else 1), n) if n > start else n
            step = p.pick((1, 1, 2, 3))
            texts.append(f"{start}:{stop}:{step}" if step > 1 else f"{start or ''}:{stop}")
        else:
            texts.append(":")
        count = max(0, -(-(stop - start) // step))
        shape.append(count)
        strides.append(s * step)
        offset += start * s if count else 0
    if p.chance(0.15) and depth < v.ndim:
        texts.append("...")
    return ", ".join(texts), shape + list(v.shape[depth:]), strides + list(
        v.strides[depth:]), offset


@entry(VIEWS, "slice")
def slices(p):
    """x[basic index]."""
    v = p.var(lambda v: v.ndim)
    text, shape, strides, offset = random_index(p, v)
    if 0 in shape and p.chance(0.8):
        raise Rejected
    p.view(f"{v.name}[{text}]", v, shape, strides, offset)


@entry(VIEWS, "transpose", "permute", "movedim", "t")
def reorder(p, name):
    """Dims in another order."""
    v = p.var(lambda v: v.ndim == 2 if name == "t" else v.ndim)
    if name == "permute":
        order = [int(k) for k in p.rng.permutation(v.ndim)]
        text = f"{v.name}.permute({tuple(order)})"
    else:
        a, b = (0, 1) if name == "t" else (p.number(0, v.ndim - 1), p.number(0, v.ndim - 1))
        order = list(range(v.ndim))
        if name == "movedim":
            order.insert(b, order.pop(a))
        else:
            order[a], order[b] = order[b], order[a]
        text = f"{v.name}.t()" if name == "t" else f"{v.name}.{name}({a}, {b})"
    p.view(text, v, [v.shape[d] for d in order], [v.strides[d] for d in order], v.offset)


@entry(VIEWS, "expand")
def expand(p):
    """A dim of size 1 (or a new one) repeated."""
    v = p.var(lambda v: v.array.size < 5000)
    lead = [p.number(2, 3)] if p.chance(0.4) and v.ndim < 4 else []
    if not lead and 1 not in v.shape:
        raise Rejected
    sizes = [p.number(2, 4) if n == 1 and p.chance(0.7) else n for n in v.shape]
    strides = [0 if n == 1 and m != 1 else s
               for n, m, s in zip(v.shape, sizes, v.strides, strict=True)]
    if not lead + sizes:
        raise Rejected
    text = ", ".join(str(n) for n in lead + sizes)
    p.view(f"{v.name}.expand({text})", v, lead + sizes, [0] * len(lead) + strides, v.offset)


@entry(VIEWS, "reshape", "view", "flatten")
def reshape(p, name):
    """Another shape: a view, or (reshape) a copy where strides do not allow one."""
    v = p.var(lambda v: 0 < v.array.size and v.ndim)
    n = int(v.array.size)
    sizes = [n]
    if name != "flatten":
        for f in (2, 3, 4, 5, 8):
            if sizes[-1] % f == 0 and sizes[-1] > f and p.chance(0.6):
                sizes[-1:] = [sizes[-1] // f, f]
        sizes = [int(s) for s in p.rng.permutation(sizes)]
        if p.chance(0.2):
            sizes.insert(p.number(0, len(sizes)), 1)
    strides = fits_view(v.shape, v.strides, sizes)
    shown = list(sizes)
    if p.chance(0.3):
        shown[p.number(0, len(shown) - 1)] = -1
    text = f"{v.name}.{name}({', '.join(map(str, shown))})"
    if name == "flatten":
        text = f"{v.name}.flatten()"
        if v.ndim == 1:
            raise Rejected
    if strides is not None:
        p.view(text, v, sizes, strides, v.offset)
    elif name == "view":
        raise Rejected
    else:
        p.result(text, v.array.reshape(sizes), v.dtype, v.error,
                 strides=Var.fresh("", v.dtype, sizes).strides)


@entry(VIEWS, "select", "narrow", "unfold")
def parts(p, name):
    """A part of one dim."""
    v = p.var(lambda v: v.ndim and v.array.size)
    d = p.number(0, v.ndim - 1)
    n, s = v.shape[d], v.strides[d]
    shape, strides = list(v.shape), list(v.strides)
    k = p.number(0, n - 1)
    if name == "select":
        del shape[d], strides[d]
        text = f"{v.name}.select({d}, {k})"
    elif name == "narrow":
        shape[d] = p.number(1, n - k)
        text = f"{v.name}.narrow({d}, {k}, {shape[d]})"
    else:
        size, step, k = p.number(1, n), p.number(1, 2), 0
        shape[d] = (n - size) // step + 1
        strides[d] = s * step
        shape.append(size)
        strides.append(s)
        text = f"{v.name}.unfold({d}, {size}, {step})"
        if np.prod(shape) > 300_000 or v.ndim > 4:
            raise Rejected
    p.view(text, v, shape, strides, v.offset + k * s)


@entry(VIEWS, "unsqueeze", "squeeze")
def ones(p, name):
    """Dims of size 1 put in or taken out."""
    v = p.var(lambda v: v.ndim < 5)
    shape, strides = list(v.shape), list(v.strides)
    if name == "unsqueeze":
        d = p.number(0, v.ndim)
        strides.insert(d, shape[d] * strides[d] if d < v.ndim else 1)
        shape.insert(d, 1)
        p.view(f"{v.name}.unsqueeze({d})", v, shape, strides, v.offset)
        return
    if 1 not in shape:
        raise Rejected
    stay = [d for d, n in enumerate(shape) if n != 1]
    p.view(f"{v.name}.squeeze()", v, [shape[d] for d in stay], [strides[d] for d in stay],
           v.offset)


@entry(VIEWS, "diagonal")
def diagonal(p):
    """The diagonal of two dims."""
    v = p.var(lambda v: v.ndim >= 2 and v.array.size)
    a, b = (int(k) for k in p.rng.permutation(v.ndim)[:2])
    k = p.number(-1, 1)
    size = min(v.shape[a], v.shape[b] - k) if k >= 0 else min(v.shape[a] + k, v.shape[b])
    if size <= 0:
        raise Rejected
    rest = [d for d in range(v.ndim) if d not in (a, b)]
    start = k * v.strides[b] if k >= 0 else -k * v.strides[a]
    p.view(f"{v.name}.diagonal({k}, {a}, {b})", v, [v.shape[d] for d in rest] + [size],
           [v.strides[d] for d in rest] + [v.strides[a] + v.strides[b]], v.offset + start)


@entry(VIEWS, "as_strided")
def as_strided(p):
    """Any strides within the storage, overlapping ones too."""
    v = p.var(lambda v: v.array.size)
    itemsize = numpy_type(v.dtype).itemsize
    room = v.store.nbytes // itemsize
    shape = [p.number(1, 4) for _ in range(p.number(1, 2))]
    strides = [p.pick((0, 1, 1, 2, 3, 4)) for _ in shape]
    reach = sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if reach >= room:
        raise Rejected
    offset = p.number(0, min(room - 1 - reach, 50))
    p.view(f"{v.name}.as_strided({tuple(shape)}, {tuple(strides)}, {offset})", v, shape, strides,
           offset)


@entry(VIEWS, "view_dtype")
def view_dtype(p):
    """The same bytes as integers."""
    v = p.var(lambda v: v.ndim and v.dtype in ("float32", "float64", "float16", "int64", "int16")
              and not v.error and v.strides[-1] == 1 and v.array.size)
    dtype = {"float32": "int32", "float64": "int64", "float16": "int16", "int64": "int32",
             "int16": "uint8"}[v.dtype]
    ratio = numpy_type(v.dtype).itemsize // numpy_type(dtype).itemsize
    shape, strides = list(v.shape), list(v.strides)
    if ratio > 1:
        shape[-1] *= ratio
        strides = [s * ratio for s in strides[:-1]] + [1]
    out = p.view(f"{v.name}.view(torch.{dtype})", v, shape, strides, v.offset * ratio, dtype)
    out.bytes_only = True


@entry(VIEWS, "detach")
def detach(p):
    """Another tensor over the same elements."""
    v = p.var()
    p.view(f"{v.name}.detach()", v, v.shape, v.strides, v.offset)
