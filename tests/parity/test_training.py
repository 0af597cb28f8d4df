"""In: the same training program for jittensor and torch. Out: the same weights, masks, losses."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")
STEPS = 30


def network(L):
    L.manual_seed(7)
    return L.nn.Sequential(
        L.nn.Linear(12, 32), L.nn.ReLU(), L.nn.Dropout(0.2), L.nn.Linear(32, 24), L.nn.GELU(),
        L.nn.LayerNorm(24), L.nn.Dropout(0.5), L.nn.Linear(24, 5))


OPTIMIZERS = {
    "sgd": lambda L, p: L.optim.SGD(p, lr=0.05, momentum=0.9),
    "nesterov": lambda L, p: L.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True,
                                         weight_decay=1e-3),
    "adam": lambda L, p: L.optim.Adam(p, lr=1e-2),
    "adamw": lambda L, p: L.optim.AdamW(p, lr=1e-2, amsgrad=True),
}


def train(L, name):
    """Losses of each step, and the weights at the end."""
    data = np.random.default_rng(0)
    x = L.from_numpy(data.normal(size=(64, 12)).astype("float32"))
    y = L.from_numpy(data.integers(0, 5, 64))
    net = network(L)
    optimizer = OPTIMIZERS[name](L, net.parameters())
    scheduler = L.optim.lr_scheduler.StepLR(optimizer, 10, 0.5)
    losses = []
    for _ in range(STEPS):
        order = L.randperm(64)[:16]
        loss = L.nn.functional.cross_entropy(net(x[order]), y[order], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        L.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    net.eval()
    losses.append(L.nn.functional.cross_entropy(net(x), y).item())
    return losses, [p.detach().numpy() for p in net.parameters()]


def test_initial_weights_are_the_same_bits():
    ours, theirs = network(jt).state_dict(), network(torch).state_dict()
    assert list(ours) == list(theirs)
    for key in theirs:
        assert np.array_equal(ours[key].numpy(), theirs[key].numpy()), key


def test_dropout_masks_are_the_same():
    masks = []
    for L in (jt, torch):
        L.manual_seed(3)
        masks.append(L.nn.functional.dropout(L.ones(1000), 0.3).numpy())
    assert np.array_equal(*masks)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_loss_curve(name):
    (ours, our_weights), (theirs, their_weights) = train(jt, name), train(torch, name)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    assert theirs[-1] < 0.8 * theirs[0]          # it does learn
    for a, b in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-3)


def test_resumed_training_is_the_same():
    """Half the steps, a state dict, and the other half give the bits of a run without a stop."""
    def run(stop):
        jt.manual_seed(1)
        net = jt.nn.Linear(6, 3)
        optimizer = jt.optim.Adam(net.parameters(), lr=0.1)
        x, y = jt.randn(20, 6), jt.randn(20, 3)
        for step in range(10):
            if step == stop:
                other = jt.nn.Linear(6, 3)
                other.load_state_dict(net.state_dict())
                fresh = jt.optim.Adam(other.parameters(), lr=0.1)
                fresh.load_state_dict(optimizer.state_dict())
                net, optimizer = other, fresh
            optimizer.zero_grad()
            jt.nn.functional.mse_loss(net(x), y).backward()
            optimizer.step()
        return net.weight.detach().numpy()

    assert np.array_equal(run(None), run(5))
