"""In: a tree of modules, or the dict of its tensors. Out: `state_dict` and `load_state_dict`."""

from __future__ import annotations

import weakref
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from typing import Any
from warnings import warn

from ...autograd import no_grad
from ...tensor import Tensor
from ..parameter import Parameter, is_lazy
from .hooks import RemovableHandle, add_hook

__all__ = ["ModuleState"]

_EXTRA_STATE_KEY = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _BoundHook:
    """A load hook that is called with its module first, and does not keep the module alive."""

    def __init__(self, hook: Callable, module: Any) -> None:
        self.hook, self.module = hook, weakref.ref(module)

    def __call__(self, *args: Any) -> Any:
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args)

    def __getstate__(self) -> dict[str, Any]:
        return {"hook": self.hook, "module": self.module()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.hook, self.module = state["hook"], weakref.ref(state["module"])


class ModuleState:
    """The part of `Module` that saves and restores parameters and buffers."""

    _version: int = 1

    def get_extra_state(self) -> Any:
        """What `state_dict` keeps beside the tensors; override it with `set_extra_state`."""
        raise RuntimeError(
            f"{type(self).__name__}.get_extra_state() was called but is not overridden"
        )

    def set_extra_state(self, state: Any) -> None:
        """Take back what `get_extra_state` returned when the state was saved."""
        raise RuntimeError(
            f"{type(self).__name__}.set_extra_state() was called but is not overridden"
        )

    # ── saving ───────────────────────────────────────────────────────────────────────────────────

    def state_dict(
        self,
        *args: Any,
        destination: dict[str, Any] | None = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> dict[str, Any]:
        """All parameters and persistent buffers, by their dotted names.

        Args:
            destination: dict to add to; a new `OrderedDict` by default.
            prefix: put before every name.
            keep_vars: give the parameters themselves rather than detached tensors over the
                same storage.

        Returns:
            An `OrderedDict`, with the version of every module in its attribute `_metadata`.
        """
        if args:
            warn(
                "Positional args are being deprecated, use kwargs instead. Refer to the "
                "documentation of Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            given = dict(zip(("destination", "prefix", "keep_vars"), args, strict=False))
            destination = given["destination"] if destination is None else destination
            prefix = given.get("prefix", "") if prefix == "" else prefix
            keep_vars = given.get("keep_vars", False) if keep_vars is False else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            changed = hook(self, destination, prefix, local_metadata)
            if changed is None:
                continue
            if getattr(hook, "_from_public_api", False):
                raise RuntimeError("state_dict post-hook must return None")
            destination = changed
        return destination

    def _own_state(self) -> dict[str, Tensor]:
        """This module's parameters and persistent buffers that are not None."""
        skipped = self._non_persistent_buffers_set
        state = {name: p for name, p in self._parameters.items() if p is not None}
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in skipped:
                state[name] = buffer
        return state

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        for name, value in self._own_state().items():
            destination[prefix + name] = value if keep_vars or is_lazy(value) else value.detach()
        if type(self).get_extra_state is not ModuleState.get_extra_state:
            destination[prefix + _EXTRA_STATE_KEY] = self.get_extra_state()

    # ── loading ──────────────────────────────────────────────────────────────────────────────────

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy the tensors of `state_dict` into this module and its descendants.

        Nothing is copied when it raises, except into modules that override
        `_load_from_state_dict` or have load post-hooks (their code may need the values at once).

        Args:
            strict: whether missing and unexpected keys are errors.
            assign: make the given tensors the module's own instead of copying.

        Returns:
            `(missing_keys, unexpected_keys)`, two lists of names.

        Raises:
            TypeError: `state_dict` is not a mapping.
            RuntimeError: keys or shapes do not match; the message lists all of them.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata
        load = _Load(metadata or {}, assign)
        load.visit(self, state_dict, "")
        errors = load.errors
        if strict:
            missing = ", ".join(f'"{key}"' for key in load.missing)
            unexpected = ", ".join(f'"{key}"' for key in load.unexpected)
            errors = [
                *([f"Missing key(s) in state_dict: {missing}. "] if missing else []),
                *([f"Unexpected key(s) in state_dict: {unexpected}. "] if unexpected else []),
                *errors,
            ]
        if not errors:
            load.write_pending()
            errors = load.errors
        if errors:
            listed = "\n\t".join(errors)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}"
            )
        return _IncompatibleKeys(load.missing, load.unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load what is this module's own in `state_dict`; the lists take what does not fit."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        own = self._own_state()
        write = _Write(self, local_metadata, error_msgs)
        for name, current in own.items():
            key = prefix + name
            if key in state_dict:
                write(name, key, current, state_dict[key])
            elif strict:
                missing_keys.append(key)
        extra_key = prefix + _EXTRA_STATE_KEY
        if type(self).set_extra_state is not ModuleState.set_extra_state:
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)
        if strict:
            for key in state_dict:
                if not key.startswith(prefix) or key == extra_key:
                    continue
                head, dot, _ = key[len(prefix) :].partition(".")
                if head not in (self._modules if dot else own):
                    unexpected_keys.append(key)

    # ── hooks ────────────────────────────────────────────────────────────────────────────────────

    def register_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook(module, prefix, keep_vars)` before `state_dict`."""
        return add_hook(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook(module, state_dict, prefix, local_metadata)` after `state_dict`."""
        hook._from_public_api = True
        return add_hook(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Callable) -> RemovableHandle:
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was "
                "previously registered via register_state_dict_post_hook"
            )
        return add_hook(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)` before this module is loaded."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable, with_module: bool = False
    ) -> RemovableHandle:
        bound = _BoundHook(hook, self) if with_module else hook
        return add_hook(self._load_state_dict_pre_hooks, bound)

    def register_load_state_dict_post_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook(module, incompatible_keys)` after this module and its children are loaded."""
        return add_hook(self._load_state_dict_post_hooks, hook)


class _Load:
    """One `load_state_dict`: what it met so far, and the writes that wait for its end."""

    def __init__(self, metadata: Mapping[str, Any], assign: bool) -> None:
        self.metadata, self.assign = metadata, assign
        self.missing: list[str] = []
        self.unexpected: list[str] = []
        self.errors: list[str] = []
        self.pending: list[Callable[[], None]] = []

    def visit(self, module: Any, state_dict: dict[str, Any], prefix: str) -> None:
        local_metadata = dict(self.metadata.get(prefix[:-1], {}))
        if self.assign:
            local_metadata["assign_to_params_buffers"] = True
        if type(module)._load_from_state_dict is ModuleState._load_from_state_dict:
            local_metadata["pending_writes"] = self.pending
        module._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            True,
            self.missing,
            self.unexpected,
            self.errors,
        )
        for name, child in module._modules.items():
            if child is not None:
                inner = f"{prefix}{name}."
                self.visit(
                    child, {k: v for k, v in state_dict.items() if k.startswith(inner)}, inner
                )
        if module._load_state_dict_post_hooks:
            self.write_pending()
        incompatible = _IncompatibleKeys(self.missing, self.unexpected)
        for hook in module._load_state_dict_post_hooks.values():
            if hook(module, incompatible) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not "
                    "expected to return new values, if incompatible_keys need to be modified, "
                    "it should be done inplace."
                )

    def write_pending(self) -> None:
        for write in self.pending:
            write()
        self.pending.clear()


