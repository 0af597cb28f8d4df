"""In: the name of a kind of device. Out: what its module answers on a machine that has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["names"]


def names(kind: str) -> dict[str, Callable]:
    """The functions of `torch.<kind>`: nothing is available, and waiting for it is a
    RuntimeError."""

    def is_available() -> bool:
        """Whether tensors can be on such a device: no."""
        return False

    def is_initialized() -> bool:
        """Whether the device is in use: no."""
        return False

    def device_count() -> int:
        """How many there are: 0."""
        return 0

    def manual_seed(seed: int) -> None:
        """Seed the devices' generators: there are none."""

    def empty_cache() -> None:
        """Give the devices' unused memory back: there is none."""

    def synchronize(device: Any = None) -> None:
        """RuntimeError: there is nothing to wait for."""
        raise RuntimeError(f"torch.{kind}.synchronize(): this machine has no {kind} device")

    functions = (is_available, is_initialized, device_count, manual_seed, empty_cache, synchronize)
    return {function.__name__: function for function in functions}
