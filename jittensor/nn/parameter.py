"""In: a tensor. Out: a Parameter (a Module trains it) or a Buffer (a Module only keeps it)."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from .. import creation
from ..tensor import Tensor

__all__ = ["Buffer", "Parameter"]


def _rebuild_parameter(data: Tensor, requires_grad: bool, hooks: OrderedDict) -> Parameter:
    """Make the parameter that `__reduce_ex__` took apart (named as in PyTorch's files)."""
    parameter = Parameter(data, requires_grad)
    parameter._backward_hooks = hooks
    return parameter


class Parameter(Tensor):
    """A tensor that registers itself with the `Module` it is assigned to.

    Args:
        data: tensor of any shape; floating point or complex if it is to require gradients.
            It shares storage with the parameter. None gives an empty tensor of shape (0,).
        requires_grad: whether gradients are computed for it.

    Raises:
        AttributeError: `data` is not a tensor.
        RuntimeError: `requires_grad` for a dtype that has no gradients.

    >>> Parameter(creation.ones(2)).requires_grad
    True
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = creation.empty(0)
        elif not isinstance(data, Tensor):
            raise AttributeError(
                f"Parameter(): data must be a Tensor, but got '{type(data).__name__}' object"
            )
        if requires_grad and not (data.is_floating_point() or data.is_complex()):
            raise RuntimeError("Only Tensors of floating point and complex dtype can require "
                               "gradients")
        return Tensor._make_subclass(cls, data, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: int) -> tuple:
        # The hooks are left behind, as PyTorch leaves them: they are code, not state.
        return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict())


class _BufferMeta(type(Tensor)):
    def __instancecheck__(cls, instance: Any) -> bool:
        # A buffer prints and computes as the plain tensor it is: a mark is all that tells it.
        return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that becomes a buffer of the `Module` it is assigned to.

    Args:
        data: tensor of any shape and dtype. None gives an empty tensor of shape (0,).
        persistent: whether it is part of the module's `state_dict`.

    Returns:
        A plain tensor over the same storage, marked so that `isinstance(_, Buffer)` is true.
    """

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Tensor:
        if data is None:
            data = creation.empty(0)
        buffer = data.detach().requires_grad_(data.requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer
