"""DataLoader with worker processes: batches, failures, and what is left behind."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import jittensor as torch
from jittensor.utils import data

pytestmark = [pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked here"),
              pytest.mark.filterwarnings("ignore:This DataLoader will create")]


class Rows(data.Dataset):
    """A tensor beyond the size of a message, an array, a number, a text."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        return torch.full((30, 10), float(i)), np.full(3, i, np.int32), i, str(i)


class Draws(Rows):
    """What each generator draws, and who drew."""

    def __getitem__(self, i):
        info = data.get_worker_info()
        return (torch.rand(()).item(), float(np.random.rand()), random.random(), info.id,
                info.num_workers, info.seed)


class Failing(Rows):
    """Does something at index 5."""

    def __init__(self, action):
        self.action = action

    def __getitem__(self, i):
        if i == 5:
            return self.action()
        return i


class Sharded(data.IterableDataset):
    """0 .. 9, each worker its share; worker 1 has a shorter one."""

    def __iter__(self):
        info = data.get_worker_info()
        return iter(range(info.id, 10 if info.id == 0 else 4, info.num_workers))


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def raise_key_error():
    raise KeyError("five")


def raise_unusual():
    class Unusual(Exception):
        def __init__(self, a, b):
            super().__init__(a, b)

    raise Unusual(1, 2)


def children() -> list[int]:
    """Processes that this one started and that still run."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    state, parent = file.read().rsplit(")", 1)[1].split()[:2]
            except OSError:
                continue
            if int(parent) == os.getpid() and state != "Z":
                found.append(int(name))
    return found


def descriptors() -> int:
    """Open file descriptors."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("options", [{"num_workers": 2}, {"num_workers": 3, "prefetch_factor": 1},
                                     {"num_workers": 1, "persistent_workers": True}], ids=str)
def test_batches_come_in_order(options):
    loader = data.DataLoader(Rows(), 5, **options)
    for _ in range(2):
        batches = list(loader)
        assert [b[2].tolist() for b in batches] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
        assert batches[1][0][3].tolist() == [[8.0] * 10] * 30 and batches[2][3] == ("10", "11")
        assert batches[1][1].dtype is torch.int32 and batches[1][1][0].tolist() == [5, 5, 5]
    batches[0][0].add_(1)                            # the memory is writable, and ours
    assert batches[0][0][2, 0, 0].item() == 3 and len(loader) == 3


def test_spawned_workers():
    loader = data.DataLoader(data.TensorDataset(torch.arange(6)), 2, num_workers=1,
                             multiprocessing_context="spawn")
    assert [b[0].tolist() for b in loader] == [[0, 1], [2, 3], [4, 5]]


def test_any_order():
    loader = data.DataLoader(Rows(), 3, num_workers=2, in_order=False)
    assert sorted(i for b in loader for i in b[2].tolist()) == list(range(12))


def test_generators_of_workers():
    torch.manual_seed(11)
    first = list(data.DataLoader(Draws(), None, num_workers=2))
    torch.manual_seed(11)
    assert list(data.DataLoader(Draws(), None, num_workers=2)) == first
    assert {d[3] for d in first} == {0, 1} and {d[4] for d in first} == {2}
    seeds = sorted({d[5] for d in first})
    assert seeds[1] == seeds[0] + 1 and data.get_worker_info() is None
    assert first[0][:3] != first[1][:3]
    seeded = torch.Generator().manual_seed(seeds[0])
    assert torch.rand((), generator=seeded).item() == first[0][0]
    assert random.Random(seeds[0]).random() == first[0][2]


def test_iterable_dataset_in_shares():
    for _ in range(2):
        batches = [b.tolist() for b in data.DataLoader(Sharded(), 2, num_workers=2)]
        assert batches == [[0, 2], [1, 3], [4, 6], [8]]
    loader = data.DataLoader(Sharded(), 2, num_workers=2, persistent_workers=True, drop_last=True)
    for _ in range(2):
        assert [b.tolist() for b in loader] == [[0, 2], [1, 3], [4, 6]]


@pytest.mark.parametrize("action,error,text", [
    (raise_key_error, KeyError, "KeyError: 'five'"),
    (raise_unusual, RuntimeError, "Unusual"),
    (lambda: (lambda: 0), AttributeError, "pickle"),
], ids=["KeyError", "not made from a message", "cannot be sent"])
def test_an_exception_arrives_with_its_traceback(action, error, text):
    loader = data.DataLoader(Failing(action), None, num_workers=2)
    with pytest.raises(error) as caught:
        list(loader)
    message = str(caught.value)
    assert "in DataLoader worker process 1.\nOriginal Traceback" in message and text in message


def test_an_exception_in_worker_init_fn():
    def init(number):
        raise ValueError(f"no worker {number}")

    with pytest.raises(ValueError, match="no worker 0"):
        next(iter(data.DataLoader(Rows(), 2, num_workers=1, worker_init_fn=init)))


def test_a_killed_worker_is_reported():
    started = time.monotonic()
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly"
                                           ".*SIGKILL"):
        list(data.DataLoader(Failing(die), None, num_workers=2))
    assert time.monotonic() - started < 20


def test_timeout():
    with pytest.raises(RuntimeError, match="timed out after 1 seconds"):
        list(data.DataLoader(Failing(lambda: time.sleep(4)), None, num_workers=1, timeout=1))


def test_nothing_is_left_behind():
    list(data.DataLoader(Rows(), 2, num_workers=1))
    gc.collect()
    before = set(children())
    held = descriptors()
    for _ in range(3):
        for batch in data.DataLoader(Rows(), 2, num_workers=2):
            assert batch[2].tolist() == [0, 1]
            break
    loader = data.DataLoader(Rows(), 2, num_workers=2, persistent_workers=True)
    next(iter(loader))
    pids = [worker.pid for worker in loader._iterator._workers]
    assert [b[2][0].item() for b in loader] == [0, 2, 4, 6, 8, 10]
    assert [worker.pid for worker in loader._iterator._workers] == pids
    with pytest.raises(RuntimeError):
        list(data.DataLoader(Failing(die), None, num_workers=2))
    del loader, batch
    gc.collect()
    assert set(children()) <= before and descriptors() == held


ORPHANS = """
import os, sys
import jittensor as torch
loader = torch.utils.data.DataLoader(range(1000), 2, num_workers=2)
batches = iter(loader)
next(batches)
print(*[worker.pid for worker in batches._workers], flush=True)
os.kill(os.getpid(), 9)
"""


def test_workers_end_when_their_loader_is_killed():
    done = subprocess.run([sys.executable, "-c", ORPHANS], capture_output=True, text=True,
                          timeout=120)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while any(running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(running(pid) for pid in pids)


def running(pid: int) -> bool:
    """Whether a process runs (one that ended and was not waited for does not)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_pending_graph_is_not_the_workers():
    x = torch.arange(12.0)
    y = x * 3                                           # not run yet
    loader = data.DataLoader(data.TensorDataset(y), 6, num_workers=2)
    assert [b[0].sum().item() for b in loader] == [45.0, 153.0]
    assert y.sum().item() == 198.0


def test_index_lists_larger_than_a_pipe():
    loader = data.DataLoader(range(100_000), 50_000, num_workers=1, prefetch_factor=3)
    assert [len(b) for b in loader] == [50_000, 50_000]
