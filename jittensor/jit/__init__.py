"""In: functions and modules. Out: `torch.jit`: the same, compiled; there is no other language.

`script` and `trace` give what `compile` gives. Programs written to files are not read or written.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

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


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """RuntimeError: compiled programs are not written to files."""
    raise RuntimeError("torch.jit.save(): jittensor has no file format for programs; save the "
                       "weights with torch.save(module.state_dict(), file) and build the module "
                       "from its class")


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False
         ) -> Any:
    """RuntimeError: files that hold PyTorch's programs are not read."""
    raise RuntimeError("torch.jit.load(): jittensor cannot run a TorchScript file; build the "
                       "module from its class and load a state_dict with torch.load")
