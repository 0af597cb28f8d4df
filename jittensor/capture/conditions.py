"""What a capture takes for granted: what a function reaches in, a question to ask at each call out.

The question is the code of one function, which is made for it. It is asked after kernels that have
emptied the caches: what counts is how little code and how few objects it touches.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from ..autograd.nodes import leaf_hooks, post_hooks
from ..graph.node import Storage
from ..tensor import Tensor
from .state import PLAIN, Reached

MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OPTIMIZER_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
TENSOR_HOOKS = (leaf_hooks, post_hooks)
REGISTERED = ("_parameters", "_modules", "_buffers")


class _Conditions:
    """The text of a function that asks whether everything is as it was, and what it names."""

    def __init__(self):
        self.scope: dict[str, Any] = {}
        self.parts: list[str] = []
        self._names: dict[int, str] = {}

    def name(self, value: Any) -> str:
        """A name for an object."""
        name = self._names.get(id(value))
        if name is None:
            name = self._names[id(value)] = f"v{len(self.scope)}"
            self.scope[name] = value
        return name

    def known(self, value: Any) -> bool:
        """Whether an object has a name."""
        return id(value) in self._names

    def key(self, value: Any) -> str:
        """The text of a key of a dict."""
        return repr(value) if type(value) in (str, int) else self.name(value)

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

    def length(self, text: str, value: Any) -> None:
        """Asks that a list or dict is as long as it was."""
        self.add(f"len({text}) == {len(value)}" if len(value) else f"not {text}")

    def hooks(self, text: str, value: dict) -> None:
        """Asks that there are the hooks that there were."""
        self.add(f"{text} == {self.name(value.copy())}" if value else f"not {text}")

    def function(self) -> Callable[[], bool]:
        """The function. What is no longer there is not as it was."""
        exec("def holds():\n"
             "    try:\n"
             f"        return {' and '.join(self.parts) or True}\n"
             "    except (LookupError, AttributeError, TypeError, ValueError):\n"
             "        return False", self.scope)
        return self.scope["holds"]


def probe(reached: Reached, traced: set[str], storages: list[Storage],
          read: list[tuple[Tensor, Storage]]) -> Callable[[], bool]:
    """A function that says whether all that a capture took for granted is as it is now.

    `traced` names the numbers of param groups that are read again at each call; `storages` are
    those whose memory a replay uses, `read` the tensors whose gradients are among them.
    """
    ask = _Conditions()
    for module in reached.modules:
        _ask_module(ask, module)
    had = {id(x) for x, _ in reached.grads}
    for x in reached.tensors:
        _ask_tensor(ask, x, id(x) in had)
    for storage in storages:
        ask.same(f"{ask.name(storage)}.block", storage.block)
    for x, storage in read:
        ask.same(f"{ask.name(x)}._grad.storage", storage)
    for number, optimizer in enumerate(reached.optimizers):
        _ask_optimizer(ask, optimizer, number, traced)
    for hooks in [*_global_hooks(), *[of(x) for x in reached.tensors for of in TENSOR_HOOKS]]:
        ask.hooks(ask.name(hooks), hooks)
    for holder, key in reached.cells:
        _ask_slot(ask, holder, key)
    return ask.function()


def _global_hooks() -> list[dict]:
    """The hooks of all modules and of all optimizers, whose packages `import jittensor` leaves
    out."""
    from ..nn.modules import hooks
    from ..optim import optimizer

    return [hooks.global_forward_hooks, hooks.global_forward_pre_hooks,
            hooks.global_backward_hooks, hooks.global_backward_pre_hooks,
            optimizer._global_step_pre_hooks, optimizer._global_step_post_hooks]


def _ask_slot(ask: _Conditions, holder: Any, key: Any) -> None:
    """A closure cell, or an item of a dict or list; the step itself may have removed it."""
    h = ask.name(holder)
    try:
        if isinstance(holder, types.CellType):
            ask.equal(f"{h}.cell_contents", holder.cell_contents)
        elif isinstance(holder, list):
            ask.same(f"{h}[{key}]", holder[key])
        elif type(holder) is dict:
            ask.equal(f"{h}[{ask.key(key)}]", holder[key])
        else:
            ask.equal(f"{h}.get({ask.key(key)})", holder.get(key))
    except (LookupError, ValueError):
        ask.add("False")


def _ask_module(ask: _Conditions, module: Any) -> None:
    _ask_fields(ask, module, ("training", *REGISTERED), MODULE_HOOKS)
    for name in REGISTERED:
        held = getattr(module, name)
        d = ask.name(held)
        for key, value in held.items():
            ask.same(f"{d}[{key!r}]", value)
        ask.length(d, held)


def _ask_fields(ask: _Conditions, x: Any, same: tuple, hooks: tuple) -> None:
    """Attributes of a module or optimizer; most are in its dict, where they are sooner found."""
    fields = vars(x)
    held = ask.name(fields)

    def text(name: str) -> str:
        return f"{held}[{name!r}]" if name in fields else f"{ask.name(x)}.{name}"

    for name in same:
        if hasattr(x, name):
            ask.same(text(name), getattr(x, name))
    for name in hooks:
        if hasattr(x, name):
            ask.hooks(text(name), getattr(x, name))


def _ask_tensor(ask: _Conditions, x: Tensor, had_grad: bool) -> None:
    t = ask.name(x)
    ask.same(f"{t}.storage", x.storage)
    ask.same(f"{t}.spec", x.spec)
    ask.add(f"{t}.offset == {x.offset}")
    ask.same(f"{t}._leaf", x._leaf)
    ask.add(f"{t}._grad is {'not ' if had_grad else ''}None")
    ask.add(f"{t}._fn is {'' if x._fn is None else 'not '}None")


def _ask_optimizer(ask: _Conditions, optimizer: Any, number: int, traced: set[str]) -> None:
    _ask_fields(ask, optimizer, ("param_groups", "_state", "_step_counts"), OPTIMIZER_HOOKS)
    groups = ask.name(optimizer.param_groups)
    ask.length(groups, optimizer.param_groups)
    for k, group in enumerate(optimizer.param_groups):
        known = ask.known(group)                 # another optimizer's too
        g = ask.name(group)
        ask.same(f"{groups}[{k}]", group)
        for key, value in group.items():
            if key == "params":
                ask.same(f"{g}[{key!r}]", value)
                ask.length(ask.name(value), value)
            elif not known and f"g{number}_{k}_{key}" not in traced:
                ask.equal(f"{g}[{key!r}]", value)
    if hasattr(optimizer, "_step_counts"):
        ask.length(ask.name(optimizer._step_counts), optimizer._step_counts)
    for param, state in getattr(optimizer, "_state", {}).items():
        s = ask.name(state)
        ask.same(f"{ask.name(optimizer._state)}.get({ask.name(param)})", state)
        for key, value in state.items():
            if isinstance(value, Tensor) and key != "step":
                ask.same(f"{s}[{key!r}]", value)
