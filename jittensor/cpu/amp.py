"""In: nothing. Out: `torch.cpu.amp`, the older names of `torch.amp` for the device 'cpu'."""

from __future__ import annotations

import warnings
from typing import Any

from .. import amp
from ..graph.dtypes import BY_NAME

__all__ = ["GradScaler", "autocast"]


def _deprecated(name: str) -> None:
    warnings.warn(f"`torch.cpu.amp.{name}(args...)` is deprecated. Please use "
                  f"`torch.amp.{name}('cpu', args...)` instead.", FutureWarning, stacklevel=3)


class autocast(amp.autocast):  # noqa: N801
    """`torch.amp.autocast('cpu')`."""

    def __init__(self, enabled: bool = True, dtype: Any = BY_NAME["bfloat16"],
                 cache_enabled: bool = True) -> None:
        _deprecated("autocast")
        super().__init__("cpu", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """`torch.amp.GradScaler('cpu')`."""

    def __init__(self, init_scale: float = 65536.0, growth_factor: float = 2.0,
                 backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True
                 ) -> None:
        _deprecated("GradScaler")
        super().__init__("cpu", init_scale=init_scale, growth_factor=growth_factor,
                         backoff_factor=backoff_factor, growth_interval=growth_interval,
                         enabled=enabled)
