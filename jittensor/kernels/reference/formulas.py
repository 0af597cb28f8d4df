"""Formulas in NumPy: an operator's scalar expression and arrays in, the array of results out.

The oracle of the compiled kernels, so it is written apart from them: the same table of operators,
NumPy's and SciPy's functions, one whole array at a time. 16-bit floats are computed in float32
and rounded at every operator.
"""

from __future__ import annotations

import ast
import math
from functools import cache

import numpy as np
from scipy import special

from ...graph import dtypes as dt
from ...graph.dtypes import DType
from ...graph.ops import Op, number_kept

BINARY = {ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.true_divide,
          ast.BitAnd: np.bitwise_and, ast.BitOr: np.bitwise_or, ast.BitXor: np.bitwise_xor}
COMPARE = {ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater,
           ast.GtE: np.greater_equal, ast.Eq: np.equal, ast.NotEq: np.not_equal}


@cache
def _tree(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def apply_operator(op: Op, compute: DType, result: DType, operands: list) -> np.ndarray:
    """The values of `op` on arrays and Python numbers, in dtype `result`.

    Operands are cast to `compute` first, but for conditions and masks, which are truth values.
    """
    kind = compute.compute
    whole = kind.category < dt.FLOAT and op.int_formula
    scope = {}
    for k, (name, value) in enumerate(zip(op.args, operands, strict=True)):
        truth = (k == 0 and op.dtypes == "where" or k == 1 and op.dtypes == "mask"
                 or op.name == "_where_grad" and name == "condition")
        kept = not isinstance(value, np.ndarray) and number_kept(op, name)
        scope[name] = convert(np.asarray(value), dt.bool_ if truth else kind if kept else compute)
        if compute is not kind and not truth:
            scope[name] = scope[name].astype(kind.numpy)
    with np.errstate(all="ignore"):
        value = _Formula(kind.numpy).value(_tree(op.int_formula if whole else op.formula), scope)
        return convert(np.asarray(value), result)


def convert(values: np.ndarray, dtype: DType) -> np.ndarray:
    """Values in another dtype: a truth value is 'not zero', a complex number loses its
    imaginary part, a float loses its fraction, integers wrap."""
    want = dtype.numpy
    if values.dtype == want:
        return values
    with np.errstate(all="ignore"):
        if dtype is dt.bool_:
            return values != 0
        if values.dtype.kind == "c" and dtype.category < dt.COMPLEX:
            values = values.real
        if values.dtype.kind == "f" and dtype.category == dt.INT and dtype.itemsize < 4:
            values = values.astype(np.int64)
        if values.dtype == np.float64 and dtype.itemsize == 2 and dtype.category == dt.FLOAT:
            values = values.astype(np.float32)
        if values.dtype.name == "bfloat16":
            values = values.astype(np.float32)
        return values.astype(want)


class _Formula:
    """Evaluates an expression in one NumPy dtype."""

    def __init__(self, kind: np.dtype):
        self.kind = kind

    def value(self, node: ast.expr, scope: dict) -> np.ndarray:
        """The value of an expression over the arrays of `scope`."""
        if isinstance(node, ast.Name):
            return scope[node.id]
        if isinstance(node, ast.Constant):
            return self.constant(node.value)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, scope)
        if isinstance(node, ast.BinOp):
            left, right = self.value(node.left, scope), self.value(node.right, scope)
            if left.dtype == right.dtype == np.bool_:
                return {ast.Add: np.logical_or, ast.Mult: np.logical_and}.get(
                    type(node.op), BINARY[type(node.op)])(left, right)
            return BINARY[type(node.op)](left.astype(self.kind), right.astype(self.kind))
        if isinstance(node, ast.Compare):
            left = self.value(node.left, scope)
            right = self.value(node.comparators[0], scope)
            return COMPARE[type(node.ops[0])](left, right.astype(left.dtype))
        values = [self.value(a, scope) for a in node.args]
        name = node.func.id
        if name == "where":
            condition, yes, no = values
            if yes.dtype != no.dtype or yes.dtype == np.bool_:
                yes, no = yes.astype(self.kind), no.astype(self.kind)
            return np.where(condition, yes, no)
        return FUNCTIONS[name](*[v.astype(self.kind) for v in values])

    def constant(self, number) -> np.ndarray:
        """A literal of the formula in the compute dtype."""
        if isinstance(number, bool):
            return np.asarray(number)
        return np.asarray(number).astype(self.kind)

    def _unary(self, node: ast.UnaryOp, scope: dict) -> np.ndarray:
        if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            return self.constant(-node.operand.value)
        value = self.value(node.operand, scope)
        return np.invert(value) if isinstance(node.op, ast.Invert) else np.negative(value)