class _Write:
    """Puts one given tensor in the place of one parameter or buffer, now or when it is safe."""

    def __init__(self, module: Any, metadata: dict[str, Any], errors: list[str]) -> None:
        self.module, self.errors = module, errors
        self.assign = metadata.get("assign_to_params_buffers", False)
        self.pending = metadata.get("pending_writes")

    def __call__(self, name: str, key: str, current: Tensor, given: Any) -> None:
        if not isinstance(given, Tensor):
            self.errors.append(
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                f"object from checkpoint but received {type(given)}"
            )
            return
        if is_lazy(current):
            if self.assign:
                setattr(self.module, name, given)
            return  # nothing to copy: a given tensor with a shape has materialized it before
        if current.dim() == 0 and tuple(given.shape) == (1,):
            given = given[0]  # scalars were saved with one element before 0-d tensors existed
        if given.shape != current.shape:
            self.errors.append(
                f"size mismatch for {key}: copying a param with shape {given.shape} from "
                f"checkpoint, the shape in current model is {current.shape}."
            )
            return
        if self.pending is None:
            self.put(name, key, current, given)
        else:
            self.pending.append(lambda: self.put(name, key, current, given))

    def put(self, name: str, key: str, current: Tensor, given: Tensor) -> None:
        try:
            with no_grad():
                if not self.assign:
                    current.copy_(given)
                    return
                if isinstance(current, Parameter):
                    if isinstance(given, Parameter):
                        given.requires_grad_(current.requires_grad)
                    else:
                        given = Parameter(given, requires_grad=current.requires_grad)
                setattr(self.module, name, given)
        except Exception as error:
            self.errors.append(
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{current.size()} and whose dimensions in the checkpoint are {given.size()}, "
                f"an exception occurred : {error.args}."
            )
