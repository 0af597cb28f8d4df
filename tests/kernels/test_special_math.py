"""Special functions in compiled loops: SciPy's values, values at poles, and kernels that a second
process loads from the disk cache."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.special
from numba import cfunc, types

from jittensor.kernels.cpu import special_math

INF, NAN = np.inf, np.nan
KINDS = {"f32": (np.float32, types.float32), "f64": (np.float64, types.float64)}
SCIPY_UFUNCS = {
    **{name: scipy_name for name, (scipy_name, _) in special_math.SCIPY.items()},
    "zeta": "zeta", "polygamma": "polygamma",
}  # fmt: skip


def run(name, *inputs):
    function = getattr(special_math, name)
    kind = types.CPointer(KINDS[name[-3:]][1])

    def unary(n, x, o):
        for i in range(n):
            o[i] = function(x[i])

    def binary(n, x, y, o):
        for i in range(n):
            o[i] = function(x[i], y[i])

    inputs = [np.ascontiguousarray(x, KINDS[name[-3:]][0]) for x in inputs]
    signature = types.void(types.intp, *(kind,) * (len(inputs) + 1))
    loop = unary if len(inputs) == 1 else binary
    compiled = cfunc(signature, error_model="numpy")(loop)
    result = np.empty_like(inputs[0])
    pointers = zip((*inputs, result), compiled.ctypes.argtypes[1:])
    compiled.ctypes(len(result), *(a.ctypes.data_as(t) for a, t in pointers))
    return result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCIPY_UFUNCS)
def test_values_are_scipys(name, kind):
    rng = np.random.default_rng(3)
    dtype = KINDS[kind][0]
    x = np.concatenate([rng.normal(size=300) * 3, rng.uniform(0, 1, 300)]).astype(dtype)
    y = np.concatenate([rng.uniform(0.1, 9, 300), rng.uniform(0, 30, 300)]).astype(dtype)
    if name == "polygamma":
        x = np.arange(600).astype(dtype) % 6
    elif name == "zeta":
        x = np.abs(x) + dtype(1.1)
    two = name in ("zeta", "polygamma") or special_math.SCIPY[name][1] == 2
    inputs = (x, y) if two else (x,)
    wide = [v.astype(np.float64) for v in inputs]
    with np.errstate(all="ignore"):
        expected = getattr(scipy.special, SCIPY_UFUNCS[name])(*wide)
    tolerance = 1e-6 if kind == "f32" else 2e-13
    np.testing.assert_allclose(
        run(f"{name}_{kind}", *inputs), expected.astype(dtype), rtol=tolerance,
        atol=np.finfo(dtype).smallest_subnormal,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("lgamma", ([0.0, -1.0, -2.0, -INF, INF],), [INF] * 5),
        ("digamma", ([0.0, -0.0, -1.0, INF, -INF],), [-INF, INF, NAN, INF, NAN]),
        ("erfinv", ([1.0, -1.0, 1.5, -0.0],), [INF, -INF, NAN, -0.0]),
        ("ndtri", ([0.0, 1.0, -0.5],), [-INF, INF, NAN]),
        ("trigamma", ([0.0, -0.0, INF, -INF, 1e-300, -1e-300],), [INF, INF, 0, NAN, INF, INF]),
        ("zeta", ([1, 2, 0.5, 2, 2.5, NAN], [2, -1, 2, INF, -0.5, 1]), [INF, INF] + [NAN] * 4),
        ("polygamma", ([2, 3, 0, 0], [0, 0, 0, -1]), [-INF, INF, -INF, NAN]),
        ("airy_ai", ([1e300, INF],), [0, NAN]),
    ],
)
def test_values_at_poles_and_infinities(name, arguments, expected):
    got = run(f"{name}_f64", *(np.array(a, float) for a in arguments))
    np.testing.assert_array_equal(got, expected)
    zeros = np.equal(expected, 0)
    np.testing.assert_array_equal(np.signbit(got)[zeros], np.signbit(expected)[zeros])


def test_trigamma_and_airy():
    third = np.array([1.0, 0.5, -0.5, 10.0])
    np.testing.assert_allclose(
        run("trigamma_f64", third),
        [np.pi**2 / 6, np.pi**2 / 2, np.pi**2 / 2 + 4, 0.10516633568168575], rtol=1e-14,
    )  # fmt: skip
    x = np.linspace(-8, 8, 100)
    np.testing.assert_allclose(run("airy_ai_f64", x), scipy.special.airy(x)[0], rtol=1e-13)


def test_scipys_functions_are_imported_when_one_is_called():
    program = ("import sys, jittensor as torch\n"
               "x = torch.ones(3)\n"
               "x.exp().sum().item()\n"
               "before = 'scipy.special' in sys.modules\n"
               "print(before, torch.lgamma(x + 1).tolist(), 'scipy.special' in sys.modules)\n")
    for _ in range(2):                   # compiled, or found on the disk
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                              check=True)
        assert done.stdout.split() == ["False", "[0.0,", "0.0,", "0.0]", "True"]


def test_a_missing_function_is_an_import_error():
    with pytest.raises(ImportError, match="no lgammma of the form double"):
        special_math._address("lgammma", "double (double, int ")


KERNEL = """
from numba import cfunc, types
from jittensor.kernels.cpu.special_math import lgamma_f64, zeta_f64

P = types.CPointer(types.float64)

@cfunc(types.void(types.intp, P), error_model="numpy", cache=True)
def loop(n, x):
    for i in range(n):
        x[i] = lgamma_f64(x[i]) + zeta_f64(2.0, x[i])
"""
PROGRAM = """
import math, numpy as np
from jittensor.kernels.cpu import special_math
special_math.register()
import loop_kernel
x = np.ones(40)
k = loop_kernel.loop
k.ctypes(40, x.ctypes.data_as(k.ctypes.argtypes[1]))
assert np.allclose(x, math.pi**2 / 6), x
print("cached" if k.cache_hits else "compiled")
"""


def test_a_second_process_finds_the_symbols(tmp_path):
    (tmp_path / "loop_kernel.py").write_text(KERNEL)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path}
    said = [
        subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True,
                       text=True, check=True).stdout.strip()
        for _ in range(2)
    ]  # fmt: skip
    assert said == ["compiled", "cached"]
