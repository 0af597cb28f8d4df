"""What `torch.tensor` is given: numbers and nested sequences of them in, an array and a dtype out.

A sequence's first items give the shape. Tensors, and NumPy's numbers, count as numbers of their own
dtype: a tensor of one element is one number whatever its shape, a longer one is an error.
"""

from __future__ import annotations

import math
import operator
from array import array
from typing import Any

import numpy as np

from .graph import dtypes as dt
from .graph.dtypes import Default, DType
from .numeric import check_fits
from .tensor import Tensor

_WIDEST_FIRST = (complex, float, int, bool)
_NUMBERS = set(_WIDEST_FIRST)
# what Python itself packs as these dtypes: the types of the numbers
_PACKED = {dt.float32: {float, int, bool}, dt.float64: {float, int, bool}, dt.int64: {int, bool}}
NONE: frozenset = frozenset()


def read(data: Any, dtype: DType | None) -> tuple[np.ndarray | array, tuple[int, ...], DType]:
    """The values as a vector, their shape, and their dtype (found from them where None is given).

    Raises:
        ValueError: sequences of one depth have different lengths, a tensor has several elements,
            an integer needs more than 64 bits.
        TypeError: an item is not a number.
        RuntimeError: it is something that has no dtype, or does not fit the one asked for.
    """
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    flat, kinds, dtypes = data, None, ()
    if data.__class__ in (list, tuple) and data:
        kinds, shape = set(map(type, data)), (len(data),)
    if kinds is None or not kinds <= _NUMBERS:
        flat, kinds, dtypes, shape = [], set(), set(), _shape(data)
        if 0 not in shape:
            _collect(data, shape, 0, flat, kinds, dtypes)
    if dtype is None:
        dtype = _inferred(flat, kinds, dtypes)
    if dtypes:
        kinds = set(map(type, flat))
    return _values(flat, kinds, dtype), shape, dtype


def _shape(data: Any) -> tuple[int, ...]:
    """The lengths of a sequence, its first item, that one's first item, …"""
    shape: list[int] = []
    while _is_sequence(data):
        shape.append(len(data))
        if not shape[-1]:
            break
        data = data[0]
        if isinstance(data, str):
            raise ValueError("too many dimensions 'str'")
        if isinstance(data, bytes):
            raise TypeError("new(): invalid data type 'bytes'")
    return tuple(shape)


def _is_sequence(value: Any) -> bool:
    if isinstance(value, (list, tuple, range, np.ndarray)):
        return True
    return hasattr(value, "__getitem__") and hasattr(value, "__len__") and not isinstance(
        value, (Tensor, np.generic, str, dict))


def _collect(data: Any, shape: tuple[int, ...], depth: int, flat: list, kinds: set,
             dtypes: set) -> None:
    """Appends the numbers to `flat`, and adds their types to `kinds`, or the dtypes of the arrays
    that they come from to `dtypes`."""
    if depth == len(shape):
        flat.append(data)
        kinds.add(type(data))
        return
    if not _is_sequence(data):
        raise TypeError("not a sequence")
    if len(data) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} "
                         f"(got {len(data)})")
    if isinstance(data, np.ndarray) and data.shape == shape[depth:] and data.dtype != object:
        dtypes.add(dt.from_numpy_dtype(data.dtype))
        flat.extend(data.reshape(-1).tolist())
    elif depth == len(shape) - 1:
        items = list(data)
        flat += items
        kinds.update(map(type, items))
    else:
        for item in data:
            _collect(item, shape, depth + 1, flat, kinds, dtypes)


def _inferred(flat: list, kinds: set[type], dtypes: set[DType]) -> DType:
    """The dtype that holds all the numbers; those of arrays have the arrays' dtypes."""
    if not dtypes and kinds <= _NUMBERS:
        return next((Default.of(kind) for kind in _WIDEST_FIRST if kind in kinds), Default.float_)
    found = dtypes | {Default.of(kind) for kind in kinds & _NUMBERS}
    if not kinds <= _NUMBERS:
        found |= {_dtype(v) for v in flat if type(v) not in _NUMBERS}
    out = None
    for dtype in found:
        out = dtype if out is None else dt.promote_types(out, dtype)
    return out or Default.float_


def _dtype(value: Any) -> DType:
    if isinstance(value, Tensor):
        return value.dtype
    if isinstance(value, (np.generic, np.ndarray)):
        return dt.from_numpy_dtype(value.dtype)
    if isinstance(value, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(value).__name__}'")
    for kind in (bool, int, float, complex):
        if isinstance(value, kind):
            return Default.of(kind)
    if isinstance(value, (list, tuple)):
        return _inferred(list(value), set(map(type, value)), set())
    kind = type(value)
    module = "" if kind.__module__ == "builtins" else kind.__module__ + "."
    raise RuntimeError(f"Could not infer dtype of {module}{kind.__qualname__}")


def _values(flat: list, kinds: set[type], dtype: DType) -> np.ndarray | array:
    """The numbers as an array of a dtype."""
    if kinds <= _PACKED.get(dtype, NONE):
        try:
            return array(dtype.cell._type_, flat)
        except OverflowError:
            pass                    # said below
    if dtype.category == dt.INT:
        whole = flat if kinds <= {int, bool} else [_integer(v, dtype) for v in flat]
        try:
            values = np.array(whole, np.int64)
        except OverflowError:
            raise ValueError("Overflow when unpacking long long") from None
        if values.size and dtype is not dt.int64:
            check_fits(int(values.min()), dtype)
            check_fits(int(values.max()), dtype)
        return values.astype(dtype.numpy)
    if dtype is dt.bool_:
        return np.array([v if v.__class__ is bool else _truth(v) for v in flat], np.bool_)
    if dtype.is_complex:
        plain = flat if kinds <= _NUMBERS else [_complex(v) for v in flat]
    else:
        plain = flat if kinds <= {float, int, bool} else [_real(v) for v in flat]
    with np.errstate(over="ignore"):
        return np.array(plain, dtype.numpy if dtype.is_complex else np.float64).astype(dtype.numpy)


def _item(tensor: Tensor) -> Any:
    if tensor.numel() != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return tensor.item()


def _real(value: Any) -> float:
    if isinstance(value, Tensor):
        value = _item(value)
        if isinstance(value, complex):
            raise RuntimeError("value cannot be converted to type double without overflow")
    return math.ldexp(value, 0)     # refuses strings, which float() would read


def _integer(value: Any, dtype: DType) -> int:
    if isinstance(value, Tensor):
        return _index(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")
        return int(value)
    return operator.index(value)


def _index(value: Tensor) -> int:
    if value.numel() != 1 or value.dtype.category > dt.INT:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(value.item())


def _truth(value: Any) -> bool:
    if isinstance(value, Tensor):
        return bool(_index(value))
    return bool(value if isinstance(value, (float, np.generic)) else operator.index(value))


def _complex(value: Any) -> complex:
    if isinstance(value, Tensor):
        value = _item(value)
    return value if isinstance(value, complex) else complex(math.ldexp(value, 0))
