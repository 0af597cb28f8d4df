"""Samples in, a batch out: tensors, arrays and numbers stacked, containers kept.

Tensors of a batch are copied together by NumPy in one go: recording a write for each sample would
cost more than the copies.
"""

from __future__ import annotations

import collections
import collections.abc
import copy
import re
from collections.abc import Callable
from ctypes import memmove
from typing import Any

import numpy as np

from ...autograd.modes import modes
from ...creation import as_tensor, tensor
from ...functions.joining import stack
from ...graph.dtypes import float64
from ...graph.node import Spec
from ...runtime import realize as engine
from ...runtime.bind import settle
from ...runtime.blocks import as_array
from ...tensor import Tensor, empty_tensor, from_array, realize_storage

__all__ = ["default_collate", "default_collate_fn_map", "default_convert"]

_LIMIT = 1 << 63
_NOT_NUMBERS = re.compile(r"[SaUO]")
_ERROR = ("default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
          "found {}")


def default_convert(data: Any) -> Any:
    """Arrays become tensors, through containers too; anything else stays what it is.

    >>> import numpy as np
    >>> default_convert([np.array([1, 2]), "a"])
    [tensor([1, 2]), 'a']
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        kind = type(data)
        if kind is np.ndarray and _NOT_NUMBERS.search(data.dtype.str) or kind in (np.str_,
                                                                                  np.bytes_):
            return data
        return as_tensor(data)
    if isinstance(data, collections.abc.Mapping):
        return _mapped(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        return _sequence(data, [default_convert(item) for item in data])
    return data


def default_collate(batch: list) -> Any:
    """The samples of a batch, put together along a new first dim.

    Tensors and arrays of one shape are stacked, numbers become a tensor, strings stay a list;
    mappings, named tuples and sequences keep their form.

    Raises:
        TypeError: a sample of another type.
        RuntimeError: tensors of different shapes, or sequences of different lengths.

    >>> default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: list, *, collate_fn_map: dict | None = None) -> Any:
    """`default_collate` with functions of one's own for some types: each is called with the batch
    and `collate_fn_map`."""
    first = batch[0]
    kind = type(first)
    functions = collate_fn_map or {}
    found = functions.get(kind)
    if found is None:
        found = next((f for known, f in functions.items() if isinstance(first, known)), None)
    if found is not None:
        return found(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, collections.abc.Mapping):
        return _mapped(first, {key: collate([sample[key] for sample in batch],
                                            collate_fn_map=collate_fn_map) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*[collate(column, collate_fn_map=collate_fn_map)
                      for column in zip(*batch, strict=True)])
    if isinstance(first, collections.abc.Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=collate_fn_map)
                   for column in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _sequence(first, columns)
    raise TypeError(_ERROR.format(kind))


def _mapped(like: Any, values: dict) -> Any:
    """Values in a mapping of the sample's class, or in a dict where that cannot be made."""
    try:
        if isinstance(like, collections.abc.MutableMapping):
            clone = copy.copy(like)
            clone.update(values)
            return clone
        return type(like)(values)
    except TypeError:
        return values


def _sequence(like: Any, values: list) -> Any:
    """Values in a sequence of the sample's class, or in a list where that cannot be made."""
    try:
        if type(like) is list:
            return values
        if isinstance(like, collections.abc.MutableSequence):
            clone = copy.copy(like)
            for k, value in enumerate(values):
                clone[k] = value
            return clone
        if isinstance(like, range):
            return values
        return type(like)(values)
    except TypeError:
        return values


# ── tensors and numbers ───────────────────────────────────────────────────────────────────────
def _collate_tensors(batch: list, *, collate_fn_map: dict | None = None) -> Tensor:
    spec = batch[0].spec
    grad = modes.grad
    for x in batch:
        if (type(x) is not Tensor or x.spec is not spec and not _alike(x, spec)
                or grad and (x._leaf or x._fn is not None)):
            return stack(batch, 0)          # promotes, records gradients, or says what is wrong
    out = empty_tensor((len(batch), *spec.shape), spec.dtype)
    if spec.numel:
        _copy(batch, out)
    return out


def _alike(x: Tensor, spec: Spec) -> bool:
    return x.spec.shape == spec.shape and x.spec.dtype is spec.dtype


def _copy(batch: list, out: Tensor) -> None:
    """Copies tensors of one shape and dtype, one after another, into the memory of `out`."""
    spec, storage = batch[0].spec, batch[0].storage
    if engine.capturing is not None or not all(x.spec.contiguous for x in batch):
        np.stack([x._array() for x in batch], out=out._memory())
        return
    realize_storage(storage)
    offsets = [x.offset for x in batch if x.storage is storage]
    count = spec.numel
    if len(offsets) == len(batch):
        rows, beside = np.divmod(np.array(offsets), count)
        if not beside.any():               # rows of one tensor: taken in one go
            whole = as_array(storage.block, 0, spec.dtype.numpy,
                             (storage.nbytes // spec.nbytes, count), (count, 1))
            np.take(whole, rows, axis=0, out=out._memory().reshape(len(batch), count), mode="clip")
            return
    for x in batch:
        realize_storage(x.storage)
    settle()                               # raw addresses are read below
    target = out.storage.block.address
    for x in batch:
        memmove(target, x.storage.block.address + x.offset * spec.dtype.itemsize, spec.nbytes)
        target += spec.nbytes


def _collate_arrays(batch: list, *, collate_fn_map: dict | None = None) -> Any:
    first = batch[0]
    if _NOT_NUMBERS.search(first.dtype.str):
        raise TypeError(_ERROR.format(first.dtype))
    if all(type(x) is np.ndarray and x.dtype == first.dtype and x.shape == first.shape
           for x in batch):
        return from_array(np.stack(batch))
    return collate([as_tensor(x) for x in batch], collate_fn_map=collate_fn_map)


def _collate_scalars(batch: list, *, collate_fn_map: dict | None = None) -> Tensor:
    return as_tensor(batch)


def _collate_floats(batch: list, *, collate_fn_map: dict | None = None) -> Tensor:
    if {*map(type, batch)} == {float}:
        return from_array(np.array(batch))
    return tensor(batch, dtype=float64)


def _collate_integers(batch: list, *, collate_fn_map: dict | None = None) -> Tensor:
    if {*map(type, batch)} == {int} and -_LIMIT <= min(batch) and max(batch) < _LIMIT:
        return from_array(np.array(batch, np.int64))
    return tensor(batch)


def _collate_strings(batch: list, *, collate_fn_map: dict | None = None) -> list:
    return batch


default_collate_fn_map: dict[Any, Callable] = {
    Tensor: _collate_tensors,
    np.ndarray: _collate_arrays,
    (np.bool_, np.number, np.object_): _collate_scalars,
    float: _collate_floats,
    int: _collate_integers,
    str: _collate_strings,
    bytes: _collate_strings,
}
