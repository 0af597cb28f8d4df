"""Scans and places of extremes: rows side by side, blocks of columns, every dtype in; NumPy's
results out."""

import numpy as np
import pytest

import jittensor as jt
from jittensor.functions.scans import scan
from jittensor.kernels.scan import COLUMNS, TOGETHER

SHAPES = [(7,), (TOGETHER + 2, 200), (2, 5, COLUMNS + 3)]
DTYPES = ["bool", "uint8", "int16", "int64", "float16", "bfloat16", "float32", "float64",
          "complex64"]


def values(name: str, shape) -> tuple[jt.Tensor, np.ndarray]:
    """A tensor of small whole numbers, and the same in NumPy's widest dtype of its kind."""
    a = np.random.default_rng(2).integers(0 if name in ("bool", "uint8") else -3, 2, shape)
    x = jt.tensor(a).to(getattr(jt, name))
    wide = np.complex128 if name == "complex64" else (
        np.float64 if x.dtype.is_floating_point else np.int64)
    return x, a.astype(wide)


def same(x: jt.Tensor, a: np.ndarray) -> None:
    have = x.double().numpy() if x.dtype.is_floating_point else x.numpy()
    np.testing.assert_array_equal(have, a)


@pytest.mark.parametrize("name", DTYPES)
def test_running_sums_and_products(name: str) -> None:
    for shape in SHAPES:
        x, a = values(name, shape)
        for dim in range(len(shape)):
            same(x.cumsum(dim), np.cumsum(a, dim))
            if name in ("int64", "float64"):
                same((x.abs() + 1).clamp(max=2)[..., :9].cumprod(dim),
                     np.cumprod(np.minimum(np.abs(a) + 1, 2)[..., :9], dim))
                back = np.flip(np.cumsum(np.flip(a, dim), dim), dim)
                same(scan("cumsum", x, dim, True), back)


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(8, 5), (8, 3), (19, 64), (16, 0), (24, 1), (3, 9, 130)])
def test_rows_in_lanes_add_up_as_a_plain_loop_does(name: str, shape: tuple) -> None:
    """In float64, in the order of the row, rounded where it is written."""
    a = np.random.default_rng(5).standard_normal(shape).astype(name)
    a[..., :1] *= 1e6
    x = jt.tensor(a)
    for got, how in ((x.cumsum(-1), np.add), (x.cumprod(-1), np.multiply)):
        want = how.accumulate(a, -1, dtype=np.float64).astype(name)
        assert got.numpy().tobytes() == want.tobytes()


@pytest.mark.parametrize("name", DTYPES[:-1])
def test_places_of_extremes(name: str) -> None:
    for shape in SHAPES:
        x, a = values(name, shape)
        for dim in range(len(shape)):
            if name != "bool":
                same(x.argmax(dim), a.argmax(dim))
                same(x.argmin(dim), a.argmin(dim))
            got, index = x.cummax(dim)
            best = np.maximum.accumulate(a, dim)
            same(got.to(jt.float64 if a.dtype == np.float64 else jt.int64), best)
            np.testing.assert_array_equal(np.take_along_axis(a, index.numpy(), dim), best)
            later = np.arange(shape[dim]).reshape([-1 if k == dim else 1
                                                   for k in range(len(shape))])
            last = np.maximum.accumulate(np.where(a == best, later, 0), dim)
            np.testing.assert_array_equal(index.numpy(), last)


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_a_nan_is_the_extreme(name: str) -> None:
    a = np.zeros((3, 150))
    a[0, 140] = a[0, 145] = a[1, 3] = np.nan
    a[2] = -np.inf
    x = jt.tensor(a).to(getattr(jt, name))
    for y, dim in ((x, 1), (x.t().contiguous(), 0)):
        assert y.argmax(dim).tolist() == y.argmin(dim).tolist() == [140, 3, 0]
        assert y.cummax(dim)[1].select(dim, 149).tolist() == [145, 3, 149]


def test_log_of_running_sums_of_exponentials() -> None:
    a = np.random.default_rng(1).standard_normal((3, 4, 30))
    for dim in range(3):
        np.testing.assert_allclose(jt.tensor(a).logcumsumexp(dim).numpy(),
                                   np.logaddexp.accumulate(a, dim), rtol=1e-12)
    ends = jt.tensor([-np.inf, -np.inf, 2.0, np.inf, np.nan]).logcumsumexp(0)
    np.testing.assert_array_equal(ends.numpy(),
                                  np.asarray([-np.inf, -np.inf, 2, np.inf, np.nan], np.float32))


def test_an_infinite_complex_number_comes_first() -> None:
    x = jt.tensor([complex(np.inf, 0), 1 + 1j])
    assert x.cumsum(0).tolist() == [complex(np.inf, 0), complex(np.inf, 1)]
