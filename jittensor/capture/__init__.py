"""Compiled steps: a function in, a callable out that replays the function's recorded plan."""

from .forms import compile
from .step import Compiled

__all__ = ["Compiled", "compile"]
