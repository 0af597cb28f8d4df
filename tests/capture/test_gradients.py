"""Gradients of a captured step: new at each call for whoever holds the old ones, in the same memory
where nobody does."""

from __future__ import annotations

import gc
import weakref

import numpy as np

import jittensor as torch
from jittensor import nn


class Steps:
    """A network of one layer, its captured step, and NumPy's gradient of its weight."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Linear(5, 3)
        self.rng = np.random.default_rng(0)

        def step(x):
            self.net.zero_grad()
            loss = self.net(x).square().sum()
            loss.backward()
            return loss

        self.step = torch.compile(step)
        for _ in range(4):
            self.run()
        gc.collect()

    def run(self) -> np.ndarray:
        """One step; the gradient that the weight should have."""
        a = self.rng.standard_normal((4, 5)).astype(np.float32)
        self.step(torch.tensor(a))
        weight, bias = (p.detach().numpy() for p in (self.net.weight, self.net.bias))
        return 2 * (a @ weight.T + bias).T @ a


def close(have: torch.Tensor, want: np.ndarray) -> bool:
    return np.allclose(have.numpy(), want, rtol=1e-4, atol=1e-5)


def test_gradients_that_nobody_holds_stay_where_they_are():
    steps = Steps()
    steps.run()
    seen = weakref.ref(steps.net.weight.grad)
    block = weakref.ref(steps.net.weight.grad.storage.block)
    for _ in range(3):
        want = steps.run()
        assert steps.net.weight.grad is seen()
        assert steps.net.weight.grad.storage.block is block()
        assert close(steps.net.weight.grad, want)


def test_a_gradient_that_is_held_keeps_its_values():
    steps = Steps()
    first = steps.run()
    held = steps.net.weight.grad
    second = steps.run()
    assert held is not steps.net.weight.grad
    assert close(held, first) and close(steps.net.weight.grad, second)


def test_so_do_its_memory_and_what_reads_it():
    steps = Steps()
    want = steps.run()
    view, array = steps.net.weight.grad[1:], steps.net.weight.grad.numpy()
    waiting = steps.net.weight.grad * 2
    steps.run()
    steps.run()
    assert close(view, want[1:]) and np.allclose(array, want, rtol=1e-4, atol=1e-5)
    assert close(waiting, 2 * want)
    assert steps.net.bias.grad is not None


def test_writes_between_the_steps():
    steps = Steps()
    steps.run()
    steps.net.weight.grad.mul_(0)
    steps.net.bias.grad.add_(1)
    want = steps.run()
    assert close(steps.net.weight.grad, want) and steps.net.weight.grad._version == 0
    steps.net.weight.grad = None
    want = steps.run()
    assert close(steps.net.weight.grad, want)
    steps.net.weight.grad = torch.ones(3, 5)
    assert close(steps.net.weight.grad, np.ones((3, 5)))
    want = steps.run()
    assert close(steps.net.weight.grad, want)


def test_what_the_user_hangs_on_a_gradient_ends_with_it():
    steps = Steps()
    steps.run()
    steps.net.weight.grad.note = "mine"
    steps.run()
    assert not hasattr(steps.net.weight.grad, "note")


def test_a_gradient_whose_memory_was_replaced():
    """The gradient lies in an output that is far larger than itself."""
    r, x = nn.Parameter(torch.ones(6)), torch.arange(60000.0)

    @torch.compile
    def step(x):
        r.grad = None
        joined = torch.cat([r, x[:50000]])
        (joined * x[:50006]).sum().backward()
        return joined.sum()

    for _ in range(4):
        step(x)
    r.grad.data = r.grad.data / 2
    step(x)
    assert r.grad.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    r.grad.data = torch.ones(20)[5:11]
    step(x)
    assert r.grad.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_gradient_that_was_let_go_is_freed():
    steps = Steps()
    steps.run()
    seen = weakref.ref(steps.net.weight.grad)
    steps.net.weight.grad = None
    assert seen() is None


def test_gradients_before_a_capture_are_let_go():
    p = nn.Parameter(torch.ones(5))

    def step(x):
        p.grad = None
        (p * x).sum().backward()

    captured = torch.compile(step)
    captured(torch.ones(5))
    before = weakref.ref(p.grad.storage.block)
    for _ in range(2):
        captured(torch.ones(5))
    gc.collect()
    assert before() is None
