"""In: nothing. Out: `torch.mps`: what a machine without such a device answers."""

from __future__ import annotations

from .absent import names

globals().update(names("mps"))
