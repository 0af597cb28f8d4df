"""Vector mathematics against NumPy's long doubles: bounds in ulp over the whole range, vector
instructions, the same bits in body and tail of a loop, and kernels from the disk cache."""

import os
import re
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import cfunc, types

from jittensor.kernels.cpu import vector_math

LONG = np.longdouble
KINDS = {"f32": (np.float32, types.float32), "f64": (np.float64, types.float64)}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 2.5, -2.5, 3.0, -3.0, 1e16, 1e38, -1e38,
           1e-40, -1e-40, 1e-320, np.inf, -np.inf, np.nan]  # fmt: skip
_kernels: dict = {}


# -- references --------------------------------------------------------------------------------
def sigmoid(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def erf_series(x):
    """erf(x) = 2/sqrt(pi) exp(-x^2) (x + 2/3 x^3 + 4/15 x^5 + ...): terms of one sign."""
    term = total = x
    for n in range(1, 120):
        term = term * (2 * x * x) / (2 * n + 1)
        total = total + term
    return total * np.exp(-x * x) * 2 / np.sqrt(LONG("3.14159265358979323846264338327950288"))


def erfc_fraction(x):
    """erfc(x) by its continued fraction, x >= 2; exp(-x^2) with x^2 in two parts."""
    head = x.astype(np.float32).astype(LONG)
    below = np.zeros_like(x)
    for k in range(150, 0, -1):
        below = (LONG(k) / 2) / (x + below)
    root = np.sqrt(LONG("3.14159265358979323846264338327950288"))
    return np.exp(-head * head) * np.exp(-(x - head) * (x + head)) / ((x + below) * root)


def erfc(x):
    size = abs(x)
    near, far = size < 2, (size >= 2) & (size < 110)
    result = np.where(np.isnan(x), LONG("nan"), LONG(0))
    result[near] = 1 - erf_series(size[near])
    result[far] = erfc_fraction(size[far])
    return np.where(x < 0, 2 - result, result)


def erf(x):
    near = abs(x) < 1
    result = np.copysign(1 - erfc(abs(x)), x)
    result[near] = erf_series(x[near])
    return result


def normal_cdf(x):
    """(1 + erf(x / sqrt(2))) / 2, which loses digits only where they do not count beside 1."""
    return (1 + erf(x / np.sqrt(LONG(2)))) / 2


REFERENCES = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "sigmoid": sigmoid, "sinh": np.sinh,
    "cosh": np.cosh, "tanh": np.tanh, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "pow": np.power, "sin": np.sin, "cos": np.cos, "sin_near": np.sin,
    "cos_near": np.cos, "tan_near": np.tan, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "erf": erf, "erfc": erfc,
    "normal_cdf": normal_cdf,
    "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "hypot": np.hypot, "floor": np.floor,
    "ceil": np.ceil, "trunc": np.trunc, "round": np.rint, "frac": lambda x: x - np.trunc(x),
    "fmod": np.fmod, "copysign": np.copysign,
    "maximum": lambda x, y: np.where((x < y) | (y != y), y, x),
    "minimum": lambda x, y: np.where((x > y) | (y != y), y, x),
}  # fmt: skip


# -- kernels and samples -----------------------------------------------------------------------
def kernel(name):
    """A compiled loop over `name` of vector_math, and the object that has its assembly."""
    if name not in _kernels:
        function = getattr(vector_math, name)
        row = vector_math.FUNCTIONS[name[:-4]]
        kind = types.CPointer(KINDS[name[-3:]][1])
        out = types.CPointer(types.int8) if row.returns_bool else kind

        def unary(n, x, o):
            for i in range(n):
                o[i] = function(x[i])

        def binary(n, x, y, o):
            for i in range(n):
                o[i] = function(x[i], y[i])

        signature = types.void(types.intp, *(kind,) * row.arguments, out)
        loop = unary if row.arguments == 1 else binary
        _kernels[name] = cfunc(signature, error_model="numpy")(loop)
    return _kernels[name]


def run(name, *inputs):
    compiled = kernel(name)
    row = vector_math.FUNCTIONS[name[:-4]]
    result = np.empty(len(inputs[0]), np.int8 if row.returns_bool else inputs[0].dtype)
    pointers = [
        a.ctypes.data_as(t) for a, t in zip((*inputs, result), compiled.ctypes.argtypes[1:])
    ]
    compiled.ctypes(len(result), *pointers)
    return result


