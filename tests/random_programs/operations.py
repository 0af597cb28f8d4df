"""Operations of random programs: a Program in, a line of source and its NumPy meaning out.

Tables READS, WRITES, VIEWS and EVENTS give each operation a name. A function draws operands from
the program, computes in NumPy what the line means, and raises Rejected where they do not fit.
"""

from __future__ import annotations

import numpy as np

from jittensor.graph.shapes import output_strides
from tests.random_programs.memory_model import (
    EPS,
    KIND,
    Rejected,
    Var,
    cast,
    compute_type,
    fits_view,
    is_float,
    largest,
    numpy_type,
    overlaps_itself,
    promote,
    rounding,
)

READS, WRITES, VIEWS, EVENTS = {}, {}, {}, {}


def entry(table: dict, *names: str):
    """Registers a function under names; it is called with the name where there are several."""
    def add(function):
        for name in names:
            table[name] = function if len(names) == 1 else (
                lambda p, name=name: function(p, name))
        return function

    return add


def scalar(p, dtype: str):
    """A Python number that suits a dtype and that every float dtype holds exactly."""
    if KIND[dtype] >= 2 and p.chance(0.7):
        return p.pick((0.5, -1.25, 2.0, 0.75, -0.5))
    return p.pick((0, 1, 2, 3)) if dtype in ("uint8", "bool") else p.pick((-3, -1, 1, 2, 3))


def broadcast(p, a: Var, b: Var) -> tuple[int, ...]:
    """The common shape, or Rejected."""
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise Rejected from None


def no_negative_zero(*arrays: np.ndarray) -> None:
    """Refuses -0.0, whose sign a maximum or minimum with 0.0 may keep or drop."""
    for a in arrays:
        if a.dtype.kind in "fV" and a.dtype.name != "bfloat16" and np.any((a == 0) & np.signbit(a)):
            raise Rejected


def as_computed(v, dtype: str) -> np.ndarray:
    """A variable's values (or a number) in the dtype that arithmetic is done in."""
    if not isinstance(v, Var):
        return np.asarray(v).astype(compute_type(dtype))
    return cast(cast(v.array, dtype), dtype).astype(compute_type(dtype))


def finish(values: np.ndarray, dtype: str) -> np.ndarray:
    """Computed values rounded to their dtype."""
    return cast(np.asarray(values), dtype)


# ── binary operators ──────────────────────────────────────────────────────────────────────────
def _bool(f_bool, f):
    return lambda a, b: f_bool(a, b) if a.dtype == np.bool_ else f(a, b)


BINARY = {
    "add": ("{} + {}", _bool(np.logical_or, np.add)), "sub": ("{} - {}", np.subtract),
    "mul": ("{} * {}", _bool(np.logical_and, np.multiply)),
    "maximum": ("torch.maximum({}, {})", np.maximum),
    "minimum": ("torch.minimum({}, {})", np.minimum),
    "and": ("{} & {}", np.bitwise_and), "or": ("{} | {}", np.bitwise_or),
    "xor": ("{} ^ {}", np.bitwise_xor),
}
COMPARE = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
           "eq": np.equal, "ne": np.not_equal}


def binary_error(name: str, a: np.ndarray, b: np.ndarray, ea: float, eb: float, dtype: str,
                 out: np.ndarray) -> float:
    """The error of add, sub, mul, maximum or minimum of values with errors."""
    if dtype == "complex64" and name == "mul" and not ea and not eb:
        return 2 * rounding(dtype, out)
    if not ea and not eb:
        return 0.0
    error = ea * largest(b) + eb * largest(a) + ea * eb if name == "mul" else ea + eb
    return 1.01 * error + 2 * rounding(dtype, out)


def _binary(p, name: str, a: Var, b) -> tuple:
    """(values, dtype, error) of a binary operator on a variable and a variable or number."""
    dtype = promote([a] + ([b] if isinstance(b, Var) else []), [] if isinstance(b, Var) else [b])
    if name in ("and", "or", "xor") and KIND[dtype] > 1:
        raise Rejected
    if name in ("maximum", "minimum") and KIND[dtype] == 3:
        raise Rejected
    if name == "sub" and "bool" in (a.dtype, getattr(b, "dtype", "")):
        raise Rejected
    if dtype == "complex128":
        raise Rejected
    x, y = as_computed(a, dtype), as_computed(b, dtype)
    if name in ("maximum", "minimum"):
        no_negative_zero(x, y)
    with np.errstate(all="ignore"):
        out = finish(BINARY[name][1](x, y), dtype)
    eb = b.error if isinstance(b, Var) else 0.0
    error = binary_error(name, x, y, a.error, eb, dtype, out)
    if error == 0.0 and (a.dtype == "int64" or getattr(b, "dtype", "") == "int64") and (
            is_float(dtype) and largest(out) > 2**20):
        raise Rejected
    return out, dtype, error


