"""Switches of the search for the order of a sum of products in, kept values out: the order is the
one written."""

from __future__ import annotations

from contextlib import AbstractContextManager
from sys import modules
from types import ModuleType

from .switches import restored

enabled: bool = False
strategy: str | None = None
_module: ModuleType = modules[__name__]


def is_available() -> bool:
    """Whether the package opt_einsum is used: never."""
    return False


def flags(enabled: bool | None = None, strategy: str | None = None
          ) -> AbstractContextManager[None]:
    """A context in which the switches have these values."""
    return restored(_module, {"enabled": enabled, "strategy": strategy})