def sample(dtype):
    """Every exponent, the ranges where functions bend, and the special values."""
    rng = np.random.default_rng(7)
    if dtype == np.float32:
        bits = np.arange(0, 1 << 32, 40009, dtype=np.uint64).astype(np.uint32).view(dtype)
    else:
        bits = rng.integers(0, 1 << 64, 40000, dtype=np.uint64).view(dtype)
    near = [rng.normal(size=8000) * scale for scale in (1e-4, 0.3, 1, 4, 30, 300)]
    edges = np.array([88.72283, 88.722839, -103.97208, -87.33655, 709.782712893384, -745.1332,
                      710.4758600739439, 89.41599, 1024, 128, -1075, -150, 1e22,
                      6381956970095103.0 * 2.0**797, 9.0, 3.93, 0.92, 0.625])  # fmt: skip
    with np.errstate(all="ignore"):
        values = np.concatenate([*near, rng.uniform(-1, 1, 8000), SPECIAL, edges])
        return np.concatenate([bits, values.astype(dtype)])


def pairs(dtype):
    rng = np.random.default_rng(8)
    x = sample(dtype)
    n = 20000
    small = rng.integers(-9, 9, (2, n)).astype(float)
    base = np.exp(rng.normal(size=n) * 8)
    power = rng.normal(size=n) * rng.choice([1, 50, 700], n) / np.log(base)
    near_one = 1 + rng.normal(size=n) * 1e-4
    crossed = [v.ravel() for v in np.meshgrid(SPECIAL, SPECIAL)]
    with np.errstate(all="ignore"):
        first = np.concatenate([small[0], base, near_one, crossed[0]]).astype(dtype)
        second = np.concatenate([small[1], power, rng.normal(size=n) * 1e5, crossed[1]])
        return np.concatenate([x, first]), np.concatenate(
            [rng.permutation(x), second.astype(dtype)]
        )


