"""Realizing: plans are found again, nothing is compiled twice, memory comes back."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import jittensor as torch
from jittensor.config import config
from jittensor.kernels.compile import stats
from jittensor.runtime import blocks, realize


@pytest.fixture(autouse=True)
def nothing_pending() -> None:
    """Work that other tests left is none of this file's."""
    realize.realize_all()


def step(rows: int, scale: float):
    x = torch.ones(rows, 8) * scale
    y = (x + torch.arange(8)).tanh().sum(1)
    return (y - y.mean()).tolist()


def counts() -> tuple[int, int, int]:
    return stats.kernels_compiled + stats.kernels_loaded, stats.plans_built, stats.realizes


def test_a_second_run_plans_and_compiles_nothing() -> None:
    torch.realize()                           # what other tests left pending
    step(40, 0.5)
    kernels, plans, runs = counts()
    again = step(40, 0.25)                    # another number: a slot of the same plan
    assert counts() == (kernels, plans, runs + 1)
    x = np.ones((40, 8), np.float32) * np.float32(0.25)
    y = np.tanh(x + np.arange(8, dtype=np.float32)).sum(1)
    np.testing.assert_allclose(again, y - y.mean(), atol=1e-5)


def test_other_sizes_compile_nothing() -> None:
    step(40, 0.5)
    kernels, plans, _ = counts()
    step(33, 0.5)
    step(57, 0.5)
    assert counts()[0] == kernels
    assert counts()[1] == plans + 2


def test_other_offsets_of_realized_memory_are_one_plan() -> None:
    x = torch.arange(40).float().reshape(10, 4).realize()
    (x[0] * 2).realize()
    plans = stats.plans_built
    for k in range(1, 10):
        assert (x[k] * 2).tolist() == (np.arange(4.0) + 4 * k).__mul__(2).tolist()
    assert stats.plans_built == plans


def test_a_deep_graph_is_recorded_and_run() -> None:
    x = torch.zeros(3)
    for _ in range(200_000):
        x = x + 1
        assert len(realize.PENDING) <= config.max_pending_nodes + 256
    assert x.tolist() == [200_000.0] * 3


def test_a_deep_graph_in_one_plan(monkeypatch) -> None:
    monkeypatch.setattr(config, "max_pending_nodes", 1 << 30)
    x = torch.zeros(3)
    for _ in range(5_000):
        x = x + 1
    assert x.tolist() == [5_000.0] * 3


def test_pending_work_is_bounded_by_bytes(monkeypatch) -> None:
    realize.realize_all()
    monkeypatch.setattr(config, "max_pending_bytes", 1 << 20)
    runs = stats.realizes
    kept = [torch.ones(1000) + k for k in range(700)]
    assert stats.realizes > runs
    assert kept[-1][0].item() == 700


def test_dropped_work_is_never_run() -> None:
    realize.realize_all()
    launched = stats.kernels_launched
    x = torch.ones(5) + 1
    (x * 3).exp()                             # nobody holds it
    del x
    realize.realize_all()
    assert stats.kernels_launched == launched


def test_dropped_tensors_free_their_memory() -> None:
    x = (torch.ones(1000) + 1).realize()
    block = weakref.ref(x.storage.block)
    node_storage = weakref.ref(x.storage)
    del x
    gc.collect()
    assert block() is None and node_storage() is None


def test_what_a_pending_reader_needs_outlives_its_tensor() -> None:
    x = (torch.ones(1000) + 1).realize()
    y = x * 3
    del x
    gc.collect()
    filler = (torch.zeros(1000) + 9).realize()     # would take the freed block
    assert y[0].item() == 6 and filler[0].item() == 9


def test_intermediate_values_share_an_arena() -> None:
    x = torch.ones(64, 64)
    for _ in range(6):
        x = torch.matmul(x, x) * 0.01
    x.realize()
    plan = realize.PLANS[next(reversed(realize.PLANS))]
    assert len(plan.outputs) == 1
    assert 0 < plan.arena <= 4 * 64 * 64 * 4


def test_fusion_changes_launches_and_no_bits(monkeypatch) -> None:
    def run():
        x = torch.arange(3000).float().reshape(30, 100) / 700
        y = torch.softmax(x.sin() * 3, 1)
        before = stats.kernels_launched
        values = (y * x + y.sum(0)).numpy().tobytes()
        return values, stats.kernels_launched - before

    fused, few = run()
    monkeypatch.setattr(config, "fusion", False)
    plain, many = run()
    assert fused == plain
    assert few < many


@pytest.mark.parametrize("function", [
    lambda x: x.sum(), lambda x: x.sum(0), lambda x: x.sum(1), lambda x: torch.softmax(x, 1),
    lambda x: x.var(), lambda x: (x * 2).exp(), lambda x: x.amax(0), lambda x: x @ x.t()])
def test_threads_change_no_bits(function, monkeypatch) -> None:
    x = (torch.arange(300_000).float().reshape(500, 600) * 0.37).sin().realize()
    seen = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(config, "threads", threads)
        seen.append(function(x).numpy().tobytes())
    assert seen[0] == seen[1] == seen[2]


def test_eager_runs_each_operation_as_it_is_called(monkeypatch) -> None:
    realize.realize_all()
    monkeypatch.setattr(config, "eager", True)
    x = torch.ones(4) + 1
    assert x.storage.node is None and not realize.PENDING
    x += 1
    assert x.storage.node is None and x.tolist() == [3] * 4


# ── memory blocks ─────────────────────────────────────────────────────────────────────────────
def test_blocks_are_aligned_and_come_back_warm() -> None:
    block = blocks.take(5000)
    assert block.address % blocks.ALIGN == 0 and block.size >= 5000
    address = block.address
    del block
    assert blocks.take(5000).address == address


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 65, 4096, 4097, 10**6, 10**6 + 1])
def test_size_classes_waste_an_eighth_at_the_most(nbytes) -> None:
    size = blocks.size_class(nbytes)
    assert size >= nbytes and size % 64 == 0
    assert blocks.size_class(size) == size
    assert size <= max(64, nbytes + max(63, nbytes // 8 + 64))


def test_release_gives_warm_memory_back() -> None:
    block = blocks.take(1 << 16)
    del block
    assert blocks.held() >= 1 << 16
    blocks.release()
    assert blocks.held() == 0


def test_blocks_over_the_limit_are_not_kept(monkeypatch) -> None:
    blocks.release()
    monkeypatch.setattr(blocks, "LIMIT", 1 << 12)
    block = blocks.take(1 << 16)
    del block
    assert blocks.held() == 0


def test_what_cannot_be_compiled_holds_nothing_up(monkeypatch) -> None:
    torch.realize()
    kept = torch.ones(3) + 1

    def broken(graph, fusion):
        raise ValueError("no plan today")

    monkeypatch.setattr(realize, "make_plan", broken)
    realize.forget_plans()
    with pytest.raises(ValueError, match="no plan today"):
        kept.realize()
    monkeypatch.undo()
    assert (torch.ones(2) * 3).tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="could not be compiled"):
        kept.tolist()


def test_chained_writes_at_other_offsets_are_one_plan() -> None:
    """`x[i] = ...` again and again, wherever in x it begins."""
    x = torch.zeros(64).realize()
    y = torch.arange(64.0).realize()

    def write(first: int) -> None:
        for k in range(first, first + 5):
            x[k] = y[k] + 1
        torch.realize(x)

    write(0)
    plans = stats.plans_built
    for first in range(7, 50, 7):
        write(first)
    assert stats.plans_built == plans
    wanted = [k + 1.0 if k < 5 or any(f <= k < f + 5 for f in range(7, 50, 7)) else 0.0
              for k in range(64)]
    assert x.tolist() == wanted


def test_chained_writes_that_overlap_are_told_apart() -> None:
    for step in (0, 1, 2, 3):                # each has an order of its own
        x = torch.arange(12.0).realize()
        a = x.numpy().copy()
        for k in range(3):
            at = k * step
            x[at:at + 2] = x[at + 1:at + 3] * 2 + k
            a[at:at + 2] = a[at + 1:at + 3] * 2 + k
        assert x.tolist() == a.tolist()
