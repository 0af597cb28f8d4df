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
REGISTRIES = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")
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
            if name != "training" and name not in REGISTRIES and "_hooks" not in name:
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


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class _Conditions:
    """The text of a function that asks whether everything is as it was, and what it names."""

    def __init__(self):
        self.scope: dict[str, Any] = {}
        self.parts: list[str] = []

    def name(self, value: Any) -> str:
        """A name for a value."""
        key = f"v{len(self.scope)}"
        self.scope[key] = value
        return key

    def add(self, text: str) -> None:
        """Asks for what `text` says."""
        self.parts.append(text)

    def same(self, text: str, value: Any) -> None:
        """Asks that `text` still is that object."""
        plain = value is None or value is True or value is False
        self.add(f"{text} is {value if plain else self.name(value)}")

    def equal(self, text: str, value: Any) -> None:
        """Asks that `text` is of the same type and equal if it is plain, or else that object."""
        items = value if isinstance(value, tuple) else (value,)
        if value is None or isinstance(value, bool) or not all(isinstance(v, PLAIN) for v in items):
            self.same(text, value)
            return
        v = self.name(value)
        self.add(f"((z := {text}) is {v} or z.__class__ is {v}.__class__ and z == {v})")

    def function(self) -> Callable[[], bool]:
        """The function."""
        exec("def holds():\n    return " + (" and ".join(self.parts) or "True"), self.scope)
        return self.scope["holds"]


def probe(reached: Reached, traced: set[str]) -> Callable[[], bool]:
    """A function that says whether all that a capture took for granted is as it is now.

    `traced` names the numbers of param groups that are read again at each call.
    """
    ask = _Conditions()
    for module in reached.modules:
        m = ask.name(module)
        ask.same(f"{m}.training", module.training)
        for hook in HOOKS:
            if hasattr(module, hook):
                ask.add(f"{m}.{hook}" if getattr(module, hook) else f"not {m}.{hook}")
        for attribute in ("_parameters", "_modules", "_buffers"):
            held = getattr(module, attribute)
            d = ask.name(held)
            for key, value in held.items():
                ask.same(f"{d}.get({key!r})", value)
            ask.add(f"len({d}) == {len(held)}")
    for x in reached.tensors:
        _ask_tensor(ask, x)
    for number, optimizer in enumerate(reached.optimizers):
        _ask_optimizer(ask, optimizer, number, traced)
    for holder, key in reached.cells:
        h = ask.name(holder)
        if isinstance(holder, types.CellType):
            ask.equal(f"{h}.cell_contents", holder.cell_contents)
        elif isinstance(holder, dict):
            ask.equal(f"{h}.get({key!r})" if isinstance(key, str) else
                      f"{h}.get({ask.name(key)})", holder.get(key))
        else:
            ask.add(f"len({h}) > {key}")
            ask.same(f"{h}[{key}]", holder[key])
    return ask.function()


def _ask_tensor(ask: _Conditions, x: Tensor) -> None:
    t = ask.name(x)
    ask.same(f"{t}.storage", x.storage)
    ask.same(f"{t}.spec", x.spec)
    ask.add(f"{t}.offset == {x.offset}")
    ask.same(f"{t}._leaf", x._leaf)
    for slot in ("_grad", "_fn"):
        ask.add(f"{t}.{slot} is {'' if getattr(x, slot) is None else 'not '}None")
    hooks = getattr(x, "_hooks", None)
    ask.add(f"getattr({t}, '_hooks', None) == {ask.name(dict(hooks))}" if hooks else
            f"not getattr({t}, '_hooks', None)")


def _ask_optimizer(ask: _Conditions, optimizer: Any, number: int, traced: set[str]) -> None:
    o = ask.name(optimizer)
    ask.add(f"len({o}.param_groups) == {len(optimizer.param_groups)}")
    if hasattr(optimizer, "_step_counts"):
        ask.add(f"len({o}._step_counts) == {len(optimizer._step_counts)}")
    for k, group in enumerate(optimizer.param_groups):
        for key, value in group.items():
            text = f"{o}.param_groups[{k}].get({key!r})"
            if key == "params":
                ask.add(f"len({text}) == {len(value)}")
            elif f"g{number}_{k}_{key}" not in traced:
                ask.equal(text, value)
