"""Objects in at one end of a pipe, out at the other; large arrays and tensors through memory.

What is large in a message travels as one file without a name whose descriptor is sent: the system
frees it with its last holder, whichever process is killed when.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
from multiprocessing import connection, reduction
from typing import Any

import numpy as np

from ...graph.node import Storage, spec_of
from ...nn.parameter import Parameter
from ...runtime import blocks
from ...storage import memory_of
from ...tensor import Tensor, new_tensor

__all__ = ["Channel"]

_INLINE = 1024         # a message with more bytes goes through a file; so the pipe never fills
_ALIGN = 64
_DESCRIPTORS = hasattr(os, "fork")
_MANY = 512            # parts of one write: systems take at most 1024


class _Pickler(reduction.ForkingPickler):
    """Takes tensors apart into their bytes, which go out of band."""

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if (kind is Tensor or kind is Parameter) and obj.device.type == "cpu":
            if obj._fn is not None:
                raise RuntimeError(
                    "a worker cannot send a tensor that is the result of a differentiable "
                    "operation: its history cannot be sent. Call detach() on it, or compute it "
                    "under torch.no_grad()")
            return _tensor, (kind, *_bytes_of(obj), obj.dtype, tuple(obj.shape), obj._leaf,
                             dict(obj.__dict__))
        return NotImplemented


def _bytes_of(x: Tensor) -> tuple:
    """(the bytes of a tensor, its strides, its offset): its storage as it is where the tensor has
    most of it, a copy where it is a small part of a large one."""
    storage = x.storage
    if 2 * x.nbytes < storage.nbytes:
        values = np.ascontiguousarray(x.detach()._array()).reshape(-1).view(np.uint8)
        return pickle.PickleBuffer(values), None, 0
    return pickle.PickleBuffer(memory_of(storage)), tuple(x.stride()), x.offset


def _tensor(kind: type, data: Any, strides: Any, offset: int, dtype: Any, shape: tuple,
            leaf: bool, attributes: dict) -> Tensor:
    values = np.frombuffer(data, np.uint8)
    if not values.flags.writeable:         # it came within the message
        values = values.copy()
    storage = Storage(blocks.foreign(values) if values.nbytes else blocks.take(0), values.nbytes)
    out = new_tensor(storage, spec_of(dtype, shape, strides), offset, kind)
    out._leaf = leaf
    out.__dict__.update(attributes)
    return out


class Channel:
    """One end of a pipe between two processes."""

    def __init__(self, pipe: connection.Connection):
        self.pipe = pipe

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self.pipe.fileno()

    def close(self) -> None:
        """Closes this end: the other one sees the end of the stream."""
        self.pipe.close()

    def poll(self, timeout: float) -> bool:
        """Whether something arrives (or the other end is closed) within so many seconds."""
        return self.pipe.poll(timeout)

    def send(self, obj: Any) -> None:
        """Sends an object.

        Raises:
            OSError: the other end is gone.
            Exception: what pickle raises for an object that cannot be sent; nothing is sent then.
        """
        head = io.BytesIO()
        buffers: list[pickle.PickleBuffer] = []
        _Pickler(head, 5, True, buffers.append).dump(obj)
        parts = [head.getbuffer(), *[buffer.raw() for buffer in buffers]]
        sizes = [len(part) for part in parts]
        table = struct.pack(f"<q{len(sizes)}q", len(sizes), *sizes)
        if not _DESCRIPTORS or sum(sizes) <= _INLINE and len(table) <= _INLINE:
            self.pipe.send_bytes(b"".join([b"i", table, *parts]))
            return
        fd = _file_of([table, *parts])
        try:
            self.pipe.send_bytes(b"f")
            reduction.send_handle(self.pipe, fd, None)
        finally:
            os.close(fd)

    def receive(self) -> Any:
        """The next object.

        Raises:
            EOFError, OSError: the other end is gone.
        """
        message = self.pipe.recv_bytes()
        if message[:1] == b"i":
            return _loaded(memoryview(message)[1:], 1)
        fd = reduction.recv_handle(self.pipe)
        try:
            from ...multiprocessing.shared import map_file
            whole = map_file(fd, os.fstat(fd).st_size, populate=True)
        finally:
            os.close(fd)
        return _loaded(memoryview(whole), _ALIGN)


def _file_of(parts: list) -> int:
    """A file with the parts one after another, each at a multiple of 64 bytes."""
    from ...multiprocessing.shared import anonymous_file
    padded: list = []
    for part in parts:
        padded += [part, bytes(-len(part) % _ALIGN)]
    fd = anonymous_file(0)
    try:
        pending = [memoryview(part) for part in padded if len(part)]
        while pending:
            done = os.writev(fd, pending[:_MANY])
            while pending and done >= len(pending[0]):
                done -= len(pending.pop(0))
            if done:
                pending[0] = pending[0][done:]
    except BaseException:
        os.close(fd)
        raise
    return fd


def _loaded(whole: memoryview, align: int) -> Any:
    """The object of a table of sizes and the parts behind it."""
    count = struct.unpack_from("<q", whole)[0]
    sizes = struct.unpack_from(f"<{count}q", whole, 8)
    start, parts = 8 + 8 * count, []
    start += -start % align
    for size in sizes:
        parts.append(whole[start:start + size])
        start += size + (-size % align)
    return pickle.loads(parts[0], buffers=parts[1:])
