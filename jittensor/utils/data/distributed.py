"""A dataset, a rank and the number of ranks in; the indices that are this rank's share out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from ...random import Generator, randperm
from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index, from `rank` on, of an order that all ranks agree on.

    Args:
        dataset: any object with a length.
        num_replicas, rank: number of processes and this one's number.
        shuffle: whether the order is drawn anew for each epoch (see `set_epoch`).
        seed: the same in all processes.
        drop_last: leave out what does not divide evenly; otherwise indices are repeated.

    Raises:
        RuntimeError: `num_replicas` or `rank` is not given: there is no process group to ask.
        ValueError: a rank that is not in 0..num_replicas - 1.

    >>> list(DistributedSampler(range(5), 2, 1, shuffle=False))
    [1, 3, 0]
    """

    def __init__(self, dataset: Any, num_replicas: int | None = None, rank: int | None = None,
                 shuffle: bool = True, seed: int = 0, drop_last: bool = False) -> None:
        if num_replicas is None or rank is None:
            raise RuntimeError("DistributedSampler requires the distributed package to be "
                               "available, or num_replicas and rank to be given")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval "
                             f"[0, {num_replicas - 1}]")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0
        total = len(dataset)
        self.num_samples = total // num_replicas if drop_last else math.ceil(total / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        total = len(self.dataset)
        order = range(total)
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            order = randperm(total, generator=generator).tolist()
        repeated = itertools.islice(itertools.cycle(order), self.total_size)
        return iter(list(itertools.islice(repeated, self.rank, None, self.num_replicas)))

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, which is added to the seed: call it before each one."""
        self.epoch = epoch
