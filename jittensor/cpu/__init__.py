"""In: nothing. Out: `torch.cpu`: the CPU under the names that every device's module has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

from ..tensor import realize
from . import amp

__all__ = ["Stream", "StreamContext", "amp", "current_device", "current_stream", "device_count",
           "is_available", "is_initialized", "set_device", "stream", "synchronize"]


class Stream:
    """The one order in which work of the CPU runs."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Nothing: there is one order."""


_stream = Stream()


def is_available() -> bool:
    """Whether the CPU is there: always."""
    return True


def is_initialized() -> bool:
    """Whether the CPU can be used: always."""
    return True


def synchronize(device: Any = None) -> None:
    """Run what is pending and wait for it."""
    realize()


def current_device() -> str:
    """'cpu'."""
    return "cpu"


def set_device(device: Any) -> None:
    """Nothing: there is one CPU."""


def device_count() -> int:
    """1."""
    return 1


def current_stream(device: Any = None) -> Stream:
    """The stream that work is recorded on."""
    return _stream


@contextmanager
def stream(stream: Any) -> Any:
    """A context in which work is recorded on a stream: the one that there is."""
    yield


StreamContext = stream
