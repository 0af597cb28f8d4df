"""Gather and scatter: shapes with and without columns in, NumPy's results out; which copies are
left out, and that nothing else is changed by that."""

from collections.abc import Callable

import numpy as np
import pytest

import jittensor as jt
from jittensor.kernels.gather import MANY
from tests.kernels.planned import plan_of

RNG = np.random.default_rng(11)
CASES = [((50,), 0), ((6, 40), 1), ((6, 40), 0), ((3, 20, 300), 1), ((2 * MANY,), 0),
         ((2, MANY), 1), ((MANY, 2), 0)]


def operands(shape, dim):
    """x, an index as long again and a half, and values of its shape."""
    sizes = list(shape)
    sizes[dim] = shape[dim] * 3 // 2
    index = RNG.integers(0, shape[dim], sizes)
    return (RNG.integers(-9, 9, shape).astype(np.float32), index,
            RNG.integers(-9, 9, sizes).astype(np.float32))


def joined(x, dim, index, values, ufunc):
    """NumPy's scatter of an operation."""
    out = x.copy()
    places = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    ufunc.at(out, tuple(places), values)
    return out


@pytest.mark.parametrize(("shape", "dim"), CASES)
@pytest.mark.parametrize("threads", [1, 3])
def test_elements_along_a_dim(shape, dim, threads) -> None:
    before = jt.get_num_threads()
    a, index, values = operands(shape, dim)
    x, i, v = map(jt.tensor, (a, index, values))
    try:
        jt.set_num_threads(threads)
        np.testing.assert_array_equal(x.gather(dim, i).numpy(),
                                      np.take_along_axis(a, index, dim))
        np.testing.assert_array_equal(x.scatter_add(dim, i, v).numpy(),
                                      joined(a, dim, index, values, np.add))
        np.testing.assert_array_equal(x.scatter_reduce(dim, i, v, "amax").numpy(),
                                      joined(a, dim, index, values, np.maximum))
        last = a.copy()
        np.put_along_axis(last, index, values, dim)
        np.testing.assert_array_equal(x.scatter(dim, i, v).numpy(), last)
    finally:
        jt.set_num_threads(before)


@pytest.mark.parametrize(("shape", "dim"), CASES)
def test_slices_of_a_dim(shape, dim) -> None:
    a = operands(shape, dim)[0]
    index = RNG.permutation(shape[dim])[: shape[dim] // 2] - shape[dim] // 3
    values = np.take(a, index, dim, mode="wrap") + 1
    x, v = jt.tensor(a), jt.tensor(values)
    place = (slice(None),) * dim + (index,)
    np.testing.assert_array_equal(x[(slice(None),) * dim + (jt.tensor(index),)].numpy(), a[place])
    expected = a.copy()
    expected[place] = values
    x[(slice(None),) * dim + (jt.tensor(index),)] = v
    np.testing.assert_array_equal(x.numpy(), expected)
    index = np.abs(index)
    expected = np.moveaxis(expected, dim, 0)
    np.add.at(expected, index, np.moveaxis(values, dim, 0))
    np.testing.assert_array_equal(x.index_add(dim, jt.tensor(index), v).numpy(),
                                  np.moveaxis(expected, 0, dim))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "bfloat16", "complex64"])
def test_dtypes(dtype: str) -> None:
    a = RNG.integers(0, 2 if dtype == "bool" else 5, 9)
    index = RNG.integers(0, 9, 20)
    x, i = jt.tensor(a).to(getattr(jt, dtype)), jt.tensor(index)
    added = x.scatter_add(0, i, x.gather(0, i) * x[0])
    expected = joined(a, 0, index, a[index] * a[0], np.logical_or if dtype == "bool" else np.add)
    plain = added.real if dtype == "complex64" else added
    np.testing.assert_array_equal(plain.to(jt.int64).numpy(), expected)


def labels(program: Callable[[], object]) -> list[str]:
    """What a program launches."""
    plan, _, results = plan_of(program)
    del results
    return [launch.label for launch in plan.launches]


def test_updates_leave_copies_out() -> None:
    i, v = jt.tensor([2, 0, 2]), jt.tensor([[1.0, 2], [3, 4], [5, 6]])

    def realized():         # a fresh one for each plan, as its writes are never run
        x = jt.zeros(4, 2)
        x.realize()
        return x

    x, y, z = realized(), realized(), realized()
    fresh = labels(lambda: jt.zeros(4, 2).index_add_(0, i, v))
    assert len(fresh) == 2 and fresh[1] == "index_add"
    assert labels(lambda: x.index_add_(0, i, v)) == ["index_add"]
    again = labels(lambda: y.zero_().index_add_(0, i, v))
    assert len(again) == 2 and again[1] == "index_add"
    assert labels(lambda: z.index_add(0, i, v)) == ["copy", "index_add"]
    twice = labels(lambda: z.mul(2).index_add_(0, i, v).index_copy_(0, i, v))
    assert len(twice) == 3 and twice[1:] == ["index_add", "index_copy"]


def test_a_former_value_that_somebody_needs_is_copied() -> None:
    i, v = jt.tensor([1, 1]), jt.tensor([5.0, 6.0])
    x = jt.tensor([1.0, 2.0, 3.0]) * 1
    before = x + 0
    twice = x * 2
    x.index_add_(0, i, v)
    assert (before.tolist(), twice.tolist(), x.tolist()) == (
        [1, 2, 3], [2, 4, 6], [1, 13, 3])
    y = jt.zeros(3)
    z = y.index_add(0, i, v)
    assert (y.tolist(), z.tolist()) == ([0, 0, 0], [0, 11, 0])
    x.index_add_(0, i, x[:2])
    assert x.tolist() == [1, 27, 3]
    part = jt.zeros(2, 3)
    part.realize()
    address = part.data_ptr()
    part[1].index_add_(0, i, v)
    part[0].index_add_(0, i, part[1][1:])
    assert part.tolist() == [[0, 11, 0], [0, 11, 0]] and part.data_ptr() == address


def test_gradients_of_updates() -> None:
    v = jt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    x = jt.zeros(4)
    x[jt.tensor([3, 0, 3])] += v
    (x * jt.tensor([1.0, 10, 100, 1000])).sum().backward()
    assert v.grad.tolist() == [1000.0, 1.0, 1000.0]
    w = jt.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = jt.zeros(2).scatter_add_(0, jt.tensor([1, 0, 1]), w)
    (y * jt.tensor([1.0, 10.0])).sum().backward()
    assert w.grad.tolist() == [10.0, 1.0, 10.0]
