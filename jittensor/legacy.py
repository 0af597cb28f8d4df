"""In: sizes or data. Out: tensors by PyTorch's types of old, such as `torch.FloatTensor`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .creation import empty, tensor
from .graph.dtypes import BY_NAME
from .tensor import Tensor, check_device

__all__ = ["TYPES"]

_DTYPES = {
    "HalfTensor": "float16", "BFloat16Tensor": "bfloat16", "FloatTensor": "float32",
    "DoubleTensor": "float64", "CharTensor": "int8", "ByteTensor": "uint8",
    "ShortTensor": "int16", "IntTensor": "int32", "LongTensor": "int64", "BoolTensor": "bool",
}


class _TensorType(type):
    """The class of the types: a call makes a tensor, `isinstance` looks at the dtype."""

    dtype: Any

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        """Sizes make a tensor that is not filled, a sequence one with its values.

        Raises:
            TypeError: a tensor of another dtype.
        """
        check_device(device)
        if len(args) == 1 and isinstance(args[0], Tensor):
            if args[0].dtype is not cls.dtype:
                raise TypeError(f"{cls.__name__}(): expected a tensor of dtype {cls.dtype}, but "
                                f"got one of {args[0].dtype}")
            return args[0].view_as(args[0])
        if len(args) == 1 and not isinstance(args[0], (int, np.integer)):
            if type(args[0]).__name__ == "Size":
                return empty(args[0], dtype=cls.dtype)
            return tensor(args[0], dtype=cls.dtype)
        return empty(args or (0,), dtype=cls.dtype)


TYPES = {
    name: _TensorType(name, (), {
        "dtype": BY_NAME[kind], "__module__": "torch",
        "__doc__": f"`{name}(*sizes)` or `{name}(data)`: a tensor of dtype {kind}."})
    for name, kind in _DTYPES.items()
}
globals().update(TYPES)
