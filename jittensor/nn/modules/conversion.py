"""In: a module and a dtype or a device. Out: the module with its tensors cast or moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from warnings import warn

from ... import creation
from ...autograd import no_grad
from ...graph.arguments import PYTHON_TYPES
from ...graph.dtypes import float32
from ...tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

__all__ = ["ModuleConversion"]

_DTYPE = type(float32)


def _type_name(value: object) -> str:
    """The name of a value's type as PyTorch's messages give it: 'torch.FloatTensor', 'int'."""
    if type(value) is Tensor:
        return value.type()
    kind = type(value)
    module = "" if kind.__module__ in ("builtins", "__builtin__") else kind.__module__ + "."
    return module + kind.__qualname__


class ModuleConversion:
    """The part of `Module` that changes the dtype and the place of its tensors, in place."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Module:
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            # `.data` keeps the parameter's identity, which optimizers hold on to.
            with no_grad():
                converted = fn(param)
                if converted is not param:
                    param.data = converted
                if param.grad is not None:
                    param.grad.data = fn(param.grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Module:
        """Move and cast: `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)`.

        Only floating point and complex tensors are cast. The module itself is changed.

        Raises:
            TypeError: a dtype that is neither floating point nor complex.
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None and dtype.is_complex:
            warn(
                "Complex modules are a new feature under active development whose design may "
                "change, and some modules might not work as expected when using complex tensors "
                "as parameters or buffers.",
                stacklevel=2,
            )

        def convert(tensor: Tensor) -> Tensor:
            cast = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            if memory_format is not None and tensor.dim() in (4, 5):
                return tensor.to(device, cast, non_blocking, memory_format=memory_format)
            return tensor.to(device, cast, non_blocking)

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Module:
        """Move to `device` without copying values, which are left undefined."""
        return self._apply(lambda t: creation.empty_like(t, device=device), recurse=recurse)

    def type(self, dst_type: Any) -> Module:
        """Cast every parameter and buffer to `dst_type`, a dtype or a name such as
        'torch.DoubleTensor'."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Module:
        """Cast floating point parameters and buffers to float32."""
        return self._apply(lambda t: t.float() if t.is_floating_point() else t)

    def double(self) -> Module:
        """Cast floating point parameters and buffers to float64."""
        return self._apply(lambda t: t.double() if t.is_floating_point() else t)

    def half(self) -> Module:
        """Cast floating point parameters and buffers to float16."""
        return self._apply(lambda t: t.half() if t.is_floating_point() else t)

    def bfloat16(self) -> Module:
        """Cast floating point parameters and buffers to bfloat16."""
        return self._apply(lambda t: t.bfloat16() if t.is_floating_point() else t)

    def cpu(self) -> Module:
        """Move every parameter and buffer to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device: Any = None) -> Module:
        """Move every parameter and buffer to a GPU, the current one by default."""
        return self._apply(lambda t: t.cuda(device))

    def share_memory(self) -> Module:
        """Put every parameter and buffer in memory that other processes can map."""
        return self._apply(lambda t: t.share_memory_())


def _parse_to(args: tuple, kwargs: dict[str, Any]) -> tuple[Any, Any, bool, Any]:
    """(device, dtype, non_blocking, memory_format) out of the arguments of `Module.to`."""
    memory_format = kwargs.pop("memory_format", None)
    names = ["device", "dtype", "non_blocking", "copy"]
    if args and isinstance(args[0], Tensor):
        names = ["tensor", "non_blocking", "copy"]
    elif args and (isinstance(args[0], _DTYPE) or args[0] in (float, complex)):
        names = ["dtype", "non_blocking", "copy"]
    elif "tensor" in kwargs:
        names.append("tensor")
    given = dict(zip(names, args, strict=False))
    if len(args) > len(names) or given.keys() & kwargs.keys() or kwargs.keys() - set(names):
        got = ", ".join([*(_type_name(a) for a in args), *(f"{k}=" for k in kwargs)])
        raise TypeError(f"to() received an invalid combination of arguments - got ({got})")
    given.update(kwargs)
    if given.get("copy"):
        raise RuntimeError(".to() does not accept copy argument")
    dtype, device = given.get("dtype"), given.get("device")
    if (tensor := given.get("tensor")) is not None:
        dtype, device = tensor.dtype, tensor.device
    dtype = PYTHON_TYPES.get(dtype, dtype)
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise TypeError(
            "nn.Module.to only accepts floating point or complex dtypes, "
            f"but got desired dtype={dtype}"
        )
    return device, dtype, given.get("non_blocking", False), memory_format
