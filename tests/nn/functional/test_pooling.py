"""In: small signals. Out: maxima and means of windows, their places and their gradients, that
agree with NumPy window by window."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor.nn import functional as F

RNG = np.random.default_rng(4)
# size, kernel, stride, padding, dilation, ceil mode
CASES = {
    "halves": ((16, 16), 2, 2, 0, 1, False),
    "padded, beyond the end": ((9, 11), 3, 2, 1, 1, True),
    "gaps": ((20,), 3, 2, 1, 2, True),
    "volume": ((5, 6, 7), 2, 2, 0, 1, True),
    "thirds": ((13, 13), 3, 3, 1, 1, True),
    "long rows": ((2, 1100), 2, 1, 0, 1, False),
}


def windows(size, kernel, stride, padding, dilation, ceil):
    """(window, mesh of the elements it has)."""
    number = []
    for n in size:
        count = (n + 2 * padding - dilation * (kernel - 1) - 1 + (stride - 1) * ceil) // stride + 1
        number.append(count - (ceil and (count - 1) * stride >= n + padding))
    for window in np.ndindex(*number):
        axes = [j * stride - padding + np.arange(kernel) * dilation for j in window]
        yield window, np.ix_(*[a[(a >= 0) & (a < n)] for a, n in zip(axes, size, strict=True)])


def function(name, dims):
    return getattr(F, f"{name}_pool{dims}d")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_maxima(name, dtype) -> None:
    size, *options = CASES[name]
    x = RNG.integers(-9, 9, (2, 3, *size)).astype(dtype)
    x.reshape(-1)[3:6] = np.nan
    a = jt.tensor(x, requires_grad=True)
    out, where = function("max", len(size))(a, *options, return_indices=True)
    g = RNG.normal(size=out.shape).astype(dtype)
    out.backward(jt.tensor(g))
    numbers, grad = np.arange(np.prod(size)).reshape(size), np.zeros(x.shape, dtype)
    places, result = where.numpy(), out.detach().numpy()
    flat = grad.reshape(2, 3, -1)
    for window, mesh in windows(size, *options):
        for n, c in np.ndindex(2, 3):
            values, at = x[(n, c, *mesh)].reshape(-1), numbers[mesh].reshape(-1)
            lost = np.flatnonzero(np.isnan(values))
            best = lost[-1] if len(lost) else int(values.argmax())
            assert places[(n, c, *window)] == at[best]
            flat[n, c, at[best]] += g[(n, c, *window)]
            np.testing.assert_equal(result[(n, c, *window)], values[best])
    np.testing.assert_allclose(a.grad.numpy(), grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("name", [n for n in CASES if CASES[n][4] == 1])
def test_means(name, padded) -> None:
    size, kernel, stride, padding, _, ceil = CASES[name]
    x = RNG.normal(size=(2, 3, *size))
    a = jt.tensor(x, requires_grad=True)
    out = function("avg", len(size))(a, kernel, stride, padding, ceil, padded)
    g = RNG.normal(size=out.shape)
    out.backward(jt.tensor(g))
    grad, result = np.zeros(x.shape), out.detach().numpy()
    for window, mesh in windows(size, *CASES[name][1:]):
        count = np.prod([m.size for m in mesh])
        if padded:
            count = np.prod([min(j * stride - padding + kernel, n + padding)
                             - (j * stride - padding) for j, n in zip(window, size, strict=True)])
        total = x[(..., *mesh)].sum(tuple(range(2, x.ndim)))
        np.testing.assert_allclose(result[(..., *window)], total / count, rtol=1e-12, atol=1e-12)
        grad[(..., *mesh)] += (g[(..., *window)] / count).reshape(2, 3, *[1] * len(size))
    np.testing.assert_allclose(a.grad.numpy(), grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("pool", [
    lambda x: F.max_pool2d(x, 3, 1, 1), lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
    lambda x: F.avg_pool2d(x, 2, divisor_override=3)], ids=["max", "avg", "divisor"])
def test_second_gradients(pool) -> None:
    x = jt.tensor(RNG.permutation(60.0 + np.arange(60)).reshape(1, 2, 5, 6), requires_grad=True)
    assert jt.autograd.gradcheck(pool, (x,)) and jt.autograd.gradgradcheck(pool, (x,))


def test_bits_do_not_depend_on_threads() -> None:
    x, before, seen = jt.tensor(RNG.normal(size=(3, 7, 17, 19)).astype("float32")), \
        jt.get_num_threads(), []
    try:
        for threads in (1, 3):
            jt.set_num_threads(threads)
            a = x.clone().requires_grad_()
            out = F.max_pool2d(a, 3, 2, 1) + F.avg_pool2d(a, 3, 2, 1)
            (out * out).sum().backward()
            seen.append((out.detach().numpy(), a.grad.numpy()))
    finally:
        jt.set_num_threads(before)
    for one, three in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, three)
