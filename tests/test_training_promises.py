"""What a training loop costs: kernels compiled, kernels launched, runs per step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import jittensor as torch
from jittensor import nn
from jittensor.runtime import realize

EXAMPLES = Path(__file__).parent.parent / "examples"


def make(width: int = 32, optimizer: str = "SGD", **options):
    """A small network, its optimizer, and a function that does one step on a batch."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, width), nn.ReLU(), nn.LayerNorm(width),
                          nn.Linear(width, 5))
    loss_fn = nn.CrossEntropyLoss()
    o = getattr(torch.optim, optimizer)(model.parameters(), **options)

    def step(x, y):
        o.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        o.step()
        return loss

    return model, o, step


def batch(n: int):
    """A batch of n examples."""
    return torch.randn(n, 20), torch.randint(0, 5, (n,))


@pytest.mark.parametrize("optimizer, options", [
    ("SGD", {"lr": 0.1, "momentum": 0.9}), ("Adam", {"lr": 0.01}), ("AdamW", {"lr": 0.01})])
def test_no_compilation_from_the_third_step_on(optimizer, options):
    _, o, step = make(optimizer=optimizer, **options)
    for _ in range(3):
        step(*batch(16))
    before = torch.stats().kernels_compiled + torch.stats().kernels_loaded
    for n in (16, 16, 7, 33):
        o.param_groups[0]["lr"] *= 0.5
        step(*batch(n))
    assert torch.stats().kernels_compiled + torch.stats().kernels_loaded == before


def test_other_sequence_lengths_compile_nothing():
    def attend(length):
        q, k, v = (torch.randn(2, length, 16) for _ in range(3))
        weights = torch.softmax(q @ k.transpose(1, 2) / 4.0, -1)
        return (weights @ v).sum().item()

    attend(12)
    before = torch.stats().kernels_compiled + torch.stats().kernels_loaded
    for length in (13, 29, 64, 5):
        attend(length)
    assert torch.stats().kernels_compiled + torch.stats().kernels_loaded == before


def test_one_run_a_step():
    _, _, step = make(lr=0.1)
    x, y = batch(16)
    for _ in range(2):
        step(x, y)
    before = torch.stats().realizes
    for _ in range(5):
        step(x, y)
    assert torch.stats().realizes - before == 5


def test_a_batch_picked_by_index_is_one_run_a_step():
    _, _, step = make(lr=0.1)
    x, y = batch(64)
    order = torch.randperm(64)
    for _ in range(2):
        step(x[order[:16]], y[order[:16]])
    before = torch.stats().realizes
    for k in range(4):
        step(x[order[16 * k:16 * k + 16]], y[order[16 * k:16 * k + 16]])
    assert torch.stats().realizes - before == 4


def launched_products(work) -> int:
    """How many matrix products the work launches."""
    count = 0
    original = realize.execute

    def counting(bound, binding):
        nonlocal count
        count += sum(label == "matmul" for label, _, _ in bound.parts)
        return original(bound, binding)

    realize.execute = counting
    try:
        work()
        realize.realize_all()
    finally:
        realize.execute = original
    return count


def test_looking_at_the_loss_repeats_no_product():
    model, _, _ = make()
    x, y = batch(16)
    loss_fn = nn.CrossEntropyLoss()

    def together():
        model.zero_grad()
        loss_fn(model(x), y).backward()

    def apart():
        model.zero_grad()
        loss = loss_fn(model(x), y)
        loss.item()
        loss.backward()

    together()
    torch.realize()
    assert launched_products(apart) == launched_products(together) == 5


def test_a_loop_of_manual_updates_does_not_pile_up():
    w = torch.zeros(3, requires_grad=True)
    x = torch.ones(3)
    for _ in range(50):
        loss = ((w * x).sum() - 1) ** 2
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
            w.grad.zero_()
    assert len(realize.PENDING) < 200
    assert abs((w * x).sum().item() - 1) < 1e-3


def test_digits_example_compiles_nothing_in_a_second_process(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("tqdm")
    runs = []
    for seed in ("1", "2"):        # nor may the order of sets matter
        env = {**os.environ, "JITTENSOR_CACHE_DIR": str(tmp_path), "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, str(EXAMPLES / "digits.py")], env=env, text=True,
                              capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr
        runs.append(done.stdout.strip().splitlines())
    first, second = runs
    assert float(second[-2].split()[-1]) > 0.97
    assert "kernels: 0 compiled" not in first[-1] and "kernels: 0 compiled, " in second[-1]
    assert first[-2] == second[-2]
