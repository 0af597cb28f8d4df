"""Settings: environment variables in, attributes that the engine reads out."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


def _flag(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0", "false", "False")


def thread_budget() -> int:
    """The thread budget: the least of affinity, cgroup quota and JITTENSOR_NUM_THREADS."""
    budget = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (
        os.cpu_count() or 1)
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        if quota != "max":
            budget = min(budget, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        pass
    wanted = os.environ.get("JITTENSOR_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    if wanted and wanted.isdigit() and int(wanted) > 0:
        budget = min(budget, int(wanted)) if "JITTENSOR_NUM_THREADS" not in os.environ else int(
            wanted)
    return budget


@dataclass
class Config:
    """The engine's settings. Change an attribute at any time; pending work sees the new value."""

    eager: bool = field(default_factory=lambda: _flag("JITTENSOR_EAGER"))
    fusion: bool = field(default_factory=lambda: not _flag("JITTENSOR_NO_FUSION"))
    backend: str = field(default_factory=lambda: os.environ.get("JITTENSOR_BACKEND", "numba"))
    debug: int = field(default_factory=lambda: int(os.environ.get("JITTENSOR_DEBUG", "0") or 0))
    threads: int = field(default_factory=thread_budget)
    max_pending_nodes: int = 10_000
    max_pending_bytes: int = 4 << 30
    fast_dropout: bool = False


config = Config()
