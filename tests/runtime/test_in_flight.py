"""Work that is in flight while the caller goes on: whoever looks at memory gets final values."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

import jittensor as torch
from jittensor.config import config
from jittensor.runtime import bind
from jittensor.runtime.realize import realize_all

SIZE = 1_500_000          # elements: more than a grain, so that the workers are called


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(config, "threads", 2)
    yield
    bind.settle()


def launch(x):
    """A result whose run has begun and not been waited for."""
    out = (x * 2 + 1).sin()
    realize_all()
    return out


def expected(a: np.ndarray) -> np.ndarray:
    return np.sin(a * 2 + 1)


def test_realize_all_returns_before_the_work_is_done_and_looks_wait() -> None:
    x = torch.arange(SIZE).double().realize()
    out = launch(x)
    assert bind._in_flight is not None
    assert np.allclose(out.numpy(), expected(np.arange(SIZE, dtype=np.float64)))
    assert bind._in_flight is None


def test_explicit_realize_waits() -> None:
    x = torch.arange(SIZE).double().realize()
    out = launch(x)
    out.realize()
    assert bind._in_flight is None
    launch(x)
    torch.realize()
    assert bind._in_flight is None


def test_memory_seen_from_outside_is_waited_for() -> None:
    array = np.arange(SIZE, dtype=np.float64)
    out = torch.from_numpy(array) * 2 + 1
    realize_all()
    array[:] = 0
    assert np.array_equal(out.numpy(), np.arange(SIZE, dtype=np.float64) * 2 + 1)
    x = torch.zeros(SIZE, dtype=torch.float64)
    view = x.numpy()
    x += 3
    realize_all()
    assert view[0] == 3 and view[-1] == 3


def test_little_memory_seen_from_outside_is_copied() -> None:
    array = np.arange(4.0)
    x = torch.from_numpy(array)
    before = torch.stats().realizes
    out, joined = x * 2, torch.stack([x, x])
    array[:] = 9
    assert torch.stats().realizes == before              # nothing had to run at once
    assert out.tolist() == [0, 2, 4, 6] and joined[1].tolist() == [0, 1, 2, 3]
    x += x                                               # writes still go through at once
    assert array.tolist() == [18] * 4 and (x + 1).tolist() == [19] * 4


def test_blocks_in_use_are_not_handed_out() -> None:
    for _ in range(5):
        x = torch.arange(SIZE).double().realize()
        out = launch(x)
        del x                                           # its block is still being read
        fresh = [torch.from_numpy(np.full(SIZE, -1.0)).clone() for _ in range(2)]
        assert np.allclose(out.numpy(), expected(np.arange(SIZE, dtype=np.float64)))
        assert all((f == -1).all().item() for f in fresh)


def test_a_loop_of_updates_equals_numpy() -> None:
    rng = random.Random(0)
    ours = [torch.arange(SIZE).double().remainder(7 + k).realize() for k in range(3)]
    theirs = [x.numpy().copy() for x in ours]
    for x in ours:
        x.storage.external = None
    for step in range(25):
        i, j = rng.randrange(3), rng.randrange(3)
        if rng.random() < 0.5:
            ours[i] = ours[i] * 0.5 + ours[j]
            theirs[i] = theirs[i] * 0.5 + theirs[j]
        else:
            ours[i] += ours[j] * 0.25 if i != j else 1.0
            theirs[i] += theirs[j] * 0.25 if i != j else 1.0
        realize_all()
        if step % 6 == 5:
            assert ours[j][:5].tolist() == theirs[j][:5].tolist()
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a.numpy(), b)


def test_other_threads_may_look() -> None:
    x = torch.arange(SIZE).double().realize()
    wanted = expected(np.arange(SIZE, dtype=np.float64))
    out, right = launch(x), []
    threads = [threading.Thread(target=lambda: right.append(np.allclose(out.numpy(), wanted)))
               for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert right == [True] * 4


SCRIPT = """
import os, sys
import jittensor as torch
from jittensor.config import config
from jittensor.runtime import bind
from jittensor.runtime.realize import realize_all
config.threads = 2
x = torch.ones(1_500_000).realize()
y = x * 2 + 1
realize_all()
assert bind._in_flight is not None
if sys.argv[1] == "fork":
    child = os.fork()
    z = (y * 2).sum().item()
    assert z == 9_000_000, z
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
print("ends")
"""


@pytest.mark.parametrize("how", ["fork", "exit"])
def test_a_process_may_fork_or_end(how: str) -> None:
    if how == "fork" and not hasattr(os, "fork"):
        pytest.skip("no fork here")
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ends\n"
