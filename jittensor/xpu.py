"""In: nothing. Out: `torch.xpu`: what a machine without such a device answers."""

from __future__ import annotations

from .absent import names

globals().update(names("xpu"))
