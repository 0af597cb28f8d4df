"""What a function reaches: a function in, its modules, optimizers, tensors and plain values out.

Looked for in closure cells, in the globals that its code names, in default arguments, in bound
objects and the attributes of the program's objects that it names, and in the functions that it
names, recursively.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

from ..tensor import Tensor

# packages whose objects are not looked into
LIBRARIES = {*sys.stdlib_module_names, __name__.split(".")[0], "numpy", "scipy", "numba",
             "llvmlite", "matplotlib", "tqdm", "torch", "pandas", "PIL", "sklearn", "wandb",
             "tensorboard"}
MOST_ITEMS = 256       # longer lists and dicts are not looked through
# of a module's attributes, those that are looked at by themselves
ASKED = ("training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")
PLAIN = (bool, int, float, str, type(None))


def _of_the_program(value: Any) -> bool:
    """Whether a value is an instance of a class that the program defines."""
    module = getattr(type(value), "__module__", "builtins")
    if not isinstance(module, str):
        return False
    return (hasattr(value, "__dict__") and not isinstance(value, type)
            and module.split(".")[0] not in LIBRARIES)


class Reached:
    """The objects that a step's result may depend on, besides its arguments."""

    def __init__(self, function: Callable):
        self.modules: list[Any] = []
        self.optimizers: list[Any] = []
        self.tensors: list[Tensor] = []
        self.cells: list[tuple[Any, Any]] = []      # (closure cell, None), (dict, key), (list, k)
        self._seen: set[int] = set()
        self._names: set[str] = set()               # that the functions use
        self._objects: list[Any] = []               # of the program's classes
        self._visit(function, 0)
        self._read_objects()
        # the tensors' gradients before the step, and their memory
        self.grads = [(x, x._grad.storage) for x in self.tensors if x._grad is not None]

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
        elif "param_groups" in getattr(value, "__dict__", ()) and hasattr(value, "step"):
            self.optimizers.append(value)
            for group in value.param_groups:
                for p in group["params"]:
                    self._visit(p, depth + 1)
            if _of_the_program(value):           # it may hold another
                self._objects.append(value)
        elif isinstance(value, (list, tuple)) and len(value) <= MOST_ITEMS:
            for k, item in enumerate(value):
                self._item(value, k, item, depth)
        elif isinstance(value, dict) and len(value) <= MOST_ITEMS:
            for key, item in value.items():
                self._item(value, key, item, depth)
        elif _of_the_program(value):
            self._objects.append(value)

    def _function(self, function: types.FunctionType, depth: int) -> None:
        if function.__module__ and function.__module__.split(".")[0] == __name__.split(".")[0]:
            return
        for cell in function.__closure__ or ():
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            self._slot(cell, None, value, depth)
        names = _names(function.__code__)
        self._names |= names
        for name in names:
            if name in function.__globals__:
                self._slot(function.__globals__, name, function.__globals__[name], depth)
        for value in function.__defaults__ or ():
            self._visit(value, depth + 1)

    def _read_objects(self) -> None:
        """The attributes and methods of the program's objects that the functions name: what else
        an object counts or keeps may change from call to call."""
        done: set[tuple[int, str]] = set()
        while True:            # what is found may name more, and be one more object
            new = {(k, name) for k in range(len(self._objects)) for name in self._names} - done
            if not new:
                return
            done |= new
            for k, name in new:
                self._attribute(self._objects[k], name)

    def _attribute(self, value: Any, name: str) -> None:
        held = value.__dict__
        if name in held:
            self._slot(held, name, held[name], 1)
            return
        method = getattr(type(value), name, None)
        if isinstance(method, property):
            method = method.fget
        if isinstance(method, types.FunctionType):
            self._visit(method, 1)

    def _slot(self, holder: Any, key: Any, value: Any, depth: int) -> None:
        """A variable or an attribute, which may come to name another value."""
        if isinstance(value, PLAIN):
            self.cells.append((holder, key))
        elif not isinstance(value, (types.ModuleType, type)):
            if isinstance(value, (Tensor, list, tuple, dict)) or _of_the_program(value):
                self.cells.append((holder, key))
            self._visit(value, depth + 1)

    def _item(self, holder: Any, key: Any, value: Any, depth: int) -> None:
        """An item of a list or dict; plain ones are left alone: they are often a program's log."""
        if isinstance(value, Tensor) and not isinstance(holder, tuple):
            self.cells.append((holder, key))
        self._visit(value, depth + 1)

    def _module(self, module: Any, depth: int) -> None:
        self.modules.append(module)
        for holder in (module._parameters, module._buffers, module._modules):
            for value in holder.values():
                if value is not None:
                    self._visit(value, depth)
        for name, value in list(vars(module).items()):
            if name not in ASKED and "_hook" not in name:
                self._slot(module.__dict__, name, value, depth)
        forward = type(module).forward
        if isinstance(forward, types.FunctionType):
            self._visit(forward, depth + 1)


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names
