"""An object in, the pickle that PyTorch would write for it out; storages by number."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from types import FunctionType
from typing import IO, Any

from ..graph.shapes import Size
from ..nn.parameter import Parameter
from ..sparse.layout import UnblockedTensor
from ..storage import TypedStorage, UntypedStorage, storage_type
from ..tensor import Tensor
from ..tensor import device as device_class
from .names import to_torch
from .rebuild import take_apart

__all__ = ["StorageTable", "pickler_class"]


class StorageTable:
    """The storages that a pickle names: each gets a number on first sight."""

    def __init__(self, location: Callable[[UntypedStorage], str]):
        self.location = location
        self.storages: dict[str, UntypedStorage] = {}
        self._keys: dict[int, str] = {}
        self._dtypes: dict[int, Any] = {}

    def enter(self, obj: TypedStorage | UntypedStorage) -> tuple:
        """(kind, key, location, number of elements) of a storage.

        Raises:
            RuntimeError: the storage was seen with another dtype: files have one for each.
        """
        typed = isinstance(obj, TypedStorage)
        untyped = obj.untyped()
        memory = untyped._storage
        dtype = obj.dtype if typed else None
        if memory.nbytes and self._dtypes.setdefault(id(memory), dtype) is not dtype:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data "
                               f"as different types: {self._dtypes[id(memory)]} and {dtype}")
        key = self._keys.get(id(memory))
        if key is None:
            key = self._keys[id(memory)] = str(len(self._keys))
            self.storages[key] = untyped      # also keeps the memory, and so its id, alive
        kind = storage_type(dtype) if typed else UntypedStorage
        return kind, key, self.location(untyped), obj.size()


def _reduce(obj: Any) -> Any:
    """How PyTorch's files take an object apart; NotImplemented for what pickle knows itself."""
    if isinstance(obj, Tensor):
        own = type(obj).__reduce_ex__
        if own in (Tensor.__reduce_ex__, Parameter.__reduce_ex__) or isinstance(
                obj, UnblockedTensor):
            return take_apart(obj)
        return NotImplemented                # a class that takes itself apart
    if isinstance(obj, Size):
        return Size, (tuple(obj),)
    if isinstance(obj, device_class):
        return device_class, ((obj.type,) if obj.index is None else (obj.type, obj.index))
    if isinstance(obj, type(None)) or isinstance(obj, type):
        return NotImplemented
    from .. import dtype, layout, memory_format
    if isinstance(obj, dtype):
        return obj.name
    if isinstance(obj, memory_format):
        raise TypeError(f"cannot pickle {obj!r}: PyTorch's files have no memory formats")
    if isinstance(obj, layout):
        from .rebuild import _get_layout
        return _get_layout, (repr(obj),)
    return NotImplemented


def pickler_class(module: Any = pickle) -> type:
    """A pickler with PyTorch's names, on top of a pickle module's own where that is in Python."""
    base = getattr(module, "Pickler", None)
    if not (isinstance(base, type) and issubclass(base, pickle._Pickler)):
        base = pickle._Pickler

    class Pickler(base):  # type: ignore[valid-type, misc]
        def __init__(self, file: IO[bytes], protocol: int, persistent: Callable[[Any], Any]):
            super().__init__(file, protocol=protocol)
            self._persistent = persistent

        def persistent_id(self, obj: Any) -> Any:
            if isinstance(obj, (TypedStorage, UntypedStorage)):
                return self._persistent(obj)
            return None

        def reducer_override(self, obj: Any) -> Any:
            return _reduce(obj)

        def save_global(self, obj: Any, name: str | None = None) -> None:
            known = to_torch(obj)
            if known is None:
                try:
                    super().save_global(obj, name)
                except pickle.PicklingError as error:       # as Python's pickler in C has it
                    if isinstance(error.__context__, AttributeError):
                        raise error.__context__ from None
                    raise
                return
            self.write(pickle.GLOBAL + "{}\n{}\n".format(*known).encode())
            self.memoize(obj)

        def save_type(self, obj: type) -> None:
            if to_torch(obj) is None:
                super().save_type(obj)
            else:
                self.save_global(obj)

        dispatch = {**base.dispatch, type: save_type, FunctionType: save_global}

    return Pickler
