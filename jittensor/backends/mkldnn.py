"""oneDNN's switches in, kept values out: PyTorch's `torch.backends.mkldnn` where there is none."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from .switches import Switches, assign, restored

VERBOSE_OFF, VERBOSE_ON, VERBOSE_ON_CREATION = 0, 1, 2
enabled, deterministic = True, False
allow_tf32: bool | None = None
fp32_precision = "none"
_switches = ("enabled", "deterministic")
_module = sys.modules[__name__]
_module.__class__ = Switches


def is_available() -> bool:
    """Whether oneDNN is there: never, kernels are jittensor's own."""
    return False


def set_flags(_enabled: bool | None = None, _deterministic: bool | None = None,
              _allow_tf32: bool | None = None, _fp32_precision: str | None = "none") -> tuple:
    """Sets the switches that are not None; the values from before."""
    before = (enabled, deterministic, allow_tf32, fp32_precision)
    assign(_module, {"enabled": _enabled, "deterministic": _deterministic,
                     "allow_tf32": _allow_tf32, "fp32_precision": _fp32_precision})
    return before


def flags(enabled: bool = False, deterministic: bool = False, allow_tf32: bool = True,
          fp32_precision: str = "none") -> AbstractContextManager[None]:
    """A context in which the switches have these values."""
    return restored(_module, {"enabled": enabled, "deterministic": deterministic,
                              "allow_tf32": allow_tf32, "fp32_precision": fp32_precision})
