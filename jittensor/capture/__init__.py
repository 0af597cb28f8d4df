"""Compiled steps: a function in, a callable out that replays the function's recorded plan."""

from .step import Compiled, compile

__all__ = ["Compiled", "compile"]
