"""Switches of CUDA's matrix products and attention in, kept values out: PyTorch's
`torch.backends.cuda` where CUDA was not built."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .switches import checked


def is_built() -> bool:
    """Whether CUDA support was built: it was not."""
    return False


def is_flash_attention_available() -> bool:
    """Whether the flash attention kernel was built: it was not."""
    return False


class MatmulSwitches:
    """How CUDA would compute matrix products; bools, and AttributeError for unknown names."""

    _known = ("allow_tf32", "allow_fp16_reduced_precision_reduction",
              "allow_bf16_reduced_precision_reduction", "allow_fp16_accumulation")

    def __init__(self):
        values = dict.fromkeys(self._known, True)
        values["allow_tf32"] = values["allow_fp16_accumulation"] = False
        self.__dict__.update(values, fp32_precision="none")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError("Unknown attribute " + name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.__dict__:
            raise AttributeError("Unknown attribute " + name)
        self.__dict__[name] = value if name == "fp32_precision" else checked(name, value)


matmul = MatmulSwitches()
_attention = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


def flash_sdp_enabled() -> bool:
    """Whether flash attention may be chosen."""
    return _attention["flash"]


def enable_flash_sdp(enabled: bool) -> None:
    """Says whether flash attention may be chosen."""
    _attention["flash"] = checked("sdp_use_flash", enabled)


def mem_efficient_sdp_enabled() -> bool:
    """Whether memory-efficient attention may be chosen."""
    return _attention["mem_efficient"]


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Says whether memory-efficient attention may be chosen."""
    _attention["mem_efficient"] = checked("sdp_use_mem_efficient", enabled)


def math_sdp_enabled() -> bool:
    """Whether attention by its formula may be chosen."""
    return _attention["math"]


def enable_math_sdp(enabled: bool) -> None:
    """Says whether attention by its formula may be chosen."""
    _attention["math"] = checked("sdp_use_math", enabled)


def cudnn_sdp_enabled() -> bool:
    """Whether cuDNN's attention may be chosen."""
    return _attention["cudnn"]


def enable_cudnn_sdp(enabled: bool) -> None:
    """Says whether cuDNN's attention may be chosen."""
    _attention["cudnn"] = checked("sdp_use_cudnn", enabled)


@contextmanager
def _sdp_kernel(choice: dict[str, bool]) -> Iterator[None]:
    before = dict(_attention)
    _attention.update(choice)
    try:
        yield
    finally:
        _attention.update(before)


def sdp_kernel(enable_flash: bool = True, enable_math: bool = True,
               enable_mem_efficient: bool = True, enable_cudnn: bool = True):
    """A context in which these attention kernels may be chosen. Deprecated, as in PyTorch."""
    warnings.warn("`torch.backends.cuda.sdp_kernel()` is deprecated. In the future, this context "
                  "manager will be removed.", FutureWarning, stacklevel=2)
    return _sdp_kernel({"flash": enable_flash, "math": enable_math,
                        "mem_efficient": enable_mem_efficient, "cudnn": enable_cudnn})
