"""Memory blocks: byte counts in, aligned blocks out, taken from and returned to a warm pool.

First-touch page faults cost more than arithmetic, so a freed block is kept for the next request
of its size class, up to a limit.
"""

from __future__ import annotations

import os

import numpy as np

ALIGN = 64


def _limit() -> int:
    try:
        return max(1 << 28, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)
    except (ValueError, OSError, AttributeError):
        return 1 << 30


LIMIT = _limit()
_free: dict[int, list] = {}
_held = 0


class Block:
    """A block of memory with its address; goes back to the pool when nobody holds it."""

    __slots__ = ("array", "address", "size", "pooled", "__weakref__")

    def __init__(self, array, address: int, size: int, pooled: bool = True):
        self.array, self.address, self.size, self.pooled = array, address, size, pooled

    def __del__(self):
        if self.pooled and _give is not None:      # None while the interpreter shuts down
            _give(self.size, self.array, self.address)


def _give(size: int, array, address: int) -> None:
    global _held
    if _held + size > LIMIT:
        return
    _held += size
    _free.setdefault(size, []).append((array, address))


def size_class(nbytes: int) -> int:
    """Bytes rounded up to a class: steps of 64 bytes, then an eighth of a power of two."""
    if nbytes <= 4096:
        return (nbytes + 63) & -64 or 64
    step = 1 << (nbytes.bit_length() - 4)
    return (nbytes + step - 1) & -step


def take(nbytes: int) -> Block:
    """A block of at least `nbytes` bytes, 64-byte aligned, contents undefined."""
    global _held
    size = size_class(nbytes)
    warm = _free.get(size)
    if warm:
        array, address = warm.pop()
        _held -= size
        return Block(array, address, size)
    try:
        array = np.empty(size + ALIGN, np.uint8)
    except MemoryError:
        release()
        try:
            array = np.empty(size + ALIGN, np.uint8)
        except MemoryError:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: "
                f"you tried to allocate {nbytes} bytes.") from None
    address = array.ctypes.data
    return Block(array, address + (-address) % ALIGN, size)


def foreign(array: np.ndarray) -> Block:
    """A block over memory that somebody else owns."""
    return Block(array, array.ctypes.data, array.nbytes, pooled=False)


def release() -> None:
    """Gives all warm memory back to the system."""
    global _held
    _free.clear()
    _held = 0


def held() -> int:
    """Bytes that wait in the pool."""
    return _held


def settle() -> None:
    """Waits for work in flight; `bind` puts its own function here."""


class Window:
    """Lets NumPy see a block; holds the block while the array lives."""

    __slots__ = ("__array_interface__", "block", "__weakref__")

    def __init__(self, block: Block, address: int, typestr: str, shape, strides):
        self.block = block
        self.__array_interface__ = {"data": (address, False), "typestr": typestr,
                                    "shape": tuple(shape), "strides": tuple(strides),
                                    "version": 3}


# what NumPy takes elements for while it makes an array; those that it does not know for words
_typestr: dict[np.dtype, str] = {}


def as_array(block: Block, offset: int, dtype: np.dtype, shape, strides) -> np.ndarray:
    """A NumPy array over a block; offset and strides in elements. Waits for work in flight."""
    settle()
    step = dtype.itemsize
    typestr = _typestr.get(dtype)
    if typestr is None:
        unknown = dtype.kind == "V" or dtype.name == "bfloat16"
        typestr = _typestr[dtype] = "<u2" if unknown else dtype.str
    array = np.asarray(Window(block, int(block.address + offset * step), typestr, shape,
                              [s * step for s in strides]))
    return array if array.dtype == dtype else array.view(dtype)
