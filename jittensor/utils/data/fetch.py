"""A dataset and the indices of a batch in, the collated batch out; in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...autograd.modes import modes
from ...tensor import Tensor, empty_tensor
from .collate import default_collate
from .dataset import Subset, TensorDataset, samples_of

__all__ = ["IterableFetcher", "MapFetcher", "fetcher"]


class MapFetcher:
    """Fetches from a dataset with `__getitem__`."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable, drop_last: bool) -> None:
        self.dataset, self.batched, self.collate = dataset, batched, collate

    def fetch(self, index: Any) -> Any:
        """The sample, or the batch of a list of indices."""
        if not self.batched:
            return self.collate(self.dataset[index])
        if self.collate is default_collate:
            columns = gather(self.dataset, index)
            if columns is not None:
                return columns
        return self.collate(samples_of(self.dataset, index))


class IterableFetcher:
    """Fetches from a dataset with `__iter__`; StopIteration when it is at its end."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable, drop_last: bool) -> None:
        self.batched, self.collate, self.drop_last = batched, collate, drop_last
        self.samples = iter(dataset)
        self.ended = False

    def fetch(self, index: Any) -> Any:
        """The next sample, or a batch of the next len(index) ones."""
        if self.ended:
            raise StopIteration
        if not self.batched:
            return self.collate(next(self.samples))
        batch = []
        for _ in index:
            try:
                batch.append(next(self.samples))
            except StopIteration:
                self.ended = True
                break
        if not batch or self.drop_last and len(batch) < len(index):
            raise StopIteration
        return self.collate(batch)


def fetcher(dataset: Any, iterable: bool, batched: bool, collate: Callable,
            drop_last: bool) -> MapFetcher | IterableFetcher:
    """The fetcher for a dataset."""
    kind = IterableFetcher if iterable else MapFetcher
    return kind(dataset, batched, collate, drop_last)


_GETITEM = TensorDataset.__getitem__, Subset.__getitem__, Subset.__getitems__


def gather(dataset: Any, indices: Any) -> list[Tensor] | None:
    """The collated batch of a TensorDataset (or of subsets of one), each tensor gathered in one
    go; None where that would not be the same as collating the samples."""
    if _GETITEM != (TensorDataset.__getitem__, Subset.__getitem__, Subset.__getitems__):
        return None                       # somebody replaced what the samples are
    while type(dataset) is Subset:
        indices, dataset = [dataset.indices[i] for i in indices], dataset.dataset
    if type(dataset) is not TensorDataset:
        return None
    rows = np.asarray(indices)
    if rows.ndim != 1 or rows.dtype.kind != "i" or not rows.size or rows.min() < 0:
        return None
    tensors = dataset.tensors
    for x in tensors:
        if type(x) is not Tensor or modes.grad and (x._leaf or x._fn is not None):
            return None
    if not tensors or rows.max() >= len(dataset):
        return None
    return [_take(x, rows) for x in tensors]


def _take(x: Tensor, rows: np.ndarray) -> Tensor:
    shape = x.spec.shape
    out = empty_tensor((len(rows), *shape[1:]), x.spec.dtype)
    if out.spec.numel:
        # indices are in range: without "clip" NumPy would fill a buffer first
        np.take(x._array(), rows, axis=0, out=out._memory(), mode="clip")
    return out
