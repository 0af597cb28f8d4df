"""Operations that write in place, and events (realizing, dropping, NumPy's own writes)."""

from __future__ import annotations

import numpy as np

from tests.random_programs.memory_model import (
    KIND,
    Rejected,
    Var,
    cast,
    largest,
    overlaps_itself,
    rounding,
)
from tests.random_programs.reads import arithmetic_result, binary_error, casted
from tests.random_programs.tables import (
    EVENTS,
    WRITES,
    as_computed,
    broadcast,
    entry,
    finish,
    no_negative_zero,
    scalar,
)
from tests.random_programs.views import random_index


# ── writes ────────────────────────────────────────────────────────────────────────────────────
def target(p) -> Var:
    """A variable that may be written; integers over a float's bytes only read."""
    return p.var(lambda v: not overlaps_itself(v) and not getattr(v, "bytes_only", False))


@entry(WRITES, "add_", "sub_", "mul_", "iadd", "imul", "isub")
def arithmetic(p, name):
    """x op= y."""
    x = target(p)
    plain = name.strip("i_") if name[0] != "i" else name[1:]
    y = p.var() if p.chance(0.6) else scalar(p, x.dtype)
    if isinstance(y, Var):
        if broadcast(p, x, y) != x.shape:
            raise Rejected
        p.clear_of(x, y)
    out, dtype, error = arithmetic_result(p, plain, x, y)
    if KIND[dtype] > KIND[x.dtype]:
        raise Rejected
    text = y.name if isinstance(y, Var) else f"({y})"
    line = (f"{x.name} {dict(add='+=', mul='*=', sub='-=')[plain]} {text}" if name[0] == "i"
            else f"{x.name}.{name}({text})")
    p.write(line, x, out, error)


@entry(WRITES, "setitem_tensor", "setitem_number", "setitem_iadd")
def set_slice(p, name):
    """x[index] = y, x[index] = number, x[index] += y."""
    v = p.var(lambda v: v.ndim and not overlaps_itself(v)
              and not getattr(v, "bytes_only", False))
    text, shape, strides, offset = random_index(p, v)
    x = Var(f"{v.name}[{text}]", v.store, v.dtype, shape, strides, offset)
    if name == "setitem_number":
        number = scalar(p, x.dtype)
        p.write(f"{x.name} = {number}", x, filled(x, number), 0.0)
        return
    y = p.var() if p.chance(0.8) or name == "setitem_tensor" else scalar(p, x.dtype)
    if isinstance(y, Var):
        if broadcast(p, x, y) != x.shape or y.ndim > x.ndim:
            raise Rejected
        p.clear_of(x, y)
    label = y.name if isinstance(y, Var) else f"({y})"
    if name == "setitem_tensor":
        out, error = copied(x, y)
        p.write(f"{x.name} = {label}", x, out, error)
        return
    out, dtype, error = arithmetic_result(p, "add", x, y)
    if KIND[dtype] > KIND[x.dtype]:
        raise Rejected
    p.write(f"{x.name} += {label}", x, out, error)


def filled(x: Var, number) -> np.ndarray:
    """x's shape full of a number, in x's dtype."""
    return np.broadcast_to(cast(np.asarray(number), x.dtype), x.shape).copy()


def copied(x: Var, y: Var) -> tuple[np.ndarray, float]:
    """y's values as x takes them."""
    out, error = casted(y, x.dtype) if y.dtype != x.dtype else (y.array.copy(), y.error)
    return np.broadcast_to(out, x.shape).copy(), error


@entry(WRITES, "copy_")
def copy(p):
    """x.copy_(y) with broadcasting and a cast."""
    x, y = target(p), p.var()
    if broadcast(p, x, y) != x.shape:
        raise Rejected
    p.clear_of(x, y)
    out, error = copied(x, y)
    p.write(f"{x.name}.copy_({y.name})", x, out, error)


@entry(WRITES, "fill_", "zero_")
def fill(p, name):
    """Every element one number."""
    x = target(p)
    number = 0 if name == "zero_" else scalar(p, x.dtype)
    p.write(f"{x.name}.{name}({'' if name == 'zero_' else number})", x, filled(x, number), 0.0)


@entry(WRITES, "clamp_", "relu_", "neg_", "abs_")
def unary_write(p, name):
    """A function in place."""
    x = target(p)
    if not 1 <= KIND[x.dtype] <= 2:
        raise Rejected
    a = x.array
    no_negative_zero(a)
    kind = a.dtype.type
    out = {"clamp_": lambda: np.minimum(np.maximum(a, kind(0)), kind(3)),
           "relu_": lambda: np.maximum(a, kind(0)), "neg_": lambda: -a,
           "abs_": lambda: np.abs(a)}[name]()
    p.write(f"{x.name}.{name}({'0, 3' if name == 'clamp_' else ''})", x, out, x.error)


