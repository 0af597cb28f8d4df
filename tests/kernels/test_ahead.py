"""Kernels that a plan needs are named to helper processes, which compile them to the disk."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jittensor.kernels import ahead, compile

PROGRAM = """
import jittensor as torch
x = torch.arange(64.0).reshape(8, 8)
torch.realize()
results = [f(x) for f in (torch.sin, torch.cos, torch.exp, torch.tanh, torch.sigmoid)]
results += [x.sum(0), x.amax(1), x @ x, x.softmax(1)]
torch.realize()
print(torch.stats().kernels_compiled, torch.stats().kernels_loaded)
"""


def source(number: int) -> str:
    return ("from jittensor.kernels.cpu.intrinsics import word\n\n\n"
            f"def kernel(begin, end, args):\n    a = word(args, {number})\n    a += {number}\n")


class Helper:
    """Takes note of what it is told."""

    def __init__(self):
        self.stdin = io.BytesIO()

    def poll(self) -> None:
        return None

    def told(self) -> list[list[str]]:
        return [line.split() for line in self.stdin.getvalue().decode().splitlines()]


@pytest.fixture
def helpers(monkeypatch, tmp_path) -> list[Helper]:
    """Helpers for a budget of three threads, and an empty cache."""
    found = [Helper(), Helper()]
    monkeypatch.setattr(compile, "_directory", tmp_path)
    monkeypatch.setattr(ahead, "_helpers", list(found))
    monkeypatch.setattr(ahead, "_hire", lambda count: None)
    monkeypatch.setattr(ahead, "thread_budget", lambda: 3)
    monkeypatch.setattr(ahead, "handed", set())
    monkeypatch.setattr(ahead.threading, "Thread", Directly)
    return found


class Directly:
    """A thread that runs where it is started."""

    def __init__(self, target, args, daemon):
        self.start = lambda: target(*args)


def test_helpers_begin_where_others_do_not(helpers) -> None:
    sources = [source(100 + k) for k in range(9)]
    ahead.prepare([*sources, sources[0]])
    stems = [compile.kernel_file(s).stem for s in sources]
    assert helpers[0].told() == [[*stems[3:], *stems[:3]]]
    assert helpers[1].told() == [[*stems[6:], *stems[:6]]]
    assert ahead.handed == set(sources)
    for s in sources:
        assert compile.kernel_file(s).with_suffix(".py").read_text() == s
    ahead.prepare(sources)                          # nobody is told twice
    assert len(helpers[0].told()) == 1


def test_a_lone_helper_begins_at_the_end(helpers, monkeypatch) -> None:
    monkeypatch.setattr(ahead, "_helpers", helpers[:1])
    sources = [source(200 + k) for k in range(5)]
    ahead.prepare(sources)
    assert helpers[0].told() == [[compile.kernel_file(s).stem for s in reversed(sources)]]


def test_few_kernels_and_those_on_disk_are_not_worth_it(helpers, monkeypatch) -> None:
    ahead.prepare([source(300 + k) for k in range(ahead.FEW - 1)])
    sources = [source(310 + k) for k in range(ahead.FEW)]
    for s in sources[1:]:
        compile.kernel_file(s).write_bytes(b"")
    ahead.prepare(sources)
    monkeypatch.setattr(ahead, "thread_budget", lambda: 1)
    ahead.prepare([source(320 + k) for k in range(9)])
    assert not helpers[0].told() and not ahead.handed


def test_a_helper_that_has_ended_is_let_go(helpers) -> None:
    helpers[0].stdin = open(os.devnull, "rb")       # cannot be written to
    ahead.prepare([source(400 + k) for k in range(8)])
    assert ahead._helpers == helpers[1:] and helpers[1].told()


def test_a_helper_compiles_what_it_is_told(tmp_path) -> None:
    env = {**os.environ, "JITTENSOR_CACHE_DIR": str(tmp_path)}
    command = ahead.COMMAND.format(str(Path(ahead.__file__).parents[2]), ahead.__name__)
    helper = subprocess.Popen([sys.executable, "-P", "-c", command], env=env,
                              stdin=subprocess.PIPE)
    stems = []
    try:
        for number in (1, 2):
            stem = subprocess.run(
                [sys.executable, "-c", "import sys; from jittensor.kernels import compile; "
                 "print(compile.kernel_file(sys.stdin.read()).stem)"],
                env=env, input=source(number), capture_output=True, text=True,
                check=True).stdout.strip()
            (tmp_path / f"{stem}.py").write_text(source(number))
            stems.append(stem)
        helper.stdin.write(f"missing {' '.join(stems)}\n".encode())
        helper.stdin.flush()
        deadline = time.monotonic() + 120
        while not all((tmp_path / f"{s}.obj").exists() for s in stems):
            assert time.monotonic() < deadline and helper.poll() is None
            time.sleep(0.05)
    finally:
        helper.stdin.close()
    assert helper.wait(60) == 0                     # it ends with its input


def test_kernels_are_counted_once_whoever_compiles_them(tmp_path) -> None:
    env = {**os.environ, "JITTENSOR_CACHE_DIR": str(tmp_path), "JITTENSOR_NUM_THREADS": "2"}

    def run() -> list[int]:
        out = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True,
                             text=True, check=True).stdout
        return [int(n) for n in out.split()]

    compiled, loaded = run()
    kept = len(list(tmp_path.glob("*.obj")))
    assert compiled == kept > ahead.FEW and loaded == 0
    assert run() == [0, kept]
