"""In: a module in several processes. Out: PyTorch's error, as there is no process group."""

from __future__ import annotations

from typing import Any

from ..modules.module import Module

__all__ = ["DistributedDataParallel"]


class DistributedDataParallel(Module):
    """The class by which programs ask whether a module is spread over processes.

    Raises:
        ValueError: always when made: no process group can be initialised.
    """

    def __init__(self, module: Module, *args: Any, **kwargs: Any) -> None:
        raise ValueError("Default process group has not been initialized, please make sure to "
                         "call init_process_group.")
