"""What sparse tensors share: values and a pattern in, a Tensor whose memory is not one block out.

A sparse tensor keeps its values in a dense tensor, and autograd sees only that one: operations on
sparse tensors are differentiable operations on values. Whatever knows only blocks of memory meets
the `storage` of a sparse tensor and raises PyTorch's NotImplementedError.
"""

from __future__ import annotations

import copy
from typing import Any

from ..functions.rules import gradient_rule, with_gradient
from ..graph.node import spec_of
from ..tensor import Tensor


class UnblockedTensor(Tensor):
    """A Tensor with a layout of its own: no storage, no strides."""

    __slots__ = ("_held",)
    backend = label = ""

    @classmethod
    def _over(cls, values: Tensor, shape: tuple) -> Any:
        """A new tensor of a shape that keeps `values`."""
        out = object.__new__(cls)
        out.spec, out.offset, out._held = spec_of(values.dtype, tuple(shape)), 0, values
        out._leaf, out._fn, out._grad, out._base = False, None, None, None
        return out

    def _refuse(self, what: str = "this operator") -> None:
        raise NotImplementedError(
            f"Could not run {what} with arguments from the '{self.backend}CPU' backend: it works "
            "on strided tensors. Use Tensor.to_dense() first.")

    storage = property(_refuse)
    requires_grad = property(lambda self: self._held.requires_grad,
                             lambda self, on: self.requires_grad_(on))
    grad_fn = property(lambda self: self._held.grad_fn)
    is_leaf = property(lambda self: self._held.is_leaf)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Lets the tensor's gradient be kept, or no longer."""
        self._held.requires_grad_(requires_grad)
        return self

    def _with(self, values: Tensor) -> Any:
        """The same pattern with other values."""
        raise NotImplementedError

    @property
    def grad(self) -> Tensor | None:
        """The gradient, in the layout and pattern of the tensor."""
        grad = self._held.grad
        return None if grad is None else self._with(grad)

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self._held.grad = None if value is None else value._held

    def detach(self) -> Tensor:
        """The same values outside autograd."""
        return self._with(self._held.detach())

    def clone(self, *, memory_format: Any = None) -> Tensor:
        """A copy of the values."""
        return self._with(self._held.clone())

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """False: there is no one block of memory."""
        return False

    def to(self, *args: Any, **named: Any) -> Tensor:
        """Another dtype (or the same device)."""
        values = self._held.to(*args, **named)
        return self if values is self._held else self._with(values)

    def numpy(self, *, force: bool = False) -> Any:
        """TypeError: there is no array."""
        raise TypeError(f"can't convert {self.label} layout tensor to numpy. Use Tensor.to_dense() "
                        "first.")

    __array__ = numpy

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def realize(self) -> Tensor:
        """Runs what is pending of the values."""
        self._held.realize()
        return self

    def __repr__(self) -> str:
        from .printing import sparse_str
        return sparse_str(self)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec)

    def __deepcopy__(self, memo: dict) -> Tensor:
        if id(self) not in memo:
            memo[id(self)] = self._with(copy.deepcopy(self._held, memo))
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        pattern = [(name, getattr(self, name)) for kind in type(self).__mro__[:-3]
                   for name in kind.__dict__.get("__slots__", ()) if name != "_held"]
        return _rebuilt, (type(self), self._held.detach(), tuple(self.shape), self.is_leaf
                          and self.requires_grad, pattern)

    def _two(self, other: Any) -> Tensor:
        self._refuse()

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _two
    __hash__ = object.__hash__


def _rebuilt(cls: type, values: Tensor, shape: tuple, leaf: bool, pattern: list) -> Tensor:
    out = cls._over(values, shape)
    for name, value in pattern:
        setattr(out, name, value)
    return out.requires_grad_(leaf)


def caster(name: str) -> Any:
    """`float()` and its fellows, on the values."""
    def method(self: UnblockedTensor) -> Tensor:
        values = getattr(self._held, name)()
        return self if values is self._held else self._with(values)

    method.__name__ = name
    return method


for _name in ("half", "float", "double", "bfloat16", "int", "long", "short", "char", "byte",
              "bool", "cfloat", "cdouble"):
    setattr(UnblockedTensor, _name, caster(_name))

_KEPT = {name: gradient_rule(name, lambda node, grad: [grad], grad_name=title) for name, title in (
    ("_sparse_coo_values", "SparseCooTensorWithDimsAndTensorsBackward0"),
    ("_sparse_csr_values", "SparseCompressedTensorBackward0"),
    ("_mkldnn_values", "ToMkldnnBackward0"))}


def kept(kind: str, values: Tensor) -> Tensor:
    """Values as a sparse tensor keeps them: the same memory, the node of the tensor's making."""
    return with_gradient(_KEPT[kind], values.detach, (values,))
