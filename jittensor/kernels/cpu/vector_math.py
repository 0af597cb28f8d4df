"""In: scalars in a Numba kernel; out: calls that become straight-line LLVM IR in place.

`<name>_f32` and `<name>_f64` are Numba intrinsics, float32 -> float32 and float64 -> float64, of
one or two arguments. A kernel imports what it calls:

    from jittensor.kernels.cpu.vector_math import exp_f32

No branch, no call, no fastmath flag: a loop that calls them is vectorised by LLVM, and the vector
body gives the bits that the scalar tail gives. A call costs no typing or subroutine. All hold for
the whole range of their format: NaN, infinities, signed zeros, denormals in and out, and the
largest angles (sin of 1e38). So no function has a rare path that a kernel would have to provide.
Exceptions: `fmod` is C's function, called lane by lane; `sin`, `cos` and `tan` read a small
constant table (vector machines gather from it). `sin_near`, `cos_near` and `tan_near` have no table
and give the same bits many times as fast, for |x| <= NEAR (2^17) only: for angles that a kernel
makes itself, or has looked through by `or_far_f32(flag, x)` (kernels/angles.py).

`FUNCTIONS` lists them with the bound of their error in ulp (units in the last place of the exact
result), which the tests check. Where float32 costs too much to compensate, it is computed in
float64 lanes with short polynomials. The formulas are in the siblings vector_math_*.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import llvmlite.ir as ir
from numba import types
from numba.extending import intrinsic

from jittensor.kernels.cpu import vector_math_elementary as elementary
from jittensor.kernels.cpu import vector_math_error as error
from jittensor.kernels.cpu import vector_math_exponential as exponential
from jittensor.kernels.cpu import vector_math_logarithmic as logarithmic
from jittensor.kernels.cpu import vector_math_trigonometric as trigonometric
from jittensor.kernels.cpu.vector_math_lanes import Lane, in_float64

NEAR = trigonometric.NEAR
Formula = Callable[..., Lane]


@dataclass(frozen=True)
class VectorFunction:
    """A row of `FUNCTIONS`: formulas on float32 and float64 lanes, bounds in ulp, arity."""

    f32: Formula
    f64: Formula
    ulp_f32: float
    ulp_f64: float
    arguments: int = 1
    returns_bool: bool = False
    beside_one: bool = False       # the bounds are in ulp of numbers in [1/2, 1)


def _same(formula: Formula, ulp_f32: float, ulp_f64: float, arguments: int = 1) -> VectorFunction:
    """One formula for both, float32 in float32 lanes."""
    return VectorFunction(formula, formula, ulp_f32, ulp_f64, arguments)


def _wide(formula: Formula, ulp_f32: float, ulp_f64: float, arguments: int = 1) -> VectorFunction:
    """One formula for both, float32 in float64 lanes."""
    return VectorFunction(in_float64(formula), formula, ulp_f32, ulp_f64, arguments)


def _exact(formula: Formula, arguments: int = 1) -> VectorFunction:
    """One formula for both, whose result is the exact one, rounded where it has to be."""
    return VectorFunction(formula, formula, 0.5, 0.5, arguments)


FUNCTIONS: dict[str, VectorFunction] = {
    "exp": _same(exponential.exp, 1.0, 1.0),
    "exp2": _same(exponential.exp2, 1.0, 1.0),
    "expm1": _same(exponential.expm1, 1.6, 2.3),
    "sigmoid": _same(exponential.sigmoid, 1.9, 2.0),
    "sinh": _wide(exponential.sinh, 0.9, 3.0),
    "cosh": _wide(exponential.cosh, 0.6, 1.7),
    "tanh": _same(exponential.tanh, 1.6, 3.0),
    "log": _same(logarithmic.log, 1.0, 1.0),
    "log2": _same(logarithmic.log2, 1.0, 1.1),
    "log10": _same(logarithmic.log10, 1.0, 1.1),
    "log1p": _same(logarithmic.log1p, 1.5, 1.6),
    "asinh": _wide(logarithmic.asinh, 0.7, 2.1),
    "acosh": _wide(logarithmic.acosh, 0.7, 2.3),
    "atanh": _wide(logarithmic.atanh, 0.7, 2.3),
    "pow": VectorFunction(
        in_float64(logarithmic.pow_short), logarithmic.pow_long, 0.8, 1.2, arguments=2
    ),
    "sin": _same(trigonometric.sin, 1.9, 1.9),
    "cos": _same(trigonometric.cos, 1.9, 1.9),
    "sin_near": _same(trigonometric.sin_near, 1.9, 1.9),
    "cos_near": _same(trigonometric.cos_near, 1.9, 1.9),
    "tan_near": _same(trigonometric.tan_near, 1.6, 4.0),
    "tan": _same(trigonometric.tan, 1.6, 4.0),
    "asin": _wide(trigonometric.asin, 0.7, 2.4),
    "acos": _wide(trigonometric.acos, 0.7, 1.5),
    "atan": _same(trigonometric.atan, 2.0, 2.5),
    "atan2": _wide(trigonometric.atan2, 1.0, 2.5, arguments=2),
    "erf": _same(error.erf, 2.0, 2.0),
    "erfc": _wide(error.erfc, 1.1, 4.0),
    "normal_cdf": VectorFunction(error.normal_cdf, error.normal_cdf, 2.0, 3.0, beside_one=True),
    "sqrt": _exact(elementary.sqrt),
    "rsqrt": _same(elementary.rsqrt, 1.5, 1.5),
    "hypot": VectorFunction(
        in_float64(elementary.hypot_short), elementary.hypot_long, 0.6, 1.2, arguments=2
    ),
    "floor": _exact(elementary.floor),
    "ceil": _exact(elementary.ceil),
    "trunc": _exact(elementary.trunc),
    "round": _exact(elementary.round_half_even),
    "frac": _exact(elementary.frac),
    "fmod": _exact(elementary.fmod, arguments=2),
    "copysign": _exact(elementary.copysign, arguments=2),
    "maximum": _exact(elementary.maximum, arguments=2),
    "minimum": _exact(elementary.minimum, arguments=2),
    "nextafter": _exact(elementary.nextafter, arguments=2),
    "isnan": VectorFunction(elementary.isnan, elementary.isnan, 0, 0, returns_bool=True),
}


def _as_intrinsic(name: str, formula: Formula, row: VectorFunction, kind: types.Float) -> object:
    """The Numba intrinsic `name` that emits `formula` where it is called."""
    result = types.boolean if row.returns_bool else kind
    signature = result(*(kind,) * row.arguments)

    def emit(context: object, builder: ir.IRBuilder, _: object, values: list) -> ir.Value:
        return formula(*(Lane(builder, value) for value in values)).value

    def unary(typing_context: object, x: object) -> tuple:
        return signature, emit

    def binary(typing_context: object, x: object, y: object) -> tuple:
        return signature, emit

    typed = unary if row.arguments == 1 else binary
    typed.__name__ = typed.__qualname__ = name
    typed.__doc__ = f"{row.arguments} x {kind} -> {result}, see FUNCTIONS."
    return intrinsic(typed)


def _or_far(name: str, kind: types.Float) -> object:
    """The intrinsic (flag, x) -> flag, int32: nonzero if it was or if x is no near angle."""

    def emit(context: object, builder: ir.IRBuilder, _: object, values: list) -> ir.Value:
        far = ~trigonometric.is_near(Lane(builder, values[1]))
        return builder.or_(values[0], builder.zext(far.value, ir.IntType(32)))

    def typed(typing_context: object, flag: object, x: object) -> tuple:
        return types.int32(types.int32, kind), emit

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


or_far_f32, or_far_f64 = _or_far("or_far_f32", types.float32), _or_far("or_far_f64", types.float64)
__all__: list[str] = ["or_far_f32", "or_far_f64"]
for _name, _row in FUNCTIONS.items():
    __all__ += [f"{_name}_f32", f"{_name}_f64"]
    globals()[f"{_name}_f32"] = _as_intrinsic(f"{_name}_f32", _row.f32, _row, types.float32)
    globals()[f"{_name}_f64"] = _as_intrinsic(f"{_name}_f64", _row.f64, _row, types.float64)