def squares(counter: np.ndarray, key: np.ndarray) -> np.ndarray:
    """32 random bits of a counter and an odd key (Widynski 2020, arXiv:2004.06278)."""
    first = counter * key
    second, x = first + key, first
    for term in (first, second, first):
        x = x * x + term
        x = ((x >> 32) & 0xFFFFFFFF) | (x << 32)
    return ((x * x + second) >> 32) & 0xFFFFFFFF


# ── functions of formulas ─────────────────────────────────────────────────────────────────────
def _keeping(function):
    """A function whose result has the dtype of its first argument."""
    return lambda x, *rest: np.asarray(function(x, *rest)).astype(x.dtype)


def _whole(function):
    """An integer function; a bool array is computed as uint8."""
    def safe(a, b):
        if a.dtype == np.bool_:
            return function(a.astype(np.uint8), b.astype(np.uint8)).astype(np.bool_)
        return function(a, b)

    return safe


def _floor_div(a, b):
    rest = np.fmod(a, b)
    whole = (a - rest) / b
    whole = np.where((rest != 0) & ((b < 0) != (rest < 0)), whole - 1, whole)
    down = np.floor(whole)
    down = np.where(whole - down > 0.5, down + 1, down)
    down = np.where(whole != 0, down, np.copysign(0, a / b))
    return np.where(b == 0, a / b, down).astype(a.dtype)


def _remainder(a, b):
    rest = np.fmod(a, b)
    return np.where((rest != 0) & ((b < 0) != (rest < 0)), rest + b, rest).astype(a.dtype)


def _truncated(a, b):
    return ((a - np.fmod(a, b)) // b).astype(a.dtype)


def _int_pow(a, b):
    if a.dtype == np.bool_:
        return a | ~b
    negative = b < 0
    out = np.power(a, np.where(negative, b & 1, b))
    unit = (a == 1) | (a == -1) if a.dtype.kind == "i" else a == 1
    return np.where(negative & ~unit, 0, out).astype(a.dtype)


def _shift_left(a, b):
    bits = a.dtype.itemsize * 8
    bad = (b < 0) | (b >= bits)
    return np.where(bad, 0, np.left_shift(a, np.where(bad, 0, b).astype(a.dtype))).astype(a.dtype)


def _shift_right(a, b):
    bits = a.dtype.itemsize * 8
    bad = (b < 0) | (b >= bits)
    return np.right_shift(a, np.where(bad, bits - 1, b).astype(a.dtype))


def _relu(x):
    return np.maximum(x, np.zeros((), x.dtype))


def _sgn(x):
    if x.dtype.kind != "c":
        return np.sign(x)
    size = np.abs(x)
    return (x / np.where(size == 0, 1, size).astype(size.dtype)).astype(x.dtype)


def _log_add(power, scale):
    def log_add(a, b):
        top = np.maximum(a, b)
        tail = (np.log1p(power(-np.abs(a - b))) * a.dtype.type(scale)).astype(a.dtype)
        return np.where((a == b) & np.isinf(a), a, top + tail)

    return log_add


def _angle(x):
    """PyTorch's angle of a real number: -0.0 is not negative."""
    return np.angle(x) if np.iscomplexobj(x) else np.angle(x + 0.0)


def _sigmoid(x):
    return _keeping(special.expit)(x)


def _complex(a, b):
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), np.result_type(a.dtype, np.complex64))
    out.real, out.imag = a, b
    return out


def _polynomial(values, first, second, step):
    """Values at x of the polynomial of degree n (rounded down; 0 below 0), from its first two
    and `step(n, x, p[n-1], p[n-2])`."""
    def polynomial(x, n):
        x, n = np.broadcast_arrays(values(x.astype(np.float64)), np.trunc(n))
        before, now = np.ones_like(x), second(x)
        out = np.where(n == 0, before * first, np.where(n == 1, now, 0.0))
        for k in range(2, int(n.max(initial=0)) + 1):
            before, now = now, step(k, x, now, before)
            out = np.where(n == k, now, out)
        return out

    return lambda x, n: polynomial(x, n).astype(x.dtype)