@entry(WRITES, "tanh_", "sin_")
def smooth_write(p, name):
    """A function that rounds, in place."""
    x = target(p)
    if KIND[x.dtype] != 2 or largest(x.array) > 50:
        raise Rejected
    a = as_computed(x, x.dtype)
    f = np.tanh if name == "tanh_" else np.sin
    out = finish(f(a.astype(np.float64)).astype(a.dtype), x.dtype)
    kind = {"float16": "float32", "bfloat16": "float32"}.get(x.dtype, x.dtype)
    error = x.error + 4 * rounding(x.dtype, out) + 4 * rounding(kind, a)
    p.write(f"{x.name}.{name}()", x, out, error)


@entry(WRITES, "masked_fill_", "setitem_mask")
def masked(p, name):
    """x where the mask holds becomes a number."""
    x = target(p)
    m = p.var(lambda v: v.dtype == "bool")
    if name == "setitem_mask" and (m.shape != x.shape or not x.ndim):
        raise Rejected
    if broadcast(p, x, m) != x.shape:
        raise Rejected
    p.clear_of(x, m)
    number = scalar(p, x.dtype)
    if KIND[x.dtype] < 2:
        number = int(number)
    if x.dtype == "bool":
        number = bool(number)
    out = np.where(m.array, filled(x, number), x.array)
    line = (f"{x.name}.masked_fill_({m.name}, {number})" if name == "masked_fill_"
            else f"{x.name}[{m.name}] = {number}")
    p.write(line, x, out, x.error)


@entry(WRITES, "setitem_list", "index_add_", "index_copy_")
def rows_write(p, name):
    """Rows named by a list written, copied or added to."""
    x = target(p)
    if not x.ndim or not x.array.size or KIND[x.dtype] == 3 and name == "index_add_":
        raise Rejected
    n = x.shape[0]
    index = [int(k) for k in p.rng.permutation(n)[:p.number(1, min(n, 4))]]
    y = p.var(lambda v: v.dtype == x.dtype and v.shape == (len(index), *x.shape[1:]))
    if not p.overlap and y.store is x.store:
        raise Rejected
    out, error = x.array.copy(), max(x.error, y.error)
    if name == "index_add_":
        out, error = _rows_added(x, y, index)
    else:
        out[index] = y.array
    line = (f"{x.name}[{index}] = {y.name}" if name == "setitem_list" else
            f"{x.name}.{name}(0, torch.tensor({index}), {y.name})")
    p.write(line, x, out, error)


def _rows_added(x: Var, y: Var, index: list[int]) -> tuple[np.ndarray, float]:
    out = x.array.copy()
    a, b = as_computed(x, x.dtype)[index], as_computed(y, x.dtype)
    new = finish(np.logical_or(a, b) if x.dtype == "bool" else a + b, x.dtype)
    out[index] = new
    return out, binary_error("add", a, b, x.error, y.error, x.dtype, new)


# ── events ────────────────────────────────────────────────────────────────────────────────────
@entry(EVENTS, "realize", "realize_all", "item")
def run(p, name):
    """Pending work runs."""
    if name == "realize_all":
        p.emit("realize()")
    elif name == "realize":
        p.emit(f"realize({p.var().name})")
    else:
        p.emit(f"{p.var(lambda v: v.array.size == 1).name}.item()")


@entry(EVENTS, "check")
def check(p):
    """A value is looked at in the middle."""
    p.check(p.var())


@entry(EVENTS, "del")
def drop(p):
    """A tensor is forgotten."""
    if len(p.vars) < 4:
        raise Rejected
    p.drop(p.vars[p.number(0, len(p.vars) - 1)])


@entry(EVENTS, "create")
def create(p):
    """A new tensor."""
    p.create()


@entry(EVENTS, "numpy")
def to_numpy(p):
    """The tensor's memory as an array."""
    v = p.var(lambda v: v.dtype != "bfloat16" and v.array.size)
    name = p.name("n")
    p.emit(f"{name} = {v.name}.numpy()")
    p.arrays.append((name, v))


@entry(EVENTS, "numpy_write")
def numpy_write(p):
    """An array over a tensor's memory is changed from outside."""
    name, v = p.pick(p.arrays)
    if not v.ndim or overlaps_itself(v) or getattr(v, "bytes_only", False):
        raise Rejected
    text, shape, strides, offset = random_index(p, v)
    x = Var(f"{name}[{text}]", v.store, v.dtype, shape, strides, offset)
    number = int(scalar(p, "uint8")) if KIND[v.dtype] < 2 else 0.5
    p.write(f"{x.name} = {number}", x, filled(x, number), 0.0)


@entry(EVENTS, "numpy_drop")
def numpy_drop(p):
    """An array is forgotten."""
    at = p.pick(range(len(p.arrays)))
    p.emit(f"del {p.arrays.pop(at)[0]}")