@entry(READS, *BINARY)
def binary(p, name):
    """a op b with broadcasting, or with a number."""
    a = p.var()
    if p.chance(0.35) and name not in ("maximum", "minimum"):
        b = scalar(p, a.dtype)
        if name in ("and", "or", "xor"):
            b = int(b)
        out, dtype, error = _binary(p, name, a, b)
        operands, texts = [a], [a.name, f"({b})"]
        if p.chance(0.3) and name in ("add", "mul"):
            texts.reverse()
    else:
        b = p.var()
        broadcast(p, a, b)
        out, dtype, error = _binary(p, name, a, b)
        operands, texts = [a, b], [a.name, b.name]
    p.result(BINARY[name][0].format(*texts), out, dtype, error, operands)


@entry(READS, "rsub")
def reversed_sub(p):
    """number - a."""
    a = p.var(lambda v: v.dtype != "bool")
    b = scalar(p, a.dtype)
    dtype = promote([a], [b])
    x, y = as_computed(a, dtype), as_computed(b, dtype)
    out = finish(y - x, dtype)
    p.result(f"({b}) - {a.name}", out, dtype, binary_error("sub", x, y, a.error, 0, dtype, out),
             [a])


@entry(READS, *COMPARE)
def compare(p, name):
    """A comparison of exact values."""
    a = p.var(lambda v: not v.error)
    b = p.var(lambda v: not v.error) if p.chance(0.6) else scalar(p, a.dtype)
    operands = [a] + ([b] if isinstance(b, Var) else [])
    dtype = promote(operands, [] if isinstance(b, Var) else [b])
    if KIND[dtype] == 3 and name not in ("eq", "ne") or dtype == "complex128":
        raise Rejected
    if isinstance(b, Var):
        broadcast(p, a, b)
    out = COMPARE[name](as_computed(a, dtype), as_computed(b, dtype))
    text = b.name if isinstance(b, Var) else f"({b})"
    p.result(f"torch.{name}({a.name}, {text})", out, "bool", 0.0, operands)


@entry(READS, "div")
def divide(p):
    """a / b where no element of b is near 0."""
    a = p.var()
    b = p.var(lambda v: not v.error) if p.chance(0.4) else p.pick((2, 4, -0.5, 3, 1.5))
    operands = [a] + ([b] if isinstance(b, Var) else [])
    dtype = promote(operands, [] if isinstance(b, Var) else [b])
    dtype = dtype if is_float(dtype) else "float32"
    if dtype.startswith("complex"):
        raise Rejected
    if isinstance(b, Var):
        broadcast(p, a, b)
    x, y = as_computed(a, dtype), as_computed(b, dtype)
    if y.size and not np.min(np.abs(y)) > 0.1:
        raise Rejected
    out = finish(x / y, dtype)
    error = 11 * a.error + 2 * rounding(dtype, out) if a.error else 0.0
    text = b.name if isinstance(b, Var) else f"({b})"
    p.result(f"{a.name} / {text}", out, dtype, error, operands)


@entry(READS, "floor_divide", "remainder")
def whole_divide(p, name):
    """Integer division by a number that is not 0."""
    a = p.var(lambda v: KIND[v.dtype] == 1)
    b = p.pick((2, 3, 7)) if a.dtype == "uint8" else p.pick((2, 3, -4, 7))
    x = a.array
    out = (np.floor_divide if name == "floor_divide" else np.remainder)(x, x.dtype.type(b))
    sign = "//" if name == "floor_divide" else "%"
    p.result(f"{a.name} {sign} ({b})", out.astype(x.dtype), a.dtype, 0.0, [a])


@entry(READS, "where")
def where(p):
    """where(condition, a, b)."""
    c, a, b = p.var(lambda v: v.dtype == "bool"), p.var(), p.var()
    try:
        np.broadcast_shapes(a.shape, b.shape, c.shape)
    except ValueError:
        raise Rejected from None
    dtype = promote([a, b], [])
    if dtype == "complex128":
        raise Rejected
    out = np.where(c.array, cast(a.array, dtype), cast(b.array, dtype))
    error = max(a.error, b.error)
    error += rounding(dtype, out) if error else 0.0
    p.result(f"torch.where({c.name}, {a.name}, {b.name})", out, dtype, error, [c, a, b])


