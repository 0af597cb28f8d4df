"""In: functions and modules. Out: `torch.jit`: the same, compiled; there is no other language.

`script` and `trace` give what `compile` gives. A file holds a module's weights and the names of its
classes: TorchScript's programs are not read or written.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from .. import serialization
from ..capture import Compiled, compile
from ..nn import Module
from ..runtime import realize
from .modules import RecursiveScriptModule, ScriptModule, TopLevelTracedModule

__all__ = ["Attribute", "Error", "ScriptFunction", "ScriptModule", "annotate", "export", "fork",
           "freeze", "ignore", "interface", "is_scripting", "is_tracing", "isinstance", "load",
           "optimize_for_inference", "optimized_execution", "save", "script", "script_if_tracing",
           "script_method", "trace", "trace_module", "unused", "wait"]

ScriptFunction = Compiled
Final = None
_isinstance = isinstance


class Error(RuntimeError):
    """A scripted function that failed."""


def script(obj: Any, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None,
           example_inputs: Any = None) -> Any:
    """A function or module, compiled; a class as it is.

    >>> import jittensor as torch
    >>> torch.jit.script(lambda x: x + 1)(torch.ones(2))
    tensor([2., 2.])
    """
    if _isinstance(obj, (type, Compiled, ScriptModule)):
        return obj
    return RecursiveScriptModule(obj, Compiled(obj)) if _isinstance(obj, Module) else compile(obj)


def trace(func: Any, example_inputs: Any = None, optimize: Any = None, check_trace: bool = True,
          check_inputs: Any = None, check_tolerance: float = 1e-5, strict: bool = True,
          _force_outplace: bool = False, _module_class: Any = None, _compilation_unit: Any = None,
          example_kwarg_inputs: dict | None = None, _store_inputs: bool = True) -> Any:
    """A function or module, compiled, and called once with the example.

    Unlike PyTorch's traces it follows branches that depend on values: each is recorded when it is
    taken.

    Args:
        example_inputs: a tensor or a tuple of arguments; or example_kwarg_inputs by name.
    """
    out = func if _isinstance(func, Compiled) else None
    if out is None:
        out = (TopLevelTracedModule(func, Compiled(func)) if _isinstance(func, Module)
               else compile(func))
    if example_kwarg_inputs is not None:
        func(**example_kwarg_inputs)
    elif example_inputs is not None:
        func(*(example_inputs if _isinstance(example_inputs, (tuple, list)) else (example_inputs,)))
    return out


def trace_module(mod: Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    """A module, compiled; each method is called once with its example.

    Raises:
        AttributeError: a dict that is none, as PyTorch.
    """
    if not _isinstance(inputs, dict):
        raise AttributeError("expected a dictionary of (method_name, input) pairs")
    for name, example in inputs.items():
        getattr(mod, name)(*(example if _isinstance(example, tuple) else (example,)))
    return TopLevelTracedModule(mod, Compiled(mod))


# ── marks on functions ────────────────────────────────────────────────────────────────────────
def export(fn: Callable) -> Callable:
    """A method as it is: all methods can be called."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Callable:
    """A function as it is, or a decorator that gives it so."""
    return drop if callable(drop) else lambda fn: fn


def unused(fn: Any) -> Any:
    """A function as it is."""
    return fn


def script_method(fn: Callable) -> Callable:
    """A method as it is."""
    return fn


def script_if_tracing(fn: Callable) -> Callable:
    """A function as it is."""
    return fn


def interface(obj: type) -> type:
    """A class as it is."""
    return obj


def _overload_method(fn: Callable) -> Callable:
    return fn


def _overload(fn: Callable) -> Callable:
    return fn


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value."""
    return the_value


def Attribute(value: Any, type: Any = None) -> Any:  # noqa: N802
    """The value."""
    return value


def isinstance(obj: Any, target_type: Any) -> bool:
    """As Python's; of a generic type such as `List[int]` the type of the container counts."""
    kinds = target_type if _isinstance(target_type, (tuple, list)) else (target_type,)
    return _isinstance(obj, tuple(getattr(kind, "__origin__", None) or kind for kind in kinds))


def is_scripting() -> bool:
    """Whether code runs in PyTorch's other language: never."""
    return False


def is_tracing() -> bool:
    """Whether code is being recorded for a compiled step."""
    return realize.capturing is not None


# ── work beside ───────────────────────────────────────────────────────────────────────────────
def fork(func: Callable, *args: Any, **kwargs: Any) -> Any:
    """What `wait` gives the result of: here the result, recorded at once."""
    return func(*args, **kwargs)


def wait(future: Any) -> Any:
    """The result of a `fork`."""
    return future


# ── finished modules ──────────────────────────────────────────────────────────────────────────
def freeze(mod: Module, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Module:
    """A module as it is.

    Raises:
        RuntimeError: it is not scripted, or in training mode.
    """
    if not _isinstance(mod, ScriptModule):
        raise RuntimeError("Freezing expects a ScriptModule as input. Please use torch.jit.script "
                           "or torch.jit.trace to script your 'nn.Module'.")
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. "
                           "Please call .eval() on your module before freezing.")
    return mod


def optimize_for_inference(mod: Module, other_methods: Any = None) -> Module:
    """A module in evaluation mode, as it is."""
    return mod.eval()


@contextmanager
def optimized_execution(should_optimize: bool) -> Any:
    """A context that changes nothing."""
    yield


def set_fusion_strategy(strategy: Any) -> Any:
    """Accepted; the engine has one way to fuse. The strategy before: none."""
    return []


def enable_onednn_fusion(enabled: bool) -> None:
    """Accepted, without effect."""


def onednn_fusion_enabled() -> bool:
    """False."""
    return False


def save(m: Module, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
    """Writes a scripted or traced module to a file: its weights, and the names of its classes, from
    which `load` builds it anew. PyTorch cannot read the file.

    Args:
        f: a path, or a file open for writing.
        _extra_files: contents by name, kept beside the module.

    Raises:
        RuntimeError: `m` is no scripted module.
    """
    if not _isinstance(m, RecursiveScriptModule):
        raise RuntimeError(f"torch.jit.save(): expected a scripted or traced module, but got "
                           f"{type(m).__name__}")
    serialization.save({_SAVED: m, "extra_files": dict(_extra_files or {})}, f)


def load(f: Any, map_location: Any = None, _extra_files: dict[str, Any] | None = None,
         _restore_shapes: bool = False) -> ScriptModule:
    """The module of a file that `save` wrote; its classes must be importable by their names. As
    with any pickle, a file that is not trusted must not be loaded.

    Args:
        _extra_files: contents are put under the names that it has.

    Raises:
        ValueError: there is no such file.
        RuntimeError: it holds something else, a TorchScript program for instance.
    """
    if _isinstance(f, (str, os.PathLike)) and not os.path.exists(f):
        raise ValueError(f"The provided filename {f} does not exist")
    held = serialization.load(f, map_location, weights_only=False)
    if not _isinstance(held, dict) or _SAVED not in held:
        raise RuntimeError("torch.jit.load(): the file was not written by torch.jit.save()")
    for name in _extra_files or {}:
        _extra_files[name] = held["extra_files"].get(name, _extra_files[name])
    return held[_SAVED]


_SAVED = "jittensor script module"
