"""Convolutions, pooling and attention: the reference backend and the kernels agree."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor.config import config
from jittensor.nn import functional as F

RNG = np.random.default_rng(6)
X = RNG.normal(size=(2, 4, 9, 7)).astype("float32")
W = RNG.normal(size=(6, 2, 3, 2)).astype("float32")
SEEN = RNG.random((9, 9)) > 0.4

PROGRAMS = {
    "convolution": lambda x, w: F.conv2d(x, w, None, (2, 1), 1, (1, 2), 2),
    "max pool": lambda x, w: F.max_pool2d(x, 3, 2, 1),
    "places": lambda x, w: F.max_pool2d(x, 3, 2, 1, return_indices=True)[1] + x.sum(),
    "mean pool": lambda x, w: F.avg_pool2d(x, 3, 2, 1, True, False),
    "attention": lambda x, w: F.scaled_dot_product_attention(
        *[x.detach()] * 3, jt.tensor(SEEN)) + x.sum(),
    "causal attention": lambda x, w: F.scaled_dot_product_attention(
        *[x.detach()] * 3, is_causal=True) + x.sum(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_backends_agree(name, monkeypatch) -> None:
    seen = []
    for backend in ("numba", "reference"):
        monkeypatch.setattr(config, "backend", backend)
        x, w = jt.tensor(X, requires_grad=True), jt.tensor(W, requires_grad=True)
        out = PROGRAMS[name](x, w)
        (out * out).sum().backward()
        grads = [p.grad.numpy() for p in (x, w) if p.grad is not None]
        seen.append([out.detach().numpy(), *grads])
    assert len(seen[0]) == len(seen[1]) > 1
    for got, want in zip(*seen, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=1e-4)