# ── unary operators ───────────────────────────────────────────────────────────────────────────
def _keep(f):
    return lambda x: f(x).astype(x.dtype)


# name: (NumPy function, lowest and highest operand kind, whether errors may jump)
EXACT = {
    "neg": (np.negative, 1, 3, False), "abs": (np.abs, 1, 2, False),
    "square": (_keep(lambda x: x * x), 1, 2, False),
    "floor": (np.floor, 2, 2, True), "ceil": (np.ceil, 2, 2, True),
    "trunc": (np.trunc, 2, 2, True), "round": (np.rint, 2, 2, True),
    "sign": (np.sign, 1, 2, True), "relu": (lambda x: np.maximum(x, x.dtype.type(0)), 1, 2, False),
    "bitwise_not": (np.invert, 0, 1, False),
}
# name: (NumPy function, bound on the slope, limit on |x|)
SMOOTH = {
    "sin": (np.sin, 1, 50), "cos": (np.cos, 1, 50), "tanh": (np.tanh, 1, 50),
    "atan": (np.arctan, 1, 99), "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 0.25, 50),
    "exp": (np.exp, 30, 3), "log1p": (lambda x: np.log1p(np.abs(x)), 1, 99),
    "expm1": (np.expm1, 30, 3),
}


@entry(READS, *EXACT)
def exact(p, name):
    """A function whose result is one rounding away at the most."""
    f, low, high, jumps = EXACT[name]
    a = p.var(lambda v: low <= KIND[v.dtype] <= high and not (jumps and v.error))
    x = as_computed(a, a.dtype)
    if name in ("relu", "sign"):
        no_negative_zero(x)
    with np.errstate(all="ignore"):
        out = finish(f(x), a.dtype)
    slope = 2 * largest(x) + a.error if name == "square" else 1
    error = slope * a.error * 1.01 + rounding(a.dtype, out) if a.error else 0.0
    p.result(f"torch.{name}({a.name})", out, a.dtype, error, [a])


@entry(READS, *SMOOTH)
def smooth(p, name):
    """A function that rounds: an error begins here."""
    f, slope, limit = SMOOTH[name]
    a = p.var(lambda v: KIND[v.dtype] in (1, 2))
    dtype = a.dtype if is_float(a.dtype) else "float32"
    x = as_computed(a, dtype)
    if largest(x) > limit:
        raise Rejected
    out = finish(f(x.astype(np.float64)).astype(x.dtype), dtype)
    error = slope * a.error + 4 * rounding(dtype, out) + 4 * rounding(
        {"float16": "float32", "bfloat16": "float32"}.get(dtype, dtype), np.abs(x))
    if name == "log1p":
        p.result(f"torch.log1p({a.name}.abs())", out, dtype, error, [between(a)])
    else:
        p.result(f"torch.{name}({a.name})", out, dtype, error, [a])


def between(a: Var) -> Var:
    """The result of one operation on a, to be an operand of the next."""
    return Var.fresh("", a.dtype, a.shape, output_strides(a.shape, [(a.shape, a.strides)]))


@entry(READS, "sqrt")
def root(p):
    """sqrt(|a|), which IEEE rounds correctly."""
    a = p.var(lambda v: KIND[v.dtype] == 2 and not v.error)
    x = as_computed(a, a.dtype)
    out = finish(np.sqrt(np.abs(x)), a.dtype)
    error = 0.0 if p.overlap else 2 * rounding(a.dtype, out)     # PyTorch's float64 is 1 ulp off
    p.result(f"{a.name}.abs().sqrt()", out, a.dtype, error, [between(a)])


@entry(READS, "clamp")
def clamp(p):
    """Values between numbers."""
    a = p.var(lambda v: 1 <= KIND[v.dtype] <= 2)
    low, high = (1, 3) if a.dtype == "uint8" else (-2, 3)
    no_negative_zero(a.array)
    out = np.minimum(np.maximum(a.array, a.array.dtype.type(low)), a.array.dtype.type(high))
    p.result(f"{a.name}.clamp({low}, {high})", out, a.dtype, a.error, [a])


@entry(READS, "to")
def to(p):
    """A cast; to integers only of exact values in range."""
    a = p.var()
    dtype = p.pick(("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32",
                    "float64", "bfloat16"))
    out, error = _cast_to(a, dtype)
    if dtype == a.dtype:
        raise Rejected
    p.result(f"{a.name}.to(torch.{dtype})", out, dtype, error,
             strides=a.strides if dense(a) else None, operands=[a])


