"""In: nothing. Out: the names of `torch.compiler`, what a program may ask of its compiler.

There is one engine and no backend to choose, so most of them note or change nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ..runtime import realize
from .forms import compile

__all__ = ["allow_in_graph", "assume_constant_result", "compile", "config",
           "cudagraph_mark_step_begin", "disable", "get_default_backend", "is_compiling",
           "is_dynamo_compiling", "is_exporting", "list_backends", "nested_compile_region", "reset",
           "set_default_backend", "set_stance", "substitute_in_graph", "wrap_numpy"]

config = SimpleNamespace(force_disable_caches=False, job_id=None, dynamic_sources="")
_BACKENDS = ["inductor"]


def is_compiling() -> bool:
    """Whether code is being recorded for a compiled step; the code's path may depend on it."""
    return realize.capturing is not None


def is_dynamo_compiling() -> bool:
    """As `is_compiling`."""
    return is_compiling()


def is_exporting() -> bool:
    """Whether code is recorded for a file: never."""
    return False


def disable(fn: Callable | None = None, recursive: bool = True, *, reason: str | None = None
            ) -> Callable:
    """A decorator: `compile` gives the function back as it is.

    >>> import jittensor as torch
    >>> @torch.compiler.disable
    ... def f(x):
    ...     return x + 1
    >>> torch.compile(f) is f
    True
    """
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)
    fn._not_compiled = True
    return fn


def _as_it_is(fn: Callable | None = None, *args: Any, **kwargs: Any) -> Callable:
    return fn if fn is not None else _as_it_is


def allow_in_graph(fn: Any) -> Any:
    """A function, or a list of them, as it is: everything is recorded anyway."""
    return fn


def assume_constant_result(fn: Callable) -> Callable:
    """A function as it is."""
    return fn


def nested_compile_region(fn: Callable | None = None) -> Callable:
    """A function as it is, or a decorator that gives it so."""
    return _as_it_is(fn)


def wrap_numpy(fn: Callable) -> Callable:
    """A function of NumPy arrays as one of tensors.

    >>> import jittensor as torch
    >>> torch.compiler.wrap_numpy(lambda a: a.cumsum())(torch.ones(3))
    tensor([1., 2., 3.])
    """
    import numpy as np

    from ..creation import as_tensor
    from ..tensor import Tensor

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        def plain(x: Any) -> Any:
            return x.numpy() if isinstance(x, Tensor) else x

        out = fn(*map(plain, args), **{k: plain(v) for k, v in kwargs.items()})
        return as_tensor(out) if isinstance(out, np.ndarray) else out

    return wrapped


def substitute_in_graph(original_fn: Callable, *args: Any, **kwargs: Any) -> Callable:
    """A decorator that gives a function as it is."""
    return _as_it_is


def reset() -> None:
    """Run what is pending; compiled functions keep what they captured while its guards hold."""
    realize.realize_all()


def cudagraph_mark_step_begin() -> None:
    """Mark the start of a step: nothing depends on it."""


def list_backends(exclude_tags: Any = ()) -> list[str]:
    """The backends that can be named, all of which mean the engine."""
    return list(_BACKENDS)


def get_default_backend() -> str:
    """'inductor', the name that PyTorch's default has."""
    return _BACKENDS[0]


def set_default_backend(backend: str) -> None:
    """Name a default backend: nothing depends on it."""


@contextmanager
def _stance() -> Any:
    yield


def set_stance(stance: str = "default", **others: Any) -> Any:
    """Accepted, also as a context: steps are captured as before."""
    return _stance()
