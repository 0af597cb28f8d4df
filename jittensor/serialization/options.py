"""Settings of `load`: whether files are mapped, and the byte order of files that name none."""

from __future__ import annotations

import enum
import mmap
from typing import Any

__all__ = ["LoadEndianness", "get_default_load_endianness", "get_default_mmap_options",
           "set_default_load_endianness", "set_default_mmap_options"]

mmap_default = False
mmap_shared = False
MAP_PRIVATE, MAP_SHARED = getattr(mmap, "MAP_PRIVATE", 2), getattr(mmap, "MAP_SHARED", 1)


class LoadEndianness(enum.Enum):
    """A byte order."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


_endianness: LoadEndianness | None = None


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order of files that name none; None: little."""
    return _endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Sets the byte order of files that name none.

    Raises:
        TypeError: not a LoadEndianness.
    """
    global _endianness
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness: "
                        f"{type(endianness).__name__}")
    _endianness = endianness


def load_endianness() -> str:
    """'little' or 'big', for a file that names none."""
    import sys
    if _endianness is LoadEndianness.NATIVE:
        return sys.byteorder
    return "big" if _endianness is LoadEndianness.BIG else "little"


def get_default_mmap_options() -> int:
    """MAP_PRIVATE, or MAP_SHARED after `set_default_mmap_options`."""
    return MAP_SHARED if mmap_shared else MAP_PRIVATE


class set_default_mmap_options:  # noqa: N801
    """How `load(mmap=True)` maps files: MAP_PRIVATE (writes stay here) or MAP_SHARED (writes
    reach the file). Takes effect at once; as a context manager, until the block ends."""

    def __init__(self, flags: int):
        global mmap_shared
        if flags not in (MAP_PRIVATE, MAP_SHARED):
            raise ValueError("Invalid argument in function set_default_mmap_options, expected "
                             f"mmap.MAP_PRIVATE or mmap.MAP_SHARED, but got {flags}")
        self._before, mmap_shared = mmap_shared, flags == MAP_SHARED

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: Any) -> None:
        global mmap_shared
        mmap_shared = self._before
