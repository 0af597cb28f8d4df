"""Datasets, samplers, collation and the DataLoader in one process."""

from __future__ import annotations

import collections

import numpy as np
import pytest

import jittensor as torch
from jittensor.utils import data

Pair = collections.namedtuple("Pair", "a b")


def numbers(n: int = 10) -> data.TensorDataset:
    """Rows (2i, 2i + 1) with the label i."""
    return data.TensorDataset(torch.arange(2.0 * n).reshape(n, 2), torch.arange(n))


class Stream(data.IterableDataset):
    """0 .. n - 1."""

    def __init__(self, n: int = 7):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def lists(loader) -> list:
    """The batches as lists."""
    return [[x.tolist() for x in batch] if isinstance(batch, list) else batch.tolist()
            for batch in loader]


# ── datasets ──────────────────────────────────────────────────────────────────────────────────
def test_joined_and_cut_datasets():
    joined = data.ConcatDataset([[1, 2], [3], [4, 5]])
    assert list(joined) == [1, 2, 3, 4, 5] and joined[-1] == 5 and joined[-5] == 1
    assert joined.cumulative_sizes == [2, 3, 5]
    assert len(numbers(3) + numbers(2)) == 5
    assert list(Stream(2) + Stream(3)) == [0, 1, 0, 1, 2] and len(Stream(2) + Stream(3)) == 5
    assert list(data.Subset("abcd", [3, 1])) == ["d", "b"]
    assert data.Subset([5, 6, 7], [2, 0]).__getitems__([1, 0]) == [5, 7]
    assert data.StackDataset([1, 2], "ab")[1] == (2, "b")
    assert data.StackDataset(x=[1, 2], y="ab").__getitems__([1]) == [{"x": 2, "y": "b"}]


@pytest.mark.parametrize("lengths,sizes", [([7, 3], [7, 3]), ([0.5, 0.5], [5, 5]),
                                           ([0.25, 0.25, 0.5], [3, 2, 5])])
