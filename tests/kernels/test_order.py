"""Sorting and selection: every dtype in, indices that agree with NumPy's stable order out.

NaN is the largest value, both zeros are equal, and of equal values the first comes first in a
sort; which are selected is compared with PyTorch in tests/parity/test_order_of_equals.py.
"""

import numpy as np
import pytest

import jittensor as jt
from jittensor.kernels.selecting import MOST
from jittensor.kernels.sorting import LONG
from tests.kernels.planned import plan_of

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
          "float64"]
ODD = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-7]


def values(name: str, shape, few: bool = True) -> jt.Tensor:
    """Values of a dtype; `few` distinct ones, with all that is odd among them."""
    rng = np.random.default_rng(len(name))
    if "float" not in name:
        top = 2 if name == "bool" else 100
        low = 0 if name in ("bool", "uint8") else -100
        x = rng.integers(low, top, shape) * (10_000_019 if name in ("int32", "int64") else 1)
        return jt.tensor(x).to(getattr(jt, name))
    x = rng.standard_normal(shape) * 3
    if few:
        x = np.round(x, 1)
        x.flat[::5] = rng.choice(ODD, x.flat[::5].size)
    return jt.tensor(x).to(getattr(jt, name))


def order(x: jt.Tensor, descending: bool) -> np.ndarray:
    """NumPy's stable order of the last dim."""
    a = x.double().numpy() if x.dtype.is_floating_point else x.numpy().astype(np.int64)
    if descending:
        return a.shape[-1] - 1 - np.flip(np.argsort(np.flip(a, -1), -1, kind="stable"), -1)
    return np.argsort(a, -1, kind="stable")


@pytest.mark.parametrize("name", DTYPES)
def test_rows_are_put_in_stable_order(name: str) -> None:
    for shape in [(3, 1), (5, 7), (2, 3, 33), (4, 300)]:
        x = values(name, shape)
        for descending in (False, True):
            expected = order(x, descending)
            np.testing.assert_array_equal(x.argsort(-1, descending).numpy(), expected)
            ordered, index = x.sort(-1, descending)
            np.testing.assert_array_equal(index.numpy(), expected)
            np.testing.assert_array_equal(
                ordered.double().numpy(),
                np.take_along_axis(x.double().numpy(), expected, -1))


@pytest.mark.parametrize("name", ["int16", "float32", "int64", "bool"])
def test_few_long_rows_are_cut_into_pieces(name: str) -> None:
    x = values(name, (2, LONG + 77))
    plan, _, results = plan_of(lambda: x.argsort(-1))
    assert len(plan.launches) > 1
    del results
    for descending in (False, True):
        np.testing.assert_array_equal(x.argsort(-1, descending).numpy(), order(x, descending))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(threads: int) -> None:
    before = jt.get_num_threads()
    x = values("float32", (3, LONG), few=False)
    expected = np.take_along_axis(x.numpy(), order(x, True)[:, :9], -1)
    try:
        jt.set_num_threads(threads)
        np.testing.assert_array_equal(x.argsort(-1).numpy(), order(x, False))
        np.testing.assert_array_equal(x.topk(9).values.numpy(), expected)
    finally:
        jt.set_num_threads(before)


@pytest.mark.parametrize("name", DTYPES)
def test_the_first_k_and_the_kth(name: str) -> None:
    for few in (True, False):
        x = values(name, (3, 4 * MOST), few)
        plain = x.double().numpy()
        for largest in (False, True):
            expected = np.take_along_axis(plain, order(x, largest), -1)
            for k in (1, 60, MOST, MOST + 1):
                got, index = x.topk(k, -1, largest)
                np.testing.assert_array_equal(got.double().numpy(), expected[:, :k])
                np.testing.assert_array_equal(
                    np.take_along_axis(plain, index.numpy(), -1), expected[:, :k])
                assert all(len(set(row)) == k for row in index.tolist())
        for k in (1, 77, 4 * MOST):
            np.testing.assert_array_equal(
                x.kthvalue(k)[0].double().numpy(),
                np.take_along_axis(plain, order(x, False)[:, k - 1:k], -1)[:, 0])


def test_medians() -> None:
    x = values("float32", (40, 301))
    a = x.numpy()
    assert np.isnan(x.median(1)[0].numpy()).all() and np.isnan(x.median().item())
    got = x.nanmedian(1)[0].numpy()
    expected = [np.sort(row)[(np.sum(row == row) - 1) // 2] for row in a]
    np.testing.assert_array_equal(got, np.asarray(expected, np.float32))
    first = x.median(1)[1].numpy()
    np.testing.assert_array_equal(first, np.argmax(a != a, 1))
    whole = values("int64", (7, 9))
    assert whole.median().item() == np.sort(whole.numpy(), None)[31]
    np.testing.assert_array_equal(whole.median(0)[0].numpy(), np.sort(whole.numpy(), 0)[3])
    lost = jt.tensor([[float("nan")] * 5])
    assert np.isnan(lost.nanmedian(1)[0].item()) and lost.nanmedian(1)[1].item() == 0


def test_other_dims_and_what_is_empty() -> None:
    x = values("float32", (6, 5, 4), few=False)
    for dim in range(3):
        a = x.numpy()
        np.testing.assert_array_equal(x.sort(dim)[0].numpy(), np.sort(a, dim))
        np.testing.assert_array_equal(x.topk(1, dim)[0].numpy(), a.max(dim, keepdims=True))
        np.testing.assert_array_equal(x.kthvalue(2, dim)[0].numpy(), np.sort(a, dim).take(1, dim))
    assert jt.empty(3, 0).sort()[0].shape == (3, 0) and jt.empty(0, 3).topk(2)[1].shape == (0, 2)
    one = jt.tensor(4.0)
    assert one.sort()[1].item() == 0 and one.median(0)[0].item() == 4 and one.topk(1)[0].item() == 4


def test_order_stays_lazy_and_has_a_gradient() -> None:
    x = jt.tensor([3.0, 1.0, 2.0], requires_grad=True)
    before = jt.stats().realizes
    ordered, index = (x * 2).sort()
    loss = (ordered * jt.tensor([1.0, 10.0, 100.0])).sum() + (x.topk(1)[0] * 5).sum()
    assert jt.stats().realizes == before
    loss.backward()
    assert x.grad.tolist() == [205.0, 2.0, 20.0]
    assert index.tolist() == [1, 2, 0]
