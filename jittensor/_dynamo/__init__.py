"""In: nothing. Out: the names of `torch._dynamo` that programs touch to set PyTorch's compiler up.

The settings are kept and nothing depends on them: there is one engine.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..capture.names import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    reset,
)

__all__ = ["allow_in_graph", "assume_constant_result", "config", "disable", "graph_break",
           "is_compiling", "list_backends", "mark_dynamic", "mark_static", "maybe_mark_dynamic",
           "optimize", "reset"]

config = SimpleNamespace(
    verbose=False, suppress_errors=False, cache_size_limit=8, recompile_limit=8,
    accumulated_cache_size_limit=256, dynamic_shapes=True, assume_static_by_default=True,
    automatic_dynamic_shapes=True, capture_scalar_outputs=False,
    capture_dynamic_output_shape_ops=False, optimize_ddp=True, log_level=None,
    force_parameter_static_shapes=True, allow_unspec_int_on_nn_module=False,
    compiled_autograd=False, inline_inbuilt_nn_modules=True, guard_nn_modules=True)


def optimize(backend: Any = "inductor", *args: Any, **kwargs: Any) -> Any:
    """A decorator: `compile`."""
    from ..capture import compile

    return compile


def mark_dynamic(t: Any, index: Any, **kwargs: Any) -> None:
    """Say that a size varies: no kernel depends on sizes."""


def maybe_mark_dynamic(t: Any, index: Any) -> None:
    """As `mark_dynamic`."""


def mark_static(t: Any, index: Any = None) -> None:
    """Say that a size stays: no kernel depends on sizes."""


def graph_break(msg: str = "") -> None:
    """Run what is pending."""
    reset()
