"""Damaged caches, missing homes, racing processes, Ctrl-C, forks and threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import jittensor as torch
from jittensor.runtime import realize

PROGRAM = """
import jittensor as torch
x = torch.arange(64.0).reshape(8, 8)
y = ((x * 2 + 1).relu() * x - torch.exp(-x)).sum(1)
z = torch.softmax(x, -1).sum()
print(y.sum().item(), z.item())
s = torch.stats()
print("compiled", s.kernels_compiled, "loaded", s.kernels_loaded)
"""


def run(program: str, cache, **environment) -> subprocess.CompletedProcess:
    """Runs a program in a process of its own with its own kernel cache."""
    env = {**os.environ, "JITTENSOR_CACHE_DIR": str(cache), **environment}
    return subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=env,
                          capture_output=True, text=True, timeout=300)


def counts(done: subprocess.CompletedProcess) -> tuple[str, int, int]:
    """(the values printed, kernels compiled, kernels loaded)."""
    assert done.returncode == 0, done.stderr
    values, line = done.stdout.strip().splitlines()
    _, compiled, _, loaded = line.split()
    return values, int(compiled), int(loaded)


def test_second_process_compiles_nothing(tmp_path):
    values, compiled, _ = counts(run(PROGRAM, tmp_path))
    assert compiled > 0
    again, compiled_again, loaded = counts(run(PROGRAM, tmp_path))
    assert again == values and compiled_again == 0 and loaded == compiled


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip", "text"])
def test_damaged_cache_is_recompiled(tmp_path, damage):
    values, compiled, _ = counts(run(PROGRAM, tmp_path))
    for path in list(tmp_path.glob("*.obj")) + list(tmp_path.glob("__pycache__/*.nb*")):
        data = bytearray(path.read_bytes())
        if damage == "truncate":
            data = data[:len(data) // 2]
        elif damage == "empty":
            data = bytearray()
        elif damage == "flip":
            data[len(data) // 2] ^= 0xFF
        else:
            data = bytearray(b"not a kernel at all")
        if damage != "flip" or path.suffix == ".obj":
            path.write_bytes(data)
    done = run(PROGRAM, tmp_path)
    again, compiled_again, _ = counts(done)
    assert again == values and compiled_again == compiled
    assert "Traceback" not in done.stderr


def test_no_home_and_a_read_only_cache(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where the cache directory should be")
    done = run(PROGRAM, blocked / "cache", HOME=str(blocked), XDG_CACHE_HOME=str(blocked))
    _, compiled, _ = counts(done)
    assert compiled > 0 and not done.stderr


def test_eight_processes_then_a_ninth(tmp_path):
    env = {**os.environ, "JITTENSOR_CACHE_DIR": str(tmp_path)}
    started = [subprocess.Popen([sys.executable, "-c", PROGRAM], env=env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(8)]
    outputs = [p.communicate(timeout=300) + (p.returncode,) for p in started]
    assert all(code == 0 for _, _, code in outputs), [err for _, err, _ in outputs]
    assert len({out.splitlines()[0] for out, _, _ in outputs}) == 1
    _, compiled, _ = counts(run(PROGRAM, tmp_path))
    assert compiled == 0


LONG = """
import os, signal, sys, threading, time
import jittensor as torch
a = torch.randn(900, 900)
kept = torch.ones(1000)
(a @ a).sum().item()
y = a
for _ in range(60):
    y = (y @ a).tanh()
kept.add_(1)
threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
started = time.perf_counter()
try:
    y.realize()
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", time.perf_counter() - started < 1.5)
print(kept.sum().item(), a.shape == y.shape, bool(y.isfinite().all()))
z = a
for _ in range(60):
    z = (z @ a).tanh()
print(torch.equal(y, z))
"""


def test_ctrl_c_in_a_long_realize(tmp_path):
    done = run(LONG, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:3] == ["interrupted True", "2000.0 True True", "True"]


def test_fork_while_work_is_pending():
    x = torch.arange(6.0) * 2
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if ((x + 1).sum().item(), torch.randn(300, 300).sum().item()) and (
                (x + 1).sum().item() == 36.0) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 0
    assert x.tolist() == [0, 2, 4, 6, 8, 10]


def test_eight_threads_realize_at_once():
    a = torch.randn(64, 64)
    want = np.maximum(a.numpy() @ a.numpy(), 0).sum()
    results: list[float] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                results.append((a @ a).relu().sum().item())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert len(results) == 160 and np.allclose(results, want, rtol=1e-4)


def test_index_out_of_range_writes_nothing():
    weight = torch.zeros(4, 3)
    with pytest.raises(RuntimeError):
        weight.index_add_(0, torch.tensor([0, 9]), torch.ones(2, 3))
    with pytest.raises(IndexError):
        weight[torch.tensor([1, 4])] = 1.0
    with pytest.raises(IndexError):
        torch.nn.functional.embedding(torch.tensor([4]), weight)
    with pytest.raises(IndexError):
        torch.nn.functional.cross_entropy(weight, torch.tensor([0, 1, 2, 3]))
    assert weight.sum().item() == 0


def test_pending_work_is_bounded():
    x = torch.zeros(4)
    for _ in range(25_000):
        x = x + 1
    assert len(realize.PENDING) <= 2 * torch.config.max_pending_nodes
    assert x.tolist() == [25_000.0] * 4


def test_interrupt_signal_is_ours_to_keep():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert time.perf_counter() > 0
