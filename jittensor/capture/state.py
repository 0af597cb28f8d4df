"""What a function reaches: a function in, its modules, optimizers, tensors and plain values out.

Looked for in closure cells, in the globals that its code names, in default arguments, in bound
objects, and in the functions that it names, recursively.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from ..tensor import Tensor

# packages whose objects are not looked into
LIBRARIES = {*sys.stdlib_module_names, __name__.split(".")[0], "numpy", "scipy", "numba",
             "llvmlite", "matplotlib", "tqdm"}
PLAIN = (bool, int, float, str, type(None))


def _of_the_program(value: Any) -> bool:
    """Whether a value is an instance of a class that the program defines."""
    module = getattr(type(value), "__module__", "builtins") or "builtins"
    return (hasattr(value, "__dict__") and not isinstance(value, type)
            and module.split(".")[0] not in LIBRARIES)


class Reached:
    """The objects that a step's result may depend on, besides its arguments."""

    def __init__(self, function: Callable):
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.tensors: list[Tensor] = []
        self.cells: list[tuple[Any, str]] = []      # (cell, "cell_contents") or (dict, name)
        self._seen: set[int] = set()
        self._visit(function, 0)

    def _visit(self, value: Any, depth: int) -> None:
        if id(value) in self._seen or depth > 6:
            return
        self._seen.add(id(value))
        if isinstance(value, Tensor):
            self.tensors.append(value)
        elif isinstance(value, types.MethodType):
            self._visit(value.__self__, depth + 1)
            self._visit(value.__func__, depth + 1)
        elif isinstance(value, types.FunctionType):
            self._function(value, depth)
        elif hasattr(value, "_parameters") and hasattr(value, "_modules"):
            self._module(value, depth)
        elif hasattr(value, "param_groups") and hasattr(value, "step"):
            self.optimizers.append(value)
            for group in value.param_groups:
                for p in group["params"]:
                    self._visit(p, depth + 1)
        elif isinstance(value, (list, tuple)) and len(value) <= 256:
            for item in value:
                self._visit(item, depth + 1)
        elif isinstance(value, dict) and len(value) <= 256:
            for item in value.values():
                self._visit(item, depth + 1)
        elif _of_the_program(value):
            for name, item in list(vars(value).items()):
                self._slot(value.__dict__, name, item, depth)

    def _function(self, function: types.FunctionType, depth: int) -> None:
        if function.__module__ and function.__module__.split(".")[0] == __name__.split(".")[0]:
            return
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            if isinstance(value, PLAIN):
                self.cells.append((cell, "cell_contents"))
            else:
                self._visit(value, depth + 1)
        for name in _names(function.__code__):
            if name in function.__globals__:
                self._slot(function.__globals__, name, function.__globals__[name], depth)
        for value in function.__defaults__ or ():
            self._visit(value, depth + 1)

    def _slot(self, holder: dict, name: str, value: Any, depth: int) -> None:
        if isinstance(value, PLAIN):
            self.cells.append((holder, name))
        elif not isinstance(value, (types.ModuleType, type)):
            self._visit(value, depth + 1)

    def _module(self, module: Any, depth: int) -> None:
        self.modules.append(module)
        for holder in (module._parameters, module._buffers, module._modules):
            for value in holder.values():
                if value is not None:
                    self._visit(value, depth)
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor):
                self._visit(value, depth)
            elif isinstance(value, PLAIN) and name != "training":
                self.cells.append((module.__dict__, name))
        forward = type(module).forward
        if isinstance(forward, types.FunctionType):
            self._visit(forward, depth + 1)


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def probe(reached: Reached, traced: set[str]) -> Callable[[], tuple]:
    """A function that gives, as one tuple, all that a capture took for granted.

    `traced` names the numbers of param groups that are read again at each call.
    """
    scope: dict[str, Any] = {}
    parts: list[str] = []

    def name(value: Any, letter: str) -> str:
        key = f"{letter}{len(scope)}"
        scope[key] = value
        return key

    for module in reached.modules:
        m = name(module, "m")
        parts.append(f"{m}.training")
        parts += [f"not {m}.{hook}" for hook in HOOKS if hasattr(module, hook)]
        for attribute in ("_parameters", "_modules", "_buffers"):
            held = name(getattr(module, attribute), "d")
            parts += [f"id({held}[{key!r}]) if {key!r} in {held} else 0"
                      for key in getattr(module, attribute)]
            parts.append(f"len({held})")
    for x in reached.tensors:
        t = name(x, "t")
        parts += [f"{t}.storage", f"{t}.spec", f"{t}.offset", f"{t}._leaf", f"{t}._grad is None",
                  f"{t}._fn is None", f"getattr({t}, '_hooks', None) or None"]
    for number, optimizer in enumerate(reached.optimizers):
        o = name(optimizer, "o")
        parts.append(f"len({o}.param_groups)")
        if hasattr(optimizer, "_step_counts"):
            parts.append(f"len({o}._step_counts)")
        for k, group in enumerate(optimizer.param_groups):
            for key, value in group.items():
                if key == "params":
                    parts.append(f"len({o}.param_groups[{k}]['params'])")
                elif f"g{number}_{k}_{key}" not in traced:
                    parts.append(f"{o}.param_groups[{k}][{key!r}]" if not isinstance(
                        value, Tensor) else f"id({o}.param_groups[{k}][{key!r}])")
    for holder, key in reached.cells:
        h = name(holder, "c")
        parts.append(f"{h}.cell_contents" if key == "cell_contents" and not isinstance(
            holder, dict) else f"{h}.get({key!r})")
    exec(f"def look():\n    return ({', '.join(parts)},)" if parts else
         "def look():\n    return ()", scope)
    return scope["look"]
