"""In: a function, method or module in any form of PyTorch's `compile`. Out: its compiled form."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .step import Compiled

__all__ = ["compile"]

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs", "lite")


def compile(model: Callable | None = None, *, fullgraph: bool = False, dynamic: bool | None = None,
            backend: Any = "inductor", mode: str | None = None, options: dict | None = None,
            disable: bool = False, check: int = 0, **others: Any) -> Any:
    """A callable that replays `model`: a function, a method, a module or a whole training step.

    Where a step cannot be captured (it looks at a value) it runs as without `compile`, and one
    warning names the line.

    Args:
        model: without it, a decorator.
        fullgraph: a step that cannot be captured is a RuntimeError.
        dynamic, backend, mode, options: accepted; there is one engine, which compiles once for all
            sizes. `mode` and `backend` are checked.
        disable: give the model back as it is.
        check: record every check-th call anew and compare (0: never).

    Raises:
        RuntimeError: `mode` together with `options`, or an unknown mode.
        TypeError: the model cannot be called.

    >>> import jittensor as torch
    >>> f = torch.compile(lambda x: (x * 2).relu())
    >>> f(torch.tensor([-1.0, 1.0]))
    tensor([0., 2.])
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified "
                           "at the same time.")
    if mode is not None and mode not in MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(MODES)}")
    if model is None:
        return functools.partial(compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend,
                                 mode=mode, options=options, disable=disable, check=check)
    if not callable(model):
        raise TypeError(f"compile(): argument 'model' must be callable, not {type(model).__name__}")
    if disable or getattr(model, "_not_compiled", False) or isinstance(model, type):
        return model
    compiled = Compiled(model, fullgraph, check)
    if hasattr(model, "_parameters") and hasattr(model, "_modules"):
        from .modules import OptimizedModule

        return OptimizedModule(model, compiled)
    return compiled
