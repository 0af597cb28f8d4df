"""The argument `dtype`: what a user may write for it in, a DType out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from .dtypes import DType, bool_, complex128, float64, int64

PYTHON_TYPES = {float: float64, int: int64, bool: bool_, complex: complex128}


def dtype_of(value, function: str) -> DType:
    """The dtype that the argument `dtype` of a function names: a DType, or Python's float, int,
    bool or complex.

    Raises:
        TypeError: it is something else.

    >>> dtype_of(float, "zeros")
    torch.float64
    """
    if type(value) is DType:
        return value
    found = PYTHON_TYPES.get(value) if isinstance(value, type) else None
    if found is None:
        raise TypeError(f"{function}(): argument 'dtype' must be torch.dtype, not "
                        f"{type(value).__name__}")
    return found


def read_dtype(named: dict, function: str) -> dict:
    """Keyword arguments of a function with the DType that `dtype` names, where it is given."""
    dtype = named.get("dtype")
    if dtype is not None:
        named["dtype"] = dtype_of(dtype, function)
    return named


def takes_dtype(function: Callable, name: str) -> Callable:
    """The function, called `name`, whose keyword `dtype` may be a Python type too."""
    @functools.wraps(function)
    def call(*args, **named):
        return function(*args, **read_dtype(named, name))

    return call


def taking_dtype(names: dict, public: Iterable[str]) -> dict:
    """The functions of a namespace that have a parameter `dtype`, as `takes_dtype` makes them."""
    return {name: takes_dtype(names[name], name) for name in public
            if "dtype" in parameter_names(names[name])}


def parameter_names(function: Callable) -> set[str]:
    """The names of a function's parameters."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    return set() if code is None else set(
        code.co_varnames[:code.co_argcount + code.co_kwonlyargcount])
