"""An object in, a file of PyTorch's format out."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import secrets
import stat
import struct
import sys
from collections.abc import Iterator
from typing import IO, Any

from ..storage import memory_of
from .archive import ArchiveWriter, root_of
from .locations import location_tag
from .pickling import StorageTable, pickler_class

__all__ = ["DEFAULT_PROTOCOL", "LEGACY_MAGIC", "LEGACY_VERSION", "save"]

DEFAULT_PROTOCOL = 2
LEGACY_MAGIC, LEGACY_VERSION = 0x1950A86A20F9469CFC6C, 1001


def save(obj: Any, f: Any, pickle_module: Any = pickle, pickle_protocol: int = DEFAULT_PROTOCOL,
         _use_new_zipfile_serialization: bool = True,
         _disable_byteorder_record: bool = False) -> None:
    """Writes an object to a file that PyTorch reads too.

    A file that is named by its path appears whole or not at all: the old one stays until the new
    one is written.

    Args:
        obj: tensors, modules, and whatever pickle takes; tensors that share storage do so again
            after loading.
        f: a path, or an object with `write`.
        pickle_module: where the pickler comes from.
        pickle_protocol: the pickle's version.

    Raises:
        AttributeError: `f` is neither a path nor has `write`.
        RuntimeError: the path's folder does not exist; storages seen with two dtypes.

    >>> import io, jittensor as torch
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2)}, file)
    >>> _ = file.seek(0)
    >>> torch.load(file)
    {'weight': tensor([1., 1.])}
    """
    write = _write_archive if _use_new_zipfile_serialization else _write_legacy
    if isinstance(f, (str, os.PathLike)):
        path = os.fspath(f)
        folder = os.path.dirname(path)
        if folder and not os.path.isdir(folder):
            raise RuntimeError(f"Parent directory {folder} does not exist.")
        with replacing(path) as file:
            write(obj, file, root_of(path), pickle_module, pickle_protocol,
                  _disable_byteorder_record)
    elif hasattr(f, "write"):
        write(obj, f, root_of(f), pickle_module, pickle_protocol, _disable_byteorder_record)
    else:
        raise AttributeError(f"save(): expected 'f' to be a string, path, or a file-like object "
                             f"with a 'write' attribute, not {type(f).__name__}")


@contextlib.contextmanager
def replacing(path: Any) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `path` when the block ends without an error."""
    target = os.path.realpath(path)
    mode = None
    with contextlib.suppress(FileNotFoundError):
        mode = os.stat(target).st_mode
    if mode is not None and not stat.S_ISREG(mode):     # a device or a pipe, or a directory: open
        with open(target, "wb") as file:                # says so
            yield file
        return
    beside = os.path.join(os.path.dirname(target),
                          f".{os.path.basename(target)[:200]}.{secrets.token_hex(6)}.part")
    try:
        file = open(beside, "xb")
    except PermissionError:
        if mode is None:
            raise
        with open(target, "wb") as file:     # the folder takes no new files, but this one is ours
            yield file
        return
    try:
        with file:
            if mode is not None:
                os.chmod(beside, stat.S_IMODE(mode))
            yield file
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _write_archive(obj: Any, file: Any, root: str, module: Any, protocol: int,
                   no_byteorder: bool) -> None:
    table = StorageTable(location_tag)
    data = io.BytesIO()
    pickler_class(module)(data, protocol, lambda s: ("storage", *table.enter(s))).dump(obj)
    archive = ArchiveWriter(file, root)
    archive.record("data.pkl", data.getbuffer())
    archive.record(".format_version", b"1")
    archive.record(".storage_alignment", b"64")
    if not no_byteorder:
        archive.record("byteorder", sys.byteorder.encode())
    for key, storage in table.storages.items():
        archive.record(f"data/{key}", memory_of(storage._storage))
    archive.record("version", b"3\n")
    archive.record(".data/serialization_id", f"{secrets.randbits(132):040d}".encode()[:40])
    archive.close()


def _write_legacy(obj: Any, file: Any, root: str, module: Any, protocol: int,
                  no_byteorder: bool) -> None:
    """The format from before PyTorch 1.6: pickles one after another, then raw storages."""
    table = StorageTable(location_tag)
    widths: dict[str, int] = {}

    def persistent(storage: Any) -> tuple:
        kind, key, tag, count = table.enter(storage)
        widths[key] = storage.element_size()
        return "storage", kind, key, tag, count, None

    system = {"protocol_version": LEGACY_VERSION, "little_endian": sys.byteorder == "little",
              "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for head in (LEGACY_MAGIC, LEGACY_VERSION, system):
        file.write(pickle.dumps(head, protocol))
    data = io.BytesIO()
    pickler_class(module)(data, protocol, persistent).dump(obj)
    file.write(data.getbuffer())
    keys = sorted(table.storages)
    file.write(pickle.dumps(keys, protocol))
    for key in keys:
        memory = memory_of(table.storages[key]._storage)
        file.write(struct.pack("<q", len(memory) // widths[key]))
        file.write(memoryview(memory))
