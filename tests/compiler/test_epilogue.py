"""Elementwise work after a product runs in the product's launch, tile by tile, where it may."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.config import config

F = torch.nn.functional


def draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def relu(a):
    return np.maximum(a, 0)


CASES = {
    # name: (shapes, in jittensor, in NumPy, launches)
    "linear, bias, relu": (((700, 96), (80, 96), (80,)),
                           lambda x, w, b: F.relu(F.linear(x, w, b)),
                           lambda x, w, b: relu(x @ w.T + b), 1),
    "linear of three dims": (((5, 70, 96), (80, 96), (80,)),
                             lambda x, w, b: F.linear(x, w, b) * 2,
                             lambda x, w, b: (x @ w.T + b) * 2, 1),
    "batches": (((6, 70, 30), (6, 30, 50)), lambda x, w: (x @ w) * 2 + 1,
                lambda x, w: (x @ w) * 2 + 1, 1),
    "residual from outside": (((300, 300), (300, 300)), lambda x, w: (x @ w) + x,
                              lambda x, w: (x @ w) + x, 1),
    "what follows another product": (((300, 200), (200, 300)),
                                     lambda x, w: ((x @ w).relu() @ x).relu(),
                                     lambda x, w: relu(relu(x @ w) @ x), 2),
    "transposed": (((300, 200), (200, 400)), lambda x, w: (x @ w).t() * 2,
                   lambda x, w: (x @ w).T * 2, 1),
    "every other row": (((300, 200), (200, 400)), lambda x, w: (x @ w)[::2] * 2,
                        lambda x, w: (x @ w)[::2] * 2, 2),
    "reduction follows": (((300, 200), (200, 400)), lambda x, w: (x @ w).sum(1),
                          lambda x, w: (x @ w).sum(1), 2),
    "one row": (((1, 40), (40, 30)), lambda x, w: (x @ w).tanh(), lambda x, w: np.tanh(x @ w), 1),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("threads", [1, 2])
def test_values_and_launches(name: str, threads: int, monkeypatch) -> None:
    monkeypatch.setattr(config, "threads", threads)
    shapes, ours, theirs, launches = CASES[name]
    arrays = [draw(*shape) for shape in shapes]
    tensors = [torch.tensor(a).realize() for a in arrays]
    before = torch.stats().kernels_launched
    out = ours(*tensors).realize()
    assert torch.stats().kernels_launched - before == launches
    np.testing.assert_allclose(out.numpy(), theirs(*arrays), rtol=2e-4, atol=2e-4)


def test_an_epilogue_that_would_overwrite_what_other_tiles_read_waits() -> None:
    array, weight = draw(600, 600), draw(600, 600) / 25
    x, w = torch.tensor(array), torch.tensor(weight).realize()
    h = x * 2                              # dies in the addition, which may take over its block
    out = (h @ w) + h
    np.testing.assert_allclose(out.numpy(), array * 2 @ weight + array * 2, rtol=1e-3, atol=1e-3)
    x = torch.tensor(array).realize()
    x += x @ w                             # other tiles still read x
    np.testing.assert_allclose(x.numpy(), array + array @ weight, rtol=1e-3, atol=1e-3)


def test_an_update_after_a_product_is_its_epilogue() -> None:
    gradient, x = draw(64, 300), draw(64, 200)
    weight = draw(300, 200)
    w = torch.tensor(weight).realize()
    g, xs = torch.tensor(gradient).realize(), torch.tensor(x).realize()
    before = torch.stats().kernels_launched
    w.sub_(g.t() @ xs, alpha=0.1)
    w.realize()
    assert torch.stats().kernels_launched - before == 1
    np.testing.assert_allclose(w.numpy(), weight - 0.1 * gradient.T @ x, rtol=1e-4, atol=1e-4)


def test_without_fusion_there_are_no_epilogues(monkeypatch) -> None:
    monkeypatch.setattr(config, "fusion", False)
    x, w = torch.tensor(draw(70, 30)).realize(), torch.tensor(draw(30, 20)).realize()
    before = torch.stats().kernels_launched
    (x @ w).relu().realize()
    assert torch.stats().kernels_launched - before == 2
