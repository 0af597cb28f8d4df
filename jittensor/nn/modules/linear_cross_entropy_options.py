"""In: wishes how a linear layer and its cross entropy share memory. Out: them, checked."""

from __future__ import annotations

import dataclasses
from typing import Any

from ...graph import dtypes as dt

__all__ = ["LinearCrossEntropyOptions"]

_METHOD, _POLICIES = "aspect_ratio", ("auto", "accurate", "balanced", "compact")
_SUMS = (None, dt.float16, dt.bfloat16, dt.float32, dt.float64)


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """How PyTorch would cut the batch of `linear_cross_entropy` into chunks; here the engine
    decides, and the numbers are those of one chunk.

    Raises:
        ValueError: an unknown policy, method, size or dtype.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: Any = None

    def __post_init__(self) -> None:
        if self.acc_policy not in _POLICIES:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto"):
            name, colon, factor = self.chunking_method.partition(":")
            known = name == _METHOD and (not colon or (factor.isdigit() and int(factor) > 0))
            if not known:
                raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        size = self.batch_chunk_size
        if size is not None and not (isinstance(size, int) and size > 0):
            raise ValueError(f"batch_chunk_size must be positive int or None, got {size!r}")
        if self.acc_dtype not in _SUMS:
            raise ValueError("acc_dtype must be one of {None, torch.float16, torch.bfloat16, "
                             f"torch.float32, torch.float64}}, got {self.acc_dtype!r}. Pass "
                             "acc_dtype=None to let the op pick automatically.")
