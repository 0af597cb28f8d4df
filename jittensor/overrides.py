"""In: objects. Out: `torch.overrides`: whether they are tensors.

Classes with `__torch_function__` do not change what functions do.
"""

from __future__ import annotations

from typing import Any

from .tensor import Tensor

__all__ = ["has_torch_function", "is_tensor_like"]


def is_tensor_like(inp: Any) -> bool:
    """Whether an object is a tensor, or says that it stands for one."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


def has_torch_function(relevant_args: Any) -> bool:
    """Whether one of the objects changes what functions do: none can."""
    return False


has_torch_function_unary = has_torch_function_variadic = has_torch_function
