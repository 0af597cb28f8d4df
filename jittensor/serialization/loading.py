"""A file of PyTorch's format in, the object it holds out."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pickle import UnpicklingError
from typing import IO, Any, NamedTuple

import numpy as np

from ..config import config
from ..graph.node import Storage
from ..runtime import blocks
from ..storage import TypedStorage, UntypedStorage, memory_of, swap
from . import formats, options
from .allowed import is_allowed
from .archive import ArchiveReader, is_archive
from .legacy import read_legacy
from .locations import restorer
from .names import from_torch
from .restricted import RestrictedUnpickler, globals_in

__all__ = ["get_unsafe_globals_in_checkpoint", "load"]

_LARGE = 1 << 20       # bytes from which a checksum is computed beside the reading


def load(f: Any, map_location: Any = None, pickle_module: Any = None, *,
         weights_only: bool | None = None, mmap: bool | None = None,
         **pickle_load_args: Any) -> Any:
    """The object in a file that `save` (or PyTorch's) wrote.

    Args:
        f: a path, or an object with `read`, `readline`, `seek` and `tell`.
        map_location: where storages go: None, a device or its name, a dict from the file's tags
            to others, or a function of (storage, tag).
        pickle_module: where the unpickler comes from; implies weights_only=False.
        weights_only: interpret only tensors, containers and what `add_safe_globals` allows; True
            unless told. False runs whatever code the file holds.
        mmap: map tensors from the file instead of reading them: their pages are read when they
            are looked at. Writes do not reach the file. Paths only.

    Raises:
        UnpicklingError: the file names something that is not allowed, or is of another format;
            the message says which.
        RuntimeError: a damaged file, or a place that this machine does not have.
    """
    weights_only = _weights_only(weights_only, pickle_module)
    mmap = options.mmap_default if mmap is None else mmap
    pickle_load_args.setdefault("encoding", "utf-8")
    make = _unpickler(weights_only, pickle_module or pickle, pickle_load_args)
    restore = restorer(map_location)
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return _load(file, _Request(os.fspath(f), True, make, restore, mmap, weights_only))
    for name in ("read", "seek", "tell"):
        if not hasattr(f, name):
            raise AttributeError(
                "You can only torch.load from a file that is seekable. Please pre-load the data "
                f"into a buffer like io.BytesIO and try to load from it instead: {type(f).__name__}"
                f" has no '{name}'")
    return _load(f, _Request(f"<{type(f).__name__}>", False, make, restore, mmap, weights_only))


class _Request(NamedTuple):
    """What is asked of a load; `title` is the path, or what stands for the object in messages."""

    title: str
    is_path: bool
    make: Callable
    restore: Callable
    mmap: bool
    weights_only: bool


def _weights_only(wanted: bool | None, pickle_module: Any) -> bool:
    def on(name: str) -> bool:
        return os.environ.get(name, "0") in ("1", "y", "yes", "true")

    always, never = on("TORCH_FORCE_WEIGHTS_ONLY_LOAD"), on("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD")
    if always and never:
        raise RuntimeError("TORCH_FORCE_WEIGHTS_ONLY_LOAD and TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD are "
                           "both set: unset one of them")
    result = always or (wanted if wanted is not None else not never and pickle_module is None)
    if result and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    return result


def _unpickler(weights_only: bool, module: Any, arguments: dict) -> Callable:
    """A function (file, persistent_load) -> the object of the pickle that comes next."""
    if weights_only:
        encoding = arguments["encoding"]
        return lambda file, load: RestrictedUnpickler(file, load, encoding=encoding).load()

    class Unpickler(module.Unpickler):
        def find_class(self, name_of_module: str, name: str) -> Any:
            if name_of_module == "torch" or name_of_module.startswith("torch."):
                try:
                    return from_torch(name_of_module, name)
                except AttributeError as error:
                    raise AttributeError(f"the file names {name_of_module}.{name}: "
                                         f"{error}") from None
            return super().find_class(name_of_module, name)

    def run(file: IO[bytes], persistent_load: Callable) -> Any:
        unpickler = Unpickler(file, **arguments)
        unpickler.persistent_load = persistent_load
        return unpickler.load()

    return run


def _load(file: IO[bytes], request: _Request) -> Any:
    title = request.title
    start = file.tell()
    head = file.read(formats.HEAD)
    file.seek(start)
    if is_archive(head):
        return _load_archive(file, request)
    if request.mmap:
        raise RuntimeError("mmap can only be used with files saved with torch.save in the zip "
                           f"format, which {title} is not: it is {formats.describe(head)}")
    if not head:
        raise EOFError(f"Ran out of input: {title} is empty")
    if not formats.may_be_pickle(head):
        raise UnpicklingError(f"{title} was not written by torch.save: it is "
                              f"{formats.describe(head)}")
    return _guarded(request, lambda: read_legacy(file, title, request.make, request.restore))


def _guarded(request: _Request, read: Callable) -> Any:
    """Runs a read; its UnpicklingError says which file it was."""
    if not request.weights_only:
        return read()
    try:
        return read()
    except UnpicklingError as error:
        raise UnpicklingError(f"Weights only load failed for {request.title}. {error}") from (
            error.__cause__ or None)


def _load_archive(file: IO[bytes], request: _Request) -> Any:
    title = request.title
    archive = ArchiveReader(file, title)
    if "data.pkl" not in archive:
        raise RuntimeError(f"failed locating file data.pkl in archive {title}: it is "
                           f"{formats.describe_archive(archive.names())}")
    if "constants.pkl" in archive:
        raise RuntimeError(f"{title} is a TorchScript archive, which jittensor does not run; save "
                           "the module's state_dict with torch.save")
    if request.mmap and not request.is_path:
        raise ValueError(f"f must be a file name in order to use the mmap argument, not {title}")
    data = io.BytesIO(archive.read("data.pkl"))
    # code in the file could change tensors before they are checked beside the reading
    pool = ThreadPoolExecutor(config.threads) if request.weights_only else contextlib.nullcontext()
    with pool as beside:
        storages = _ArchiveStorages(archive, request, beside)
        result = _guarded(request, lambda: request.make(data, storages.load))
        for check in storages.checks:
            check.result()
    return result


class _ArchiveStorages:
    """The storages of an archive, read when the pickle first names them."""

    def __init__(self, archive: ArchiveReader, request: _Request, beside: Executor | None):
        self.archive, self.restore, self.beside = archive, request.restore, beside
        self.known: dict[str, UntypedStorage] = {}
        self.checks: list[Future] = []        # of checksums, computed while reading goes on
        self.mapped = np.memmap(request.title, np.uint8, "r+" if options.mmap_shared else "c"
                                ) if request.mmap else None
        order = options.load_endianness()
        if "byteorder" in archive:
            order = archive.read("byteorder").decode("ascii", "replace")
            if order not in ("little", "big"):
                raise ValueError("Unknown endianness type: " + order)
        self.swapped = order != sys.byteorder

    def load(self, saved: Any) -> TypedStorage | UntypedStorage:
        """The storage of a persistent id: ('storage', class, key, location, elements)."""
        kind, key, tag, count = checked(saved)[1:5]
        width = kind.dtype.itemsize if issubclass(kind, TypedStorage) else 1
        storage = self.known.get(key)
        if storage is None:
            storage = self.restore(self._read(f"data/{key}", count * width, kind), tag)
            self.known[key] = storage = storage.untyped()
        return TypedStorage(wrap_storage=storage, dtype=kind.dtype) if issubclass(
            kind, TypedStorage) else storage

    def _read(self, name: str, nbytes: int, kind: Any) -> UntypedStorage:
        archive = self.archive
        if archive.size(name) != nbytes:
            raise RuntimeError(f"record {name} of archive {archive.title} has {archive.size(name)} "
                               f"bytes, its tensor needs {nbytes}")
        if self.mapped is not None and archive.stored(name) and nbytes:
            start = archive.offset(name)
            block = blocks.foreign(self.mapped[start:start + nbytes])
            storage = UntypedStorage(Storage(block, nbytes))
        else:
            storage = UntypedStorage(nbytes)
            memory = memory_of(storage._storage)
            archive.read_into(name, memory)
            if self.beside is None or self.swapped or nbytes < _LARGE:
                archive.verify(name, memory)
            else:
                self.checks.append(self.beside.submit(archive.verify, name, memory))
        if self.swapped and issubclass(kind, TypedStorage):
            swap(memory_of(storage._storage), kind.dtype)
        return storage


def checked(saved: Any) -> tuple:
    """A persistent id, if it is a storage's; UnpicklingError otherwise."""
    if not isinstance(saved, tuple) or len(saved) < 5 or saved[0] not in ("storage", b"storage"):
        raise UnpicklingError(f"the file names something by {saved!r}: only storages are known so")
    _, kind, key, tag, count = saved[:5]
    if not isinstance(kind, type) or not issubclass(kind, (TypedStorage, UntypedStorage)):
        raise UnpicklingError(f"the file names a storage of class {kind!r}")
    key, tag = (x.decode("ascii", "replace") if isinstance(x, bytes) else x for x in (key, tag))
    if not isinstance(key, str) or not isinstance(tag, str) or type(count) is not int or count < 0:
        raise UnpicklingError(f"the file names a storage by {saved[2:5]!r}")
    return ("storage", kind, key, tag, count, *saved[5:])


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The full names in a file that `load` would refuse; the file is read, nothing of it is run.

    Raises:
        ValueError: the file is not in the zip format.
    """
    def names(file: IO[bytes], title: str) -> list[str]:
        start = file.tell()
        head = file.read(formats.HEAD)
        file.seek(start)
        if not is_archive(head):
            raise ValueError("get_unsafe_globals_in_checkpoint expects a file that torch.save "
                             f"wrote in the zip format; {title} is {formats.describe(head)}")
        data = io.BytesIO(ArchiveReader(file, title).read("data.pkl"))
        return [name for name in globals_in(data) if not is_allowed(name)]

    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return names(file, os.fspath(f))
    return names(f, f"<{type(f).__name__}>")
