"""Operations that make new tensors: operands drawn from a program in, NumPy's results out."""

from __future__ import annotations

import numpy as np

from jittensor.graph.shapes import output_strides
from tests.random_programs.memory_model import (
    EPS,
    KIND,
    Rejected,
    Var,
    cast,
    is_float,
    largest,
    promote,
    rounding,
)
from tests.random_programs.tables import (
    READS,
    as_computed,
    broadcast,
    entry,
    finish,
    no_negative_zero,
    scalar,
)


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


def arithmetic_result(p, name: str, a: Var, b) -> tuple:
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
        out, dtype, error = arithmetic_result(p, name, a, b)
        operands, texts = [a], [a.name, f"({b})"]
        if p.chance(0.3) and name in ("add", "mul"):
            texts.reverse()
    else:
        b = p.var()
        broadcast(p, a, b)
        out, dtype, error = arithmetic_result(p, name, a, b)
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
    out, error = casted(a, dtype)
    if dtype == a.dtype:
        raise Rejected
    p.result(f"{a.name}.to(torch.{dtype})", out, dtype, error,
             strides=a.strides if dense(a) else None, operands=[a])


def casted(a: Var, dtype: str) -> tuple[np.ndarray, float]:
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
    if a.array.size * max(b.shape[-1], b.shape[-2]) > 10**6:
        raise Rejected
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
    a = p.var(lambda v: v.ndim and v.shape[0] and (
        list(v.strides) == list(Var.fresh("", v.dtype, v.shape).strides)))
    if name == "getitem_mask":
        m = p.var(lambda v: v.dtype == "bool" and v.shape == a.shape)
        out, text = a.array[m.array], f"{a.name}[{m.name}]"
    else:
        index = [p.number(0, a.shape[0] - 1) for _ in range(p.number(1, 4))]
        out = a.array[index]
        text = (f"{a.name}[{index}]" if name == "getitem_list" else
                f"torch.index_select({a.name}, 0, torch.tensor({index}))")
    p.result(text, out, a.dtype, a.error, strides=Var.fresh("", a.dtype, out.shape).strides)