def ulps(got, exact, beside_one=False):
    """The distance in units in the last place of `exact` (of 1/2 at least, `beside_one`); infinite
    for a wrong special value."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        exponent = np.maximum(np.frexp(abs(exact))[1] - 1, -1 if beside_one else info.minexp)
        error = abs(got.astype(LONG) - exact) / np.ldexp(LONG(1), exponent - info.nmant)
    regular = np.isfinite(got) & np.isfinite(exact)
    same = (got == rounded) & (np.signbit(got) == np.signbit(rounded))
    same |= np.isnan(got) & np.isnan(rounded)
    # the last finite float and infinity are neighbours
    border = (abs(exact) >= info.max) & np.isfinite(exact) & (abs(got) >= info.max)
    border &= np.sign(got) == np.sign(exact)
    error = np.where(regular, error, np.inf)
    error = np.where((got == 0) & (rounded == 0) & ~same, np.inf, error)
    return np.where(same & ~regular | border, 0.5, error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFERENCES)
def test_error_is_within_the_stated_bound(name, kind):
    row = vector_math.FUNCTIONS[name]
    dtype = KINDS[kind][0]
    if kind == "f64" and np.finfo(LONG).nmant <= 52:
        pytest.skip("long double is no wider than double here")
    inputs = (sample(dtype),) if row.arguments == 1 else pairs(dtype)
    if name.endswith("_near"):
        near = np.random.default_rng(9).uniform(-vector_math.NEAR, vector_math.NEAR, 30000)
        multiples = np.arange(-80000, 80000, 7) * (np.pi / 2)
        x = inputs[0][abs(inputs[0]) <= vector_math.NEAR]
        inputs = (np.concatenate([x, near.astype(dtype), multiples.astype(dtype)]),)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](*(x.astype(LONG) for x in inputs))
    error = ulps(run(f"{name}_{kind}", *inputs), exact, row.beside_one)
    worst = int(np.argmax(error))
    bound = getattr(row, f"ulp_{kind}")
    assert error[worst] <= bound, (error[worst], [float(x[worst]) for x in inputs])


def test_every_function_has_a_reference():
    assert set(vector_math.FUNCTIONS) == {*REFERENCES, "nextafter", "isnan"}


@pytest.mark.parametrize("kind", KINDS)
def test_nextafter_and_isnan_are_exact(kind):
    x, y = pairs(KINDS[kind][0])
    with np.errstate(all="ignore"):
        expected = np.nextafter(x, y)
    got = run(f"nextafter_{kind}", x, y)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected[expected == 0]))
    np.testing.assert_array_equal(run(f"isnan_{kind}", x), np.isnan(x))


@pytest.mark.parametrize("kind", KINDS)
def test_exact_powers_have_exact_logarithms(kind):
    dtype = KINDS[kind][0]
    tens = 10.0 ** np.arange(0, 11 if kind == "f32" else 23)
    np.testing.assert_array_equal(run(f"log10_{kind}", tens.astype(dtype)), np.arange(len(tens)))
    twos = np.arange(-149 if kind == "f32" else -1074, 128)
    np.testing.assert_array_equal(run(f"log2_{kind}", np.ldexp(dtype(1), twos)), twos)
    np.testing.assert_array_equal(run(f"exp2_{kind}", twos.astype(dtype)), np.ldexp(dtype(1), twos))


@pytest.mark.parametrize("name", ["sin", "cos", "erf", "tanh", "sin_near", "cos_near"])
def test_no_result_passes_one(name):
    x = np.arange(0, 1 << 32, 1009, dtype=np.uint64).astype(np.uint32).view(np.float32)
    around = np.linspace(-4e-4, 4e-4, 20001)
    near = np.concatenate([around + turn * np.pi / 2 for turn in range(-8, 9)])
    x = np.concatenate([x, near.astype(np.float32), np.linspace(0.5, 10, 100000, dtype=np.float32)])
    if name.endswith("_near"):
        x = x[abs(x) <= vector_math.NEAR]
    assert np.nanmax(abs(run(f"{name}_f32", x))) <= 1
    if name.startswith("cos"):
        assert run(f"{name}_f32", np.zeros(1, np.float32)) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_near_angles_have_the_bits_of_the_full_range(name, kind):
    x = sample(KINDS[kind][0])
    x = np.concatenate([x, np.linspace(-1e3, 1e3, 20001).astype(x.dtype)])
    x = x[abs(x) <= vector_math.NEAR]
    assert run(f"{name}_{kind}", x).tobytes() == run(f"{name}_near_{kind}", x).tobytes()


# -- code --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    ["exp_f32", "log_f32", "tanh_f32", "sigmoid_f32", "erf_f32", "sin_f32", "cos_f32", "pow_f32",
     "exp_f64", "log_f64", "erf_f64", "sin_f64", "pow_f64"],
)  # fmt: skip
def test_loops_are_vectorised(name):
    features = llvm.get_host_cpu_features()
    if not (features.get("avx2") and features.get("fma")):
        pytest.skip("the processor has no AVX2")
    assembly = kernel(name)._library.get_asm_str()
    packed = re.findall(r"\bvfn?m(?:add|sub)\d+p[sd]\s.*", assembly)
    assert len(packed) >= 5, f"{len(packed)} packed fma in {name}"
    assert re.search(r"p[sd]\s.*%[yz]mm", assembly), f"no ymm or zmm arithmetic in {name}"


@pytest.mark.parametrize("name", ["exp_f32", "tanh_f32", "erf_f32", "sin_f32", "log1p_f64"])
def test_vector_body_and_scalar_tail_give_the_same_bits(name):
    x = sample(KINDS[name[-3:]][0])[::50].copy()
    whole = run(name, x)
    alone = np.concatenate([run(name, x[i : i + 1]) for i in range(len(x))])
    assert whole.tobytes() == alone.tobytes()


KERNEL = """
from numba import cfunc, types
from jittensor.kernels.cpu.vector_math import exp_f32, sin_f32, pow_f64

P, Q = types.CPointer(types.float32), types.CPointer(types.float64)

@cfunc(types.void(types.intp, P, Q), error_model="numpy", cache=True)
def loop(n, x, y):
    for i in range(n):
        x[i] = sin_f32(exp_f32(x[i]))
        y[i] = pow_f64(y[i], 1.5)
"""
PROGRAM = """
import math, numpy as np, loop_kernel
x, y = np.ones(40, np.float32), np.full(40, 4.0)
k = loop_kernel.loop
k.ctypes(40, *(a.ctypes.data_as(t) for a, t in zip((x, y), k.ctypes.argtypes[1:])))
assert np.allclose(x, math.sin(math.e), atol=1e-6) and (y == 8).all(), (x, y)
print("cached" if k.cache_hits else "compiled")
"""


def test_a_second_process_loads_the_kernel_from_disk(tmp_path):
    (tmp_path / "loop_kernel.py").write_text(KERNEL)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path}
    said = [
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True,
                       text=True, check=True).stdout.strip()
        for _ in range(2)
    ]  # fmt: skip
    assert said == ["compiled", "cached"]