def _cast_to(a: Var, dtype: str) -> tuple[np.ndarray, float]:
    if KIND[a.dtype] == 3 and KIND[dtype] < 3:
        raise Rejected
    if KIND[a.dtype] >= 2 and KIND[dtype] < 2:
        if a.error or (dtype == "uint8" and a.array.size and a.array.astype(float).min() <= -1):
            raise Rejected
        if dtype != "bool" and largest(a.array) > 100:
            raise Rejected
    out = cast(a.array, dtype)
    return out, (a.error + rounding(dtype, out)) if a.error else 0.0


def dense(a: Var) -> bool:
    """Whether a variable's elements fill a block without gaps."""
    step = 1
    for s, n in sorted((s, n) for n, s in zip(a.shape, a.strides, strict=True) if n != 1):
        if s != step or n == 0:
            return False
        step *= n
    return 0 not in a.shape


@entry(READS, "clone", "contiguous")
def clone(p, name):
    """A copy."""
    a = p.var()
    if name == "contiguous" and a.array.flags.c_contiguous:
        raise Rejected
    strides = a.strides if name == "clone" and dense(a) else None
    if name == "contiguous":
        strides = Var.fresh("", a.dtype, a.shape).strides
    p.result(f"{a.name}.{name}()", a.array.copy(), a.dtype, a.error, [a], strides)


# ── reductions and products ───────────────────────────────────────────────────────────────────
def some_dims(p, a: Var) -> tuple[tuple[int, ...], str, bool]:
    """(dims, their text, keepdim)."""
    keep = p.chance(0.4)
    dims = tuple(d for d in range(a.ndim) if p.chance(0.5))
    if not dims:
        return tuple(range(a.ndim)), "", False
    signed = tuple(d - a.ndim if p.chance(0.3) else d for d in dims)
    return dims, f"{signed if len(dims) > 1 or p.chance(0.5) else signed[0]}, {keep}", keep


def count_of(a: Var, dims) -> int:
    """How many elements are reduced to one."""
    n = 1
    for d in dims:
        n *= a.shape[d]
    return n


def summing_error(a: Var, n: int, wide: np.ndarray, dims, dtype: str, out) -> float:
    """The error of a sum of n elements, in any order."""
    kind = {"float16": "float32", "bfloat16": "float32"}.get(dtype, dtype)
    total = largest(np.sum(np.abs(wide), axis=dims))
    return n * a.error + min(n, 2100) * EPS[kind] * total + 1.01 * rounding(dtype, out)


@entry(READS, "sum", "mean")
def sums(p, name):
    """sum or mean over dims; exact for integers."""
    a = p.var(lambda v: KIND[v.dtype] >= (2 if name == "mean" else 0))
    dims, text, keep = some_dims(p, a)
    n = count_of(a, dims)
    if not n:
        raise Rejected
    if KIND[a.dtype] < 2:
        out = np.sum(a.array, axis=dims, dtype=np.int64, keepdims=keep)
        p.result(f"{a.name}.sum({text})", out, "int64", 0.0,
                 strides=Var.fresh("", "int64", np.shape(out)).strides)
        return
    wide = a.array.astype(np.complex128 if KIND[a.dtype] == 3 else np.float64)
    out = np.asarray(np.sum(wide, axis=dims, keepdims=keep))
    error = summing_error(a, n, wide, dims, a.dtype, out)
    if name == "mean":
        out, error = out / n, error / n + 2 * rounding(a.dtype, out / n)
        if a.dtype in ("float16", "bfloat16"):   # the sum is rounded before it is divided
            error += rounding(a.dtype, out)
    out = cast(out, a.dtype)
    p.result(f"{a.name}.{name}({text})", out, a.dtype, error,
             strides=Var.fresh("", a.dtype, out.shape).strides)


@entry(READS, "amax", "amin", "any", "all")
def extremes(p, name):
    """amax, amin, any, all over dims."""
    truth = name in ("any", "all")
    a = p.var(lambda v: KIND[v.dtype] < 3 and not (truth and (v.error or v.dtype == "uint8")))
    dims, text, keep = some_dims(p, a)
    if not count_of(a, dims) and not truth or truth and "(" in text:
        raise Rejected
    array = a.array if a.dtype != "bfloat16" else a.array.astype(np.float32)
    no_negative_zero(array)
    f = {"amax": np.max, "amin": np.min, "any": np.any, "all": np.all}[name]
    out = np.asarray(f(array, axis=dims, keepdims=keep))
    dtype = "bool" if truth else a.dtype
    p.result(f"{a.name}.{name}({text})", cast(out, dtype), dtype, 0.0 if truth else a.error,
             strides=Var.fresh("", dtype, out.shape).strides)


