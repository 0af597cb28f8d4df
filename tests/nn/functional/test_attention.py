"""In: small queries, keys and values. Out: attention that agrees with its formula in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor.nn import functional as F

RNG = np.random.default_rng(0)
Q, K, V = (RNG.normal(size=(2, 2, n, 4)).astype("float32") for n in (3, 5, 5))
SEEN = RNG.random((3, 5)) > 0.4
SEEN[1] = False


def tensors(*arrays):
    return [jt.from_numpy(a.copy()) for a in arrays]


def formula(q, k, v, added=0.0, scale=None):
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    scores = q @ np.swapaxes(k, -1, -2) * scale + added
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = e.sum(-1, keepdims=True)
    return (e / np.where(total == 0, 1, total)) @ v


CASES = {
    "plain": ({}, 0.0, None),
    "seen": ({"attn_mask": SEEN}, np.where(SEEN, 0.0, -np.inf), None),
    "added": ({"attn_mask": SEEN.astype("float32")}, SEEN.astype("float32"), None),
    "causal": ({"is_causal": True}, np.where(np.tri(3, 5, dtype=bool), 0.0, -np.inf), None),
    "scale": ({"scale": 2.0}, 0.0, 2.0),
}


@pytest.mark.parametrize("case", CASES)
def test_formula(case):
    options, added, scale = CASES[case]
    options = {k: jt.from_numpy(v.copy()) if isinstance(v, np.ndarray) else v
               for k, v in options.items()}
    out = F.scaled_dot_product_attention(*tensors(Q, K, V), **options)
    np.testing.assert_allclose(out.numpy(), formula(Q, K, V, added, scale), rtol=2e-5, atol=1e-6)


def test_a_query_without_keys_gives_zeros_and_no_gradient():
    q, k, v = tensors(Q, K, V)
    q.requires_grad_()
    out = F.scaled_dot_product_attention(q, k, v, jt.from_numpy(SEEN.copy()))
    out.sum().backward()
    assert not out[:, :, 1].detach().numpy().any() and not q.grad[:, :, 1].numpy().any()
    assert np.isfinite(q.grad.numpy()).all() and q.grad[:, :, 0].numpy().any()


def test_few_kernels(monkeypatch):
    """One kernel; with gradients two products and one kernel for all between them."""
    monkeypatch.setattr(jt.config, "eager", False)
    q, k, v = tensors(Q, K, V)
    mask = jt.from_numpy(SEEN.copy())
    jt.realize()
    before = jt.stats().kernels_launched
    out = F.scaled_dot_product_attention(q, k, v, mask).realize()
    assert jt.stats().kernels_launched - before == 1 and out.shape == q.shape
    q.requires_grad_()
    before = jt.stats().kernels_launched
    recorded = F.scaled_dot_product_attention(q, k, v, mask).realize()
    assert jt.stats().kernels_launched - before == 3
    np.testing.assert_allclose(recorded.detach().numpy(), out.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_of_queries_and_keys(dtype):
    """More queries and keys than a block has; one kernel whatever the sizes are."""
    rng = np.random.default_rng(1)
    for steps, keys, inner, wide in ((150, 300, 40, 50), (7, 5, 3, 4), (1, 1, 1, 1)):
        q, k, v = (rng.normal(size=(1, 2, *s)).astype(dtype)
                   for s in ((steps, inner), (keys, inner), (keys, wide)))
        for causal in (False, True):
            added = np.where(np.tri(steps, keys, dtype=bool), 0.0, -np.inf) if causal else 0.0
            out = F.scaled_dot_product_attention(*tensors(q, k, v), is_causal=causal)
            np.testing.assert_allclose(out.numpy(), formula(q, k, v, added),
                                       rtol=1e-4 if dtype == "float32" else 1e-11,
                                       atol=1e-5 if dtype == "float32" else 1e-12)


def test_groups_of_heads_are_repeated_keys():
    q, k, v = tensors(np.concatenate([Q, Q * 2], 1), K, V)
    out = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    wide = [x.repeat_interleave(2, 1) for x in (k, v)]
    same = F.scaled_dot_product_attention(q, *wide)
    np.testing.assert_allclose(out.numpy(), same.numpy(), rtol=1e-6)
    with pytest.raises(RuntimeError, match="must divide"):
        F.scaled_dot_product_attention(q[:, :3], k, v, enable_gqa=True)


@pytest.mark.parametrize(("change", "error", "text"), [
    ({"value": 0}, TypeError, "argument 'value'"),
    ({"key": jt.ones(2, 2, 5, 4, dtype=jt.float64)}, RuntimeError, "same dtype"),
    ({"dropout_p": -0.5}, RuntimeError, "-0.5"),
    ({"attn_mask": jt.ones(3, 5, dtype=jt.int32)}, RuntimeError, "attn_mask.dtype: int"),
    ({"query": jt.ones(4)}, RuntimeError, "query.dim: 1"),
])
def test_errors(change, error, text):
    q, k, v = tensors(Q, K, V)
    with pytest.raises(error, match=text):
        F.scaled_dot_product_attention(**{"query": q, "key": k, "value": v, **change})
