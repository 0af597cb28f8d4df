"""In: parameters, buffers, submodules, by assignment. Out: `Module`, the tree that has them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ...tensor import Tensor
from ..parameter import Buffer, Parameter
from .conversion import ModuleConversion, _type_name
from .hooks import (
    RemovableHandle,
    add_hook,
    call_with_hooks,
    global_backward_hooks,
    global_backward_pre_hooks,
    global_buffer_registration_hooks,
    global_forward_hooks,
    global_forward_pre_hooks,
    global_module_registration_hooks,
    global_parameter_registration_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
    registered,
)
from .state import ModuleState
from .traversal import ModuleTraversal

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

# Every dict that a module keeps, under PyTorch's names: whole modules are pickled by them.
_ORDERED_FIELDS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def _add_indent(text: str, count: int) -> str:
    """`text` with every line but the first moved right."""
    return text.replace("\n", "\n" + " " * count)


class Module(ModuleState, ModuleTraversal, ModuleConversion):
    """Base of all neural network parts: override `__init__` and `forward`.

    Parameters, buffers and modules that are assigned to attributes are registered, so that
    `parameters()`, `state_dict()`, `to()`, `train()` and the like reach them.

    Raises:
        TypeError: arguments for `__init__`, unless the class sets `call_super_init`.
    """

    dump_patches: bool = False
    call_super_init: bool = False
    training: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            name = type(self).__name__
            if kwargs:
                raise TypeError(
                    f"{name}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            raise TypeError(
                f"{name}.__init__() takes 1 positional argument but {len(args) + 1} were given"
            )
        fields = self.__dict__
        fields["training"] = True
        fields["_parameters"] = {}
        fields["_buffers"] = {}
        fields["_non_persistent_buffers_set"] = set()
        for name in _ORDERED_FIELDS:
            fields[name] = OrderedDict()
        fields["_is_full_backward_hook"] = None
        fields["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *input: Any) -> Any:
        """What a call of the module computes; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or global_forward_hooks
            or global_forward_pre_hooks
            or global_backward_hooks
            or global_backward_pre_hooks
        ):
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        fields = self.__dict__
        fields.update(state)
        # A module that was pickled by an older version may lack the newer fields.
        for name in _ORDERED_FIELDS:
            fields.setdefault(name, OrderedDict())
        fields.setdefault("_non_persistent_buffers_set", set())
        fields.setdefault("_is_full_backward_hook", None)

    # ── attributes ───────────────────────────────────────────────────────────────────────────────

    def __getattr__(self, name: str) -> Any:
        # Written out, not as a loop: every `self.weight` in a forward comes through here.
        fields = self.__dict__
        found = fields.get("_parameters")
        if found is not None:
            if name in found:
                return found[name]
            found = fields["_buffers"]
            if name in found:
                return found[name]
            found = fields["_modules"]
            if name in found:
                return found[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        parameters = fields.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, keep="_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if parameters is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            if name in parameters:
                raise self._refused(value, "parameter", name, "torch.nn.Parameter")
            self._forget(name, keep="_modules")
            value = registered(global_module_registration_hooks, self, name, value)
            fields["_modules"][name] = value
        elif parameters is None:
            if isinstance(value, Buffer):
                raise AttributeError("cannot assign buffer before Module.__init__() call")
            object.__setattr__(self, name, value)
        elif name in parameters:
            if value is not None:
                raise self._refused(value, "parameter", name, "torch.nn.Parameter")
            self.register_parameter(name, None)
        elif name in fields["_modules"]:
            if value is not None:
                raise self._refused(value, "child module", name, "torch.nn.Module")
            value = registered(global_module_registration_hooks, self, name, value)
            fields["_modules"][name] = value
        elif name in fields["_buffers"] or isinstance(value, Buffer):
            self._set_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_buffer(self, name: str, value: Any) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise self._refused(value, "buffer", name, "torch.nn.Buffer, torch.Tensor")
        if isinstance(value, Buffer):
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        self.register_buffer(name, value, persistent)

    def _refused(self, value: Any, kind: str, name: str, expected: str) -> TypeError:
        return TypeError(
            f"cannot assign '{_type_name(value)}' as {kind} '{name}' ({expected} or None expected)"
        )

    def _forget(self, name: str, *, keep: str) -> None:
        """Take `name` from everywhere but the registry that is about to take it."""
        fields = self.__dict__
        fields.pop(name, None)
        for registry in ("_parameters", "_buffers", "_modules"):
            if registry != keep:
                fields[registry].pop(name, None)
        fields["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        names.update(self._parameters, self._buffers, self._modules)
        return sorted(name for name in names if not name[0].isdigit())

    # ── registration ─────────────────────────────────────────────────────────────────────────────

    def _check_name(self, kind: str, name: Any, registry: str) -> None:
        if registry not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {_type_name(name)}")
        taken = hasattr(self, name) and name not in self.__dict__[registry]
        if kind == "module" and taken:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            got = f", got: {name}" if kind == "module" else ""
            raise KeyError(f'{kind} name can\'t contain "."{got}')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if taken:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, or None to keep the name for one.

        Raises:
            AttributeError: called before `Module.__init__`.
            KeyError: the name is empty, has a dot, or is taken.
            TypeError: `param` is not a Parameter.
            ValueError: `param` was computed from other tensors.
        """
        self._check_name("parameter", name, "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_type_name(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must "
                    f"be created explicitly. To express '{name}' as a function of another Tensor, "
                    "compute the value in the forward() method."
                )
            param = registered(global_parameter_registration_hooks, self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that is saved and moved with the module but not trained.

        Args:
            persistent: whether it is in `state_dict`.

        Raises:
            AttributeError, KeyError: as `register_parameter`.
            TypeError: `tensor` is not a tensor.
        """
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_type_name(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = registered(global_buffer_registration_hooks, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule under `name`.

        Raises:
            TypeError: `module` is not a Module, or `name` not a string.
            KeyError: the name is empty, has a dot, or is taken.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_type_name(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = registered(global_module_registration_hooks, self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """The same as `add_module`."""
        self.add_module(name, module)

    # ── hooks ────────────────────────────────────────────────────────────────────────────────────

    def register_forward_pre_hook(
        self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Run `hook(module, args[, kwargs])` before `forward`; what it returns replaces them."""
        marks = [(self._forward_pre_hooks_with_kwargs, with_kwargs)]
        return add_hook(self._forward_pre_hooks, hook, prepend=prepend, marks=marks)

    def register_forward_hook(
        self,
        hook: Callable,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Run `hook(module, args[, kwargs], output)` after `forward`; what it returns replaces
        the output. With `always_call` it runs after an error too."""
        marks = [
            (self._forward_hooks_with_kwargs, with_kwargs),
            (self._forward_hooks_always_called, always_call),
        ]
        return add_hook(self._forward_hooks, hook, prepend=prepend, marks=marks)

    def register_full_backward_pre_hook(
        self, hook: Callable, prepend: bool = False
    ) -> RemovableHandle:
        """Run `hook(module, grad_output)` before the module's backward; what it returns
        replaces `grad_output`."""
        return add_hook(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Run `hook(module, grad_input, grad_output)` when the gradients of the positional
        inputs are known; what it returns replaces `grad_input`."""
        self._choose_backward_hooks(full=True)
        return add_hook(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """The older form of `register_full_backward_hook`: `grad_input` and `grad_output` are
        those of the operation that made the output."""
        self._choose_backward_hooks(full=False)
        return add_hook(self._backward_hooks, hook)

    def _choose_backward_hooks(self, *, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single "
                "Module. Please use only one of them."
            )
        self._is_full_backward_hook = full

    def apply(self, fn: Callable[[Module], None]) -> Module:
        """Call `fn` on every submodule, children first, and on this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ── training ─────────────────────────────────────────────────────────────────────────────────

    def train(self, mode: bool = True) -> Module:
        """Set training mode (dropout drops, batch norm uses the batch) here and below.

        Raises:
            ValueError: `mode` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Module:
        """Set evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Set whether gradients are computed for the parameters."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def freeze(self, *names: str) -> Module:
        """Stop gradients of parts of the module (an addition to PyTorch's interface).

        Args:
            names: dotted names of submodules or parameters; none means all of the module.

        Raises:
            AttributeError: a name that the module does not have.
        """
        return self._set_trainable(names, False)

    def unfreeze(self, *names: str) -> Module:
        """Compute gradients again for the named parts, or for all of the module."""
        return self._set_trainable(names, True)

    def _set_trainable(self, names: tuple[str, ...], trainable: bool) -> Module:
        parts = []
        for name in names or ("",):
            path, _, last = name.rpartition(".")
            parent = self.get_submodule(path)
            is_parameter = parent._parameters.get(last) is not None
            parts.append(parent._parameters[last] if is_parameter else self.get_submodule(name))
        for part in parts:
            part.requires_grad_(trainable)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of the parameters, or fill them with zeros."""
        for param in self.parameters():
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

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Accepted without effect: every call is compiled as it is recorded."""

    # ── printing ─────────────────────────────────────────────────────────────────────────────────

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What `repr` prints between the parentheses, before the children."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): {_add_indent(repr(module), 2)}" for name, module in self._modules.items()
        ]
        if len(lines) <= 1 and not children:
            return f"{self._get_name()}({extra})"
        inner = "\n  ".join([*lines, *children])
        return f"{self._get_name()}(\n  {inner}\n)"
