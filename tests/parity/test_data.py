"""The same batches as PyTorch for the same seeds: a program run with either module, compared."""

from __future__ import annotations

import collections
import random

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")
Pair = collections.namedtuple("Pair", "a b")


def plain(value):
    """Batches as Python values, with the classes of containers and the dtypes of tensors."""
    if isinstance(value, (torch.Tensor, jt.Tensor)):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(item) for item in value]
    return value


def both(program) -> None:
    """Runs a program with each module and compares what it returns, and how far it moved the
    generator."""
    results = []
    for module in (torch, jt):
        module.manual_seed(21)
        results.append((plain(program(module)), module.rand(2).tolist()))
    assert results[0] == results[1]


def dataset(module):
    """20 rows with labels."""
    return module.utils.data.TensorDataset(module.arange(40.0).reshape(20, 2), module.arange(20))


def stream(module, shards: bool = False):
    """An iterable dataset of 13 numbers."""
    class Stream(module.utils.data.IterableDataset):
        def __iter__(self):
            info = module.utils.data.get_worker_info()
            if info is None or not shards:
                return iter(range(13))
            return iter(range(info.id, 13 if info.id != 1 else 5, info.num_workers))

        def __len__(self):
            return 13

    return Stream()


OPTIONS = [dict(batch_size=6, shuffle=True), dict(batch_size=6, drop_last=True),
           dict(batch_size=None, shuffle=True), dict(batch_sampler=[[1, 2], [3]])]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_batches(options):
    def program(module):
        loader = module.utils.data.DataLoader(dataset(module), **options)
        return [list(loader), list(loader), len(loader)]

    both(program)


@pytest.mark.parametrize("make", [
    lambda d, s: d.RandomSampler(s), lambda d, s: d.RandomSampler(s, True, 70),
    lambda d, s: d.RandomSampler(s, num_samples=45),
    lambda d, s: d.SubsetRandomSampler([4, 3, 9, 0]),
    lambda d, s: d.WeightedRandomSampler(np.arange(20.0) + 1, 9),
    lambda d, s: d.WeightedRandomSampler(np.arange(20.0) + 1, 9, replacement=False),
    lambda d, s: d.DistributedSampler(s, 3, 1), lambda d, s: d.DistributedSampler(s, 3, 2, False),
    lambda d, s: d.DistributedSampler(s, 3, 1, seed=5, drop_last=True)])
def test_samplers(make):
    def program(module):
        sampler = make(module.utils.data, dataset(module))
        loader = module.utils.data.DataLoader(dataset(module), 4, sampler=sampler)
        return [list(sampler), list(loader), len(loader)]

    both(program)


@pytest.mark.parametrize("generator", [False, True])
def test_a_generator_of_ones_own(generator):
    def program(module):
        data = module.utils.data
        own = {"generator": module.Generator().manual_seed(3)} if generator else {}
        loader = data.DataLoader(dataset(module), 7, shuffle=True, **own)
        sampler = data.RandomSampler(range(5), True, 3, **own)
        return [list(loader), list(loader), list(sampler)]

    both(program)


def test_random_split():
    for lengths in ([14, 6], [0.7, 0.3], [0.33, 0.33, 0.34]):
        both(lambda m: [list(part.indices) for part in m.utils.data.random_split(range(20),
                                                                                lengths)])


def test_collation():
    def program(module):
        samples = [{"i": k, "f": np.float32(2), "s": "s", "d": (1, [2.0, True], b"x"),
                    "e": np.ones(2, np.int8), "n": Pair(k, 2.0), "t": module.ones(2) * k,
                    "l": [np.int64(k), "a"], "r": range(k, k + 2), "h": module.ones(2).half(),
                    "z": np.array(3.5), "c": 1.5} for k in range(3)]
        data = module.utils.data
        return [data.default_collate(samples), data.default_convert(samples[1]),
                data.default_collate([module.ones(2), module.ones(2, dtype=module.float64)])]

    both(program)


@pytest.mark.parametrize("options", [dict(batch_size=2), dict(batch_size=None),
                                     dict(batch_size=4, drop_last=True)], ids=str)
def test_iterable_datasets(options):
    def program(module):
        loader = module.utils.data.DataLoader(stream(module), **options)
        return [list(loader), len(loader)]

    both(program)


class Draws:
    """What each generator of a worker draws."""

    def __init__(self, module):
        self.module = module

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), self.module.rand(2), str(index)


@pytest.mark.parametrize("options", [dict(), dict(shuffle=True, prefetch_factor=1),
                                     dict(persistent_workers=True, shuffle=True)], ids=str)
def test_worker_processes_draw_the_same(options):
    def program(module):
        loader = module.utils.data.DataLoader(Draws(module), 3, num_workers=2, **options)
        return [list(loader), list(loader)]

    both(program)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [2, 3])
def test_workers_of_iterable_datasets(workers):
    both(lambda m: list(m.utils.data.DataLoader(stream(m, True), 2, num_workers=workers)))


def test_public_names():
    wanted = {name for name in torch.utils.data.__all__ if "Pipe" not in name} - {
        "DataChunk", "_DatasetKind", "argument_validation", "functional_datapipe",
        "guaranteed_datapipes_determinism", "non_deterministic", "runtime_validation",
        "runtime_validation_disabled"}
    assert wanted <= set(dir(jt.utils.data))
