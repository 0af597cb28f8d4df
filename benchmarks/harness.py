"""Cases in (a computation, written for jittensor and for PyTorch); medians as table and JSON out.

The callables of a case are run alternately, A B C A B C, in one process, and each with all cores,
so that a machine that drifts drifts for all of them. Times are microseconds for one call, medians
over the rounds; a ratio is another column's median over jittensor's: above 1, jittensor is faster.
PyTorch is optional: without it its columns are missing.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jittensor

torch: Any = None
if importlib.util.find_spec("torch") is not None:
    import torch

JITTENSOR, EAGER, COMPILE, OUT = "jittensor", "torch eager", "torch.compile", "torch out="
Thunk = Callable[[], Any]
BLAS_SPINS = 0.15  # seconds after which the BLAS's threads have gone to sleep


@dataclass(frozen=True)
class Case:
    """One computation in several columns; every callable does the whole of it, nothing stays lazy.

    per: number of operations in a call, by which times are divided. self_timed: the callables
    return the seconds to count, for work whose preparation must not be counted.
    at_least: column name to the ratio wanted of it; limit_us: the most that jittensor may take;
    kernels: the number of kernels that one call must launch.
    """

    name: str
    ours: Thunk
    eager: Thunk | None = None
    compiled: Thunk | None = None
    out: Thunk | None = None
    extra: dict[str, Thunk] = field(default_factory=dict)
    per: int = 1
    self_timed: bool = False
    at_least: dict[str, float] = field(default_factory=dict)
    limit_us: float | None = None
    kernels: int | None = None

    def columns(self, with_compile: bool) -> dict[str, Thunk]:
        """Column name to callable, jittensor first, absent ones left out."""
        named = {JITTENSOR: self.ours, EAGER: self.eager, OUT: self.out}
        named[COMPILE] = self.compiled if with_compile else None
        named.update(self.extra)
        return {name: thunk for name, thunk in named.items() if thunk is not None}


@dataclass
class Row:
    """The result of one case: medians in microseconds, ratios to jittensor's, what was asked."""

    name: str
    median_us: dict[str, float]
    ratio: dict[str, float]
    kernels: int | None = None
    wanted: str = ""
    ok: bool | None = None


@dataclass
class Figure:
    """A single number beside the timings: a count, a bandwidth, a wall time."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    ok: bool | None = None


def parse_options(description: str, add: Callable[[Any], object] | None = None) -> Any:
    """The options every benchmark script takes; `add` may declare further ones on the parser."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it run, roughly")
    parser.add_argument("--only", metavar="NAME", help="only cases whose name contains NAME")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results to FILE")
    if add is not None:
        add(parser)
    options = parser.parse_args()
    use_all_cores()
    return options


