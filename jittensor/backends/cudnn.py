"""cuDNN's switches in, kept values out: PyTorch's `torch.backends.cudnn` without cuDNN."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

from .switches import Switches, assign, restored

enabled, benchmark, deterministic, allow_tf32 = True, False, False, True
benchmark_limit: int | None = None
fp32_precision = "none"
_switches = ("enabled", "benchmark", "deterministic", "allow_tf32")
_module = sys.modules[__name__]
_module.__class__ = Switches


def is_available() -> bool:
    """Whether cuDNN is there: never."""
    return False


def version() -> int | None:
    """cuDNN's version: None, for there is none."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """Whether cuDNN could work on a tensor: never, tensors are on the CPU."""
    return False


def set_flags(_enabled: bool | None = None, _benchmark: bool | None = None,
              _benchmark_limit: int | None = None, _deterministic: bool | None = None,
              _allow_tf32: bool | None = None, _fp32_precision: str | None = "none",
              _depthwise_kernel: str | None = None) -> tuple:
    """Sets the switches that are not None; the values from before."""
    before = (enabled, benchmark, None, deterministic, allow_tf32, fp32_precision, "auto")
    assign(_module, {"enabled": _enabled, "benchmark": _benchmark,
                     "deterministic": _deterministic, "allow_tf32": _allow_tf32,
                     "fp32_precision": _fp32_precision})
    return before


def flags(enabled: bool = False, benchmark: bool = False, benchmark_limit: int = 10,
          deterministic: bool = False, allow_tf32: bool = True, fp32_precision: str = "none",
          depthwise_kernel: str = "auto") -> AbstractContextManager[None]:
    """A context in which the switches have these values."""
    return restored(_module, {"enabled": enabled, "benchmark": benchmark,
                              "deterministic": deterministic, "allow_tf32": allow_tf32,
                              "fp32_precision": fp32_precision})
