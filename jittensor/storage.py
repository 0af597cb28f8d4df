"""Storages as PyTorch names them: a tensor's memory in, a handle on its bytes or elements out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .graph import dtypes as dt
from .graph.dtypes import DType
from .graph.node import Storage, spec_of
from .runtime import blocks
from .tensor import CPU, Tensor, device, new_tensor, realize_storage

__all__ = ["STORAGE_TYPES", "TypedStorage", "UntypedStorage", "memory_of"]


def memory_of(storage: Storage) -> np.ndarray:
    """The bytes of a storage: a uint8 array over its memory, which is filled first."""
    realize_storage(storage)
    return blocks.as_array(storage.block, 0, np.dtype(np.uint8), (storage.nbytes,), (1,))


class UntypedStorage:
    """The bytes that tensors are views of; two handles on the same memory are equal.

    >>> import jittensor as torch
    >>> torch.zeros(2).untyped_storage().nbytes()
    8
    """

    def __init__(self, size: int | Any = 0, *, device: Any = None):
        if isinstance(size, Storage):
            self._storage = size
            return
        values = None if isinstance(size, int) else bytes(size)
        nbytes = size if values is None else len(values)
        self._storage = Storage(blocks.take(nbytes), nbytes)
        if values:
            memory_of(self._storage)[...] = np.frombuffer(values, np.uint8)

    # ── what it is ────────────────────────────────────────────────────────────────────────────
    @property
    def device(self) -> device:
        """The device."""
        return CPU

    is_cuda = is_sparse = property(lambda self: False)

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._storage.nbytes

    def size(self) -> int:
        """The number of bytes."""
        return self._storage.nbytes

    def __len__(self) -> int:
        return self._storage.nbytes

    def element_size(self) -> int:
        """1."""
        return 1

    def data_ptr(self) -> int:
        """The address. The memory counts as seen from outside."""
        return self._vector(dt.uint8).data_ptr()

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return hash(id(self._storage))

    def get_device(self) -> int:
        """-1: the CPU."""
        return -1

    # ── its bytes ─────────────────────────────────────────────────────────────────────────────
    def _vector(self, dtype: DType) -> Tensor:
        """The whole storage as a 1-d tensor."""
        return new_tensor(self._storage, spec_of(dtype, (self.nbytes() // dtype.itemsize,)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return UntypedStorage(self._vector(dt.uint8)[index].clone().storage)
        return self._vector(dt.uint8)[index].item()

    def __setitem__(self, index: Any, value: int) -> None:
        self._vector(dt.uint8)[index] = value

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return memory_of(self._storage).tolist()

    def fill_(self, value: int) -> UntypedStorage:
        """Sets every byte."""
        self._vector(dt.uint8).fill_(value)
        return self

    def copy_(self, source: Any, non_blocking: bool = False) -> UntypedStorage:
        """Takes over the bytes of another storage of the same size."""
        other = source._untyped if isinstance(source, TypedStorage) else source
        self._vector(dt.uint8).copy_(other._vector(dt.uint8))
        return self

    def clone(self) -> UntypedStorage:
        """A copy."""
        return UntypedStorage(self._vector(dt.uint8).clone().storage)

    def resize_(self, size: int) -> None:
        """Grows or shrinks the memory; bytes that stay are kept."""
        old = memory_of(self._storage)
        block = blocks.take(size)
        kept = min(size, len(old))
        blocks.as_array(block, 0, np.dtype(np.uint8), (size,), (1,))[:kept] = old[:kept]
        self._storage.block, self._storage.nbytes = block, size

    def cpu(self) -> UntypedStorage:
        """Itself."""
        return self

    def is_shared(self) -> bool:
        """Whether other processes can map the memory."""
        return self._vector(dt.uint8).is_shared()

    def share_memory_(self) -> UntypedStorage:
        """Moves the bytes to memory that other processes can map."""
        self._vector(dt.uint8).share_memory_()
        return self

    def is_pinned(self, device: Any = None) -> bool:
        """False: there is no GPU to pin for."""
        return False

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def byteswap(self, dtype: DType) -> None:
        """Reverses the bytes of each element of a dtype, in place."""
        swap(memory_of(self._storage), dtype)

    def __repr__(self) -> str:
        lines = "\n".join(f" {byte}" for byte in self.tolist())
        return f"{lines}\n[torch.storage.UntypedStorage(device=cpu) of size {self.nbytes()}]"


def swap(memory: np.ndarray, dtype: DType) -> None:
    """Reverses the bytes of each number (of each part of a complex one) in a uint8 array."""
    width = dtype.to_real().itemsize
    if width > 1:
        memory.view(f"u{width}").byteswap(inplace=True)


class TypedStorage:
    """A storage read as elements of one dtype; what files call `FloatStorage`, `LongStorage`, …"""

    dtype: DType = dt.float32

    def __init__(self, *size: int, wrap_storage: UntypedStorage | None = None,
                 dtype: DType | None = None, device: Any = None, _internal: bool = False):
        self.dtype = dtype or type(self).dtype
        if wrap_storage is None:
            wrap_storage = UntypedStorage((size[0] if size else 0) * self.dtype.itemsize)
        self._untyped = wrap_storage

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped

    _untyped_storage = property(lambda self: self._untyped)
    device = property(lambda self: CPU)
    is_cuda = is_sparse = property(lambda self: False)

    def _vector(self) -> Tensor:
        return self._untyped._vector(self.dtype)

    def size(self) -> int:
        """The number of elements."""
        return self._untyped.nbytes() // self.dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._untyped.nbytes()

    def element_size(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """The address. The memory counts as seen from outside."""
        return self._untyped.data_ptr()

    def __getitem__(self, index: int) -> Any:
        return self._vector()[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._vector()[index] = value

    def __iter__(self) -> Iterator:
        return iter(self.tolist())

    def tolist(self) -> list:
        """The elements as Python numbers."""
        return self._vector().tolist()

    def fill_(self, value: Any) -> TypedStorage:
        """Sets every element."""
        self._vector().fill_(value)
        return self

    def copy_(self, source: TypedStorage, non_blocking: bool = False) -> TypedStorage:
        """Takes over the elements of another storage."""
        self._vector().copy_(source._vector())
        return self

    def clone(self) -> TypedStorage:
        """A copy."""
        return TypedStorage(wrap_storage=self._untyped.clone(), dtype=self.dtype)

    def cpu(self) -> TypedStorage:
        """Itself."""
        return self

    def resize_(self, size: int) -> None:
        """Another number of elements."""
        self._untyped.resize_(size * self.dtype.itemsize)

    def is_shared(self) -> bool:
        """Whether other processes can map the memory."""
        return self._untyped.is_shared()

    def share_memory_(self) -> TypedStorage:
        """Moves the elements to memory that other processes can map."""
        self._untyped.share_memory_()
        return self

    def pickle_storage_type(self) -> str:
        """The name of this dtype's storage in PyTorch's files."""
        return storage_type(self.dtype).__name__

    def type(self, dtype: Any = None) -> str:
        """`torch.FloatStorage`, …"""
        return "torch." + self.pickle_storage_type()

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, TypedStorage) and (self.dtype, self._untyped) == (
            other.dtype, other._untyped)

    def __hash__(self) -> int:
        return hash((self.dtype, self._untyped))

    def __repr__(self) -> str:
        lines = "\n".join(f" {value}" for value in self.tolist())
        return (f"{lines}\n[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size "
                f"{self.size()}]")


_PREFIXES = {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16",
             "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long",
             "bool": "Bool", "complex64": "ComplexFloat", "complex128": "ComplexDouble"}
STORAGE_TYPES: dict[str, type] = {}
for _name, _prefix in _PREFIXES.items():
    STORAGE_TYPES[_prefix + "Storage"] = type(
        _prefix + "Storage", (TypedStorage,),
        {"dtype": dt.BY_NAME[_name], "__module__": __name__,
         "__doc__": f"A storage of {_name} elements."})
globals().update(STORAGE_TYPES)


def storage_type(dtype: DType) -> type:
    """The class of a dtype's storages in PyTorch's files; TypeError for a dtype they lack."""
    prefix = _PREFIXES.get(dtype.name)
    if prefix is None:
        raise TypeError(f"PyTorch's files have no storage class for {dtype}")
    return STORAGE_TYPES[prefix + "Storage"]
