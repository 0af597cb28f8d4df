"""In: the kinds of attention kernels that may be chosen. Out: contexts that allow only those.

On the CPU two kinds are there: FLASH_ATTENTION (inputs of four dims, no dropout) and MATH.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from ...backends.cuda import _sdp_kernel

__all__ = ["SDPBackend", "WARN_FOR_UNFUSED_KERNELS", "sdpa_kernel"]

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(IntEnum):
    """A kind of kernel for `nn.functional.scaled_dot_product_attention`."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __str__(self) -> str:
        return f"SDPBackend.{self.name}"


_SWITCHES = {"flash": SDPBackend.FLASH_ATTENTION, "math": SDPBackend.MATH,
             "mem_efficient": SDPBackend.EFFICIENT_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}


@contextmanager
def sdpa_kernel(backends: SDPBackend | list[SDPBackend],
                set_priority: bool = False) -> Iterator[dict]:
    """Within the block only these kinds may be chosen.

    Args:
        set_priority: they are tried in the given order; each call has one kind that suits it
            best here, so that the order changes nothing.

    Raises:
        AssertionError: neither a kind nor a list of them.

    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     pass
    """
    if not isinstance(backends, (list, SDPBackend)):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend "
                             f"instances, got {type(backends).__name__}")
    chosen = [backends] if isinstance(backends, SDPBackend) else backends
    with _sdp_kernel({name: kind in chosen for name, kind in _SWITCHES.items()}):
        yield {}
