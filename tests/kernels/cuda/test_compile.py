"""CUDA kernels compiled to sm_90 cubins without a GPU (extra `cuda-compile`): what is in their
machine code and what is not."""

import re

import pytest

import jittensor as torch
from jittensor.kernels.cuda.compile import compile_source
from jittensor.kernels.cuda.emit import emit
from tests.kernels.cuda.programs import PROGRAMS, operator_nests
from tests.kernels.planned import nests_of


def _missing() -> str:
    """Why nothing can be compiled here, or nothing."""
    try:
        import numba.cuda
        from cuda.bindings import nvjitlink
        from cuda.pathfinder import load_nvidia_dynamic_lib
        for library in ("nvvm", "nvrtc", "nvJitLink"):
            load_nvidia_dynamic_lib(library)
        nvjitlink.version()
    except Exception as error:
        return f"pip install 'jittensor[cuda-compile]': {type(error).__name__}: {error}"
    return "" if getattr(numba.cuda, "implementation", "") == "NVIDIA" else "numba-cuda is missing"


why = _missing()
pytestmark = pytest.mark.skipif(bool(why), reason=why or "compiles")
_done: dict = {}


def cubins(name):
    """Cubins of a program's kernels, compiled once."""
    if name not in _done:
        program = PROGRAMS[name]
        tensors = [torch.tensor(a) for a in program.inputs()]
        _done[name] = [cubin for nest in nests_of(lambda: program.run(*tensors))
                       for cubin in compile_source(emit(nest))]
    return _done[name]


@pytest.mark.parametrize("name", PROGRAMS)
def test_cubins_are_machine_code(name):
    for cubin in cubins(name):
        assert cubin.code[:4] == b"\x7fELF" and len(cubin.code) > 1000
        assert cubin.symbol in cubin.ptx and ".target sm_90" in cubin.ptx
        assert 0 < cubin.registers <= 64
        assert cubin.spills == 0
        assert cubin.stack == 0 or name == "map special"   # the table of tan's argument reduction
        assert "ld.global" in cubin.ptx and "st.global" in cubin.ptx


FLOAT32 = [name for name in PROGRAMS
           if not any(word in name for word in ("integers", "special", "full maximum"))]


@pytest.mark.parametrize("name", FLOAT32)
def test_no_float64_in_float32_kernels(name):
    for cubin in cubins(name):
        assert ".f64" not in cubin.ptx


def test_a_float64_kernel_has_float64_arithmetic():
    x = torch.randn(100, dtype=torch.float64)
    (nest,) = nests_of(lambda: x * 0.1)
    (cubin,) = compile_source(emit(nest))
    assert "mul.rn.f64" in cubin.ptx


def test_the_index_of_an_element_is_its_thread():
    ptx = cubins("map")[0].ptx
    for register in ("%tid.x", "%ntid.x", "%ctaid.x"):
        assert register in ptx
    # index = block * threads + thread, and an address is the pointer and 4 bytes times the index
    product = re.search(r"mul\.wide\.s32\s+(%rd\d+), (%r\d+), (%r\d+);", ptx)
    thread = re.search(r"mov\.u32\s+(%r\d+), %tid\.x;", ptx)
    wide = re.search(rf"cvt\.[su]64\.[su]32\s+(%rd\d+), {thread[1]};", ptx)
    index = re.search(rf"add\.s64\s+(%rd\d+), {product[1]}, {wide[1]};", ptx)
    assert index and re.search(rf"shl\.b64\s+%rd\d+, {index[1]}, 2;", ptx)


def test_products_and_sums_are_rounded_apart():
    x, y = torch.randn(100), torch.randn(100)
    (nest,) = nests_of(lambda: x * y + y)
    (cubin,) = compile_source(emit(nest))
    assert "mul.rn.f32" in cubin.ptx and "add.rn.f32" in cubin.ptx
    assert "fma" not in cubin.ptx


def test_quotients_and_roots_are_rounded_right():
    x, y = torch.randn(100), torch.randn(100)
    (nest,) = nests_of(lambda: x.sqrt() / y)
    (cubin,) = compile_source(emit(nest))
    assert "sqrt.rn.f32" in cubin.ptx and "div.rn.f32" in cubin.ptx


@pytest.mark.parametrize("name", ["row sum", "softmax", "layer norm", "full sum", "column mean"])
def test_reductions_join_in_shared_memory(name):
    cubin = cubins(name)[0]
    assert cubin.shared == 256 * 4
    for instruction in ("st.shared.f32", "ld.shared.f32", "bar.sync"):
        assert instruction in cubin.ptx


def test_complex_division_by_zero_ends_no_thread():
    x, y = (torch.ones(64, dtype=torch.complex64) for _ in range(2))
    (nest,) = nests_of(lambda: x / y)
    (cubin,) = compile_source(emit(nest))
    assert "div.rn.f32" in cubin.ptx and ".f64" not in cubin.ptx
    assert cubin.ptx.count("ret;") == 1


# libdevice reduces large angles in float64; gamma and Bessel functions are computed in it
FLOAT64_INSIDE = {"sin", "cos", "tan", "sinc", "digamma", "_trigamma", "i0", "i1",
                  "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1"}


@pytest.mark.parametrize("code", ["f32", "c64", "i64", "u8", "b8"])
def test_every_operator_compiles(code):
    for nest, ops in operator_nests(code):
        (cubin,) = compile_source(emit(nest))
        # 64-bit division is a call, which saves registers of these long kernels
        assert cubin.spills == 0 or code in ("i64", "u8")
        assert cubin.ptx.count("st.global") >= len(ops)
        if code in ("f32", "c64") and ".f64" in cubin.ptx:
            assert {op.name for op in ops} & FLOAT64_INSIDE
