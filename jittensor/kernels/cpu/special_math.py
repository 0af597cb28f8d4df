"""In: scalars in a Numba kernel; out: calls of SciPy's C functions, and what follows from them.

`<name>_f32` and `<name>_f64` are Numba intrinsics as in vector_math.py, for functions that are not
elementary: gamma, Bessel, Airy, normal-distribution and zeta functions, computed in float64, a
call an element. The C functions are those of scipy.special.cython_special, which takes longer to
import than a kernel to compile: it is imported when the first call of one is compiled. `register`
gives LLVM their addresses under the names `jittensor_special_<name>`, for a kernel that comes from
the disk cache.

Values at poles and at infinity are PyTorch's, but for gammainc and gammaincc of a NaN,
which are NaN; accuracy is SciPy's, float32 results are rounded once. `SCIPY`, `COMPOSED` and
`AIRY` list the functions.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import cache

import llvmlite.binding as llvm
import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import get_cython_function_address, intrinsic

from jittensor.kernels.cpu.vector_math_lanes import Lane, copysign, select

_MODULE = "scipy.special.cython_special"
_F64 = ir.DoubleType()
_I32 = ir.IntType(32)

# our name: (SciPy's name, number of arguments)
SCIPY: dict[str, tuple[str, int]] = {
    "lgamma": ("gammaln", 1),
    "digamma": ("psi", 1),
    "gammainc": ("gammainc", 2),
    "gammaincc": ("gammaincc", 2),
    "erfinv": ("erfinv", 1),
    "erfcx": ("erfcx", 1),
    "ndtr": ("ndtr", 1),
    "ndtri": ("ndtri", 1),
    "log_ndtr": ("log_ndtr", 1),
    "i0": ("i0", 1),
    "i0e": ("i0e", 1),
    "i1": ("i1", 1),
    "i1e": ("i1e", 1),
    "j0": ("j0", 1),
    "j1": ("j1", 1),
    "y0": ("y0", 1),
    "y1": ("y1", 1),
    "k0": ("k0", 1),
    "k0e": ("k0e", 1),
    "k1": ("k1", 1),
    "k1e": ("k1e", 1),
}
AIRY = "airy_ai"

# what PyTorch answers where SciPy's function answers something else: (argument, result) -> result
EDGES: dict[str, Callable[[Lane, Lane], Lane]] = {
    "lgamma": lambda x, result: select(x == -math.inf, x.const(math.inf), result),
    "erfinv": lambda x, result: copysign(result, x),
}


# -- SciPy's functions ---------------------------------------------------------------------------
def _capsule_signature(capsule: object) -> str:
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    return get_name(capsule).decode()


def _address(name: str, signature: str) -> int:
    """Where cython_special has `name` with the C signature that begins with `signature`.

    Raises ImportError where this SciPy has none: types that share a name are numbered by Cython.
    """
    from scipy.special import cython_special

    for candidate in (name, f"__pyx_fuse_0{name}", f"__pyx_fuse_1{name}"):
        capsule = cython_special.__pyx_capi__.get(candidate)
        if capsule is not None and _capsule_signature(capsule).startswith(signature):
            return get_cython_function_address(_MODULE, candidate)
    raise ImportError(f"scipy.special.cython_special has no {name} of the form {signature}...)")


@cache
def _symbol(name: str) -> str:
    """The symbol of our function `name`, which LLVM knows from now on."""
    symbol = f"jittensor_special_{name}"
    if name == AIRY:
        address = _address("airy", "void (double, double *")
    else:
        scipy_name, count = SCIPY[name]
        address = _address(scipy_name, f"double ({'double, ' * count}int ")
    llvm.add_symbol(symbol, address)
    return symbol


def register() -> None:
    """Makes the symbols of all functions known to LLVM."""
    for name in [*SCIPY, AIRY]:
        _symbol(name)


def _declare(builder: ir.IRBuilder, symbol: str, result: ir.Type, arguments: list) -> ir.Function:
    signature = ir.FunctionType(result, arguments)
    function = cgutils.get_or_insert_function(builder.module, signature, symbol)
    function.attributes.add("nounwind")
    return function


def _scipy_emitter(name: str, count: int) -> Callable:
    """Emits the call; the last argument tells Cython not to look for a Python override."""

    def emit(context: object, builder: ir.IRBuilder, values: list) -> ir.Value:
        function = _declare(builder, _symbol(name), _F64, [_F64] * count + [_I32])
        result = builder.call(function, [*values, ir.Constant(_I32, 1)])
        if name in EDGES:
            result = EDGES[name](Lane(builder, values[0]), Lane(builder, result)).value
        return result

    return emit


def _airy_emitter() -> Callable:
    """Ai(x), one of the four results of SciPy's airy; zero where it is below the denormals."""

    def emit(context: object, builder: ir.IRBuilder, values: list) -> ir.Value:
        results = [cgutils.alloca_once(builder, _F64) for _ in range(4)]
        kinds = [_F64] + [_F64.as_pointer()] * 4
        function = _declare(builder, _symbol(AIRY), ir.VoidType(), kinds)
        builder.call(function, [*values, *results])
        vanished = builder.and_(
            builder.fcmp_ordered(">", values[0], ir.Constant(_F64, 110.0)),
            builder.fcmp_ordered("<", values[0], ir.Constant(_F64, math.inf)),
        )
        return builder.select(vanished, ir.Constant(_F64, 0.0), builder.load(results[0]))

    return emit


