"""In: a module and tensors by name. Out: a call of the module with these as its parameters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...tensor import Tensor
from ..modules.module import Module

__all__ = ["functional_call"]


def _held(module: Module) -> dict[str, Tensor]:
    """Every parameter and buffer, under all names that it has."""
    return {**dict(module.named_parameters(remove_duplicate=False)),
            **dict(module.named_buffers(remove_duplicate=False))}


def _with_tied(module: Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The given tensors also under the other names of the tensors that they replace."""
    names: dict[int, list[str]] = {}
    for name, held in _held(module).items():
        names.setdefault(id(held), []).append(name)
    out = dict(given)
    for tied in names.values():
        values = {id(given[name]): given[name] for name in tied if name in given}
        if len(values) > 1:
            raise ValueError(f"functional_call got multiple values for keys {sorted(tied)}, which "
                             "are tied. Consider using tie_weights=False")
        for value in values.values():
            out.update(dict.fromkeys(tied, value))
    return out


def _swap(module: Module, path: str, value: Tensor) -> Any:
    """Put a tensor in a module's registry, whatever its class; returns what was there."""
    parent, _, name = path.rpartition(".")
    owner = module.get_submodule(parent)
    for registry in (owner._parameters, owner._buffers):
        if name in registry:
            old, registry[name] = registry[name], value
            return old
    if not hasattr(owner, name):
        raise AttributeError(f"{type(owner).__name__} has no attribute `{name}`")
    old = getattr(owner, name)
    setattr(owner, name, value)
    return old


@contextmanager
def _replaced(module: Module, given: dict[str, Tensor]) -> Iterator[None]:
    old: dict[str, Any] = {}
    try:
        for path, value in given.items():
            old[path] = _swap(module, path, value)
        yield
    finally:
        for path in reversed(old):
            _swap(module, path, old[path])


def _check_names(module: Module, given: dict[str, Tensor]) -> None:
    held = _held(module)
    parts = [f"{text} key(s): {', '.join(map(repr, names))}." for text, names in (
        ("Unexpected", [n for n in given if n not in held]),
        ("Missing", [n for n in held if n not in given])) if names]
    if parts:
        listed = "\n\t".join(parts)
        raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t{listed}")


def call_with(module: Module, parameters_and_buffers: dict[str, Tensor], args: Any = None,
              kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True,
              strict: bool = False) -> Any:
    """`module(*args, **kwargs)` with the given tensors in place of its own, which stay.

    Args:
        args: a tuple, or one argument.
        tie_weights: a tensor with several names is replaced under all of them.
        strict: the names have to be exactly the module's.

    Raises:
        RuntimeError: `strict` and other names. ValueError: tied names with different tensors.
    """
    given = parameters_and_buffers
    if tie_weights:
        given = _with_tied(module, given)
    if strict:
        _check_names(module, given)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given):
        return module(*args, **(kwargs or {}))


def functional_call(module: Module, parameters_and_buffers: dict[str, Tensor], args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True,
                    strict: bool = False) -> Any:
    """The old place of `torch.func.functional_call`."""
    warnings.warn("`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and "
                  "will be removed in a future version of PyTorch. Please use "
                  "`torch.func.functional_call` instead which is a drop-in replacement.",
                  FutureWarning, stacklevel=2)
    return call_with(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights,
                     strict=strict)
