"""Datasets: what holds samples in, `dataset[i]` or iteration out; joining them, cutting them."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from ...random import Generator, default_generator, randperm
from ...tensor import Tensor

__all__ = ["ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset",
           "TensorDataset", "random_split"]

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Samples by number: a subclass has `__getitem__` and, for most uses, `__len__`. A subclass
    with `__getitems__(indices)` is asked for the samples of a batch in one go.

    >>> class Squares(Dataset):
    ...     def __len__(self): return 4
    ...     def __getitem__(self, i): return i * i
    >>> Squares()[3]
    9
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Samples one after another: a subclass has `__iter__`. In a DataLoader's worker process
    `get_worker_info()` tells which share of the samples is that worker's."""

    def __add__(self, other: Dataset) -> ChainDataset:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors of one length; sample i is the tuple of their i-th elements.

    >>> import jittensor as torch
    >>> TensorDataset(torch.arange(3), torch.zeros(3, 2))[1]
    (tensor(1), tensor([0., 0.]))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        lengths = [x.size(0) for x in tensors]
        if any(n != lengths[0] for n in lengths):
            raise AssertionError("Size mismatch between tensors: TensorDataset was given tensors "
                                 f"of lengths {lengths}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(x[index] for x in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].size(0)


class StackDataset(Dataset):
    """Datasets side by side: sample i is the tuple (or dict, if given by name) of their samples i.

    Raises:
        ValueError: no datasets, both kinds of arguments, or different lengths.

    >>> StackDataset(a=[1, 2], b=[3, 4])[0]
    {'a': 1, 'b': 3}
    """

    def __init__(self, *args: Dataset, **kwargs: Dataset) -> None:
        if args and kwargs:
            raise ValueError("StackDataset takes datasets as positional arguments (tuples come "
                             "out) or by name (dicts come out), not both")
        if not args and not kwargs:
            raise ValueError("StackDataset: at least one dataset should be passed")
        self.datasets: Any = args or kwargs
        parts = list(self._parts())
        self._length = len(parts[0])
        if any(len(part) != self._length for part in parts):
            raise ValueError("Size mismatch between datasets: StackDataset was given datasets of "
                             f"lengths {[len(part) for part in parts]}")

    def _parts(self) -> Iterable:
        named = isinstance(self.datasets, dict)
        return self.datasets.values() if named else self.datasets

    def _sample(self, values: Sequence) -> Any:
        if isinstance(self.datasets, dict):
            return dict(zip(self.datasets, values, strict=True))
        return tuple(values)

    def __getitem__(self, index: Any) -> Any:
        return self._sample([part[index] for part in self._parts()])

    def __getitems__(self, indices: list) -> list:
        """The samples of several indices."""
        columns = []
        for part in self._parts():
            column = samples_of(part, indices)
            if len(column) != len(indices):
                raise ValueError("Nested dataset's output size mismatch. Expected "
                                 f"{len(indices)}, got {len(column)}")
            columns.append(column)
        return [self._sample(values) for values in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Datasets one after another.

    >>> ConcatDataset([[1, 2], [3]])[2]
    3
    """

    datasets: list[Dataset[T_co]]
    cumulative_sizes: list[int]

    @staticmethod
    def cumsum(sequence: Iterable) -> list[int]:
        """Where each dataset ends."""
        return list(itertools.accumulate(len(part) for part in sequence))

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__()
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("ConcatDataset: datasets should not be an empty iterable")
        if any(isinstance(part, IterableDataset) for part in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> T_co:
        if index < 0:
            if -index > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            index += len(self)
        part = bisect.bisect_right(self.cumulative_sizes, index)
        return self.datasets[part][index - (self.cumulative_sizes[part - 1] if part else 0)]

    @property
    def cummulative_sizes(self) -> list[int]:
        """The old spelling of `cumulative_sizes`."""
        warnings.warn("cummulative_sizes attribute is renamed to cumulative_sizes",
                      DeprecationWarning, stacklevel=2)
        return self.cumulative_sizes


class ChainDataset(IterableDataset):
    """Iterable datasets one after another."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__()
        self.datasets = datasets

    def __iter__(self) -> Iterator:
        for part in self.datasets:
            self._check(part)
            yield from part

    def __len__(self) -> int:
        total = 0
        for part in self.datasets:
            self._check(part)
            total += len(part)
        return total

    @staticmethod
    def _check(part: Any) -> None:
        if not isinstance(part, IterableDataset):
            raise AssertionError("ChainDataset only supports IterableDataset, but was given a "
                                 f"{type(part).__name__}")


class Subset(Dataset[T_co]):
    """The samples of a dataset at some indices.

    >>> list(Subset("abcd", [2, 0]))
    ['c', 'a']
    """

    dataset: Dataset[T_co]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        """The samples of several indices."""
        return samples_of(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def samples_of(dataset: Any, indices: list) -> list:
    """The samples of several indices: in one go where the dataset can."""
    together = getattr(dataset, "__getitems__", None)
    if callable(together):
        return together(indices)
    return [dataset[i] for i in indices]


def random_split(dataset: Dataset, lengths: Sequence[int | float],
                 generator: Generator | None = default_generator) -> list[Subset]:
    """Cuts a dataset at random into subsets that do not overlap.

    Args:
        dataset: any object with a length.
        lengths: sizes of the subsets, or fractions that add up to 1: each part has the floor of
            its share, what is left over goes one by one to the first parts.
        generator: where the permutation is drawn.

    Raises:
        ValueError: the lengths do not add up to the dataset's, or a fraction is not in [0, 1].

    >>> [len(part) for part in random_split(range(10), [0.5, 0.5])]
    [5, 5]
    """
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _sizes_of_fractions(len(dataset), lengths)
    if sum(lengths) != len(dataset):
        raise ValueError("random_split: sum of input lengths does not equal the length of the "
                         f"input dataset: lengths {list(lengths)}, dataset {len(dataset)}")
    order = randperm(sum(lengths), generator=generator).tolist()
    ends = itertools.accumulate(lengths)
    return [Subset(dataset, order[end - n:end]) for n, end in zip(lengths, ends, strict=True)]


def _sizes_of_fractions(total: int, fractions: Sequence[float]) -> list[int]:
    for k, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {k} is not between 0 and 1: {fraction}")
    sizes = [math.floor(total * fraction) for fraction in fractions]
    for k in range(total - sum(sizes)):
        sizes[k % len(sizes)] += 1
    for k, size in enumerate(sizes):
        if not size:
            warnings.warn(f"Length of split at index {k} is 0. This might result in an empty "
                          "dataset.", stacklevel=3)
    return sizes
