"""In: layers with known weights. Out: NumPy's answers, and PyTorch's first weights for a seed."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor import nn

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def test_linear_draws_what_pytorch_draws():
    jt.manual_seed(0)
    layer = nn.Linear(2, 2)
    assert layer.weight.tolist() == [
        [-0.005293981172144413, 0.37932288646698],
        [-0.5819807648658752, -0.5203874707221985],
    ]
    assert layer.bias.tolist() == [-0.27234524488449097, 0.1896158903837204]


def test_linear_and_bilinear_values():
    layer = nn.Linear(6, 3)
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    y = layer(jt.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(y, X @ w.T + b, rtol=1e-5, atol=1e-6)
    assert nn.Linear(6, 3, bias=False).bias is None
    pair = nn.Bilinear(6, 6, 2)
    z = pair(jt.from_numpy(X), jt.from_numpy(X[::-1].copy())).detach().numpy()
    want = np.einsum("ni,oij,nj->no", X, pair.weight.detach().numpy(), X[::-1])
    np.testing.assert_allclose(z, want + pair.bias.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_norms():
    layer = nn.LayerNorm(6, eps=1e-3)
    y = layer(jt.from_numpy(X)).detach().numpy()
    want = (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)
    y = nn.RMSNorm(6, eps=1e-3)(jt.from_numpy(X)).detach().numpy()
    want = X / np.sqrt((X**2).mean(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)
    assert nn.LayerNorm(6, bias=False).bias is None


def test_embedding_padding_and_gradient():
    table = nn.Embedding(5, 2, padding_idx=-1)
    assert table.padding_idx == 4 and table.weight[4].tolist() == [0.0, 0.0]
    table(jt.tensor([[0, 4], [0, 1]])).sum().backward()
    assert table.weight.grad.tolist() == [[2, 2], [1, 1], [0, 0], [0, 0], [0, 0]]
    counted = nn.Embedding(5, 2, scale_grad_by_freq=True)
    counted(jt.tensor([0, 0, 1])).sum().backward()
    assert counted.weight.grad[:2].tolist() == [[1, 1], [1, 1]]


def test_embedding_max_norm_shrinks_named_rows_only():
    table = nn.Embedding.from_pretrained(jt.tensor([[3.0, 4.0], [3.0, 4.0]]), max_norm=1.0)
    assert not table.weight.requires_grad
    np.testing.assert_allclose(table(jt.tensor([1, 1])).numpy(), [[0.6, 0.8]] * 2, rtol=1e-5)
    assert table.weight[0].tolist() == [3.0, 4.0]


def test_embedding_refuses_sparse_gradients():
    with pytest.raises(NotImplementedError, match="sparse"):
        nn.Embedding(3, 2, sparse=True)(jt.tensor([1]))


def test_dropout_drops_only_in_training():
    x = jt.ones(8)
    jt.manual_seed(0)
    layer = nn.Dropout(0.5)
    assert layer(x).tolist() == [0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0, 2.0]
    assert layer.eval()(x).tolist() == [1.0] * 8
    channels = nn.Dropout2d(0.5)(jt.ones(4, 3, 2, 2)).numpy()
    assert all(len(np.unique(c)) == 1 for c in channels.reshape(12, 4))
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(1.5)


def test_flatten_and_unflatten():
    x = jt.ones(2, 3, 4)
    assert tuple(nn.Flatten()(x).shape) == (2, 12)
    assert tuple(nn.Unflatten(1, (3, 1))(x).shape) == (2, 3, 1, 4)
    with pytest.raises(TypeError, match="tuple of ints"):
        nn.Unflatten(1, 3)
