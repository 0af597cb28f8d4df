"""Python's multiprocessing where tensors share memory: a tensor that is sent to another process
(through a Queue or a Pipe, or as an argument of a started process) is the same memory there.

`Module.share_memory()` and `Tensor.share_memory_()` do it beforehand, which a forked process needs.
"""

import multiprocessing as _multiprocessing
from multiprocessing import *  # noqa: F403
from multiprocessing import connection, context, pool, queues, reduction

from . import processes, shared, spawning
from .processes import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [*_multiprocessing.__all__, "ProcessContext", "ProcessException",
           "ProcessExitedException", "ProcessRaisedException", "SpawnContext",
           "get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy", "spawn",
           "start_processes"]

def get_all_sharing_strategies() -> set[str]:
    """The ways in which memory is shared: by file descriptors."""
    return {"file_descriptor"}


def get_sharing_strategy() -> str:
    """The way in which memory is shared."""
    return "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepts the one way there is, and PyTorch's other one, which needs nothing else here.

    Raises:
        ValueError: neither of them.
    """
    if new_strategy not in ("file_descriptor", "file_system"):
        raise ValueError("set_sharing_strategy(): expected 'file_descriptor' or 'file_system', got "
                         f"{new_strategy!r}")
