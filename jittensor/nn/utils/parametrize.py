"""In: a module, the name of one of its tensors, a module that computes it. Out: the same module,
whose tensor is from then on computed from another one, the `original`.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from ...autograd import no_grad
from ...tensor import Tensor
from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

__all__ = ["ParametrizationList", "cached", "is_parametrized", "register_parametrization",
           "remove_parametrizations", "transfer_parametrizations_and_params",
           "type_before_parametrizations"]

_cache: dict[tuple[int, str], Tensor] = {}
_depth = 0            # of `with cached()` blocks


@contextmanager
def cached() -> Iterator[None]:
    """Within the block every parametrized tensor is computed once."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth:
            _cache.clear()


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _same(what: str, given: Any, wanted: Any, title: str, names: tuple[str, str]) -> None:
    if given != wanted:
        raise ValueError(f"{title} may not change the {what} of the tensor, unless the `unsafe` "
                         f"flag is enabled.\n{names[0]}.{what}: {wanted}\n"
                         f"{names[1]}.{what}: {given}")


def _check_result(made: Any, shape: Any, dtype: Any, names: tuple[str, str]) -> None:
    """A parametrization gives a tensor of the shape and dtype that there were."""
    if not isinstance(made, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(made).__name__}.")
    _same("dtype", made.dtype, dtype, "Registering a parametrization", names)
    _same("shape", made.shape, shape, "Registering a parametrization", names)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, one after another, and what they start from.

    Args:
        modules: the first takes `original` (or `original0`, `original1`, …).
        original: the tensor; `right_inverse` of the modules, last first, says what to start from.
        unsafe: leaves out the checks of shape and dtype.

    Raises:
        ValueError: no modules, or a result that is no tensor of the same shape and dtype.
    """

    original: Tensor
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Tensor,
                 unsafe: bool = False) -> None:
        if not len(modules):
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        start = self._invert(original)
        if not isinstance(start, (Tensor, Sequence)):
            raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors (list, "
                             f"tuple...). Got {type(start).__name__}")
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if self.is_tensor:
            if start.dtype != dtype:
                raise ValueError("When `right_inverse` outputs one tensor, it may not change the "
                                 f"dtype.\noriginal.dtype: {dtype}\n"
                                 f"right_inverse(original).dtype: {start.dtype}")
            original.data = start.detach()
            _register(self, "original", original)
        else:
            self._register_parts(start, original)
        if not unsafe:
            _check_result(self(), shape, dtype, ("unparametrized", "parametrized"))

    @no_grad()
    def _invert(self, value: Tensor) -> Any:
        for module in reversed(self):
            if hasattr(module, "right_inverse"):
                try:
                    value = module.right_inverse(value)
                except NotImplementedError:
                    pass      # it starts from the tensor as it is
        return value

    def _register_parts(self, parts: Sequence, original: Tensor) -> None:
        for k, part in enumerate(parts):
            if not isinstance(part, Tensor):
                raise ValueError("'right_inverse' must return a Tensor or a Sequence of tensors "
                                 f"(list, tuple...). Got element {k} of the sequence with type "
                                 f"{type(part).__name__}.")
            if isinstance(original, Parameter):
                part = Parameter(part, original.requires_grad)
            part.requires_grad_(original.requires_grad)
            _register(self, f"original{k}", part)

    @no_grad()
    def right_inverse(self, value: Tensor) -> None:
        """Set what the parametrizations start from so that they give `value`.

        Raises:
            RuntimeError: a parametrization has no `right_inverse`.
            ValueError: one gives tensors of other dtypes, or another number of them.
        """
        for module in reversed(self):
            if not hasattr(module, "right_inverse"):
                raise RuntimeError(f"parametrization {type(module).__name__} does not implement "
                                   "right_inverse.")
            value = module.right_inverse(value)
        if self.is_tensor:
            if not isinstance(value, Tensor):
                raise ValueError("`right_inverse` should return a tensor. Got "
                                 f"{type(value).__name__}")
            if value.dtype != self.original.dtype:
                raise ValueError(f"The tensor returned by `right_inverse` has dtype {value.dtype} "
                                 f"while `original` has dtype {self.original.dtype}")
            self.original.data = value.detach()
            return
        if not isinstance(value, Sequence):
            raise ValueError("'right_inverse' must return a sequence of tensors. Got "
                             f"{type(value).__name__}.")
        if len(value) != self.ntensors:
            raise ValueError("'right_inverse' must return a sequence of tensors of length "
                             f"{self.ntensors}. Got a sequence of length {len(value)}.")
        for k, part in enumerate(value):
            held = getattr(self, f"original{k}")
            if not isinstance(part, Tensor) or part.dtype != held.dtype:
                got = f"dtype {part.dtype}" if isinstance(part, Tensor) else type(part).__name__
                raise ValueError(f"Tensor {k} returned by `right_inverse` has {got} while "
                                 f"`original{k}` has dtype {held.dtype}")
            held.data = part.detach()

    def forward(self) -> Tensor:
        """The tensor, computed."""
        if self.is_tensor:
            parts = [self.original]
        else:
            parts = [getattr(self, f"original{k}") for k in range(self.ntensors)]
        modules = iter(self)
        out = next(modules)(*parts)
        for module in modules:
            out = module(out)
        return out


def _deepcopy(self: Module, memo: dict[int, Any]) -> Module:
    if id(self) in memo:
        return memo[id(self)]
    made = memo[id(self)] = self.__new__(type(self))
    made.__dict__ = deepcopy(self.__dict__, memo)
    for slot in copyreg._slotnames(type(self)):
        if hasattr(self, slot):
            setattr(made, slot, deepcopy(getattr(self, slot), memo))
    return made


def _no_pickle(self: Module) -> None:
    raise RuntimeError("Serialization of parametrized modules is only supported through "
                       "state_dict(): save model.state_dict() and load it into a model that is "
                       "parametrized the same way")


def _give_own_class(module: Module) -> None:
    """A class for this module alone: properties of the tensors are put on it."""
    cls = type(module)
    members: dict[str, Any] = {"__getstate__": _no_pickle}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _give_property(module: Module, name: str) -> None:
    def get(self: Module) -> Tensor:
        computed = self.parametrizations[name]
        if not _depth:
            return computed()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = computed()
        return _cache[key]

    def set_(self: Module, value: Tensor) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, set_))


def _check_next(module: Module, name: str, parametrization: Module) -> None:
    """A further parametrization keeps shape and dtype, in both directions."""
    before = getattr(module, name)
    made = parametrization(before)
    _check_result(made, before.shape, before.dtype,
                  (f"module.{name}", f"parametrization(module.{name})"))
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        back = parametrization.right_inverse(made)
    except NotImplementedError:
        return
    if not isinstance(back, Tensor):
        raise ValueError("parametrization.right_inverse must return a tensor. Got: "
                         f"{type(back).__name__}")
    for what in ("dtype", "shape"):
        given, wanted = getattr(back, what), getattr(before, what)
        if given != wanted:
            raise ValueError("The tensor returned by parametrization.right_inverse must have the "
                             f"same {what} as module.{name}, unless the `unsafe` flag is enabled."
                             f"\nmodule.{name}.{what}: {wanted}\nreturned {what}: {given}")


def register_parametrization(module: Module, tensor_name: str, parametrization: Module, *,
                             unsafe: bool = False) -> Module:
    """From now on `module.tensor_name` is `parametrization(original)`.

    Args:
        parametrization: its `right_inverse`, if it has one, says what original gives the tensor
            that is there, and makes the tensor assignable.
        unsafe: leaves out the checks that shape and dtype stay.

    Returns:
        The module itself, now of a class of its own.

    Raises:
        ValueError: there is no such tensor, or its shape or dtype would change.

    >>> import jittensor as torch
    >>> class Symmetric(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = torch.nn.Linear(3, 3)
    >>> layer = torch.nn.utils.parametrize.register_parametrization(layer, "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all())
    True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_next(module, tensor_name, parametrization)
        held = module.parametrizations[tensor_name]
        held.append(parametrization)
        held.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        held = ParametrizationList([parametrization], getattr(module, tensor_name), unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        _give_property(module, tensor_name)
        module.parametrizations[tensor_name] = held
    else:
        raise ValueError(f"Module '{module}' does not have a parameter, a buffer, or a "
                         f"parametrized element with name '{tensor_name}'")
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a tensor of the module, or this one, is computed."""
    held = getattr(module, "parametrizations", None)
    if not isinstance(held, ModuleDict):
        return False
    return len(held) > 0 if tensor_name is None else tensor_name in held


def remove_parametrizations(module: Module, tensor_name: str,
                            leave_parametrized: bool = True) -> Module:
    """Make the tensor a plain one again: its computed value, or the original.

    Raises:
        ValueError: it is not parametrized, or is computed from several tensors and
            `leave_parametrized` is False.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    held = module.parametrizations[tensor_name]
    if held.is_tensor:
        original = held.original
        if leave_parametrized:
            with no_grad():
                original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError("Cannot leave unparametrized (`leave_parametrized=False`) a tensor that "
                         "is parametrized in terms of a sequence of tensors.")
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that the module had before."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module: Module, to_module: Module,
                                         tensor_name: str | None = None) -> Module:
    """Give `to_module` the parametrizations of one (or every) tensor, and the originals."""
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations if tensor_name is None else [tensor_name]):
        held = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in held:
            register_parametrization(to_module, name, parametrization)
        parts = ["original"] if held.is_tensor else [f"original{k}" for k in range(held.ntensors)]
        for part in parts:
            setattr(to_module.parametrizations[name], part, getattr(held, part))
    return to_module
