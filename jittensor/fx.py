"""`torch.fx`: a module in, an error out: programs are not taken apart as Python graphs here.

Programs import the module at their start; `jittensor.explain` shows what the engine records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["symbolic_trace", "wrap"]


def wrap(fn_or_name: str | Callable) -> str | Callable:
    """A function, or its name, as it is."""
    return fn_or_name


def symbolic_trace(root: Any, concrete_args: dict[str, Any] | None = None) -> Any:
    """NotImplementedError: there is no graph of Python nodes; see `jittensor.explain`."""
    raise NotImplementedError(
        f"fx.symbolic_trace: jittensor has no Python graph of a {type(root).__name__}; "
        "jittensor.explain(tensor) shows what was recorded")
