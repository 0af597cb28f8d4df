"""In: bags of row numbers, a table. Out: the sum, mean or maximum of each bag's rows."""

from __future__ import annotations

import warnings

import numpy as np

from ... import creation, functions
from ...autograd.graph import relabel
from ...graph.dtypes import int32, int64
from ...indexing import check_range
from ...tensor import Tensor
from .sparse import _limit_norms


def _bags(input: Tensor, offsets: Tensor | None, include_last: bool):
    """(row numbers in one line, the bag of each, count of bags)."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError("if input is 2D, then offsets has to be None, as input is treated is "
                             "a mini-batch of fixed length sequences. However, found offsets of "
                             f"type {type(offsets)}")
        count, length = input.shape
        return input.reshape(-1), np.repeat(np.arange(count), length), count
    if input.dim() != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension "
                         f"{input.dim()}")
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    starts = np.asarray(offsets.detach()._array()).astype(np.int64)
    if len(starts) and starts[0] != 0:
        raise RuntimeError("offsets[0] has to be 0, i.e., the first sequence in the mini-batch "
                           f"has to start from position 0. However, got {starts[0]}")
    if len(starts) and starts[-1] > input.shape[0]:
        raise RuntimeError(f"offsets[-1] can not be greater than input's length {input.shape[0]}, "
                           f"but got offsets[-1] of {starts[-1]}")
    if (np.diff(starts) < 0).any() or (starts < 0).any():
        raise RuntimeError("offsets have to be in increasing order and not negative, got "
                           f"{starts.tolist()}")
    count = len(starts) - bool(include_last)
    stops = np.append(starts[1:], [] if include_last else [input.shape[0]]).astype(np.int64)
    return input, np.repeat(np.arange(count), stops - starts[:count]), count


def embedding_bag(input: Tensor, weight: Tensor, offsets: Tensor | None = None,
                  max_norm: float | None = None, norm_type: float = 2,
                  scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
                  per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> Tensor:
    """Rows of `weight` (rows, columns) named by each bag, combined: to (bags, columns).

    Args:
        input: (bags, length), or all bags in one line, which `offsets` says the starts of.
        mode: 'sum', 'mean' or 'max'; an empty bag gives zeros.
        per_sample_weights: factors of the rows, with 'sum' only.
        padding_idx: a row that does not count.

    Raises:
        ValueError: shapes or the mode do not fit. NotImplementedError: weights without 'sum'.
    """
    if weight.dtype in (int32, int64) and input.dtype.is_floating_point:
        warnings.warn("Argument order of nn.functional.embedding_bag was changed. Usage "
                      "`embedding_bag(weight, input, ...)` is deprecated, and should now be "
                      "`embedding_bag(input, weight, ...)`.", stacklevel=3)
        input, weight = weight, input
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None:
        if per_sample_weights.shape != input.shape:
            raise ValueError("embedding_bag: If per_sample_weights is not None, then it must have "
                             f"the same shape as the input ({input.shape})")
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                f"supported for mode='sum' (got mode='{mode}'). Please open a feature request on "
                "GitHub.")
    if sparse:
        raise NotImplementedError("embedding_bag(): sparse=True: sparse gradients are not "
                                  "available")
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    index, owners, count = _bags(input, offsets, include_last_offset)
    check_range(index, weight.shape[0], 0, RuntimeError, wraps=False, text="Index of input takes "
                "value {bad} which is not in the valid range [0, {size})")
    if max_norm is not None:
        _limit_norms(weight, index, max_norm, norm_type)
    factors = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if padding_idx is not None:
        kept = np.flatnonzero(np.asarray(index.detach()._array()) != padding_idx)
        owners = owners[kept]
        places = creation.from_numpy(kept)
        index = index.index_select(0, places)
        factors = None if factors is None else factors.index_select(0, places)
    rows = functions.embedding(index, weight, None, scale_grad_by_freq)
    return relabel(_combined(rows, owners, count, mode, factors), "EmbeddingBagBackward0")


def _combined(rows: Tensor, owners: np.ndarray, count: int, mode: str,
              factors: Tensor | None) -> Tensor:
    zeros = creation.zeros((count, rows.shape[1]), dtype=rows.dtype)
    index = creation.from_numpy(owners)
    if mode == "max":
        return zeros.index_reduce(0, index, rows, "amax", include_self=False)
    if factors is not None:
        rows = rows * factors.unsqueeze(1)
    total = zeros.index_add(0, index, rows)
    if mode == "sum":
        return total
    lengths = np.maximum(np.bincount(owners, minlength=count), 1)[:, None]
    return total / creation.from_numpy(lengths).to(rows.dtype)
