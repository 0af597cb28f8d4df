"""Tensors in memory that several processes map."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys

import pytest

import jittensor as torch
import jittensor.multiprocessing as mp

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="descriptors do not travel")


def add_one(x, inbox, outbox, done):
    """Writes into a tensor that was an argument, and into one from a queue."""
    x += 1
    y = inbox.get()
    y[:, 0] = 7
    outbox.put(y)
    outbox.put(y * 2)
    done.get()                    # a process that sends memory has to live until it has arrived


def fail_at(number, which, how):
    """A process that fails."""
    if number == which:
        if how == "exit":
            sys.exit(3)
        if how == "kill":
            os.kill(os.getpid(), 9)
        raise ValueError(f"number {number}")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_see_each_others_writes(method):
    context = mp.get_context(method)
    inbox, outbox, done = context.Queue(), context.Queue(), context.Queue()
    x, y = torch.zeros(3), torch.arange(4.0).reshape(2, 2).t()
    if method == "fork":
        x.share_memory_()
    process = context.Process(target=add_one, args=(x, inbox, outbox, done))
    process.start()
    inbox.put(y)
    back, doubled = outbox.get(timeout=60), outbox.get(timeout=60)
    done.put(None)
    process.join()
    assert process.exitcode == 0 and x.tolist() == [1, 1, 1] and x.is_shared()
    assert y.tolist() == [[7, 2], [7, 3]] and back.untyped_storage() == y.untyped_storage()
    assert back.stride() == y.stride() and doubled.tolist() == [[14, 4], [14, 6]]


def test_shared_memory_is_still_the_tensor():
    x = torch.arange(6.0).reshape(2, 3)
    row, pending = x[1], x * 2
    assert not x.is_shared() and x.share_memory_() is x and row.is_shared()
    assert pending.tolist() == [[0, 2, 4], [6, 8, 10]]
    row.mul_(10)
    assert x.tolist() == [[0, 1, 2], [30, 40, 50]]
    assert torch.zeros(0).share_memory_().shape == (0,)


def test_a_shared_module_trains():
    model = torch.nn.Linear(2, 1)
    model.share_memory()
    assert all(p.is_shared() for p in model.parameters())

    def train():
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(4, 2)).sum().backward()
        optimizer.step()

    before = model.bias.item()
    processes = [mp.get_context("fork").Process(target=train) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert abs(before - 0.1 * 4 * 2 - model.bias.item()) < 1e-5 or abs(
        before - 0.1 * 4 - model.bias.item()) < 1e-5      # a race may lose one update


def test_sending_a_result_with_history_is_refused():
    with pytest.raises(RuntimeError, match="non-leaf tensor which requires_grad"):
        mp.reduction.ForkingPickler.dumps(torch.ones(2, requires_grad=True) * 2)
    assert pickle.loads(pickle.dumps(torch.ones(2))).tolist() == [1, 1]


def test_descriptors_are_given_back():
    torch.zeros(1000).share_memory_()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        torch.zeros(1000).share_memory_()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("how,error,text", [
    ("raise", mp.ProcessRaisedException, "number 1"),
    ("exit", mp.ProcessExitedException, "exit code 3"),
    ("kill", mp.ProcessExitedException, "signal SIGKILL")])
def test_spawn_reports_the_first_failure(how, error, text):
    with pytest.raises(error, match=text) as caught:
        mp.start_processes(fail_at, (1, how), nprocs=2, start_method="fork")
    assert caught.value.error_index == 1


def test_spawn_runs_all():
    results = mp.get_context("fork").SimpleQueue()
    mp.start_processes(lambda number, queue: queue.put(number), (results,), 3, start_method="fork")
    assert sorted(results.get() for _ in range(3)) == [0, 1, 2]
    context = mp.start_processes(fail_at, (9, ""), 2, join=False, start_method="fork")
    while not context.join():
        pass
    assert len(context.pids()) == 2


def test_names():
    assert mp.get_sharing_strategy() in mp.get_all_sharing_strategies()
    mp.set_sharing_strategy("file_system")
    with pytest.raises(ValueError, match="set_sharing_strategy"):
        mp.set_sharing_strategy("carrier pigeon")
    for name in ("Process", "Queue", "Pool", "Manager", "Lock", "cpu_count", "set_start_method"):
        assert hasattr(mp, name)


SCRIPT = """
import torch
from torch.utils.data import DataLoader, TensorDataset

def double(number, x):
    assert torch.__name__ == "jittensor"
    x *= 2

if __name__ == "__main__":
    loader = DataLoader(TensorDataset(torch.arange(4)), 2, num_workers=1,
                        multiprocessing_context="spawn")
    x = torch.ones(2).share_memory_()
    torch.multiprocessing.spawn(double, (x,), 1)
    print([batch[0].tolist() for batch in loader], x.tolist())
"""


def test_spawned_processes_of_a_program_have_the_same_torch(tmp_path):
    (tmp_path / "program.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "-m", "jittensor", str(tmp_path / "program.py")],
                          capture_output=True, text=True, timeout=120)
    assert done.stdout == "[[0, 1], [2, 3]] [2.0, 2.0]\n", done.stderr
