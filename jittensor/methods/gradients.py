"""Autograd's methods and properties: `backward`, `grad`, `requires_grad`, hooks."""

from __future__ import annotations

import weakref

from ..autograd import engine
from ..autograd.graph import current
from ..autograd.modes import modes
from ..autograd.nodes import Handle, leaf_hooks, post_hooks
from ..graph import dtypes as dt
from ..graph.ops import _scalar_name
from ..tensor import Tensor, new_tensor


def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
    """Gradients of this tensor accumulate in the leaves' `.grad`."""
    engine.backward(self, gradient, retain_graph, create_graph, inputs=inputs)


def requires_grad_(self, requires_grad: bool = True) -> Tensor:
    """Turns recording for this leaf on or off."""
    if requires_grad and self.dtype.category < dt.FLOAT:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    _set_requires_grad(self, requires_grad)
    return self


def _get_requires_grad(self) -> bool:
    return self._leaf or self._fn is not None


def _set_requires_grad(self, value: bool) -> None:
    if self._fn is not None:
        if not value:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach().")
        return
    if value and self.dtype.category < dt.FLOAT:
        raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
    if value and self.is_inference() and not modes.inference:
        raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode "
                           "is not allowed.")
    self._leaf = bool(value)


def _get_grad(self):
    if self._grad is None and self._fn is not None and not getattr(self, "_retain", None):
        import warnings
        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
            ".grad attribute won't be populated during autograd.backward(). If you indeed want the "
            ".grad field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf "
            "Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf "
            "Tensor instead.", stacklevel=2)
    return self._grad


def _set_grad(self, value) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type "
                            f"{type(value).__name__}")
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value.dtype is not self.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{_c_name(value)}' to a tensor with "
                f"grad_dtype '{_scalar_name(self.dtype)}'. The gradient must match the tensor's "
                "grad_dtype (defaults to the tensor's dtype). You can set the tensor's grad_dtype "
                "attribute with a specific dtype, or None to allow any dtype. Set grad_dtype with "
                "caution. Diverging the dtypes of a tensor and its gradient may break downstream "
                "systems that assume they match.")
        if value.shape != self.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(value.shape)}' to a tensor of "
                f"size '{list(self.shape)}'. Please ensure that the gradient and the tensor are "
                "the same size")
    self._grad = value


def _c_name(x: Tensor) -> str:
    names = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int",
             "float16": "c10::Half", "bfloat16": "c10::BFloat16",
             "complex64": "c10::complex<float>", "complex128": "c10::complex<double>"}
    return names.get(x.dtype.name, _scalar_name(x.dtype))


def _grad_fn(self):
    return current(self)


def _is_leaf(self) -> bool:
    return self._fn is None


def _get_data(self) -> Tensor:
    out = new_tensor(self.storage, self.spec, self.offset)
    out._free = [0]                # its writes are not counted by this tensor's version
    return out


def _set_data(self, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError("Variable data has to be a tensor, but got "
                        f"{type(value).__name__}")
    self.storage, self.spec, self.offset = value.storage, value.spec, value.offset


def register_hook(self, hook):
    """`hook(grad)` sees (and may replace) the gradient of this tensor."""
    node = current(self)
    if node is None:
        if not self._leaf:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return Handle(leaf_hooks(self), hook)
    return Handle(node.extras().tensor, (getattr(self, "_output", 0), hook))


def retain_grad(self) -> None:
    """Keeps the gradient of a tensor that is no leaf in `.grad`."""
    node = current(self)
    if node is None and not self._leaf:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if node is None or getattr(self, "_retain", False):
        return
    self._retain = True
    node.extras().keep[getattr(self, "_output", 0)] = weakref.ref(self)


def register_post_accumulate_grad_hook(self, hook):
    """`hook(tensor)` runs after the gradient of a leaf was accumulated."""
    if self._fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if not self._leaf:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    return Handle(post_hooks(self), hook)


METHODS = {"backward": backward, "requires_grad_": requires_grad_, "register_hook": register_hook,
           "retain_grad": retain_grad,
           "register_post_accumulate_grad_hook": register_post_accumulate_grad_hook}
PROPERTIES = {
    "requires_grad": property(_get_requires_grad, _set_requires_grad),
    "grad": property(_get_grad, _set_grad, lambda self: setattr(self, "_grad", None)),
    "grad_fn": property(_grad_fn), "is_leaf": property(_is_leaf),
    "data": property(_get_data, _set_data),
    "retains_grad": property(lambda x: bool(getattr(x, "_retain", False))),
    "output_nr": property(lambda x: getattr(x, "_output", 0)), "name": property(lambda x: None),
}
