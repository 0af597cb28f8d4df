"""Elementwise kernels whose operands lie across each other: NumPy's elements for every dtype, edge
and stride, in one kernel."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.kernels.compile import stats

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
          "complex64", "complex128"]
SHAPES = [(64, 64), (100, 70), (33, 129), (3, 50, 47), (2, 3, 40, 65), (1, 200, 37)]


def operand(shape, dtype):
    rng = np.random.default_rng(len(shape) + shape[-1])
    a = (rng.standard_normal(shape) * 40).astype(dtype)
    x = torch.tensor(a)
    return x, a


def swapped(a):
    return np.swapaxes(a, -1, -2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_operands_that_lie_across_are_turned(dtype, shape):
    x, a = operand(shape, dtype)
    y, b = operand((*shape[:-2], shape[-1], shape[-2]), dtype)
    torch.realize(x, y)
    before = stats.kernels_launched
    turned = (x.transpose(-1, -2) == y).realize()
    copied = x.transpose(-1, -2).contiguous().realize()
    assert stats.kernels_launched - before == 2
    assert np.array_equal(turned.numpy(), swapped(a) == b)
    assert copied.is_contiguous() and np.array_equal(copied.numpy(), swapped(a))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "complex128"])
def test_results_that_lie_across_are_turned_back(dtype):
    x, a = operand((70, 101), dtype)
    y, b = operand((101, 70), dtype)
    torch.realize(x, y)
    before = stats.kernels_launched
    y.t().copy_(x + x)               # writes a column of y for every row of x
    torch.realize(y)
    assert stats.kernels_launched - before == 1
    assert np.array_equal(y.numpy(), (a + a).T)


def test_two_results_in_either_order():
    x, a = operand((130, 90), "float32")
    out = torch.zeros(90, 130)
    torch.realize(x, out)
    straight = x * 2
    out.t().copy_(straight)
    torch.realize(straight, out)
    assert np.array_equal(straight.numpy(), a * 2) and np.array_equal(out.numpy(), (a * 2).T)


STEPS = {"every other": np.s_[..., ::2], "every third row": np.s_[::3], "both": np.s_[1::2, 3::3]}


@pytest.mark.parametrize("steps", STEPS)
def test_strides_that_no_square_fits(steps):
    x, a = operand((180, 260), "float32")
    torch.realize(x)
    part = (x.t()[STEPS[steps]] + 1).contiguous().realize()
    assert np.array_equal(part.numpy(), a.T[STEPS[steps]] + 1)
    back = (x.t().flip(0) + x.t().flip(1)).contiguous().realize()
    assert np.array_equal(back.numpy(), a.T[::-1] + a.T[:, ::-1])


@pytest.mark.parametrize("count", [3, 9])
def test_many_operands_share_the_stack(count):
    tensors, arrays = zip(*(operand((90, 80), "float64") for _ in range(count)),
                          strict=True)
    other, b = operand((80, 90), "float64")
    torch.realize(*tensors, other)
    total, expected = other * 1, b * 1
    for k, (x, a) in enumerate(zip(tensors, arrays, strict=True)):
        total, expected = total + (x + k).t(), expected + (a + k).T
    assert np.allclose(total.numpy(), expected, rtol=1e-14)


def test_a_matrix_added_to_its_transpose_in_place():
    x, a = operand((128, 128), "float32")
    torch.realize(x)
    x.add_(x.t().clone())
    assert np.array_equal(x.numpy(), a + a.T)
