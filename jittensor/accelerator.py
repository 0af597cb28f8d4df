"""In: nothing. Out: `torch.accelerator`: what a machine without one answers."""

from __future__ import annotations

from typing import Any

_NEED_ONE = """
    current_device_idx current_device_index current_stream empty_cache empty_host_cache
    get_device_capability get_memory_info max_memory_allocated max_memory_reserved
    memory_allocated memory_reserved
    memory_stats reset_accumulated_memory_stats reset_peak_memory_stats set_device_idx
    set_device_index set_stream synchronize
    """.split()


def is_available() -> bool:
    """Whether there is an accelerator that tensors can be on: no."""
    return False


def device_count() -> int:
    """How many there are: 0."""
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """The device of the accelerator: None, there is none."""
    return None


def _refused(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Cannot access accelerator device when none is available.")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "RuntimeError: there is no accelerator."
    return call


globals().update({name: _refused(name) for name in _NEED_ONE})


class device_index:  # noqa: N801
    """A context in which another accelerator is the current one; None changes nothing."""

    def __init__(self, device: int | None) -> None:
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None:
            _refused("device_index")()

    def __exit__(self, *exc: Any) -> None:
        return None
