"""A file in PyTorch's format from before 1.6 in, the object it holds out.

Pickles one after another (a magic number, the version, sizes of types, the object, the storages'
keys), then each storage: its number of elements and its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any

import numpy as np

from ..graph.node import Storage
from ..runtime import blocks
from ..storage import TypedStorage, UntypedStorage, memory_of, swap
from ..tensor import always
from .rebuild import deferring_sparse
from .saving import LEGACY_MAGIC, LEGACY_VERSION

__all__ = ["read_legacy"]


def read_legacy(file: IO[bytes], title: str, make: Callable, restore: Callable) -> Any:
    """The object of a legacy file.

    Raises:
        RuntimeError: a pickle of another kind or version, or a truncated file.
        UnpicklingError: a damaged file.
    """
    def nothing(saved: Any) -> Any:
        raise UnpicklingError(f"the head of {title} names storages: the file is damaged")

    if make(file, nothing) != LEGACY_MAGIC:
        raise RuntimeError(f"Invalid magic number: {title} is a pickle, but torch.save did not "
                           "write it; pickle.load may read it")
    version = make(file, nothing)
    if version != LEGACY_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version} (in {title}); "
                           f"{LEGACY_VERSION} is known")
    system = make(file, nothing)
    little = not isinstance(system, dict) or bool(system.get("little_endian", True))
    storages = _Storages(restore)
    with deferring_sparse():
        result = make(file, storages.load)
        keys = make(file, nothing)
        if not isinstance(keys, list):
            raise UnpicklingError(f"{title} is damaged: it has no list of storages")
        for key in keys:
            storages.fill(_text(key), file, title, little)
    return result


def _text(name: Any) -> Any:
    return name.decode("ascii", "replace") if isinstance(name, bytes) else name


class _Storages:
    """The storages a legacy file names; their bytes come after the pickle."""

    def __init__(self, restore: Callable):
        self.restore = restore
        self.known: dict[str, TypedStorage | UntypedStorage] = {}
        self.views: dict[str, TypedStorage] = {}

    def load(self, saved: Any) -> Any:
        """The storage of a persistent id, its bytes not there yet."""
        from .loading import checked
        if isinstance(saved, tuple) and saved and _text(saved[0]) == "module":
            return saved[1]              # a class beside its source
        _, kind, key, tag, count, *rest = checked(saved)
        storage = self.known.get(key)
        if storage is None:
            width = kind.dtype.itemsize if issubclass(kind, TypedStorage) else 1
            made = self.restore(UntypedStorage(count * width), tag).untyped()
            storage = TypedStorage(wrap_storage=made, dtype=kind.dtype) if issubclass(
                kind, TypedStorage) else made
            self.known[key] = storage
        if rest and rest[0] is not None:
            return self._view(storage, rest[0])
        return storage

    def _view(self, storage: Any, metadata: tuple) -> TypedStorage:
        """A part of a storage that the oldest files name as a storage of its own."""
        key, offset, count = metadata
        view = self.views.get(_text(key))
        if view is None:
            width = storage.element_size()
            memory = memory_of(storage.untyped()._storage)[offset * width:(offset + count) * width]
            part = Storage(blocks.foreign(memory), memory.nbytes)
            part.external = storage.untyped()._storage.external = always   # two names, one memory
            view = TypedStorage(wrap_storage=UntypedStorage(part), dtype=storage.dtype)
            self.views[_text(key)] = view
        return view

    def fill(self, key: Any, file: IO[bytes], title: str, little: bool) -> None:
        """Reads the next storage's elements."""
        storage = self.known.get(key)
        if storage is None:
            raise RuntimeError(f"{title} is damaged: it has a storage {key!r} that nothing names")
        memory = memory_of(storage.untyped()._storage)
        head = file.read(8)
        count = struct.unpack("<q", head)[0] if len(head) == 8 else -1
        if count != storage.size():
            raise RuntimeError(f"{title} is damaged or truncated: storage {key} has {count} "
                               f"elements, {storage.size()} are wanted")
        data = file.read(len(memory))
        if len(data) != len(memory):
            raise RuntimeError(f"unexpected EOF in {title}: expected {len(memory) - len(data)} "
                               "more bytes. The file is truncated.")
        memory[...] = np.frombuffer(data, np.uint8)
        if not little and isinstance(storage, TypedStorage):
            swap(memory, storage.dtype)
