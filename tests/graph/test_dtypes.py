"""Type promotion against PyTorch's table, written out."""

from __future__ import annotations

import pytest

import jittensor as torch
from jittensor.graph.dtypes import ALL, promote_types, result_type

NAMES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
SHORT = dict(zip("b1 u1 i1 i2 i4 i8 f2 bf f4 f8 c8 c16".split(), NAMES.split(), strict=True))
# rows and columns in the order of NAMES, as PyTorch's documentation has them
TABLE = """
b1  u1  i1  i2  i4  i8  f2  bf  f4  f8  c8  c16
u1  u1  i2  i2  i4  i8  f2  bf  f4  f8  c8  c16
i1  i2  i1  i2  i4  i8  f2  bf  f4  f8  c8  c16
i2  i2  i2  i2  i4  i8  f2  bf  f4  f8  c8  c16
i4  i4  i4  i4  i4  i8  f2  bf  f4  f8  c8  c16
i8  i8  i8  i8  i8  i8  f2  bf  f4  f8  c8  c16
f2  f2  f2  f2  f2  f2  f2  f4  f4  f8  c8  c16
bf  bf  bf  bf  bf  bf  f4  bf  f4  f8  c8  c16
f4  f4  f4  f4  f4  f4  f4  f4  f4  f8  c8  c16
f8  f8  f8  f8  f8  f8  f8  f8  f8  f8  c16 c16
c8  c8  c8  c8  c8  c8  c8  c8  c8  c16 c8  c16
c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16 c16
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]


def test_the_table() -> None:
    for a, row in zip(ALL, ROWS, strict=True):
        for b, short in zip(ALL, row, strict=True):
            assert promote_types(a, b).name == SHORT[short], (a, b)


@pytest.mark.parametrize("dims,zero,scalars,expected", [
    (["int32"], [], [int], "int32"), (["int32"], [], [float], "float32"),
    (["int32"], [], [bool], "int32"), (["uint8"], [], [int], "uint8"),
    (["bool"], [], [int], "int64"), (["bool"], [], [float], "float32"),
    (["float16"], [], [float], "float16"), (["float64"], [], [complex], "complex128"),
    (["float16"], [], [complex], "complex64"), (["int8"], [], [complex], "complex64"),
    (["int32"], ["int64"], [], "int32"), (["int32"], ["float64"], [], "float64"),
    (["float32"], ["float64"], [], "float32"), (["float32"], ["complex128"], [], "complex64"),
    (["bool"], ["uint8"], [], "uint8"), ([], ["int8"], [int], "int8"),
    ([], ["int64"], [float], "float32"), (["int8"], ["int16"], [float], "float32"),
    (["uint8", "int8"], [], [], "int16"),
])
def test_priorities(dims, zero, scalars, expected) -> None:
    named = [[getattr(torch, n) for n in group] for group in (dims, zero)]
    assert result_type(*named, scalars).name == expected


def test_a_default_of_float64_changes_what_python_floats_are() -> None:
    try:
        torch.set_default_dtype(torch.float64)
        assert result_type([torch.int32], [], [float]) is torch.float64
        assert result_type([torch.bool], [], [complex]) is torch.complex128
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_a_dtype_knows_itself(dtype) -> None:
    import pickle
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert dtype.itemsize == dtype.numpy.itemsize
    assert repr(dtype) == f"torch.{dtype.name}"
    assert dtype.compute.itemsize >= dtype.itemsize
