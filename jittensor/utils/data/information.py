"""What a worker process of a DataLoader is told about itself: `get_worker_info()`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["WorkerInfo", "get_worker_info"]


@dataclass(frozen=True)
class WorkerInfo:
    """A worker: its number, how many there are, its seed (base seed + number), and its copy of the
    dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_current: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The worker this is, or None outside a DataLoader's worker processes."""
    return _current


def become(info: WorkerInfo) -> None:
    """This process is that worker from now on."""
    global _current
    _current = info
