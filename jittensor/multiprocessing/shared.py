"""Tensors in, memory that several processes map out: sharing storages, and sending them.

Memory is a file without a name (its descriptor is what travels), so that nothing is left behind
whichever process dies first: the system frees it with the last descriptor and mapping.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from multiprocessing import reduction
from typing import Any

import numpy as np

from ..graph.node import Storage, spec_of
from ..nn.parameter import Parameter
from ..runtime import blocks
from ..runtime.realize import realize_all
from ..storage import memory_of
from ..tensor import Tensor, always, new_tensor

__all__ = ["anonymous_file", "is_shared", "map_file", "share"]

_POPULATE = getattr(mmap, "MAP_POPULATE", 0)


def anonymous_file(nbytes: int) -> int:
    """The descriptor of a new file without a name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("jittensor", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.truncate(fd, nbytes)
    return fd


def map_file(fd: int, nbytes: int, populate: bool = False) -> np.ndarray:
    """The bytes of a file as an array; what is written is seen by all who map it."""
    flags = mmap.MAP_SHARED | (_POPULATE if populate else 0)
    return np.frombuffer(mmap.mmap(fd, nbytes, flags), np.uint8)


class SharedBlock(blocks.Block):
    """A block that other processes can map; holds the descriptor of its file."""

    __slots__ = ("fd",)

    def __init__(self, fd: int, nbytes: int):
        memory = map_file(fd, nbytes)
        super().__init__(memory, memory.ctypes.data, nbytes, pooled=False)
        self.fd = fd
        weakref.finalize(self, os.close, fd)


def is_shared(storage: Storage) -> bool:
    """Whether other processes can map a storage."""
    return isinstance(storage.block, SharedBlock)


def share(storage: Storage) -> None:
    """Moves a storage to memory that other processes can map. From then on its reads and writes
    run at once: another process may change it at any time."""
    if is_shared(storage) or not storage.nbytes:
        return
    realize_all()
    values = memory_of(storage)
    block = SharedBlock(anonymous_file(storage.nbytes), storage.nbytes)
    block.array[...] = values
    storage.block, storage.external = block, always


# ── sending ───────────────────────────────────────────────────────────────────────────────────
_mapped: weakref.WeakValueDictionary = weakref.WeakValueDictionary()    # file -> its storage here


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _receive(handle: Any, nbytes: int) -> Storage:
    """The storage that a descriptor stands for: the same object each time it arrives."""
    if handle is None:
        return Storage(blocks.take(nbytes), nbytes)
    fd = handle.detach()
    key = _identity(fd)
    storage = _mapped.get(key)
    if storage is not None:
        os.close(fd)
        return storage
    storage = Storage(SharedBlock(fd, nbytes), nbytes)
    storage.external = always
    _mapped[key] = storage
    return storage


def _rebuild(kind: type, handle: Any, nbytes: int, dtype: Any, shape: tuple, strides: tuple,
             offset: int, requires_grad: bool, attributes: dict) -> Tensor:
    storage = _receive(handle, nbytes)
    out = new_tensor(storage, spec_of(dtype, shape, strides), offset, kind)
    out._leaf = requires_grad
    out.__dict__.update(attributes)
    return out


def reduce_tensor(x: Tensor) -> tuple:
    """How a tensor is taken apart for another process: its memory is shared, not copied.

    Raises:
        RuntimeError: the result of a differentiable operation: its history cannot be sent.
    """
    if x.requires_grad and not x.is_leaf:
        raise RuntimeError("Cowardly refusing to serialize non-leaf tensor which requires_grad, "
                           "since autograd does not support crossing process boundaries. If you "
                           "just want to transfer the data, call detach() on the tensor before "
                           "serializing (e.g., putting it on the queue).")
    storage = x.storage
    handle = None
    if storage.nbytes:
        share(storage)
        _mapped[_identity(storage.block.fd)] = storage     # comes back as itself
        handle = reduction.DupFd(storage.block.fd)
    return _rebuild, (type(x), handle, storage.nbytes, x.dtype, tuple(x.shape),
                      tuple(x.stride()), x.offset, x.requires_grad, dict(x.__dict__))


if hasattr(os, "fork"):                # elsewhere descriptors do not travel: values are copied
    for _kind in (Tensor, Parameter):
        reduction.ForkingPickler.register(_kind, reduce_tensor)
