"""Generated kernels: a program in, its machine code read for vector instructions.

A loop that is not vectorised is right and ten times too slow, which no other test would notice.
"""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import numpy as np
import pytest

import jittensor as torch
from jittensor.kernels.emit import emit
from tests.kernels.planned import nests_of

FEATURES = llvm.get_host_cpu_features()
needs_avx2 = pytest.mark.skipif(not FEATURES.get("avx2"), reason="the CPU has no AVX2")
WIDE = re.compile(r"\b[yz]mm\d+")


def tensor(*shape, dtype=np.float32):
    return torch.tensor(np.ones(shape, dtype))


def library(source: str):
    """The compiled library of a kernel's source."""
    from numba import cfunc, types
    space: dict = {"__name__": "kernel_under_test"}
    exec(compile(source, "<kernel>", "exec"), space)
    signature = types.void(types.int64, types.int64, types.int64)
    return cfunc(signature, error_model="numpy")(space["kernel"])._library


def assembly(source: str) -> str:
    """The assembly of a kernel's source."""
    return library(source).get_asm_str()


def kernels(program) -> list[tuple[str, str]]:
    """(kind, assembly) of a program's kernels."""
    return [(nest.kind, assembly(emit(nest))) for nest in nests_of(program)]


def wide_arithmetic(text: str, names: str) -> int:
    """How many packed instructions with the given stems work on 32 bytes or more."""
    return sum(bool(WIDE.search(line)) for line in text.splitlines()
               if re.match(rf"\s+v?(?:{names})", line))


def eight_in_four_out():
    a = [tensor(5000) for _ in range(8)]
    first = a[0] * a[1] + a[2]
    second = a[3] * a[4] - a[5]
    return first, second, first * a[6] + second, second * a[7] - first


VECTORISED = {
    "map, 8 in and 4 out": ("map", eight_in_four_out, "mulps|addps|subps|fmadd"),
    "map in place": ("map", lambda: tensor(5000).add_(tensor(5000)), "addps"),
    "map of float64": ("map", lambda: tensor(50, dtype=np.float64) * tensor(50, dtype=np.float64),
                       "mulpd"),
    "map of int32": ("map", lambda: tensor(50, dtype=np.int32) + tensor(50, dtype=np.int32),
                     "paddd"),
    "map with a broadcast row": ("map", lambda: tensor(60, 50) * tensor(50), "mulps"),
    "map with a broadcast column": ("map", lambda: tensor(60, 50) * tensor(60, 1), "mulps"),
    "map of exp": ("map", lambda: tensor(5000).exp(), "mulps|addps|fmadd"),
    "row: sum": ("row", lambda: tensor(60, 50).sum(1), "addps"),
    "row: softmax": ("row", lambda: torch.softmax(tensor(60, 50), 1), "mulps|divps|fmadd"),
    "row: layer_norm": ("row", lambda: torch.layer_norm(tensor(60, 50), (50,), tensor(50)),
                        "mulps|fmadd"),
    "row: maximum": ("row", lambda: tensor(60, 50).amax(1), "cmp|max|blend"),
    "col: sum": ("col", lambda: (tensor(600, 50) * 2).sum(0), "addps"),
    "wide: sum": ("wide", lambda: (tensor(600, 150) * 2).sum(0), "addps"),
    "split: sum": ("split", lambda: (tensor(300_000) * tensor(300_000)).sum(), "mulps|addps"),
}


@needs_avx2
@pytest.mark.parametrize("name", VECTORISED)
def test_loops_are_vectorised(name) -> None:
    kind, program, stems = VECTORISED[name]
    found = kernels(program)
    assert [k for k, _ in found] == [kind]
    assert wide_arithmetic(found[0][1], stems) > 0


@needs_avx2
def test_a_loop_over_separate_operands_needs_no_checks_of_overlap() -> None:
    """Alias scopes do their work: 8 loads and 4 stores, and no comparison of pointers."""
    source = emit(nests_of(eight_in_four_out)[0])
    code = library(source).get_llvm_str()
    assert "vector.body" in code and "memcheck" not in code
    plain = source.replace("intrinsics import ", "intrinsics import poke, ")
    doubtful = library(re.sub(r"store\d+\(", "poke(", plain)).get_llvm_str()
    assert "memcheck" in doubtful or "vector.body" not in doubtful   # without the scopes


def test_no_fast_mathematics() -> None:
    """Sources are compiled strictly: no flag that would reorder or contract."""
    source = emit(nests_of(lambda: (tensor(50) * tensor(50) + tensor(50)).sum())[0])
    ir = library(source).get_llvm_str()
    assert re.search(r"\bf(add|mul) ", ir)
    assert not re.search(r"\bf(add|mul|sub|div) (fast|reassoc|contract|nnan)", ir)


def test_a_source_stands_alone() -> None:
    """Only NumPy, Numba and our intrinsics are imported; the rest are arguments."""
    for nest in nests_of(lambda: (torch.softmax(tensor(60, 50), 1) + tensor(50)).sum(0)):
        source = emit(nest)
        imports = [line for line in source.splitlines() if re.match(r"\s*(from|import) ", line)]
        assert all(re.match(r"import numpy as np|from numba import |"
                            r"from jittensor\.kernels\.cpu\.\w+ import ", line)
                   for line in imports), imports
        assert "def kernel(begin, end, args):" in source
        assert source == emit(nest)


def test_an_intrinsic_is_imported_once() -> None:
    nest, = nests_of(lambda: (tensor(50).exp() + tensor(50).exp()).tanh())
    source = emit(nest)
    names = [n for line in source.splitlines() if line.startswith("from")
             for n in line.split(" import ")[1].split(", ")]
    assert len(names) == len(set(names))
