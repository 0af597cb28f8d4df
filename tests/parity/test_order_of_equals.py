"""In: rows in which values repeat. Out: the indices of equal values that PyTorch's topk, kthvalue,
median and mode give; what the reference backend gives in their place."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor.config import config

torch = pytest.importorskip("torch")

CALLS = {
    "topk": lambda x, k: x.topk(k)[1],
    "smallest": lambda x, k: x.topk(k, largest=False)[1],
    "in no order": lambda x, k: x.topk(k, sorted=False)[1],
    "kthvalue": lambda x, k: x.kthvalue(k)[1],
    "median": lambda x, k: x.median(-1)[1],
    "nanmedian": lambda x, k: x.nanmedian(-1)[1],
    "mode": lambda x, k: x.mode()[1],
}


def rows(size: int, kind: str) -> np.ndarray:
    """One row that rises, one that falls, one that does both, and random ones of few values."""
    draws = np.random.default_rng(size)
    few = np.sort(draws.integers(0, 4, size))
    both = np.concatenate([few[::2], few[1::2][::-1]])
    x = np.stack([few, few[::-1], both, *(draws.integers(0, n, size) for n in (2, 5, 9, size))])
    if kind == "nan":
        return np.where(draws.random(x.shape) < 0.2, np.nan, x).astype(np.float32)
    return x.astype(kind)


@pytest.mark.parametrize("kind", ["float32", "nan", "int64", "uint8"])
def test_indices_of_equal_values(kind: str, monkeypatch) -> None:
    for size, ks in ((3, (1, 2)), (16, (2, 5)), (40, (1, 30)), (700, (9, 11, 100))):
        x = rows(size, kind)
        ours, theirs = jt.from_numpy(x), torch.from_numpy(x)
        for name, call in CALLS.items():
            for k in ks[:1] if name in ("median", "nanmedian", "mode") else ks:
                expected = call(theirs, k).numpy()
                np.testing.assert_array_equal(call(ours, k).numpy(), expected, f"{name} {size} {k}")
                with monkeypatch.context() as patch:
                    patch.setattr(config, "backend", "reference")
                    again = call(ours, k).numpy()
                np.testing.assert_array_equal(again, expected, f"{name} {size} {k}, reference")
