"""Long pending work is cut where its content says so, and a loop's pieces are alike."""

from __future__ import annotations

import random

import numpy as np

import jittensor as torch
from jittensor.kernels.compile import stats
from jittensor.runtime import realize
from jittensor.runtime.pieces import LEAST, MOST, WHOLE, crossing, cut

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


def test_what_later_pieces_read() -> None:
    torch.realize()
    x = torch.ones(3)
    y = x * 2
    x.add_(1)
    z = y + x
    nodes = realize.PENDING[:]
    assert crossing(nodes, [4]) == set()
    assert crossing(nodes, [2, 4]) == {nodes[0], nodes[1]}
    assert crossing(nodes, [1, 2, 3, 4]) == set(nodes[:3])
    assert z.tolist() == [4, 4, 4]


def samples(sizes: list[int]) -> list:
    """A batch as a data set makes it: of each sample, rows with as many numbers as it has."""
    out = []
    for n in sizes:
        x, y = torch.zeros(16, dtype=torch.int64), torch.zeros(16, dtype=torch.int64)
        x[1:1 + n] = torch.arange(n) + 1
        y[:n] = x[1:1 + n]
        y[n + 1:] = -1
        out.append((x, y))
    return out


def test_independent_work_of_many_sizes_needs_few_plans() -> None:
    rng = random.Random(3)
    batches = [[rng.randint(1, 12) for _ in range(8)] for _ in range(30)]
    for n in range(1, 13):
        torch.realize()
        samples([n])
    plans, kernels = [], []
    for sizes in batches:
        torch.realize()
        before = stats.plans_built, stats.kernels_compiled
        made = samples(sizes)
        torch.realize()
        plans.append(stats.plans_built - before[0])
        kernels.append(stats.kernels_compiled - before[1])
        for n, (x, y) in zip(sizes, made, strict=True):
            row = [*range(1, n + 1)]
            assert x.tolist() == [0, *row, *[0] * (15 - n)]
            assert y.tolist() == [*row, *([0] if n < 16 else []), *[-1] * (15 - n)]
    assert sum(plans[2:]) < 30
    assert not any(kernels[1:])


def test_independent_work_that_comes_again_is_one_plan() -> None:
    def step(rows: list, k: int) -> None:
        for x in rows:
            x.mul_(0.5).add_(float(k))
        torch.realize()

    first, second = ([torch.ones(n + shift) for n in range(3, 20)] for shift in (0, 40))
    torch.realize()
    step(first, 0)
    counts = []
    for k in range(4):
        before = stats.realizes
        step(second, k)
        counts.append(stats.realizes - before)
    assert counts == [17, 1, 1, 1]
    assert [x[0].item() for x in second] == [0.0625 + 0.25 + 1 + 3] * 17


def test_what_writes_to_one_memory_stays_together() -> None:
    torch.realize()
    x = torch.arange(64.0)
    torch.realize()
    for turn in range(3):
        for k in range(0, 60, 2):
            x[k + turn:k + turn + 1] += x[k + 1:k + 2]
        torch.realize()
    want = np.arange(64.0, dtype=np.float32)
    for turn in range(3):
        for k in range(0, 60, 2):
            want[k + turn:k + turn + 1] += want[k + 1:k + 2]
    assert x.tolist() == want.tolist()


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
