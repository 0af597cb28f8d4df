"""A call that failed in; PyTorch's error about its arguments out, where they are what was wrong.

Functions look at what they need and no further: to check the type of every argument would cost
more than to record the operation. So types are looked at once something has been raised.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any

from .graph.arguments import parameter_names, read_dtype
from .tensor import Tensor

# parameters that take tensors where no annotation says so
TENSORS = frozenset("""
    input self tensor mat mat1 mat2 vec vec1 vec2 tensor1 tensor2 batch1 batch2 index source src
    mask condition A B x1 x2 running_mean running_var
    """.split())
MANY = ("operands", "tensors")      # *args that are tensors
SIZES = frozenset("""
    dim dims stride padding dilation kernel_size output_size output_padding size pad shifts
    """.split())
# PyTorch's own are written in Python and stumble over an attribute that is not there
PLAIN = frozenset("""
    norm split adaptive_avg_pool2d adaptive_avg_pool3d batch_norm group_norm normalize interpolate
    upsample mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy
    binary_cross_entropy_with_logits
    """.split())


@functools.cache
def _parameters(function: Callable) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())


def misfit(function: Callable, name: str, args: tuple, named: dict) -> Exception | None:
    """The error for the first argument of a type that its parameter does not take."""
    if name in PLAIN and isinstance(sys.exception(), AttributeError) and (
            "loss" in name or "entropy" in name or not (args and isinstance(args[0], Tensor))):
        return None
    given: list[tuple[int, inspect.Parameter, Any]] = []
    for k, parameter in enumerate(_parameters(function)):
        if parameter.kind is parameter.VAR_POSITIONAL:
            if parameter.name in MANY:
                given += [(k + 1, parameter, value) for value in args[k:]]
            break
        if k < len(args) and parameter.kind is not parameter.KEYWORD_ONLY:
            given.append((k + 1, parameter, args[k]))
    given += [(0, p, named[p.name]) for p in _parameters(function) if p.name in named]
    for place, parameter, value in given:
        wanted = _wanted(parameter, value)
        if wanted is not None:
            at = f" (position {place})" if place else ""
            return TypeError(f"{name}(): argument '{parameter.name}'{at} must be {wanted}, not "
                             f"{type(value).__name__}")
        if isinstance(value, int) and not -1 << 63 <= value < 1 << 63:
            return ValueError("Overflow when unpacking long long")
    return None


def _wanted(parameter: inspect.Parameter, value: Any) -> str | None:
    """What a parameter takes, if the value is none of it."""
    annotation = parameter.annotation if isinstance(parameter.annotation, str) else ""
    name = parameter.name
    if value is None and (parameter.default is None or "None" in annotation):
        return None
    if name == "dtype":
        return None if hasattr(value, "category") else "torch.dtype"
    if name == "out":
        return None if isinstance(value, (Tensor, tuple, list)) else "Tensor"
    if annotation in ("Tensor", "Tensor | None") or (not annotation and name in TENSORS):
        return None if isinstance(value, Tensor) else "Tensor"
    if parameter.kind is parameter.VAR_POSITIONAL:
        return None if isinstance(value, (Tensor, list, tuple)) else "Tensor"
    if annotation in ("int", "int | None"):
        return None if _whole(value) else "int"
    if name in SIZES and (not annotation or "int" in annotation):
        if isinstance(value, str) and (name == "padding" or "str" in annotation):
            return None
        parts = value if isinstance(value, (tuple, list)) else (value,)
        return None if all(map(_whole, parts)) else "tuple of ints"
    return _unnamed(annotation, value)


def _unnamed(annotation: str, value: Any) -> str | None:
    """An annotation, if it names neither the value's kind nor anything."""
    if not annotation or "Any" in annotation or "Callable" in annotation:
        return None
    kind = next((kind for kind, of in (("Tensor", Tensor), ("str", str), ("None", type(None)))
                 if isinstance(value, of)), None)
    if kind is None or kind in annotation or kind == "Tensor" and not value.ndim:
        return None
    return annotation


def _whole(value: Any) -> bool:
    """Whether a value stands for an int."""
    if isinstance(value, Tensor):
        return not value.ndim and not value.is_floating_point()
    return hasattr(value, "__index__")


def with_misfits(function: Callable, name: str, module: str = "") -> Callable:
    """The function, whose errors speak of its arguments where those have the wrong types, and
    whose keyword `dtype`, if it has one, may be a Python type; it pickles as `name` of `module`."""
    typed = "dtype" in parameter_names(function)

    @functools.wraps(function)
    def call(*args: Any, **named: Any) -> Any:
        try:
            if named and typed:
                named = read_dtype(named, name)
            return function(*args, **named)
        except Exception:
            found = misfit(function, name, args, named)
            if found is None:
                raise
        raise found

    if module:
        call.__module__, call.__name__, call.__qualname__ = module, name, name
    return call


def guard(namespace: dict, names: Iterable[str], module: str) -> None:
    """Puts `with_misfits` around functions of a namespace."""
    for name in names:
        if inspect.isfunction(namespace.get(name)):
            namespace[name] = with_misfits(namespace[name], name, module)
