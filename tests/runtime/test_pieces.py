"""Long pending work is cut where its content says so, and a loop's pieces are alike."""

from __future__ import annotations

import random

import numpy as np

import jittensor as torch
from jittensor.kernels.compile import stats
from jittensor.runtime import realize
from jittensor.runtime.pieces import LEAST, MOST, WHOLE, cut, last_readers

OPS = ["sin", "cos", "exp", "tanh", "sqrt", "neg", "abs", "floor", "ceil", "log"]


def recorded(names: list[str]) -> list:
    """Pending nodes of these operators, not to be run."""
    torch.realize()
    x = torch.ones(2)
    for name in names:
        x = getattr(torch, name)(x)
    nodes = realize.PENDING[:]
    del realize.PENDING[:]
    return nodes


def lengths(ends: list[int]) -> list[int]:
    return [b - a for a, b in zip([0, *ends], ends)]


def test_what_is_short_stays_whole() -> None:
    assert cut(recorded(["sin"] * (WHOLE - 1))) == [WHOLE]
    assert len(cut(recorded(["sin"] * WHOLE))) > 1


def test_pieces_of_a_loop_are_alike() -> None:
    """Whatever came before it, and however often it runs."""
    rng = random.Random(0)
    body = [rng.choice(OPS) for _ in range(37)]
    for lead, turns in ((0, 40), (19, 55), (101, 71)):
        names = [rng.choice(OPS) for _ in range(lead)] + body * turns
        ends = cut(recorded(names))
        inner = lengths(ends)[1:-2]
        assert len(inner) > 5 and set(inner) == {LEAST + -LEAST % 37}
        phases = {(end - 1 - lead) % 37 for end in ends[:-1]}
        assert len(phases) == 1


def test_pieces_are_neither_short_nor_long() -> None:
    rng = random.Random(1)
    nodes = recorded([rng.choice(OPS) for _ in range(3000)])
    ends = cut(nodes)
    assert ends[-1] == len(nodes)
    assert all(LEAST <= n < MOST for n in lengths(ends)[:-1]) and lengths(ends)[-1] <= MOST


def test_last_readers() -> None:
    torch.realize()
    x = torch.ones(3)
    y = x * 2
    x.add_(1)
    z = y + x
    assert last_readers(realize.PENDING[:]) == [2, 3, 3, 3]
    assert z.tolist() == [4, 4, 4]


def test_new_lengths_of_a_long_loop_need_few_plans() -> None:
    def episode(length: int) -> list[float]:
        x, h = torch.arange(4.0), torch.zeros(4)
        states = []
        for _ in range(length):
            h = torch.tanh(h * 0.5 + x)
            states.append(h)
        x.mul_(2)                     # after whoever read it
        return [*states[length // 3].tolist(), *h.tolist(), *x.tolist()]

    episode(400)
    plans, kernels = stats.plans_built, stats.kernels_compiled + stats.kernels_loaded
    for length in range(401, 441):
        seen = episode(length)
        h = np.zeros(4, np.float32)
        for step in range(length):
            h = np.tanh(h * np.float32(0.5) + np.arange(4, dtype=np.float32))
            if step == length // 3:
                third = h
        np.testing.assert_allclose(seen, [*third, *h, 0, 2, 4, 6], rtol=1e-5)
    assert stats.plans_built - plans <= 80      # a first or last piece may be new, no other
    assert stats.kernels_compiled + stats.kernels_loaded - kernels <= 40
