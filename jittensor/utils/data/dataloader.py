"""A dataset in, an iterable of batches out: `DataLoader` and its iterator in this process.

Iterators with worker processes are in `workers`, which is imported when a loader has some.
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from ...random import Generator
from .collate import default_collate, default_convert
from .dataset import Dataset, IterableDataset
from .fetch import fetcher
from .information import WorkerInfo, get_worker_info
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

__all__ = ["DataLoader", "WorkerInfo", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)
_PREFETCH = 2        # batches that each worker prepares ahead, unless told otherwise
_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _Forever(Sampler[None]):
    """The sampler of iterable datasets, which have no indices."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader(Generic[T_co]):
    """Batches of a dataset.

    Args:
        dataset: an object with `__getitem__` and `__len__`, or an `IterableDataset`.
        batch_size: samples in a batch; None gives single samples.
        shuffle: a new random order at each iteration.
        sampler: an iterable of indices, in place of shuffle.
        batch_sampler: an iterable of lists of indices, in place of batch_size, shuffle, sampler
            and drop_last.
        num_workers: processes that prepare batches; 0: this one does.
        collate_fn: makes a batch of a list of samples; `default_collate` unless given.
        pin_memory: without a GPU there is nothing to pin for: it warns.
        drop_last: leaves out a last batch with fewer than batch_size samples.
        timeout: seconds to wait for a worker's batch; 0: without limit.
        worker_init_fn: called with the worker's number in each worker before it starts.
        multiprocessing_context: how workers are started: "fork", "spawn", "forkserver" or a
            context.
        generator: where RandomSampler and the workers' seeds are drawn.
        prefetch_factor: batches that each worker prepares ahead; 2 unless given.
        persistent_workers: keeps the workers between iterations.
        in_order: batches in the sampler's order; otherwise as workers finish them.

    Raises:
        ValueError: options that exclude each other, or out of range.

    >>> import jittensor as torch
    >>> [batch for batch in DataLoader(range(5), batch_size=2)]
    [tensor([0, 1]), tensor([2, 3]), tensor([4])]
    """

    _iterator: Any = None
    _ready = False

    def __init__(self, dataset: Dataset[T_co], batch_size: int | None = 1,
                 shuffle: bool | None = None, sampler: Sampler | Iterable | None = None,
                 batch_sampler: Sampler[list] | Iterable[list] | None = None,
                 num_workers: int = 0, collate_fn: Callable | None = None,
                 pin_memory: bool = False, drop_last: bool = False, timeout: float = 0,
                 worker_init_fn: Callable[[int], None] | None = None,
                 multiprocessing_context: Any = None, generator: Generator | None = None, *,
                 prefetch_factor: int | None = None, persistent_workers: bool = False,
                 pin_memory_device: str = "", in_order: bool = True) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        if num_workers and prefetch_factor is None:
            prefetch_factor = _PREFETCH
        self.dataset, self.num_workers, self.prefetch_factor = dataset, num_workers, prefetch_factor
        self.pin_memory, self.pin_memory_device = pin_memory, pin_memory_device
        self.timeout, self.worker_init_fn, self.in_order = timeout, worker_init_fn, in_order
        self.multiprocessing_context = multiprocessing_context
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            _check_iterable(shuffle, sampler, batch_sampler)
        _check_samplers(batch_size, bool(shuffle), sampler, batch_sampler, drop_last)
        if batch_sampler is not None:
            batch_size = None
        if sampler is None:
            if self._iterable:
                sampler = _Forever()
            else:
                sampler = (RandomSampler(dataset, generator=generator) if shuffle
                           else SequentialSampler(dataset))
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last, self.generator = batch_size, drop_last, generator
        self.sampler, self.batch_sampler = sampler, batch_sampler
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn, self.persistent_workers = collate_fn, persistent_workers
        self._counted: int | None = None     # the length an iterable dataset said it has
        self._ready = True
        self.check_worker_number_rationality()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and self._ready:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is "
                             "initialized")
        super().__setattr__(name, value)

    @property
    def multiprocessing_context(self) -> Any:
        """How worker processes are started: a context, or None for the default."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None:
            if not self.num_workers:
                raise ValueError("multiprocessing_context can only be used with multi-process "
                                 "loading (num_workers > 0), but got num_workers=0")
            context = _checked_context(context)
        self._context = context

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> LoaderIterator:
        if not self.num_workers:
            return _InProcessIterator(self)
        if not self.persistent_workers:
            return self._workers_iterator()
        if self._iterator is None:
            self._iterator = self._workers_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    def _workers_iterator(self) -> LoaderIterator:
        from .workers import WorkersIterator
        self.check_worker_number_rationality()
        return WorkersIterator(self)

    def __len__(self) -> int:
        if not self._iterable:
            return len(self._index_sampler)
        length = self._counted = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def check_worker_number_rationality(self) -> None:
        """Warns when there are more workers than processors to run them."""
        if not self.num_workers:
            return
        have = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
                else os.cpu_count() or 1)
        if self.num_workers > have:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our "
                f"suggested max number of worker in current system is {have}, which is smaller "
                "than what this DataLoader is going to create. More workers than processors may "
                "be slow: lower num_workers if they are.", stacklevel=3)


def _check_workers(num_workers: int, timeout: float, prefetch_factor: int | None,
                   persistent: bool) -> None:
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable "
                         f"multiprocessing, got num_workers={num_workers}")
    if timeout < 0:
        raise ValueError(f"timeout option should be non-negative, got timeout={timeout}")
    if not num_workers and prefetch_factor is not None:
        raise ValueError("prefetch_factor option could only be specified in multiprocessing: let "
                         "num_workers > 0 or leave prefetch_factor None, got "
                         f"prefetch_factor={prefetch_factor}")
    if num_workers and prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative, got "
                         f"prefetch_factor={prefetch_factor}")
    if persistent and not num_workers:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_iterable(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    if shuffle not in (False, None):
        raise ValueError("DataLoader with IterableDataset: expected unspecified shuffle option, "
                         f"but got shuffle={shuffle}")
    for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if value is not None:
            raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} "
                             f"option, but got {name}={value}")


def _check_samplers(batch_size: int | None, shuffle: bool, sampler: Any, batch_sampler: Any,
                    drop_last: bool) -> None:
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    if batch_sampler is not None:
        if batch_size != 1 or shuffle or sampler is not None or drop_last:
            raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, "
                             "sampler, and drop_last")
    elif batch_size is None and drop_last:
        raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive "
                         "with drop_last")


def _checked_context(context: Any) -> Any:
    import multiprocessing
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError("multiprocessing_context option should specify a valid start method "
                             f"in {methods!r}, but got multiprocessing_context={context!r}")
        return multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError("multiprocessing_context option should be a valid context object or a "
                        "string specifying the start method, but got multiprocessing_context="
                        f"{context}")
    return context


class LoaderIterator:
    """One pass over a loader's batches."""

    def __init__(self, loader: DataLoader) -> None:
        if loader.pin_memory:
            warnings.warn("'pin_memory' argument is set as true but no accelerator is found, then "
                          "device pinned memory won't be used.", stacklevel=3)
        self._begin(loader)
        self._base_seed = draw_seed(loader.generator)

    def _begin(self, loader: DataLoader) -> None:
        self._loader = loader
        self._indices = iter(loader._index_sampler)
        self._yielded = 0

    def __iter__(self) -> LoaderIterator:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __next__(self) -> Any:
        batch = self._next_batch()
        self._yielded += 1
        loader = self._loader
        if loader._counted is not None and self._yielded > loader._counted:
            warnings.warn(
                f"Length of IterableDataset {loader.dataset} was reported to be {loader._counted} "
                f"(when accessing len(dataloader)), but {self._yielded} samples have been fetched. "
                + ("Each worker goes through the whole dataset unless its __iter__ takes a share "
                   "by get_worker_info()." if loader.num_workers else ""), stacklevel=2)
        return batch

    def _next_batch(self) -> Any:
        raise NotImplementedError

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _InProcessIterator(LoaderIterator):
    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        if loader.timeout:
            raise AssertionError("DataLoader without workers cannot have a timeout, got timeout="
                                 f"{loader.timeout}")
        self._fetcher = fetcher(loader.dataset, loader._iterable, loader._auto_collation,
                                loader.collate_fn, loader.drop_last)

    def _next_batch(self) -> Any:
        return self._fetcher.fetch(next(self._indices))
