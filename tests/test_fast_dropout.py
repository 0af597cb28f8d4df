"""`config.fast_dropout`: masks from a counter, inside the kernels that use them."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor import config
from jittensor.kernels.reference.formulas import squares

F = torch.nn.functional


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(config, "fast_dropout", True)
    torch.manual_seed(0)


def launches(call) -> int:
    """Kernels that one call launches, compiled and planned before."""
    call()
    torch.realize()
    before = torch.stats().kernels_launched
    call()
    torch.realize()
    return torch.stats().kernels_launched - before


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_keep_rate(p) -> None:
    y = F.dropout(torch.ones(1000, 300), p).numpy()
    kept = y != 0
    assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / kept.size)
    assert np.allclose(y[kept], 1 / (1 - p))
    for axis in (0, 1):          # rows and columns vary as independent draws do
        spread = kept.mean(axis).std() / np.sqrt(p * (1 - p) / kept.shape[axis])
        assert 0.85 < spread < 1.15
    assert abs(np.corrcoef(kept[:, 1:].ravel(), kept[:, :-1].ravel())[0, 1]) < 0.01


def test_the_kernel_is_the_formula() -> None:
    """Widynski's squares32, written out with Python's integers."""
    def plain(counter: int, key: int) -> int:
        bits = (1 << 64) - 1
        x = y = counter * key & bits
        z = y + key & bits
        for term in (y, z, y):
            x = x * x + term & bits
            x = (x >> 32 | x << 32) & bits
        return (x * x + z & bits) >> 32

    key = 0x548C9DECBCE65297
    counters = np.array([0, 1, 2, 12345, 1 << 40], np.int64)
    want = [plain(int(c), key) for c in counters]
    assert squares(counters, np.int64(key)).tolist() == want
    for threshold in want:
        got = torch.random.elementwise(torch.random.OPS["_kept"], torch.tensor(counters),
                                       torch.tensor(key), threshold)
        assert got.tolist() == [w >= threshold for w in want]


def test_seeds_and_threads(monkeypatch) -> None:
    def drawn() -> np.ndarray:
        torch.manual_seed(7)
        return F.dropout(torch.ones(300, 1000), 0.5).numpy()

    monkeypatch.setattr(config, "threads", 1)
    one = drawn()
    monkeypatch.setattr(config, "threads", 2)
    assert (one == drawn()).all()
    assert not (one == F.dropout(torch.ones(300, 1000), 0.5).numpy()).all()
    state = torch.get_rng_state()
    first = F.dropout(torch.ones(50), 0.5).tolist()
    torch.set_rng_state(state)
    assert F.dropout(torch.ones(50), 0.5).tolist() == first


def test_backward_has_the_same_mask() -> None:
    x = torch.full((40, 50), 2.0, requires_grad=True)
    y = F.dropout(x, 0.25)
    y.sum().backward()
    assert y.grad_fn.name() == "NativeDropoutBackward0"
    assert torch.equal(x.grad, y.detach() / 2)


def test_it_fuses_with_its_neighbours() -> None:
    x = torch.rand(64, 256).realize()
    with_mask = launches(lambda: (F.dropout(x * 2 + 1, 0.5).relu() - 3).realize())
    assert with_mask == 1


def test_a_captured_step_draws_anew() -> None:
    step = torch.compile(lambda x: F.dropout(x, 0.5))
    x = torch.ones(200)
    results = [step(x).tolist() for _ in range(4)]
    assert len({tuple(r) for r in results}) == 4


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout",
                                  "FeatureAlphaDropout"])
def test_modules(name) -> None:
    shape = {"Dropout1d": (20, 30, 4), "Dropout3d": (20, 30, 2, 2, 2)}.get(name, (20, 30, 2, 2))
    module = getattr(torch.nn, name)(0.5)
    y = module(torch.ones(shape))
    changed = (y != y.flatten()[0]).float().mean().item()
    assert tuple(y.shape) == shape and 0.2 < changed < 0.8
    assert torch.equal(module.eval()(torch.ones(shape)), torch.ones(shape))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 4, 5)])
def test_shapes_and_dtypes(dtype, shape) -> None:
    x = torch.ones(shape, dtype=getattr(torch, dtype))
    y = F.dropout(x, 0.5)
    assert y.dtype is x.dtype and y.shape == x.shape
    assert set(y.flatten().tolist()) <= {0.0, 2.0}