def _same(x):
    return x


def _chebyshev(second):
    def step(k, x, now, before):
        return 2 * x * now - before

    return (_polynomial(_same, 1, second, step),
            _polynomial(lambda x: 2 * x - 1, 1, second, step))


_T, _TS = _chebyshev(_same)
_U, _US = _chebyshev(lambda x: 2 * x)
_V, _VS = _chebyshev(lambda x: 2 * x - 1)
_W, _WS = _chebyshev(lambda x: 2 * x + 1)

FUNCTIONS = {
    "abs": np.abs, "int_abs": lambda x: x if x.dtype.kind in "bu" else np.abs(x),
    "sign": np.sign, "int_sign": lambda x: x if x.dtype.kind == "b" else np.sign(x), "sgn": _sgn,
    "conj": np.conj, "signbit": np.signbit, "copysign": np.copysign, "nextafter": np.nextafter,
    "hypot": np.hypot, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint,
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sqrt": np.sqrt, "pow": np.power,
    "int_pow": _int_pow, "logaddexp": _log_add(np.exp, 1.0),
    "logaddexp2": _log_add(np.exp2, 1 / math.log(2)), "sin": np.sin, "cos": np.cos,
    "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "atan2": np.arctan2, "erf": _keeping(special.erf),
    "erfc": _keeping(special.erfc), "normal_cdf": _keeping(special.ndtr),
    "erfinv": _keeping(special.erfinv),
    "lgamma": _keeping(special.gammaln), "digamma": _keeping(special.digamma),
    "squares": squares,
    "trigamma": _keeping(lambda x: special.polygamma(1, x)), "i0": _keeping(special.i0),
    "i1": _keeping(special.i1), **{name: _keeping(getattr(special, name)) for name in (
        "erfcx", "i0e", "i1e", "j0", "j1", "k0", "k0e", "k1", "k1e", "log_ndtr", "ndtr", "ndtri",
        "y0", "y1")}, "sigmoid": _sigmoid, "maximum": np.maximum,
    "minimum": np.minimum, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
    "isposinf": np.isposinf, "isneginf": np.isneginf, "angle": _angle, "fmod": np.fmod,
    "remainder": _remainder, "floor_div": _floor_div, "int_floor_div": _whole(np.floor_divide),
    "int_remainder": _whole(np.remainder), "int_fmod": _whole(np.fmod),
    "int_trunc_div": _whole(_truncated), "shift_left": _shift_left, "shift_right": _shift_right,
    "gcd": np.gcd, "lcm": np.lcm, "relu": _relu,
    "log1p_exp": lambda x: np.log1p(np.exp(x)), "zeta": _keeping(special.zeta),
    "gammainc": _keeping(special.gammainc), "gammaincc": _keeping(special.gammaincc),
    "polygamma": lambda n, x: special.polygamma(n, x).astype(x.dtype),
    "airy_ai": _keeping(lambda x: special.airy(x)[0]),
    "spherical_j0": _keeping(lambda x: special.spherical_jn(0, x)),
    "chebyshev_t": _T, "chebyshev_u": _U, "chebyshev_v": _V, "chebyshev_w": _W,
    "shifted_chebyshev_t": _TS, "shifted_chebyshev_u": _US, "shifted_chebyshev_v": _VS,
    "shifted_chebyshev_w": _WS,
    "hermite_h": _polynomial(_same, 1, lambda x: 2 * x,
                             lambda k, x, now, before: 2 * x * now - 2 * (k - 1) * before),
    "hermite_he": _polynomial(_same, 1, _same,
                              lambda k, x, now, before: x * now - (k - 1) * before),
    "laguerre_l": _polynomial(_same, 1, lambda x: 1 - x, lambda k, x, now, before: (
        (2 * k - 1 - x) * now - (k - 1) * before) / k),
    "legendre_p": _polynomial(_same, 1, _same, lambda k, x, now, before: (
        (2 * k - 1) * x * now - (k - 1) * before) / k),
    "complex": _complex,
}
