"""Formulas for CUDA: the function names of `kernels.formula` in, expressions of a numba.cuda kernel
out.

A name is either written out in place (`IN_PLACE`), or imported from `kernels.cuda.functions`, where
it is a function of libdevice (`LIBDEVICE`) or a device function of our own (`OWN`,
`OWN_GENERIC`).
"""

from __future__ import annotations

from ..formula import BY_CODE, CATEGORY, COMPLEX, FLOATING, Formulas

# formula's name: libdevice's name of the float64 function; the float32 one has a trailing f
LIBDEVICE = {
    "acos": "acos",
    "acosh": "acosh",
    "asin": "asin",
    "asinh": "asinh",
    "atan": "atan",
    "atan2": "atan2",
    "atanh": "atanh",
    "ceil": "ceil",
    "copysign": "copysign",
    "cos": "cos",
    "cosh": "cosh",
    "erf": "erf",
    "erfc": "erfc",
    "erfcx": "erfcx",
    "erfinv": "erfinv",
    "exp": "exp",
    "exp2": "exp2",
    "expm1": "expm1",
    "floor": "floor",
    "fmod": "fmod",
    "hypot": "hypot",
    "j0": "j0",
    "j1": "j1",
    "lgamma": "lgamma",
    "log": "log",
    "log10": "log10",
    "log1p": "log1p",
    "log2": "log2",
    "ndtr": "normcdf",
    "ndtri": "normcdfinv",
    "nextafter": "nextafter",
    "normal_cdf": "normcdf",
    "pow": "pow",
    "round": "rint",
    "sin": "sin",
    "sinh": "sinh",
    "sqrt": "sqrt",
    "tan": "tan",
    "tanh": "tanh",
    "trunc": "trunc",
    "y0": "y0",
    "y1": "y1",
}
OWN = {"f32_of_bf16", "bf16_of_f32"}
OWN_GENERIC = {"digamma", "trigamma", "i0", "i1", "gcd", "int_pow", "divide"}  # result is cast
IN_PLACE = {
    "select": "{1} if {0} else {2}",
    "fabs": "abs({0})",
    "f32_of_f16": "float32({0})",
    "f16_of_f32": "float16({0})",
}
# NaN wins, as in PyTorch: a comparison with NaN is false
IN_PLACE_TYPED = {
    "maximum": "{0} if ({0} > {1}) | ({0} != {0}) else {1}",
    "minimum": "{0} if ({0} < {1}) | ({0} != {0}) else {1}",
}


class CudaFormulas(Formulas):
    """Writes the statements of one straight-line stretch of a CUDA kernel."""

    def call(self, function: str, *arguments: str) -> str:
        """The step that computes `function`; NotImplementedError where CUDA has none."""
        stem, _, code = function.rpartition("_")
        if function in IN_PLACE:
            return self.step(IN_PLACE[function].format(*arguments))
        if stem in IN_PLACE_TYPED:
            return self.step(IN_PLACE_TYPED[stem].format(*arguments))
        if stem in OWN_GENERIC:
            self.imports.add(stem)
            return self.step(f"{BY_CODE[code]}({stem}({', '.join(arguments)}))")
        if function in OWN or stem in LIBDEVICE and code in ("f32", "f64"):
            return super().call(function, *arguments)
        raise NotImplementedError(f"{function} has no CUDA function")

    def cast(self, value: str, have: str, want: str) -> str:
        """As in `Formulas`; rounding to float16 is written in place."""
        if want == "f16" and have != want:
            value = super().cast(value, have, "f32")
            return self.step(f"float32({self.call('f16_of_f32', value)})")
        return super().cast(value, have, want)

    def _binary(self, sign: str, a, b, t: str) -> tuple[str, str]:
        # Numba's complex division ends the thread where the divisor is zero
        if sign == "/" and CATEGORY[t] == COMPLEX:
            left, right = (self.cast(v, code, t) for v, code in (a, b))
            return self.call(f"divide_{t}", left, right), t
        return super()._binary(sign, a, b, t)

    def fn_sigmoid(self, t, x):
        one = self.constant(1.0, t)
        power = self.call(f"exp_{t}", self.step(f"-{x}"))
        return self.step(f"{one} / ({one} + {power})"), t

    def fn_signbit(self, t, x):
        self.imports.add(f"signbit_{t}")
        return self.step(f"signbit_{t}({x}) != 0"), "b8"

    # ── reductions ────────────────────────────────────────────────────────────────────────────
    @staticmethod
    def fold(how: str, code: str, a: str, b: str) -> str:
        """Text of one combining step on two values of a reduction's compute dtype."""
        if how in ("or", "and"):
            return f"{a} {'|' if how == 'or' else '&'} {b}"
        if how in ("maximum", "minimum"):
            more = ">" if how == "maximum" else "<"
            nan = f" | ({b} != {b})" if CATEGORY[code] == FLOATING else ""
            return f"{b} if ({b} {more} {a}){nan} else {a}"
        text = f"{a} {'+' if how == 'add' else '*'} {b}"
        return text if CATEGORY[code] >= FLOATING else f"{BY_CODE[code]}({text})"
