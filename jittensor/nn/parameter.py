"""In: a tensor. Out: a Parameter (a Module trains it) or a Buffer (a Module only keeps it).

The uninitialized ones get their tensor later, when a lazy module sees its first input.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

from .. import creation
from ..graph import dtypes
from ..tensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


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


class UninitializedTensorMixin:
    """A tensor without a shape yet; it has a dtype, and `materialize` gives it the rest."""

    __slots__ = ()
    cls_to_become: type[Tensor]

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a tensor of this shape with undefined values, here and wherever it is held."""
        made = creation.empty(shape, device=device, dtype=self.dtype if dtype is None else dtype)
        self.__class__ = self.cls_to_become
        self.data = made

    @property
    def spec(self) -> Any:
        asked = sys._getframe(1).f_code.co_name
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {asked}. A lazy module, or an object "
            f"of torch.nn.parameter.{type(self).__name__}, has no shape before the module's first "
            "call: call the module with a dummy batch first")

    @spec.setter
    def spec(self, value: Any) -> None:
        Tensor.spec.__set__(self, value)

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            "initialized one. Call `forward` to initialize the parameters before accessing their "
            "attributes.")

    @property
    def dtype(self) -> Any:
        return Tensor.spec.__get__(self).dtype

    @property
    def data(self) -> Tensor:
        return creation.empty(0, dtype=self.dtype)

    @data.setter
    def data(self, value: Tensor) -> None:
        self.storage, self.spec, self.offset = (
            value.storage, Tensor.spec.__get__(value), value.offset)

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def is_complex(self) -> bool:
        return self.dtype.is_complex

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """The same in another dtype."""
        held = creation.empty(0, dtype=self.dtype).to(*args, **kwargs)
        if held.dtype is self.dtype:
            return self
        return type(self)(self.requires_grad, held.device, held.dtype)

    def share_memory_(self) -> Tensor:
        raise RuntimeError("Can't share memory on an uninitialized parameter or buffer. Call "
                           "`forward` to initialize the parameters before calling "
                           "`module.share_memory()`.")

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.device, self.dtype)
        return memo[id(self)]

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: int) -> tuple:
        return type(self), (self.requires_grad,)


def _cast(name: str) -> Any:
    def method(self: Tensor) -> Tensor:
        return self.to(getattr(dtypes, name))

    method.__doc__ = f"The same in {name}."
    return method


for _method, _name in (("float", "float32"), ("double", "float64"), ("half", "float16"),
                       ("bfloat16", "bfloat16")):
    setattr(UninitializedTensorMixin, _method, _cast(_name))


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet.

    Its dtype and whether it requires gradients are known; any use of its values raises.

    Raises:
        ValueError: used in an operation. RuntimeError: asked for its shape.

    >>> UninitializedParameter()
    <UninitializedParameter>
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None,
                dtype: Any = None) -> UninitializedParameter:
        return Tensor._make_subclass(cls, creation.empty(0, device=device, dtype=dtype),
                                     requires_grad)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is not known yet."""

    cls_to_become = Tensor

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None,
                persistent: bool = True) -> UninitializedBuffer:
        buffer = Tensor._make_subclass(cls, creation.empty(0, device=device, dtype=dtype),
                                       requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


def is_lazy(param: Any) -> bool:
    """Whether it is a parameter or buffer without a shape yet."""
    return isinstance(param, UninitializedTensorMixin)
