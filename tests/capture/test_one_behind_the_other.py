"""Replays that begin while the one before is in flight: they use its blocks again, and nobody's
that somebody holds."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor import nn
from jittensor.config import config
from jittensor.kernels.matmul import set_blas_threads
from jittensor.runtime import bind
from jittensor.runtime.realize import realize_all


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(config, "threads", 2)
    yield
    bind.settle()


class Training:
    """A network that keeps two threads busy, trained by a captured step or a plain one."""

    def __init__(self, compiled: bool):
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512))
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01)

        def step(x):
            self.optimizer.zero_grad()
            out = self.net(x)
            loss = out.square().mean()
            loss.backward()
            self.optimizer.step()
            return loss.detach(), out.detach()

        self.step = torch.compile(step) if compiled else step
        self.batches = [torch.randn(256, 512).realize() for _ in range(12)]
        for x in self.batches[:4]:
            self.step(x)

    def weight(self) -> torch.Tensor:
        return self.net[0].weight


def test_results_that_are_held_keep_their_values():
    ours, plain = Training(True), Training(False)
    held = [ours.step(x) for x in ours.batches]
    grad = ours.weight().grad
    ours.step(ours.batches[0])
    for x, (loss, out) in zip(plain.batches, held, strict=True):
        wanted_loss, wanted = plain.step(x)
        assert np.allclose(loss.item(), wanted_loss.item(), rtol=1e-5)
        assert np.allclose(out.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-5)
    assert np.allclose(grad.numpy(), plain.weight().grad.numpy(), rtol=1e-4, atol=1e-7)
    plain.step(plain.batches[0])
    assert ours.weight().grad is not grad
    assert np.allclose(ours.weight().grad.numpy(), plain.weight().grad.numpy(), rtol=1e-4,
                       atol=1e-7)


def test_gradients_and_temporary_memory_stay_where_they_are():
    ours = Training(True)
    ours.step(ours.batches[0])
    bound = bind._in_flight.bound
    where = bind._in_flight.arena.address, ours.weight().grad.storage.block.address
    for x in ours.batches:
        ours.step(x)
        assert bind._in_flight.bound is bound
        assert where == (bind._in_flight.arena.address,
                         ours.weight().grad.storage.block.address)


def test_the_blas_has_its_threads_again():
    before = set_blas_threads(2)
    if before == 0:
        pytest.skip("an unknown BLAS")
    try:
        ours = Training(True)
        a = torch.arange(1_500_000).double().realize()
        for x in ours.batches[:3]:
            ours.step(x)
        bind.settle()
        assert set_blas_threads(2) == 2
        ours.step(ours.batches[0])
        out = a * 2 + 1             # a run without products behind one with
        realize_all()
        assert set_blas_threads(2) == 2
        assert out[-1].item() == 2_999_999
        ours.step(ours.batches[1])
        small = torch.ones(3) + 1   # on the caller's thread
        assert small.tolist() == [2.0] * 3 and set_blas_threads(2) == 2
    finally:
        set_blas_threads(before)


def test_other_plans_between():
    ours, plain = Training(True), Training(False)
    for x, y in zip(ours.batches, plain.batches, strict=True):
        loss, _ = ours.step(x)
        with torch.no_grad():
            ours.weight().mul_(0.999)
        other = (ours.weight() * 2).sum()
        wanted, _ = plain.step(y)
        with torch.no_grad():
            plain.weight().mul_(0.999)
        assert np.allclose(other.item(), (plain.weight() * 2).sum().item(), rtol=1e-3, atol=1e-3)
        assert np.allclose(loss.item(), wanted.item(), rtol=1e-5)


def test_large_results_are_not_held_twice():
    x = torch.ones(1 << 20).realize()
    captured = torch.compile(lambda x: x * 2 + 1)
    for _ in range(3):
        captured(x)
    where = set()
    for _ in range(6):
        where.add(captured(x).storage.block.address)
    assert len(where) == 1
