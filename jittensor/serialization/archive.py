"""PyTorch's zip archives: named records in, a file out; a file in, its records out.

A record is stored as it is, its first byte at a multiple of 64 in the file, so that it can be
mapped into memory.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import IO, Any

import numpy as np

__all__ = ["ArchiveReader", "ArchiveWriter", "is_archive"]

_ALIGN = 64
_HEADER = 30                 # bytes of a zip's local header before its name
_LARGE = 1 << 30             # from here on sizes are written in the zip64 form: 20 bytes more
_ZIP64 = 20


class _Plain:
    """What `zipfile` needs of an object that can only be written to."""

    def __init__(self, file: Any):
        self._write = file.write

    def write(self, data: Any) -> int:
        """Writes all of it."""
        self._write(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here."""


class ArchiveWriter:
    """Writes an archive whose records are named `root/...`."""

    def __init__(self, file: Any, root: str):
        self.root = root
        if not hasattr(file, "seek") or not hasattr(file, "flush"):
            file = _Plain(file)
        try:
            self._start = file.tell()
        except (AttributeError, OSError):
            self._start = 0
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)

    def record(self, name: str, data: Any) -> None:
        """Adds a record: bytes, or an array of bytes."""
        data = memoryview(data).cast("B")
        info = zipfile.ZipInfo(f"{self.root}/{name}", (1980, 1, 1, 0, 0, 0))
        large = len(data) > _LARGE
        fixed = _HEADER + len(info.filename.encode()) + (_ZIP64 if large else 0) + 4
        padding = -(self._zip.fp.tell() - self._start + fixed) % _ALIGN
        info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        info.file_size = len(data)
        with self._zip.open(info, "w", force_zip64=large) as out:
            out.write(data)
        info.extra = b""                 # the directory does without the padding

    def close(self) -> None:
        """Writes the directory."""
        self._zip.close()


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is a zip."""
    return head[:4] == b"PK\x03\x04"


class ArchiveReader:
    """Reads the records of an archive by name.

    Raises:
        RuntimeError: a damaged or truncated zip.
    """

    def __init__(self, file: IO[bytes], title: str):
        self.file, self.title = file, title
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, EOFError, struct.error, ValueError) as error:
            raise RuntimeError(
                f"failed reading zip archive {title}: failed finding central directory: the file "
                f"begins as a zip but is damaged or truncated ({error})") from error
        infos = self._zip.infolist()
        pickles = [i.filename for i in infos if i.filename.endswith("/data.pkl")]
        self.root = min(pickles, key=len)[:-len("data.pkl")] if pickles else ""
        self._infos = {i.filename[len(self.root):]: i for i in infos
                       if i.filename.startswith(self.root)}

    def names(self) -> list[str]:
        """The names of the records, without the root."""
        return list(self._infos)

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def size(self, name: str) -> int:
        """Bytes of a record."""
        return self._info(name).file_size

    def _info(self, name: str) -> zipfile.ZipInfo:
        info = self._infos.get(name)
        if info is None:
            raise RuntimeError(f"failed locating file {name} in archive {self.title}")
        return info

    def read(self, name: str) -> bytes:
        """The bytes of a record."""
        try:
            return self._zip.read(self._info(name))
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise RuntimeError(f"failed reading file {name} in archive {self.title}: "
                               f"{error}") from error

    def read_into(self, name: str, memory: np.ndarray) -> None:
        """Fills a uint8 array with a record of its size; `verify` says whether it arrived well."""
        info = self._info(name)
        if info.file_size != memory.nbytes:
            raise RuntimeError(f"record {name} of archive {self.title} has {info.file_size} bytes, "
                               f"its tensor needs {memory.nbytes}")
        if info.compress_type != zipfile.ZIP_STORED:
            memory[...] = np.frombuffer(self.read(name), np.uint8)
            return
        self.file.seek(self.offset(name))
        view, done = memoryview(memory), 0
        if hasattr(self.file, "readinto"):
            while done < len(view):
                count = self.file.readinto(view[done:])
                if not count:
                    break
                done += count
        else:
            data = self.file.read(len(view))
            done = len(data)
            view[:done] = data
        if done < len(view):
            raise self._damaged(name)

    def verify(self, name: str, memory: np.ndarray) -> None:
        """RuntimeError unless the array has the record's checksum."""
        if zlib.crc32(memory) != self._info(name).CRC:
            raise self._damaged(name)

    def _damaged(self, name: str) -> RuntimeError:
        return RuntimeError(f"failed reading file {name} in archive {self.title}: the file is "
                            "damaged or truncated (checksums differ)")

    def offset(self, name: str) -> int:
        """Where a stored record begins in the file."""
        info = self._info(name)
        self.file.seek(info.header_offset)
        head = self.file.read(_HEADER)
        if len(head) < _HEADER or head[:4] != b"PK\x03\x04":
            raise RuntimeError(f"record {name} of archive {self.title} has no header")
        return info.header_offset + _HEADER + sum(struct.unpack("<HH", head[26:30]))

    def stored(self, name: str) -> bool:
        """Whether a record is not compressed."""
        return self._info(name).compress_type == zipfile.ZIP_STORED


def root_of(file: Any) -> str:
    """The name that PyTorch gives the folder of an archive: the file's, without its extension."""
    if isinstance(file, (str, os.PathLike)):
        return os.path.splitext(os.path.basename(os.fspath(file)))[0] or "archive"
    return "archive"


__all__ += ["root_of"]