def test_random_split(lengths, sizes):
    parts = data.random_split(range(10), lengths, torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == sizes
    assert sorted(i for part in parts for i in part) == list(range(10))
    again = data.random_split(range(10), lengths, torch.Generator().manual_seed(0))
    assert [part.indices for part in parts] == [part.indices for part in again]


@pytest.mark.parametrize("make,error", [
    (lambda: data.random_split(range(5), [1, 2]), ValueError),
    (lambda: data.random_split(range(5), [1.5, -0.5]), ValueError),
    (lambda: data.TensorDataset(torch.ones(2), torch.ones(3)), AssertionError),
    (lambda: data.StackDataset([1], [1, 2]), ValueError),
    (lambda: data.StackDataset(), ValueError),
    (lambda: data.StackDataset([1], b=[1]), ValueError),
    (lambda: data.ConcatDataset([]), AssertionError),
    (lambda: data.ConcatDataset([Stream()]), AssertionError),
    (lambda: data.ConcatDataset([[1]])[-2], ValueError),
    (lambda: list(data.ChainDataset([[1]])), AssertionError),
    (lambda: data.Dataset()[0], NotImplementedError),
    (lambda: len(data.Dataset()), TypeError),
])
def test_dataset_errors(make, error):
    with pytest.raises(error):
        make()


# ── samplers ──────────────────────────────────────────────────────────────────────────────────
def test_samplers():
    assert list(data.SequentialSampler("abc")) == [0, 1, 2]
    assert sorted(data.RandomSampler(range(9))) == list(range(9))
    drawn = list(data.RandomSampler(range(3), num_samples=8))
    assert len(drawn) == 8 and sorted(drawn[:3]) == sorted(drawn[3:6]) == [0, 1, 2]
    assert set(data.RandomSampler(range(3), True, 70)) == {0, 1, 2}
    assert set(data.SubsetRandomSampler([4, 7])) == {4, 7}
    assert set(data.WeightedRandomSampler([0, 1, 0, 1], 20)) == {1, 3}
    assert sorted(data.WeightedRandomSampler([1, 1, 1], 3, replacement=False)) == [0, 1, 2]
    batches = data.BatchSampler(range(5), 2, False)
    assert list(batches) == [[0, 1], [2, 3], [4]] and len(batches) == 3
    batches = data.BatchSampler(range(5), 2, True)
    assert list(batches) == [[0, 1], [2, 3]] and len(batches) == 2


@pytest.mark.parametrize("drop", [False, True])
def test_distributed_sampler_shares_everything(drop):
    parts = [data.DistributedSampler(range(11), 3, rank, seed=4, drop_last=drop)
             for rank in range(3)]
    taken = [i for part in parts for i in part]
    assert all(len(part) == (3 if drop else 4) for part in parts)
    assert len(set(taken)) == (9 if drop else 11)
    first = [list(part) for part in parts]
    for part in parts:
        part.set_epoch(1)
    assert [list(part) for part in parts] != first


@pytest.mark.parametrize("make,error", [
    (lambda: data.RandomSampler([1], num_samples=0), ValueError),
    (lambda: data.RandomSampler([]), ValueError),
    (lambda: data.RandomSampler([1], replacement=1), TypeError),
    (lambda: data.WeightedRandomSampler([1.0], 0), ValueError),
    (lambda: data.WeightedRandomSampler([[1.0]], 1), ValueError),
    (lambda: data.BatchSampler([1], 0, False), ValueError),
    (lambda: data.BatchSampler([1], True, False), ValueError),
    (lambda: data.BatchSampler([1], 1, 0), ValueError),
    (lambda: data.DistributedSampler([1], 2, 2), ValueError),
    (lambda: data.DistributedSampler([1]), RuntimeError),
])
def test_sampler_errors(make, error):
    with pytest.raises(error):
        make()


# ── collation ─────────────────────────────────────────────────────────────────────────────────
def test_collation_keeps_the_form_of_samples():
    samples = [{"i": k, "f": 0.5 * k, "s": str(k), "t": torch.full((2,), float(k)),
                "a": np.full(2, k, np.int8), "n": np.float32(k), "p": Pair(k, [k, -k]),
                "b": k > 0} for k in range(3)]
    batch = data.default_collate(samples)
    assert batch["i"].dtype is torch.int64 and batch["i"].tolist() == [0, 1, 2]
    assert batch["f"].dtype is torch.float64 and batch["n"].dtype is torch.float32
    assert batch["s"] == ["0", "1", "2"] and batch["b"].dtype is torch.bool
    assert batch["t"].tolist() == [[0, 0], [1, 1], [2, 2]] and batch["a"].dtype is torch.int8
    assert isinstance(batch["p"], Pair) and batch["p"].b[1].tolist() == [0, -1, -2]
    assert data.default_collate([("x", 1), ("y", 2)])[0] == ("x", "y")
    assert data.default_convert((np.ones(2), "a", 3))[1:] == ["a", 3]


def test_collation_of_views_and_pending_tensors():
    x = torch.arange(24.0).reshape(4, 6)
    batch = data.default_collate([x.t()[k] * 2 for k in range(3)])
    assert batch.tolist() == (x.t()[:3] * 2).tolist()
    assert data.default_collate([x[:, ::2], x[:, 1::2]]).tolist() == [
        x[:, ::2].tolist(), x[:, 1::2].tolist()]
    assert data.default_collate([torch.zeros(0, 3)] * 2).shape == (2, 0, 3)


def test_collation_records_gradients():
    x = torch.ones(2, requires_grad=True)
    data.default_collate([x, x * 2]).sum().backward()
    assert x.grad.tolist() == [3, 3]


@pytest.mark.parametrize("batch,error", [
    ([torch.ones(2), torch.ones(3)], RuntimeError), ([[1], [1, 2]], RuntimeError),
    ([object()], TypeError), ([None], TypeError), ([np.array(["a"])], TypeError)])
def test_collation_errors(batch, error):
    with pytest.raises(error):
        data.default_collate(batch)


# ── the loader ────────────────────────────────────────────────────────────────────────────────
def test_batches_of_any_sequence():
    assert lists(data.DataLoader(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert lists(data.DataLoader(range(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert list(data.DataLoader(range(3), None)) == [0, 1, 2]
    assert lists(data.DataLoader(range(9), batch_sampler=[[8], [1, 2]])) == [[8], [1, 2]]
    assert lists(data.DataLoader(range(9), 2, sampler=[8, 1, 2])) == [[8, 1], [2]]
    assert list(data.DataLoader("abc", 2, collate_fn="".join)) == ["ab", "c"]
    assert lists(data.DataLoader(Stream(), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert lists(data.DataLoader(Stream(), 3, drop_last=True)) == [[0, 1, 2], [3, 4, 5]]
    assert [len(data.DataLoader(Stream(), n)) for n in (1, 3, None)] == [7, 3, 7]


def test_gathered_batches_are_the_collated_ones():
    whole = numbers(20)
    for dataset in (whole, data.Subset(whole, range(19, 2, -2)),
                    data.Subset(data.Subset(whole, [5, 6, 7, 8]), [3, 0])):
        collated = lists(data.DataLoader(dataset, 3, collate_fn=lambda b: data.default_collate(b)))
        assert lists(data.DataLoader(dataset, 3)) == collated


def test_gathering_leaves_what_is_special_alone():
    x = torch.ones(3, requires_grad=True)
    (batch,) = next(iter(data.DataLoader(data.TensorDataset(x), 2)))
    batch.sum().backward()
    assert x.grad.tolist() == [1, 1, 0]
    with pytest.raises(IndexError):
        list(data.DataLoader(numbers(3), 2, sampler=[0, 3]))
    assert lists(data.DataLoader(data.TensorDataset(torch.arange(3)), 2, sampler=[-1, 0])) == [
        [[2, 0]]]

    class Doubled(data.TensorDataset):
        def __getitem__(self, index):
            return self.tensors[0][index] * 2

    assert lists(data.DataLoader(Doubled(torch.arange(3)), 3)) == [[0, 2, 4]]


def test_gathered_batches_see_changes_and_own_their_memory():
    x = torch.zeros(4, 2)
    loader = data.DataLoader(data.TensorDataset(x), 4)
    x += 1
    (batch,) = next(iter(loader))
    batch += 5
    assert x.tolist() == [[1, 1]] * 4 and batch.tolist() == [[6, 6]] * 4


def test_iterating_twice_and_nested():
    loader = data.DataLoader(range(4), 2)
    assert lists(loader) == lists(loader)
    assert len([1 for _ in loader for _ in loader]) == 4
    assert len(loader) == 2


def test_an_iterator_draws_the_seed_of_workers_even_without_them():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    iter(data.DataLoader(range(5), 2))
    moved = torch.get_rng_state()
    torch.manual_seed(0)
    torch.empty((), dtype=torch.int64).random_()
    assert not torch.equal(state, moved) and torch.equal(moved, torch.get_rng_state())


def test_iterable_length_that_is_too_short_warns():
    class Lying(Stream):
        def __len__(self):
            return 3

    loader = data.DataLoader(Lying(5), None)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="reported to be 3"):
        assert list(loader) == [0, 1, 2, 3, 4]


def bad_options():
    """(options of a loader over numbers, what they raise)."""
    return [({"num_workers": -1}, ValueError), ({"timeout": -1}, ValueError),
            ({"prefetch_factor": 1}, ValueError), ({"persistent_workers": True}, ValueError),
            ({"num_workers": 1, "prefetch_factor": -1}, ValueError),
            ({"shuffle": True, "sampler": [1]}, ValueError),
            ({"batch_size": 2, "batch_sampler": [[1]]}, ValueError),
            ({"batch_size": None, "drop_last": True}, ValueError),
            ({"batch_size": 0}, ValueError), ({"drop_last": 1}, ValueError),
            ({"multiprocessing_context": "fork"}, ValueError),
            ({"num_workers": 1, "multiprocessing_context": "no"}, ValueError),
            ({"num_workers": 1, "multiprocessing_context": 3}, TypeError)]


@pytest.mark.parametrize("options,error", bad_options(), ids=lambda o: str(o)[:40])
def test_loader_errors(options, error):
    with pytest.raises(error):
        data.DataLoader(numbers(), **options)


def test_loader_errors_of_iterable_datasets():
    for options in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ValueError, match="IterableDataset"):
            data.DataLoader(Stream(), **options)
    with pytest.raises(ValueError, match="after DataLoader is initialized"):
        data.DataLoader(numbers()).batch_size = 3
    with pytest.raises(AssertionError):
        iter(data.DataLoader(numbers(), timeout=1))
    with pytest.warns(UserWarning, match="pin"):
        list(data.DataLoader(range(2), pin_memory=True))
