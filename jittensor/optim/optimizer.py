"""In: parameters, alone or in groups with options. Out: `Optimizer`, the base of all that step.

Counts of steps are Python floats between steps; `state` and `state_dict()` show them as PyTorch
keeps them, float32 tensors without dimensions.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import chain
from typing import Any

from .. import creation, functions
from ..autograd import enable_grad, no_grad
from ..graph.dtypes import float32
from ..graph.node import blame, user_frame
from ..nn.modules.hooks import RemovableHandle, add_hook
from ..tensor import Tensor

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]


class _Required:
    """The default of an option that every group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_global_step_pre_hooks: OrderedDict = OrderedDict()
_global_step_post_hooks: OrderedDict = OrderedDict()

_HOOK_FIELDS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(optimizer, args, kwargs)` before every step of every optimizer."""
    return add_hook(_global_step_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return add_hook(_global_step_post_hooks, hook)


def as_number(value: Any) -> Any:
    """A number out of a tensor with one element; anything else as it is."""
    return value.item() if isinstance(value, Tensor) else value


def _with_hooks(step: Callable) -> Callable:
    """`step` between the hooks, with its updates realized; once where steps call each other."""

    @functools.wraps(step)
    def hooked(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        self._stepping = self._opt_called = True
        blame.origin = user_frame()      # the updates are recorded as the caller's line
        try:
            if _global_step_pre_hooks or self._optimizer_step_pre_hooks:
                args, kwargs = self._run_step_pre_hooks(step, args, kwargs)
            result = step(self, *args, **kwargs)
            functions.realize_step(
                [p for group in self.param_groups for p in group["params"] if p.grad is not None]
            )
            for hook in (
                *self._optimizer_step_post_hooks.values(),
                *_global_step_post_hooks.values(),
            ):
                hook(self, (self, *args), kwargs)
            return result
        finally:
            self._stepping, blame.origin = False, None

    hooked.hooked = True
    return hooked


class Optimizer:
    """Base of the optimizers: parameter groups, state, saving, hooks.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with 'params' and options of their own.
        defaults: the options of groups that do not give them.

    Raises:
        TypeError: `params` is one tensor, or holds what is not a tensor.
        ValueError: no parameters, a tensor that is not a leaf, one in two groups, or an option
            that is missing.
    """

    _stepping = False
    _opt_called = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__ and not getattr(cls.step, "hooked", False):
            cls.step = _with_hooks(cls.step)

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for name in _HOOK_FIELDS:
            setattr(self, name, OrderedDict())
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {params.type()}"
            )
        self.state = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once from their gradients; every optimizer defines it."""
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    @property
    def state(self) -> defaultdict:
        """What the optimizer remembers of each parameter, a dict by names."""
        if self._step_counts:
            # Handed out, the tensors are the truth: the next step reads them again.
            for param, count in self._step_counts.items():
                kept = self._state[param]
                if isinstance(kept["step"], Tensor):
                    kept["step"].fill_(count)
                else:
                    kept["step"] = type(kept["step"])(count)
            self._step_counts.clear()
        return self._state

    @state.setter
    def state(self, state: defaultdict) -> None:
        self._state = state
        self._step_counts: dict[Tensor, float] = {}

    def _next_step(self, param: Tensor) -> float:
        """The number of the step that `param` is about to take, which is noted as taken."""
        count = self._step_counts.get(param)
        if count is None:
            count = float(self._state[param]["step"])
        self._step_counts[param] = count = count + 1.0
        return count

    @staticmethod
    def _new_step() -> Tensor:
        return creation.tensor(0.0, dtype=float32)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        for name in _HOOK_FIELDS:
            if name not in self.__dict__:
                setattr(self, name, OrderedDict())
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            text += "".join(f"    {k}: {group[k]}\n" for k in sorted(group) if k != "params")
        return text + ")"

    def state_dict(self) -> dict[str, Any]:
        """`{'state': …, 'param_groups': …}`, where parameters are numbers in order of groups."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for number, param in enumerate(group["params"], start):
                numbers.setdefault(id(param), number)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
            start += len(packed["params"])
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state and options of another optimizer's `state_dict()`, PyTorch's too.

        Raises:
            ValueError: another number of groups, or of parameters in one.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saved = deepcopy(state_dict["param_groups"])
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        by_number: dict[Any, Tensor] = {}
        for group, other in zip(self.param_groups, saved, strict=True):
            if len(group["params"]) != len(other["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group"
                )
            by_number.update(zip(other["params"], group["params"], strict=True))
        state: defaultdict = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in by_number:
                state[by_number[key]] = _cast_like(by_number[key], value)
            else:
                state[key] = value
        for group, other in zip(self.param_groups, saved, strict=True):
            other["params"] = group["params"]
            if "param_names" in group:
                other.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ── groups ───────────────────────────────────────────────────────────────────────────────────

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own.

        Raises:
            TypeError, ValueError: as the constructor.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _separate_names(param_group)
        for param in param_group["params"]:
            if not isinstance(param, Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, "
                    f"but one of the params is {type(param).__name__}"
                )
            free = self.defaults.get("differentiable") or param.is_leaf or param.retains_grad
            if not free:
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        own = {id(param) for param in param_group["params"]}
        if len(own) != len(param_group["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=3,
            )
        named = "param_names" in param_group
        for group in self.param_groups:
            if ("param_names" in group) != named:
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param "
                    f"group {'with' if named else 'without'} names to the optimizer"
                )
            if any(id(param) in own for param in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                    continue
                if param.grad.grad_fn is not None:
                    param.grad.detach_()
                else:
                    param.grad.requires_grad_(False)
                param.grad.zero_()

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """The grad mode of a step: nothing is recorded unless the optimizer is differentiable."""
        with enable_grad() if self.defaults.get("differentiable") else no_grad():
            yield

    @staticmethod
    def _run_closure(closure: Callable[[], Any] | None) -> Any:
        if closure is None:
            return None
        with enable_grad():
            return closure()

    # ── hooks ────────────────────────────────────────────────────────────────────────────────────

    def _run_step_pre_hooks(self, step: Callable, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        given: tuple = (self, *args)
        hooks = chain(_global_step_pre_hooks.values(), self._optimizer_step_pre_hooks.values())
        for hook in list(hooks):
            changed = hook(self, given, kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), "
                    f"but got {changed}."
                )
            given, kwargs = changed
        return tuple(given[1:]), kwargs

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook(optimizer, args, kwargs)` before `step`; what it returns replaces them."""
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook(optimizer, args, kwargs)` after `step`."""
        return add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Run `hook(optimizer)` before `state_dict`."""
        return add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend=prepend)

    def register_state_dict_post_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Run `hook(optimizer, state_dict)` after it; what it returns replaces the dict."""
        return add_hook(self._optimizer_state_dict_post_hooks, hook, prepend=prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Run `hook(optimizer, state_dict)` before loading; what it returns is loaded."""
        return add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend=prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Run `hook(optimizer)` after loading."""
        return add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend=prepend)


def _separate_names(param_group: dict[str, Any]) -> None:
    """Make the group's 'params' a list of tensors and put their names, if any, in 'param_names'."""
    params = param_group["params"]
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of "
            "tensors in sets will change between runs. Please use a list instead."
        )
    params = [params] if isinstance(params, Tensor) else list(params)
    names = [param[0] for param in params if isinstance(param, tuple)]
    if names and len(names) != len(params):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    param_group["params"] = [param[1] for param in params] if names else params
    if names:
        param_group["param_names"] = names


def _cast_like(param: Tensor, value: Any, key: Any = None) -> Any:
    """Loaded state in the parameter's dtype and on its device; step counts stay as they are."""
    if isinstance(value, Tensor):
        if key == "step":
            # A tensor of its own: counting must not change the dict it was loaded from.
            return value.to(dtype=float32).clone()
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)
    if isinstance(value, dict):
        return {k: _cast_like(param, v, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return type(value)(_cast_like(param, v) for v in value)
    return value
