"""Formulas: an operator's scalar expression and typed operands in, lines of kernel source out.

Every step is an assignment to a name of its own with an explicit type, so that neither Numba's
promotion nor a Python literal decides a type. Equal steps are written once.
"""

from __future__ import annotations

import ast
import math
from functools import cache

from ..graph.dtypes import BY_NAME
from ..graph.ops import OPS, number_kept

CATEGORY = {d.code: d.category for d in BY_NAME.values()}
BOOLEAN, INTEGER, FLOATING, COMPLEX = range(4)
BINARY = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
}
COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
BOOL_BINARY = {"+": "|", "*": "&", "-": "^"}
BITS = {"i8": 8, "u8": 8, "i16": 16, "i32": 32, "i64": 64}


@cache
def _tree(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


class Formulas:
    """Writes statements for one straight-line stretch of a kernel."""

    def __init__(self, lines: list[str], imports: set[str], constants: dict[str, str], names=None):
        self.lines, self.imports, self.constants = lines, imports, constants
        self.seen: dict[str, str] = {}
        self.names = names if names is not None else iter(f"v{k}" for k in range(1 << 30))

    # ── steps ─────────────────────────────────────────────────────────────────────────────────
    def step(self, text: str) -> str:
        """A new name for the value of `text`, or the name it already has."""
        name = self.seen.get(text)
        if name is None:
            name = self.seen[text] = next(self.names)
            self.lines.append(f"{name} = {text}")
        return name

    def call(self, function: str, *arguments: str) -> str:
        """A call of an intrinsic, imported by the kernel."""
        self.imports.add(function)
        return self.step(f"{function}({', '.join(arguments)})")

    def constant(self, value, code: str) -> str:
        """A typed constant at the head of the kernel's file."""
        if code == "b8":
            return "True" if value else "False"
        if CATEGORY[code] == INTEGER:
            value = int(value)
        text = (
            repr(value)
            if not isinstance(value, float) or math.isfinite(value)
            else (f"float('{value}')")
        )
        kind = next(d for d in BY_NAME.values() if d.code == code).compute.numpy.name
        key = f"{kind}({text})"
        return self.constants.setdefault(key, f"C{len(self.constants)}")

    def integer(self, text: str, code: str) -> str:
        """`text` wrapped back to its integer type."""
        return self.step(f"{BY_CODE[code]}({text})")

    def cast(self, value: str, have: str, want: str) -> str:
        """A register of one dtype as another. 16-bit floats are float32 registers."""
        if have == want:
            return value
        real = {"f16": "f32", "bf16": "f32"}
        h, w = real.get(have, have), real.get(want, want)
        if h != w:
            value = self._convert(value, h, w)
        if want == "f16" and h in ("f64", "c128"):
            self.imports.add("rounded")
            value = self.step(f"rounded({value})")
        if want in real and have != want:
            self.imports |= {f"{want}_of_f32", f"f32_of_{want}"}
            value = self.step(f"f32_of_{want}({want}_of_f32({value}))")
        return value

    def _convert(self, value: str, have: str, want: str) -> str:
        if want == "b8":
            return self.step(f"{value} != {self.constant(0, have)}")
        if CATEGORY[have] == COMPLEX and CATEGORY[want] < COMPLEX:
            value = self.step(f"{value}.real")
            have = "f32" if have == "c64" else "f64"
            if have == want:
                return value
        if CATEGORY[have] == FLOATING and want in ("u8", "i8", "i16"):
            value = self.step(f"int64({value})")
            self.imports.add("int64")
        return self.integer(value, want)

    # ── expressions ───────────────────────────────────────────────────────────────────────────
    def operator(
        self,
        name: str,
        compute: str,
        result: str,
        operands: list[tuple[str, str]],
        numbers: frozenset[int] = frozenset(),
    ) -> str:
        """The result register of operator `name` on (register, code) operands.

        Operands are rounded to `compute` first, but for some `numbers` (places of Python scalars).
        """
        op, common = OPS[name], compute
        compute = {"f16": "f32", "bf16": "f32"}.get(compute, compute)
        text = op.int_formula if CATEGORY[compute] < FLOATING and op.int_formula else op.formula
        scope = {}
        for k, (arg, (value, code)) in enumerate(zip(op.args, operands, strict=True)):
            first = k == 0 and op.dtypes == "where" or k == 1 and op.dtypes == "mask"
            if first or op.name == "_where_grad" and arg == "condition":
                scope[arg] = (self.cast(value, code, "b8"), "b8")
            elif k in numbers and number_kept(op, arg):
                scope[arg] = (self.cast(value, code, compute), compute)
            else:
                scope[arg] = (self.cast(value, code, common), compute)
        value, code = self.evaluate(_tree(text), scope, compute)
        if code == "b8" and op.dtypes == "logical":
            return value
        return self.cast(value, code, result)

    def evaluate(self, node: ast.expr, scope: dict, t: str) -> tuple[str, str]:
        """(register, code) of an expression computed in dtype `t`."""
        if isinstance(node, ast.Name):
            return scope[node.id]
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bool):
                return str(node.value), "b8"
            return self.constant(node.value, t), t
        if isinstance(node, ast.UnaryOp):
            return self._unary(node, scope, t)
        if isinstance(node, ast.BinOp):
            return self._binary(
                BINARY[type(node.op)],
                self.evaluate(node.left, scope, t),
                self.evaluate(node.right, scope, t),
                t,
            )
        if isinstance(node, ast.Compare):
            left, lt = self.evaluate(node.left, scope, t)
            right, rt = self.evaluate(node.comparators[0], scope, t)
            if lt != rt:
                right, rt = self.cast(right, rt, lt), lt
            return self.step(f"{left} {COMPARE[type(node.ops[0])]} {right}"), "b8"
        assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        values = [self.evaluate(a, scope, t) for a in node.args]
        return self._call(node.func.id, values, t)

    def _unary(self, node: ast.UnaryOp, scope: dict, t: str) -> tuple[str, str]:
        if isinstance(node.operand, ast.Constant) and isinstance(node.op, ast.USub):
            return self.constant(-node.operand.value, t), t
        value, code = self.evaluate(node.operand, scope, t)
        if isinstance(node.op, ast.Invert):
            if code == "b8":
                return self.step(f"not {value}"), code
            return self.integer(f"~{value}", code), code
        if CATEGORY[code] == INTEGER:
            return self.integer(f"-{value}", code), code
        return self.step(f"-{value}"), code

    def _binary(self, sign: str, a, b, t: str) -> tuple[str, str]:
        (left, lt), (right, rt) = a, b
        if lt == rt == "b8":
            return self.step(f"{left} {BOOL_BINARY.get(sign, sign)} {right}"), "b8"
        left, right = self.cast(left, lt, t), self.cast(right, rt, t)
        if CATEGORY[t] == INTEGER:
            return self.integer(f"{left} {sign} {right}", t), t
        if sign == "/" and CATEGORY[t] == COMPLEX:
            return self._complex_quotient(left, right, t)
        return self.step(f"{left} {sign} {right}"), t

    def _complex_quotient(self, left: str, right: str, t: str) -> tuple[str, str]:
        """left / right by Smith's algorithm (1962). Numba's own raises at zero, in a kernel that
        has nobody to raise to."""
        r = "f32" if t == "c64" else "f64"
        a, b, c, d = (self.step(f"{x}.{part}") for x in (left, right) for part in ("real", "imag"))
        size_c, size_d = self.call("fabs", c), self.call("fabs", d)
        big, zero = self.step(f"{size_c} >= {size_d}"), self.constant(0.0, r)
        p, q = self.call("select", big, c, d), self.call("select", big, d, c)
        u, v = self.call("select", big, a, b), self.call("select", big, b, a)
        ratio = self.step(f"{q} / {p}")
        scale = self.step(f"{self.constant(1.0, r)} / ({p} + {q} * {ratio})")
        real = self.step(f"({u} + {v} * {ratio}) * {scale}")
        imag = self.step(f"({v} - {u} * {ratio}) * {scale}")
        imag = self.call("select", big, imag, self.step(f"-{imag}"))
        none = self.step(f"({size_c} == {zero}) & ({size_d} == {zero})")
        real = self.call("select", none, self.step(f"{a} / {size_c}"), real)
        imag = self.call("select", none, self.step(f"{b} / {size_d}"), imag)
        return self.integer(f"complex({real}, {imag})", t), t

    # ── functions ─────────────────────────────────────────────────────────────────────────────
    def _call(self, name: str, values: list[tuple[str, str]], t: str) -> tuple[str, str]:
        if name == "where":
            (c, _), (yes, yt), (no, nt) = values
            if yt != nt or yt == "b8" and t != "b8":
                yes, no, yt = self.cast(yes, yt, t), self.cast(no, nt, t), t
            return self.call("select", c, yes, no), yt
        arguments = [self.cast(v, c, t) for v, c in values]
        derived = getattr(self, "fn_" + name, None)
        if derived is not None:
            return derived(t, *arguments)
        return self.call(f"{name}_{t}", *arguments), t

    def fn_abs(self, t, x):
        return (
            (self.step(f"abs({x})"), "f32" if t == "c64" else "f64")
            if t[0] == "c"
            else (self.call("fabs", x), t)
        )

    def fn_int_abs(self, t, x):
        if t in ("b8", "u8"):
            return x, t
        negative = self.step(f"{x} < {self.constant(0, t)}")
        return self.call("select", negative, self.integer(f"-{x}", t), x), t

    def fn_relu(self, t, x):
        return self.call(f"maximum_{t}", x, self.constant(0.0, t)), t

    def fn_sign(self, t, x):
        zero, one = self.constant(0, t), self.constant(1, t)
        below = self.call("select", self.step(f"{x} < {zero}"), self.constant(-1, t), zero)
        if CATEGORY[t] == FLOATING:
            below = self.call("select", self.step(f"{x} != {x}"), x, below)
        return self.call("select", self.step(f"{x} > {zero}"), one, below), t

    def fn_int_sign(self, t, x):
        if t == "b8":
            return x, t
        if t == "u8":
            zero, one = self.constant(0, t), self.constant(1, t)
            return self.call("select", self.step(f"{x} > {zero}"), one, zero), t
        return self.fn_sign(t, x)

    def fn_sgn(self, t, x):
        if CATEGORY[t] != COMPLEX:
            return self.fn_sign(t, x)
        real = "f32" if t == "c64" else "f64"
        size = self.step(f"abs({x})")
        zero = self.step(f"{size} == {self.constant(0.0, real)}")
        divisor = self.call("select", zero, self.constant(1.0, real), size)
        return self.integer(f"{x} / {divisor}", t), t

    def fn_conj(self, t, x):
        return (self.step(f"{x}.conjugate()"), t) if CATEGORY[t] == COMPLEX else (x, t)

    def fn_complex(self, t, a, b):
        code = "c64" if t == "f32" else "c128"
        return self.integer(f"complex({a}, {b})", code), code

    def fn_signbit(self, t, x):
        return self.call("sign_bit", x), "b8"

    def fn_isnan(self, t, x):
        return self.step(f"{x} != {x}"), "b8"

    def fn_isinf(self, t, x):
        if CATEGORY[t] == COMPLEX:
            real = "f32" if t == "c64" else "f64"
            a, _ = self.fn_isinf(real, self.step(f"{x}.real"))
            b, _ = self.fn_isinf(real, self.step(f"{x}.imag"))
            return self.step(f"{a} | {b}"), "b8"
        return self.step(f"{self.call('fabs', x)} == {self.constant(math.inf, t)}"), "b8"

    def fn_isfinite(self, t, x):
        if CATEGORY[t] == COMPLEX:
            real = "f32" if t == "c64" else "f64"
            a, _ = self.fn_isfinite(real, self.step(f"{x}.real"))
            b, _ = self.fn_isfinite(real, self.step(f"{x}.imag"))
            return self.step(f"{a} & {b}"), "b8"
        return self.step(f"{self.call('fabs', x)} < {self.constant(math.inf, t)}"), "b8"

    def fn_isposinf(self, t, x):
        return self.step(f"{x} == {self.constant(math.inf, t)}"), "b8"

    def fn_isneginf(self, t, x):
        return self.step(f"{x} == {self.constant(-math.inf, t)}"), "b8"

    def fn_angle(self, t, x):
        if CATEGORY[t] == COMPLEX:
            real = "f32" if t == "c64" else "f64"
            return self.call(f"atan2_{real}", self.step(f"{x}.imag"), self.step(f"{x}.real")), real
        zero, pi = self.constant(0.0, t), self.constant(math.pi, t)
        turned = self.call("select", self.step(f"{x} < {zero}"), pi, zero)
        return self.call("select", self.step(f"{x} != {x}"), x, turned), t

    def fn_fmod(self, t, a, b):
        return self.call(f"fmod_{t}", a, b), t

    def fn_remainder(self, t, a, b):
        m, zero = self.call(f"fmod_{t}", a, b), self.constant(0.0, t)
        off = self.step(f"({m} != {zero}) & (({b} < {zero}) != ({m} < {zero}))")
        return self.call("select", off, self.step(f"{m} + {b}"), m), t

    def fn_floor_div(self, t, a, b):
        zero, one = self.constant(0.0, t), self.constant(1.0, t)
        m = self.call(f"fmod_{t}", a, b)
        whole = self.step(f"({a} - {m}) / {b}")
        off = self.step(f"({m} != {zero}) & (({b} < {zero}) != ({m} < {zero}))")
        whole = self.call("select", off, self.step(f"{whole} - {one}"), whole)
        down = self.call(f"floor_{t}", whole)
        near = self.step(f"{whole} - {down} > {self.constant(0.5, t)}")
        down = self.call("select", near, self.step(f"{down} + {one}"), down)
        ratio = self.step(f"{a} / {b}")
        signed_zero = self.call(f"copysign_{t}", zero, ratio)
        down = self.call("select", self.step(f"{whole} != {zero}"), down, signed_zero)
        return self.call("select", self.step(f"{b} == {zero}"), ratio, down), t

    def fn_int_floor_div(self, t, a, b):
        return self.integer(f"{a} // {b}", t), t

    def fn_int_remainder(self, t, a, b):
        return self.integer(f"{a} % {b}", t), t

    def fn_int_fmod(self, t, a, b):
        m, zero = self.step(f"int64({a} % {b})"), self.constant(0, "i64")
        self.imports.add("int64")
        off = self.step(f"({m} != {zero}) & (({a} < 0) != ({m} < 0))")
        return self.integer(self.call("select", off, self.step(f"{m} - int64({b})"), m), t), t

    def fn_int_trunc_div(self, t, a, b):
        rest, _ = self.fn_int_fmod(t, a, b)
        return self.integer(f"({a} - {rest}) // {b}", t), t

    def fn_int_pow(self, t, a, b):
        return self.call(f"int_pow_{t}", a, b) if t != "b8" else self.step(f"{a} | (not {b})"), t

    def fn_shift_left(self, t, a, b):
        bits = self.constant(BITS[t], t)
        bad = self.step(f"({b} < {self.constant(0, t)}) | ({b} >= {bits})")
        safe = self.call("select", bad, self.constant(0, t), b)
        return self.call("select", bad, self.constant(0, t), self.integer(f"{a} << {safe}", t)), t

    def fn_shift_right(self, t, a, b):
        bad = self.step(f"({b} < {self.constant(0, t)}) | ({b} >= {self.constant(BITS[t], t)})")
        safe = self.call("select", bad, self.constant(BITS[t] - 1, t), b)
        return self.integer(f"{a} >> {safe}", t), t

    def fn_squares(self, t, counter, key):
        """32 random bits of a counter and an odd key: four rounds of squaring (Widynski 2020,
        arXiv:2004.06278), in wrapping 64-bit arithmetic."""
        half, low = self.constant(32, t), self.constant(0xFFFFFFFF, t)
        first = self.integer(f"{counter} * {key}", t)
        second = self.integer(f"{first} + {key}", t)
        x = first
        for term in (first, second, first):
            x = self.integer(f"{x} * {x} + {term}", t)
            x = self.integer(f"(({x} >> {half}) & {low}) | ({x} << {half})", t)
        return self.integer(f"(({x} * {x} + {second}) >> {half}) & {low}", t), t

    def fn_gcd(self, t, a, b):
        return self.call(f"gcd_{t}", a, b), t

    def fn_lcm(self, t, a, b):
        zero, one = self.constant(0, t), self.constant(1, t)
        g = self.call(f"gcd_{t}", a, b)
        safe = self.call("select", self.step(f"{g} == {zero}"), one, g)
        return self.fn_int_abs(t, self.integer(f"{self.integer(f'{a} // {safe}', t)} * {b}", t))

    def fn_logaddexp(self, t, a, b):
        return self._log_add(t, a, b, "exp")

    def fn_logaddexp2(self, t, a, b):
        return self._log_add(t, a, b, "exp2")

    def _log_add(self, t, a, b, power):
        top = self.call(f"maximum_{t}", a, b)
        gap = self.step(f"-{self.call('fabs', self.step(f'{a} - {b}'))}")
        tail = self.call(f"log1p_{t}", self.call(f"{power}_{t}", gap))
        if power == "exp2":
            tail = self.step(f"{tail} * {self.constant(1 / math.log(2), t)}")
        same = self.step(f"({a} == {b}) & ({self.call('fabs', a)} == {self.constant(math.inf, t)})")
        return self.call("select", same, a, self.step(f"{top} + {tail}")), t

    def fn_log1p_exp(self, t, x):
        return self.call(f"log1p_{t}", self.call(f"exp_{t}", x)), t


BY_CODE = {d.code: d.numpy.name for d in BY_NAME.values()}
BY_CODE["b8"] = "boolean"
