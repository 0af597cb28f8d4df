"""In: MultiheadAttention and transformers. Out: shapes, and what masks and modes change."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor import nn

X = jt.from_numpy(np.random.default_rng(0).normal(size=(4, 2, 8)).astype("float32"))


def close(a, b):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_batch_first_is_a_transpose():
    one = nn.MultiheadAttention(8, 2)
    other = nn.MultiheadAttention(8, 2, batch_first=True)
    other.load_state_dict(one.state_dict())
    turned = X.transpose(0, 1).contiguous()
    (a, shares), (b, same_shares) = one(X, X, X), other(turned, turned, turned)
    close(a, b.transpose(0, 1))
    close(shares, same_shares)
    close(shares.sum(-1), jt.ones(2, 4))


def test_with_and_without_shares():
    made = nn.MultiheadAttention(8, 2)
    causal = nn.Transformer.generate_square_subsequent_mask(4)
    for options in ({}, {"attn_mask": causal}, {"attn_mask": causal == 0}):
        if options and options["attn_mask"].dtype is jt.bool:
            options = {"attn_mask": ~options["attn_mask"]}
        close(made(X, X, X, **options)[0], made(X, X, X, need_weights=False, **options)[0])
    none = made(X, X, X, need_weights=False)
    assert none[1] is None


def test_padding_hides_keys():
    made = nn.MultiheadAttention(8, 2)
    padding = jt.tensor([[False, False, False, True]] * 2)
    changed = X.clone()
    changed[3] = 7.0
    a = made(X, X, X, key_padding_mask=padding)
    b = made(X, changed, changed, key_padding_mask=padding)
    close(a[0], b[0])
    assert not a[1][..., 3].detach().numpy().any()


def test_causal_layers_do_not_look_ahead():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    changed = X.clone()
    changed[3] = 7.0
    close(layer(X, mask)[:3], layer(changed, mask)[:3])
    close(layer(X, mask), layer(X, mask, is_causal=True))


def test_layers_are_copies():
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    close(stack.layers[0].linear1.weight, stack.layers[1].linear1.weight)
    assert stack.layers[0].linear1.weight is not stack.layers[1].linear1.weight


def test_a_step_trains_every_parameter():
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True, dropout=0.0)
    optimizer = jt.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(4):
        loss = (model(X, X) - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(("make", "error"), [
    (lambda: nn.MultiheadAttention(8, 3), AssertionError),
    (lambda: nn.MultiheadAttention(8, 0), ValueError),
    (lambda: nn.TransformerEncoderLayer(8, 2, activation="swish"), RuntimeError),
    (lambda: nn.Transformer(8, 2, 1, 1, 16)(X, X[..., :4]), RuntimeError),
])
def test_errors(make, error):
    with pytest.raises(error):
        make()
