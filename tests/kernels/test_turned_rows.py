"""Row kernels whose results lie across the rows: NumPy's results in one kernel, and the bits that
the operators give one by one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import jittensor as torch
from jittensor.compiler.blocking import TALL
from jittensor.config import config
from jittensor.kernels.compile import stats
from tests.kernels.planned import nests_of

SHAPES = [(40, 70), (64, 64), (300, 257), (33, 1024), (3, 50, 90), (2, 3, 65, 40)]


def rows(shape, dtype="float32"):
    """Realized rows and the same array."""
    a = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    return torch.tensor(a).realize(), a


def softmax(x):
    return torch.softmax(x.transpose(-1, -2), x.dim() - 2)


def ranks(x):
    """Three results that lie across: floats of two sizes and truth values."""
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    turned = scaled.transpose(-1, -2)
    return turned.contiguous(), turned.to(torch.float64).contiguous(), (turned > 0).contiguous()


def one_by_one(program, x):
    config.fusion = False
    try:
        return program(x)
    finally:
        config.fusion = True


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_softmax_over_a_transposed_matrix(shape, dtype):
    x, a = rows(shape, dtype)
    softmax(x).realize()
    before = stats.kernels_launched
    out = softmax(x).realize()
    assert stats.kernels_launched - before == 1
    assert out.is_contiguous()
    expected = np.swapaxes(scipy.special.softmax(a.astype(np.float64), -1), -1, -2)
    tolerance = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(out.numpy(), expected, rtol=tolerance * 10, atol=tolerance)
    if dtype != "float16":
        apart = one_by_one(softmax, x)
        assert out.numpy().tobytes() == apart.numpy().tobytes()


@pytest.mark.parametrize("shape", [(80, 100), (2, 35, 129)], ids=str)
def test_several_results(shape):
    x, a = rows(shape)
    values = ranks(x)
    torch.realize(*values)
    centred = a - a.mean(-1, keepdims=True)
    expected = np.swapaxes(centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-3), -1, -2)
    np.testing.assert_allclose(values[0].numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(values[1].numpy(), expected, rtol=1e-4, atol=1e-5)
    for value, apart in zip(values, one_by_one(ranks, x), strict=True):
        assert value.dtype is apart.dtype and value.numpy().tobytes() == apart.numpy().tobytes()


def test_written_into_memory_that_is_there():
    x, a = rows((90, 60))
    out = torch.zeros(60, 90).realize()
    out.t().copy_(x.softmax(1))
    np.testing.assert_allclose(out.numpy(), scipy.special.softmax(a, 1).T, rtol=1e-5)
    out.t().copy_(x.softmax(1) + out.t())
    np.testing.assert_allclose(out.numpy(), 2 * scipy.special.softmax(a, 1).T, rtol=1e-5)


def test_which_kernel_it_is():
    def kinds(rows_, columns):
        x, _ = rows((rows_, columns))
        return [nest.kind for nest in nests_of(lambda: softmax(x))]

    assert kinds(64, 100) == ["turned"]
    assert kinds(64, TALL) == ["turned"]
    assert kinds(64, TALL + 1) == ["row", "tiled"]
    assert kinds(8, 100) == ["row"]


def test_more_results_than_the_stack_holds():
    x, a = rows((64, 2000), "float64")
    share = x / x.sum(1, keepdim=True)
    results = [(share * k).t().contiguous() for k in range(1, 41)]
    torch.realize(*results)
    expected = a / a.sum(1, keepdims=True)
    for k, result in enumerate(results, 1):
        np.testing.assert_allclose(result.numpy(), (expected * k).T, rtol=1e-9)