@entry(READS, "prod")
def product(p):
    """prod of integers over a dim."""
    a = p.var(lambda v: KIND[v.dtype] < 2 and v.ndim and v.shape[0] < 1000)
    d = p.number(0, a.ndim - 1)
    out = np.prod(a.array, axis=d, dtype=np.int64)
    p.result(f"{a.name}.prod({d})", out, "int64", 0.0,
             strides=Var.fresh("", "int64", np.shape(out)).strides)


def _softmax(x, d):
    e = np.exp(x - x.max(d, keepdims=True))
    return e / e.sum(d, keepdims=True)


ROWS = {
    "softmax": _softmax, "log_softmax": lambda x, d: np.log(_softmax(x, d)),
    "logsumexp": lambda x, d: np.log(np.exp(x).sum(d)), "var": lambda x, d: np.var(x, d, ddof=1),
}


@entry(READS, *ROWS)
def row_function(p, name):
    """A composite over one dim."""
    a = p.var(lambda v: KIND[v.dtype] == 2 and v.ndim and v.array.size)
    d = p.number(0, a.ndim - 1)
    x = a.array.astype(np.float64)
    if largest(x) > 30 or a.shape[d] < 2:
        raise Rejected
    out = np.asarray(ROWS[name](x, d))
    size = largest(x) + 1
    eps = EPS[{"float16": "float32", "bfloat16": "float32"}.get(a.dtype, a.dtype)]
    error = 4 * size * a.error + 64 * eps * size * size + 2 * rounding(a.dtype, out)
    if name == "logsumexp":
        error += 4 * EPS[a.dtype] * size          # computed step by step in the dtype
    out = cast(out, a.dtype)
    p.result(f"torch.{name}({a.name}, {d})", out, a.dtype, error,
             strides=Var.fresh("", a.dtype, out.shape).strides)


@entry(READS, "matmul")
def matmul(p):
    """A matrix product of two tensors of one dtype."""
    a = p.var(lambda v: v.ndim >= 2 and v.dtype in ("float32", "float64", "int64", "int32"))
    b = p.var(lambda v: v.ndim >= 2 and v.dtype == a.dtype)
    turned = a.shape[-1] != b.shape[-2] and a.shape[-1] == b.shape[-1]
    y = np.swapaxes(b.array, -1, -2) if turned else b.array
    try:
        out = np.matmul(a.array, y)
    except ValueError:
        raise Rejected from None
    k = a.shape[-1]
    if not k or not out.size or k * out.size > 10**6:
        raise Rejected
    error = 0.0
    if is_float(a.dtype):
        sizes = np.matmul(np.abs(a.array), np.abs(y))
        error = k * EPS[a.dtype] * largest(sizes) + k * 1.01 * (
            a.error * largest(y) + b.error * largest(a.array) + a.error * b.error)
    text = f"{b.name}.transpose(-1, -2)" if turned else b.name
    p.result(f"torch.matmul({a.name}, {text})", out, a.dtype, error,
             strides=Var.fresh("", a.dtype, out.shape).strides)


@entry(READS, "index_select", "getitem_list", "getitem_mask")
def pick_rows(p, name):
    """Rows by index, or elements by mask: copies."""
    a = p.var(lambda v: v.ndim and v.shape[0] and (p.overlap or v.array.flags.c_contiguous))
    if name == "getitem_mask":
        m = p.var(lambda v: v.dtype == "bool" and v.shape == a.shape)
        out, text = a.array[m.array], f"{a.name}[{m.name}]"
    else:
        index = [p.number(0, a.shape[0] - 1) for _ in range(p.number(1, 4))]
        out = a.array[index]
        text = (f"{a.name}[{index}]" if name == "getitem_list" else
                f"torch.index_select({a.name}, 0, torch.tensor({index}))")
    p.result(text, out, a.dtype, a.error, strides=Var.fresh("", a.dtype, out.shape).strides)


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
    out, dtype, error = _binary(p, plain, x, y)
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
    out, dtype, error = _binary(p, "add", x, y)
    if KIND[dtype] > KIND[x.dtype]:
        raise Rejected
    p.write(f"{x.name} += {label}", x, out, error)


def filled(x: Var, number) -> np.ndarray:
    """x's shape full of a number, in x's dtype."""
    return np.broadcast_to(cast(np.asarray(number), x.dtype), x.shape).copy()


def copied(x: Var, y: Var) -> tuple[np.ndarray, float]:
    """y's values as x takes them."""
    out, error = _cast_to(y, x.dtype) if y.dtype != x.dtype else (y.array.copy(), y.error)
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