# -- functions that follow from them ---------------------------------------------------------------
# (2k)!/B_2k, k = 1..12: Euler-Maclaurin's corrections
_MACLAURIN = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1892437580.3183792, 74724249600.0,
    -2950130727918.164, 116467828143500.67, -4597978722407473.0, 1.8152105401943546e17,
    -7.166165256175667e18,
)  # fmt: skip


def _hurwitz_zeta(s: float, q: float) -> float:
    """The sum of (q+k)^-s over k >= 0, by Euler-Maclaurin's formula.

    Infinite at s = 1 and at the poles q = 0, -1, ...; NaN for s < 1, for q < 0 unless s is
    whole, and for q = inf (as PyTorch's). Source: NIST Digital Library of Mathematical
    Functions, 25.11.5.
    """
    if s == 1.0:
        return math.inf
    if s < 1.0:
        return math.nan
    if q <= 0.0:
        if q == math.floor(q):
            return math.inf
        if s != math.floor(s):
            return math.nan
    if s != s or q != q or q == math.inf:
        return math.nan
    total = math.pow(q, -s)
    a = q
    count = 0
    term = total
    while count < 9 or a <= 9.0:
        count += 1
        a += 1.0
        term = math.pow(a, -s)
        total += term
        if abs(term) < 1e-17 * abs(total) and a > 0.0:
            return total
    total += term * a / (s - 1.0) - 0.5 * term
    rising = 1.0
    j = 0.0
    for factor in _MACLAURIN:
        rising *= s + j
        term /= a
        correction = rising * term / factor
        total += correction
        if abs(correction) < 1e-17 * abs(total):
            return total
        j += 1.0
        rising *= s + j
        term /= a
        j += 1.0
    return total


def _trigamma(x: float) -> float:
    """The second derivative of log(gamma), below 1/2 by reflection."""
    if x >= 0.5:
        return 0.0 if x == math.inf else _zeta(2.0, x)
    if not x > -math.inf:
        return math.nan
    sine = math.sin(math.pi * x)
    if sine == 0.0:
        return math.inf
    # not pi^2 / sine^2, which divides by zero next to the pole
    return (math.pi / sine) * (math.pi / sine) - _zeta(2.0, 1.0 - x)


def _polygamma(n: float, x: float) -> float:
    """The n-th derivative of digamma(x), n a whole number >= 0."""
    if n == 0.0:
        return _digamma(x)
    if n == 1.0:
        return _second(x)
    sign = 1.0 if n % 2.0 == 1.0 else -1.0
    return sign * math.gamma(n + 1.0) * _zeta(n + 1.0, x)


# our name: (function compiled into the kernel, number of arguments)
COMPOSED: dict[str, tuple[Callable, int]] = {
    "zeta": (_hurwitz_zeta, 2),
    "trigamma": (_trigamma, 1),
    "polygamma": (_polygamma, 2),
}


def _composed_emitter(function: Callable, count: int) -> Callable:
    def emit(context: object, builder: ir.IRBuilder, values: list) -> ir.Value:
        signature = types.float64(*(types.float64,) * count)
        return context.compile_internal(builder, function, signature, values)

    return emit


# -- intrinsics ------------------------------------------------------------------------------------
def _as_intrinsic(name: str, emit: Callable, kind: types.Float, count: int) -> object:
    """The Numba intrinsic `name`, which widens to float64 and narrows back."""
    signature = kind(*(kind,) * count)
    narrow = kind == types.float32

    def codegen(context: object, builder: ir.IRBuilder, _: object, values: list) -> ir.Value:
        if narrow:
            values = [builder.fpext(value, _F64) for value in values]
        result = emit(context, builder, values)
        return builder.fptrunc(result, ir.FloatType()) if narrow else result

    def unary(typing_context: object, x: object) -> tuple:
        return signature, codegen

    def binary(typing_context: object, x: object, y: object) -> tuple:
        return signature, codegen

    typed = unary if count == 1 else binary
    typed.__name__ = typed.__qualname__ = name
    typed.__doc__ = f"{count} x {kind} -> {kind}."
    return intrinsic(typed)


def _install(name: str, emit: Callable, count: int) -> None:
    for suffix, kind in (("f32", types.float32), ("f64", types.float64)):
        globals()[f"{name}_{suffix}"] = _as_intrinsic(f"{name}_{suffix}", emit, kind, count)
        __all__.append(f"{name}_{suffix}")


__all__: list[str] = []
for _name, (_, _count) in SCIPY.items():
    _install(_name, _scipy_emitter(_name, _count), _count)
for _name, (_function, _count) in COMPOSED.items():
    _install(_name, _composed_emitter(_function, _count), _count)
_install(AIRY, _airy_emitter(), 1)

# the names by which the composed functions call each other
_digamma, _zeta, _second = (globals()[f"{name}_f64"] for name in ("digamma", "zeta", "trigamma"))
