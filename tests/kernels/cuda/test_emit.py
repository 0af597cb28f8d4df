"""The text of CUDA kernels: thread order, one word a parameter, no CUDA package imported, and a
CUDA function for every function that the operator table calls."""

import ast
import subprocess
import sys

import pytest

import jittensor as torch
from jittensor.kernels.cuda.emit import blocks_of, emit
from jittensor.kernels.cuda.formula import CudaFormulas
from tests.kernels.cuda.programs import lacking, operator_nests, operators_of
from tests.kernels.planned import nests_of, plan_of


def source_of(program):
    (nest,) = nests_of(program)
    return emit(nest)


def test_neighbouring_threads_read_neighbouring_elements():
    x = torch.randn(1000)
    text = source_of(lambda: x * 2 + 1).text
    assert "i = cuda.grid(1)" in text and "i += step" in text
    assert "= p0[i]" in text and "p1[i] = " in text


def test_a_row_is_read_by_the_threads_of_one_block():
    x = torch.randn(8, 1000)
    source = source_of(lambda: torch.softmax(x, 1))
    assert "row = int64(cuda.blockIdx.x)" in source.text
    assert "c = t\n" in source.text and "c += 256" in source.text
    assert source.text.count("while c < cols:") == 3      # maximum, sum, quotient
    (nest,) = nests_of(lambda: torch.softmax(x, 1))
    assert blocks_of(source.entries[0], nest, [8, 1000], source.threads) == 8


def test_parameters_name_their_launch_words():
    x, y = torch.randn(6, 50), torch.randn(50)
    plan, _, results = plan_of(lambda: (x + y).exp() * 0.5)
    (launch,) = plan.launches
    (entry,) = emit(launch.kernel).entries
    words = {p.name: launch.words[p.word] for p in entry.parameters}
    assert (words["n0"], words["n1"]) == (6, 50)
    pointers = [words[p.name] for p in entry.parameters if p.code == "*f32"]
    assert len(pointers) == 3 and all(word[0] == "address" for word in pointers)
    (scalar,) = (p for p in entry.parameters if p.name.startswith("s"))
    assert scalar.code == "f32"          # rounded by the launch: no float64 in the kernel
    assert words[scalar.name][:2] == ("scalar", "f")


def test_a_scalar_of_float64_work_stays_float64():
    x = torch.randn(50, dtype=torch.float64)
    entry = source_of(lambda: x * 0.1).entries[0]
    assert [p.code for p in entry.parameters if p.name[0] == "s"] == ["f64"]


def test_a_split_reduction_is_two_kernels():
    x = torch.randn(1, 200_000)
    (nest,) = nests_of(lambda: x.sum())
    source = emit(nest)
    assert [(e.name, e.work) for e in source.entries] == [("kernel", "chunks"), ("finish", "rows")]
    assert blocks_of(source.entries[0], nest, [200_000], source.threads) == 4
    assert blocks_of(source.entries[1], nest, [200_000], source.threads) == 1


@pytest.mark.parametrize("threads", [16, 48, 0])
def test_threads_are_a_power_of_two_from_a_warp(threads):
    x = torch.randn(10)
    (nest,) = nests_of(lambda: x + 1)
    with pytest.raises(ValueError):
        emit(nest, threads)


def test_the_same_nest_gives_the_same_text():
    x, y = torch.randn(30, 40), torch.randn(7, 9)
    first, second = (source_of(lambda t=t: torch.softmax(t * 3, 1)) for t in (x, y))
    assert first == second               # no size and no scalar is in the text


@pytest.mark.parametrize("code", ["f32", "f64", "i64", "u8", "b8", "bf16", "c64"])
def test_every_operator_has_a_formula(code):
    written = 0
    for nest, ops in operator_nests(code):
        source = emit(nest)
        ast.parse(source.text)
        assert sum(o.mode == "w" for o in nest.operands) == len(ops)
        assert all(f"p{3 + k}[i] = " in source.text for k in range(len(ops)))
        written += len(ops)
    assert written >= {"b8": 15, "c64": 30}.get(code, 60)


@pytest.mark.parametrize("code", ["f32", "f64"])
def test_cuda_lacks_no_elementary_function(code):
    from jittensor.kernels.cpu import vector_math
    found = {lacking(op, code) for op in operators_of(code)}
    assert not found & set(vector_math.FUNCTIONS)
    assert "airy_ai" in found             # what CUDA lacks is found out, here and by users


def test_a_function_that_cuda_lacks_is_an_error():
    with pytest.raises(NotImplementedError, match="airy_f32"):
        CudaFormulas([], set(), {}).call("airy_f32", "x")


def test_importing_jittensor_imports_no_cuda():
    code = ("import sys, jittensor; "
            "print([m for m in sys.modules if m.startswith(('numba.cuda', 'jittensor.kernels.cuda',"
            " 'cuda.'))])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
