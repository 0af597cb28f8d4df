"""Empty and warm kernel caches in; the time until something has run, and what was compiled, out.

Every measurement is a process of its own with a cache directory of its own.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import harness
from harness import Figure

ROOT = Path(__file__).resolve().parent.parent
DIGITS = ROOT / "examples" / "digits.py"

# The first realize brings in Numba, and the driver with it: that makes Numba warm.
# A kernel's own cost is then what its first run takes more than its second.
ONE_KERNEL = """
import time, jittensor as torch
x = torch.rand(512, 256)
(x + 1).sum().realize()
def map_kernel(x): return (x * 2 + 1).relu() * x - torch.exp(-x * x)
def row_normal_kernel(x): return torch.nn.functional.layer_norm(x, x.shape[-1:])
def seconds(f, x):
    began = time.perf_counter()
    f(x).realize()
    return time.perf_counter() - began
x.realize()
before = torch.stats().kernels_compiled
first = seconds({name}, x)
compiled = torch.stats().kernels_compiled - before
print(first - seconds({name}, x), compiled)
"""

IMPORT = """
import sys, time
began = time.perf_counter()
import jittensor
print(time.perf_counter() - began, int("numba" in sys.modules))
"""


def environment(cache: str | Path) -> dict[str, str]:
    """This process's environment with the kernel cache in `cache`."""
    return {**os.environ, "JITTENSOR_CACHE_DIR": str(cache), "PYTHONUNBUFFERED": "1"}


def fresh(source: str, cache: str | Path) -> list[float]:
    """Run `source` in a fresh process and return the numbers that it prints last."""
    command = [sys.executable, "-c", source]
    run = subprocess.run(
        command, env=environment(cache), cwd=ROOT, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise SystemExit(f"a measured process failed:\n{run.stderr}")
    return [float(word) for word in run.stdout.split("\n")[-2].split()]


def kernel_figures(repeats: int) -> Iterable[Figure]:
    """Seconds to compile one kernel of each kind with Numba warm, from an empty cache."""
    for name, what, limit in (
        ("map_kernel", "a map kernel", 0.15),
        ("row_normal_kernel", "a row-normal kernel", 0.5),
    ):
        runs = []
        for _ in range(repeats):
            with tempfile.TemporaryDirectory() as cache:
                runs.append(fresh(ONE_KERNEL.replace("{name}", name), cache))
        yield harness.figure(f"compiling {what}", statistics.median(r[0] for r in runs), "s", limit)
        yield harness.figure(f"compiling {what}: kernels", max(r[1] for r in runs), "")


def import_figures(repeats: int) -> Iterable[Figure]:
    """Seconds of `import jittensor`, and whether that imported Numba."""
    with tempfile.TemporaryDirectory() as cache:
        runs = [fresh(IMPORT, cache) for _ in range(repeats + 1)][1:]  # the first reads the disk
    yield harness.figure("import jittensor", statistics.median(r[0] for r in runs), "s", 0.3)
    yield harness.figure("import jittensor: imports Numba", max(r[1] for r in runs), "", 0.0)


def digits(cache: str | Path) -> dict[str, float]:
    """Run the digits example and return what it did.

    Keys: first_step, whole (seconds from the start of the process), accuracy, compiled, loaded,
    launched (kernels), steps_per_second.
    """
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(DIGITS)],
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    found: dict[str, float] = {}
    for line in process.stdout:
        if "first training step" in line:
            found["first_step"] = time.perf_counter() - began
        elif line.startswith("test accuracy"):
            found["accuracy"] = float(line.split()[2])
        elif line.startswith("kernels:"):
            words = ("compiled", "loaded", "launched", "steps_per_second")
            found.update(zip(words, map(float, re.findall(r"\d+", line))))
    if process.wait() or len(found) != 6:
        raise SystemExit(f"{DIGITS} failed, or its output has changed: {found}")
    return {**found, "whole": time.perf_counter() - began}


def digits_figures(repeats: int) -> Iterable[Figure]:
    """The digits example from an empty cache, and again in further processes from the warm one."""
    cold, warm = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(digits(cache))
            warm.append(digits(cache))

    def median(runs: list[dict[str, float]], key: str) -> float:
        return statistics.median(run[key] for run in runs)

    yield harness.figure("digits, empty cache: to first step", median(cold, "first_step"), "s", 5.0)
    yield harness.figure("digits, warm cache: to first step", median(warm, "first_step"), "s", 1.5)
    yield harness.figure("digits, empty cache: kernels compiled", median(cold, "compiled"), "")
    compiled = max(run["compiled"] for run in warm)
    yield harness.figure("digits, second process: kernels compiled", compiled, "", 0.0)
    yield harness.figure("digits, empty cache: whole program", median(cold, "whole"), "s")
    yield harness.figure("digits, warm cache: whole program", median(warm, "whole"), "s", 60.0)
    yield harness.figure("digits: wrong answers", 1 - median(warm, "accuracy"), "", 0.03)
    yield harness.figure("digits: steps a second", median(warm, "steps_per_second"), "")


def main() -> None:
    options = harness.parse_options(__doc__ or "")
    repeats = 1 if options.quick else 3
    figures: list[Figure] = []
    for name, measure in (
        ("import", import_figures),
        ("kernel", kernel_figures),
        ("digits", digits_figures),
    ):
        if not options.only or options.only in name:
            print(f"... {name}", file=sys.stderr, flush=True)
            figures += measure(repeats)
    harness.report("compile time", [], figures, options)


if __name__ == "__main__":
    main()
