"""Column kernels that sweep their blocks again: NumPy's results, one kernel, and the bits that the
operators give one by one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

import jittensor as torch
from jittensor.config import config
from jittensor.kernels.compile import stats
from tests.kernels.planned import nests_of


def softmax(x, dim):
    return torch.softmax(x, dim)


def normed(x, dim):
    mean, var = x.mean(dim, keepdim=True), x.var(dim, keepdim=True, unbiased=False)
    return (x - mean) / (var + 1e-5).sqrt()


def both(x, dim):
    """A result for each element, and two that stand once a column."""
    top = x.amax(dim, keepdim=True)
    share = (x - top).exp()
    total = share.sum(dim, keepdim=True)
    return torch.cat([share / total, top + total.log()], dim)


def numpy_normed(x, dim):
    return (x - x.mean(dim, keepdims=True)) / np.sqrt(x.var(dim, keepdims=True) + 1e-5)


def numpy_both(x, dim):
    return np.concatenate([scipy.special.softmax(x, dim),
                           scipy.special.logsumexp(x, dim, keepdims=True)], dim)


PROGRAMS = {"softmax": (softmax, scipy.special.softmax), "normed": (normed, numpy_normed),
            "both": (both, numpy_both)}
SHAPES = {"columns": ((40, 300), 0, None), "an odd block": ((513, 257), 0, None),
          "tall": ((2048, 256), 0, None), "one row": ((1, 260), 0, None),
          "in the middle": ((3, 33, 128), 1, None), "across": ((300, 70), 1, (1, 0)),
          "across, odd": ((257, 129), -1, (1, 0)), "two loops": ((5, 7, 320), (0, 1), None)}


def operands(shape, order, dtype):
    """Realized, of this shape, with dims in memory in another order where one is given."""
    stored = shape if order is None else tuple(shape[d] for d in order)
    a = np.random.default_rng(0).standard_normal(stored).astype(dtype)
    x = torch.tensor(a) + 0
    torch.realize(x)
    return (x, a) if order is None else (x.permute(order), a.transpose(order))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_bits(name, shape, dtype):
    ours, numpys = PROGRAMS[name]
    size, dim, order = SHAPES[shape]
    if isinstance(dim, tuple) and name != "normed":
        pytest.skip("softmax knows one dim")
    x, a = operands(size, order, dtype)
    fused = ours(x, dim).numpy()
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(fused, numpys(a, dim), rtol=tolerance, atol=tolerance)
    config.fusion = False
    try:
        apart = ours(x, dim).numpy()
    finally:
        config.fusion = True
    assert fused.tobytes() == apart.tobytes()


@pytest.mark.parametrize("shape", ["columns", "tall", "across"])
def test_they_are_one_kernel(shape):
    size, dim, order = SHAPES[shape]
    x, _ = operands(size, order, "float32")
    softmax(x, dim).realize()
    before = stats.kernels_launched
    softmax(x, dim).realize()
    normed(x, dim).realize()
    assert stats.kernels_launched == before + 2


def test_long_columns_are_swept_once():
    """Blocks that would not stay in the cache, or too few of them."""
    for size in ((5000, 256), (300, 100)):
        x, _ = operands(size, None, "float32")
        before = stats.kernels_launched
        softmax(x, 0).realize()
        assert stats.kernels_launched > before + 1


def test_in_place_over_what_is_read():
    x, a = operands((64, 256), None, "float32")
    x.sub_(x.mean(0)).div_(x.abs().amax(0))
    a = a - a.mean(0)
    np.testing.assert_allclose(x.numpy(), a / np.abs(a).max(0), rtol=1e-5, atol=1e-6)


def test_extremes_of_columns_with_nan():
    a = np.random.default_rng(1).standard_normal((50, 300)).astype(np.float32)
    a[7, ::3] = np.nan
    x = torch.tensor(a) + 0
    np.testing.assert_array_equal(x.amax(0).numpy(), a.max(0))
    np.testing.assert_array_equal(x.amin(0).numpy(), a.min(0))


# ── blocks that are all full ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("width", [127, 128, 129, 200, 255, 256, 300])
def test_sums_of_columns_that_overlap(width):
    x, a = operands((70, width), None, "float32")
    y, b = operands((3, 40, width), None, "float64")
    np.testing.assert_allclose(x.sum(0).numpy(), a.sum(0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose((y * 2).amax(1).numpy(), (b * 2).max(1))
    assert np.array_equal((x > 0).sum(0).numpy(), (a > 0).sum(0))


def kinds(build) -> list[str]:
    return [nest.kind for nest in nests_of(build)]


def test_results_over_what_is_read_have_blocks_of_their_own():
    """The columns that two blocks share are done twice, so no result may lie over an operand."""
    x, _ = operands((60, 300), None, "float32")
    total, _ = operands((300,), None, "float32")
    assert kinds(lambda: x.sum(0)) == ["wide"]
    assert kinds(lambda: total.add_(x.sum(0))) == ["col"]
    divisible, _ = operands((60, 256), None, "float32")
    assert kinds(lambda: divisible.sub_(divisible.mean(0)))[0] == "wide"


@pytest.mark.parametrize("width", [300, 320])
def test_values_that_take_over_their_operands_memory(width):
    x, a = operands((50, width), None, "float32")
    total, t = operands((width,), None, "float32")

    def program(x):
        for _ in range(4):
            x = softmax(x * 3, 0) + 1
        return x

    fused = program(x).numpy()
    total += x.sum(0)
    total += x.sum(0)
    np.testing.assert_allclose(total.numpy(), t + 2 * a.sum(0), rtol=1e-4, atol=1e-4)
    config.fusion = False
    try:
        assert program(x).numpy().tobytes() == fused.tobytes()
    finally:
        config.fusion = True


def test_angles_that_are_written_across():
    """A loop over angles has a second form for great ones, within the loop over columns."""
    x, a = operands((300, 512), None, "float32")
    out = (x * 30 - x.mean(0, keepdim=True)).sin().t().contiguous()
    np.testing.assert_allclose(out.numpy(), np.sin(a * 30 - a.mean(0, keepdims=True)).T,
                               rtol=1e-3, atol=1e-4)
