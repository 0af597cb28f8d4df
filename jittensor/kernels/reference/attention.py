"""Attention in NumPy: an entry and the arrays it reads in, its values out."""

from __future__ import annotations

import numpy as np

from ...compiler.graph import Entry


def _attention(entry: Entry, query: np.ndarray, key: np.ndarray, value: np.ndarray,
               *mask: np.ndarray) -> np.ndarray:
    causal, ratio, scale = entry.attrs
    key, value = (np.repeat(x, ratio, 1) for x in (key, value))
    scores = query @ np.swapaxes(key, 2, 3) * query.dtype.type(scale)
    if mask and mask[0].dtype == np.bool_:
        scores = np.where(mask[0], scores, -np.inf)
    elif mask:
        scores = scores + mask[0]
    if causal:
        scores = np.where(np.tri(*scores.shape[2:], dtype=bool), scores, -np.inf)
    top = scores.max(3, keepdims=True)
    shares = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = shares.sum(3, keepdims=True)
    return shares @ value / np.where(total == 0, 1, total)


ATTENTION = {"_attention": _attention}