def cores() -> int:
    """The number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_all_cores() -> None:
    """Give both libraries the same number of threads."""
    jittensor.set_num_threads(cores())
    if torch is not None:
        torch.set_num_threads(cores())


def both(build: Callable[[Any], Thunk]) -> dict[str, Thunk]:
    """`build(module)` for jittensor and, if installed, for PyTorch: arguments ours and eager."""
    thunks = {"ours": build(jittensor)}
    if torch is not None:
        thunks["eager"] = build(torch)
    return thunks


def finish(module: Any, *tensors: Any) -> Any:
    """Run what is pending (nothing is, in PyTorch) and return the first tensor."""
    if module is jittensor:
        jittensor.realize(*tensors)
    return tensors[0]


def count_kernels(thunk: Thunk) -> int:
    """Kernels that one call of `thunk` launches once everything is compiled and known."""
    thunk()
    before = jittensor.stats().kernels_launched
    thunk()
    return jittensor.stats().kernels_launched - before


def sample(thunk: Thunk, calls: int, self_timed: bool) -> float:
    """Seconds for one call, over `calls` calls; the collector runs before, never within."""
    gc.collect()
    gc.disable()
    try:
        time.sleep(0.01)  # lets another library's spinning threads go to sleep
        thunk()  # and brings our own threads and buffers back
        if self_timed:
            return sum(thunk() for _ in range(calls)) / calls
        jittensor.realize()
        began = time.perf_counter()
        for _ in range(calls):
            thunk()
        jittensor.realize()  # what is still in flight belongs to the sample
        return (time.perf_counter() - began) / calls
    finally:
        gc.enable()


def sampler(thunk: Thunk, seconds: float = 0.05) -> Callable[[], float]:
    """A callable that measures `thunk` for about so many seconds: seconds for one call."""
    calls = calls_for(thunk, False, seconds)
    return lambda: sample(thunk, calls, False)


def alternate(samplers: dict[str, list[Callable[[], float]]], rounds: int = 11) -> dict[str, float]:
    """Runs samplers alternately. Name to seconds for one call: the median over the rounds, of
    several under one name the least."""
    found: dict[str, list[list[float]]] = {k: [[] for _ in s] for k, s in samplers.items()}
    for _ in range(rounds):
        for name, ways in samplers.items():
            for way, into in zip(ways, found[name], strict=True):
                time.sleep(BLAS_SPINS)
                into.append(way())
    return {name: min(map(statistics.median, ways)) for name, ways in found.items()}


def calls_for(thunk: Thunk, self_timed: bool, seconds: float) -> int:
    """How many calls make a sample of about `seconds`, after a warm-up that compiles."""
    for _ in range(3):
        thunk()
    once = min(sample(thunk, 1, self_timed) for _ in range(3))
    return max(1, min(20_000, round(seconds / max(once, 1e-7))))


def measure(case: Case, options: Any) -> Row:
    """Run the columns of a case alternately and return their medians."""
    print(f"... {case.name}", file=sys.stderr, flush=True)
    columns = case.columns(not options.no_compile)
    rounds, seconds = (5, 0.004) if options.quick else (15, 0.02)
    calls = {name: calls_for(thunk, case.self_timed, seconds) for name, thunk in columns.items()}
    samples: dict[str, list[float]] = {name: [] for name in columns}
    for _ in range(rounds):
        for name, thunk in columns.items():
            samples[name].append(sample(thunk, calls[name], case.self_timed))
    median = {name: statistics.median(s) * 1e6 / case.per for name, s in samples.items()}
    ratio = {name: us / median[JITTENSOR] for name, us in median.items() if name != JITTENSOR}
    return judge(case, Row(case.name, median, ratio, kernels=count_kernels(case.ours)))


def judge(case: Case, row: Row) -> Row:
    """Fill in what was wanted of the case and whether the row has it (None: nothing was wanted)."""
    checks: list[tuple[str, bool]] = []
    if case.kernels is not None:
        checks.append((f"kernels: {case.kernels}", row.kernels == case.kernels))
    if case.limit_us is not None:
        checks.append((f"<= {case.limit_us:g} us", row.median_us[JITTENSOR] <= case.limit_us))
    for column, wanted in case.at_least.items():
        if column in row.ratio:
            share = f"{wanted:g}x {column}" if wanted >= 1 else f"{column} /{1 / wanted:.3g}"
            checks.append((share, row.ratio[column] >= wanted))
    row.wanted = ", ".join(text if ok else f"[{text}]" for text, ok in checks)
    row.ok = all(ok for _, ok in checks) if checks else None
    return row


def run_cases(cases: Iterable[Case], options: Any) -> list[Row]:
    """Measure every case that --only lets through."""
    wanted = (case for case in cases if not options.only or options.only in case.name)
    return [measure(case, options) for case in wanted]


def inductor(options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]] | None:
    """`torch.compile` for fixed shapes, or None without PyTorch or with --no-compile."""
    if torch is None or options.no_compile:
        return None
    warnings.filterwarnings("ignore", module="torch")
    return partial(torch.compile, dynamic=False)


def figure(name: str, value: float, unit: str, limit: float | None = None) -> Figure:
    """A figure with its verdict: `value` at most `limit`."""
    return Figure(name, value, unit, limit, None if limit is None else value <= limit)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": cores(),
        "python": platform.python_version(),
        "jittensor": jittensor.__version__,
        "torch": None if torch is None else torch.__version__,
    }


def table(rows: list[Row], figures: list[Figure]) -> str:
    """The results as text; in the last column [brackets] mark what was wanted and missed."""
    lines: list[str] = []
    if rows:
        names = [JITTENSOR]
        names += [n for n in dict.fromkeys(n for row in rows for n in row.ratio)]
        width = max(len(row.name) for row in rows)
        head = f"{'us, median':<{width}} {'kernels':>7}  {JITTENSOR:>10}"
        lines.append(head + "".join(f"  {name:>20}" for name in names[1:]) + "  wanted")
        for row in rows:
            line = f"{row.name:<{width}} {row.kernels!s:>7}  {row.median_us[JITTENSOR]:>10.2f}"
            for name in names[1:]:
                cell = ""
                if name in row.ratio:
                    cell = f"{row.median_us[name]:.2f} ({row.ratio[name]:.2f}x)"
                line += f"  {cell:>20}"
            lines.append(f"{line}  {row.wanted}")
    if figures:
        width = max(len(f.name) for f in figures)
        lines += [""] if lines else []
        for f in figures:
            wanted = "" if f.limit is None else f"<= {f.limit:g}"
            wanted = f"[{wanted}]" if f.ok is False else wanted
            lines.append(f"{f.name:<{width}}  {f.value:>12.3f} {f.unit:<8} {wanted}".rstrip())
    missed = sum(item.ok is False for item in [*rows, *figures])
    judged = sum(item.ok is not None for item in [*rows, *figures])
    lines.append(f"\n{judged - missed} of {judged} targets met")
    return "\n".join(lines)


def report(title: str, rows: list[Row], figures: list[Figure], options: Any) -> None:
    """Print the table, and write the JSON where --json says."""
    where = machine()
    print(f"\n{title}: " + ", ".join(f"{key} {value}" for key, value in where.items()))
    print(table(rows, figures))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        result = {
            "title": title,
            "machine": where,
            "rows": [asdict(row) for row in rows],
            "figures": [asdict(f) for f in figures],
        }
        options.json.write_text(json.dumps(result, indent=1) + "\n")
