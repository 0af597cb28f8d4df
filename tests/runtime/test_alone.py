"""Operations realized one by one: their plans are found without a key, with the same results."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.config import config
from jittensor.kernels.compile import stats
from jittensor.runtime import alone, realize


@pytest.fixture
def keys(monkeypatch):
    """How many keys were made."""
    torch.realize()                     # what other tests left
    counted = []
    plain = realize.snapshot
    monkeypatch.setattr(realize, "snapshot", lambda *a: counted.append(1) or plain(*a))
    realize.forget_plans()
    return counted


def tensors(*shapes):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    out = [torch.tensor(a) for a in arrays]
    torch.realize(*out)
    return [pair for pair in zip(out, arrays, strict=True)]


OPERATIONS = {
    "two operands": lambda x, y: x + y, "a scalar": lambda x, y: x * 2.5,
    "an integer": lambda x, y: x + 7, "two scalars": lambda x, y: x.clip(-0.5, 0.25),
    "a reduction": lambda x, y: x.sum(1), "a comparison": lambda x, y: x < y,
    "a copy": lambda x, y: x.copy(),
}
OURS = {**OPERATIONS, "a copy": lambda x, y: x.clone()}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_second_time_no_key_is_made(name, keys) -> None:
    (x, a), (y, b), (z, c) = tensors((5, 6), (5, 6), (5, 6))
    for _ in range(2):
        OURS[name](x, y).realize()
    made = len(keys)
    before = stats.kernels_launched, stats.plans_built, stats.realizes
    out = OURS[name](z, x).realize()
    assert made == 1 == len(keys)
    assert (stats.kernels_launched, stats.plans_built, stats.realizes) == (
        before[0] + 1, before[1], before[2] + 1)
    assert np.allclose(out.numpy(), OPERATIONS[name](c, a), rtol=1e-6)


def test_scalars_are_those_of_the_call(keys) -> None:
    (x, a), = tensors((4,))
    for scale in (1.5, -2.0, 3.25):
        for shift in (2, 9):
            assert np.array_equal((x * scale).numpy(), a * np.float32(scale))
            assert np.array_equal((x + shift).numpy(), a + np.float32(shift))


def test_views_at_other_offsets(keys) -> None:
    (x, a), (y, b) = tensors((6, 4), (6, 4))
    for i in range(6):
        assert np.array_equal((x[i] + y[5 - i]).numpy(), a[i] + b[5 - i])


def test_an_operand_twice_has_a_plan_of_its_own(keys) -> None:
    (x, a), (y, b) = tensors((3, 3), (3, 3))
    for _ in range(3):
        assert np.array_equal((x - y).numpy(), a - b)
        assert np.array_equal((x - x).numpy(), a - a)
        assert np.array_equal((x[1] - x[2]).numpy(), a[1] - a[2])
        assert np.array_equal((x[1] - x[1]).numpy(), a[1] - a[1])


def test_what_nobody_sees_is_not_computed(keys) -> None:
    (x, _), = tensors((8,))
    for _ in range(2):
        (x * 2).realize()
    x * 2
    before = stats.kernels_launched
    torch.realize()
    assert stats.kernels_launched == before


def test_writes_and_other_settings_take_the_long_way(keys, monkeypatch) -> None:
    (x, a), (y, b) = tensors((4, 4), (4, 4))
    for _ in range(2):
        torch.softmax(x, 1).realize()
    known = torch.softmax(x, 1).numpy()
    monkeypatch.setattr(config, "fusion", False)
    before = stats.kernels_launched
    assert np.array_equal(torch.softmax(x, 1).numpy(), known)
    assert stats.kernels_launched - before > 1
    monkeypatch.undo()
    for _ in range(3):
        x.add_(y).realize()
        a += b
        assert np.array_equal(x.numpy(), a)


def test_memory_seen_from_outside_is_read_at_once(keys) -> None:
    a = np.arange(2000, dtype=np.float64)
    x = torch.from_numpy(a)
    for k in range(4):
        y = x * 2
        a += 1
        assert np.array_equal(y.numpy(), (a - 1) * 2), k


def test_what_is_recorded_meanwhile_stays_pending(monkeypatch) -> None:
    """A finalizer or another thread may record while a lone operation is bound."""
    (x, a), = tensors((8,))
    for _ in range(2):
        (x * 2).realize()
    plain, late = alone.blocks.take, []

    def take(nbytes):
        if not late:
            late.append(x + 3)
        return plain(nbytes)

    monkeypatch.setattr(alone.blocks, "take", take)
    out = (x * 2).realize()
    monkeypatch.undo()
    assert np.array_equal(out.numpy(), a * 2) and np.array_equal(late[0].numpy(), a + 3)


def test_an_integer_that_no_dtype_holds() -> None:
    x = torch.arange(3)
    for _ in range(3):
        assert (x + 2).tolist() == [2, 3, 4]
    for _ in range(2):
        with pytest.raises((OverflowError, RuntimeError)):
            (x + 2 ** 70).realize()
        assert (x + 2).tolist() == [2, 3, 4]
