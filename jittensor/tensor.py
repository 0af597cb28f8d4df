"""Tensor: a view (dtype, shape, strides, offset) on a Storage, and its place in autograd.

Operators are installed on the class by `methods`; this file holds what every tensor is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .config import config
from .graph import dtypes as dt
from .graph.node import UNTRACKED, Spec, Storage, spec_of
from .graph.shapes import Size, wrap_dim
from .runtime import blocks
from .runtime import realize as engine
from .runtime.realize import realize_all


class device:  # noqa: N801
    """A device: `device('cpu')`, `device('cuda:0')`, `device('cuda', 0)`."""

    __slots__ = ("type", "index")

    def __init__(self, name: Any = "cpu", index: int | None = None):
        if isinstance(name, device):
            name, index = name.type, name.index
        if isinstance(name, int):
            raise RuntimeError("Cannot access accelerator device when none is available.")
        if not isinstance(name, str):
            raise TypeError(f"device(): argument 'device' must be str, not {type(name).__name__}")
        kind, _, number = name.partition(":")
        if kind not in ("cpu", "cuda", "mps", "meta", "xpu"):
            raise RuntimeError(
                "Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, "
                "fpga, maia, xla, lazy, vulkan, mps, meta, hpu, mtia, privateuseone device type "
                f"at start of device string: {kind}")
        if number:
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{name}'")
            index = int(number)
        self.type, self.index = kind, index

    def __repr__(self) -> str:
        place = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{place})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __enter__(self):
        check_device(self)
        return self

    def __exit__(self, *exc) -> None:
        return None

    def __reduce__(self):
        return (device, (self.type, self.index))


CPU = device("cpu")


def check_device(where: Any) -> None:
    """Raises what PyTorch's CPU build raises for a device that is not here."""
    if where is None:
        return
    kind = (where if isinstance(where, device) else device(where)).type
    if kind == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled")
    if kind == "mps":
        raise RuntimeError("The MPS backend is not available: PyTorch is not linked with MPS")
    if kind != "cpu":
        raise RuntimeError(f"device '{kind}' is not available")


class Tensor:
    """A multi-dimensional array. Made by `tensor`, `zeros`, …; recorded operations run when a
    value is looked at, or by `realize()`."""

    __slots__ = ("storage", "spec", "offset", "_leaf", "_fn", "_output", "_grad", "_base",
                 "_seen", "_retain", "_hooks", "_post", "_views", "_forbid", "_free", "__dict__",
                 "__weakref__")

    __array_priority__ = 1000
    __hash__ = object.__hash__

    def __new__(cls, *args, **kwargs):
        from .creation import legacy_tensor
        return legacy_tensor(cls, *args, **kwargs)

    @staticmethod
    def _make_subclass(cls, data: Tensor, require_grad: bool = False):
        out = view_of(data, data.spec, data.offset, cls)
        out._leaf = bool(require_grad)
        return out

    # ── what it is ────────────────────────────────────────────────────────────────────────────
    @property
    def shape(self) -> Size:
        """The sizes, a `Size`."""
        return self.spec.shape

    @property
    def dtype(self) -> dt.DType:
        """The element type."""
        return self.spec.dtype

    @property
    def device(self):
        """The device."""
        return CPU

    @property
    def ndim(self) -> int:
        """The number of dims."""
        return self.spec.ndim

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.spec.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of the elements."""
        return self.spec.nbytes

    @property
    def _version(self) -> int:
        if self.storage.version is UNTRACKED:
            raise RuntimeError("Inference tensors do not track version counter.")
        free = getattr(self if self._base is None else self._base, "_free", None)
        return self.storage.version if free is None else free[0]

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode."""
        return self.storage.version is UNTRACKED

    def size(self, dim: int | None = None):
        """The sizes, or the size of one dim."""
        if dim is None:
            return self.spec.shape
        return self.spec.sizes[wrap_dim(dim, self.spec.ndim, scalar_ok=False)]

    def stride(self, dim: int | None = None):
        """The strides in elements, or the stride of one dim."""
        if dim is None:
            return self.spec.strides
        return self.spec.strides[wrap_dim(dim, self.spec.ndim, scalar_ok=False)]

    def dim(self) -> int:
        """The number of dims."""
        return self.spec.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self.spec.numel

    nelement = numel

    def element_size(self) -> int:
        """Bytes of an element."""
        return self.spec.dtype.itemsize

    def storage_offset(self) -> int:
        """The offset of the first element in its storage, in elements."""
        return self.offset

    def is_contiguous(self, memory_format=None) -> bool:
        """Whether the elements lie in row-major order without gaps."""
        if memory_format is not None and getattr(memory_format, "order", None) is not None:
            return memory_format.matches(self.spec)
        return self.spec.contiguous

    def is_floating_point(self) -> bool:
        """Whether the dtype is a real floating one."""
        return self.spec.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.spec.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype has negative values."""
        return self.spec.dtype.is_signed

    # ── running ───────────────────────────────────────────────────────────────────────────────
    def realize(self) -> Tensor:
        """Runs what is pending and waits for it; returns the tensor, whose value is there.

        >>> import jittensor as torch
        >>> (torch.ones(2) + 1).realize()
        tensor([2., 2.])
        """
        if self.storage.node is not None:
            realize_all()
        blocks.settle()
        return self

    def _array(self) -> np.ndarray:
        """The values as an array over the same memory; for the engine's own short looks. A step
        that is being captured cannot be replayed after one."""
        if engine.capturing is not None:
            engine.capturing.look(self)
        return self._memory()

    def _memory(self) -> np.ndarray:
        """The memory as an array, for a tensor that is being filled."""
        realize_storage(self.storage)
        spec = self.spec
        return blocks.as_array(self.storage.block, self.offset, spec.dtype.numpy, spec.shape,
                               spec.strides)

    def _cell(self) -> Any:
        """The first element as C's variable over the same memory, for the engine's own short looks
        (see `_array`); the dtype must have such a type."""
        if engine.capturing is not None:
            engine.capturing.look(self)
        storage, dtype = self.storage, self.spec.dtype
        if storage.node is not None or storage.block is None:
            realize_storage(storage)
        blocks.settle()
        return dtype.cell.from_address(storage.block.address + self.offset * dtype.itemsize)

    def data_ptr(self) -> int:
        """The address of the first element. The memory counts as seen from outside."""
        realize_all()
        realize_storage(self.storage)
        if self.spec.numel == 0:
            return 0
        self.storage.external = always
        blocks.settle()
        return self.storage.block.address + self.offset * self.spec.dtype.itemsize


def always() -> bool:
    """The memory is seen from outside from now on."""
    return True


def realize_storage(storage: Storage) -> None:
    """Fills a storage."""
    if storage.node is not None:
        realize_all()
    if storage.block is None:
        failed = getattr(storage, "error", None)
        if failed is not None:
            raise RuntimeError("the operations that would compute this tensor could not be "
                               f"compiled; the first was recorded at {failed[1]}") from failed[0]
        storage.block = blocks.take(storage.nbytes)


def new_tensor(storage: Storage, spec: Spec, offset: int = 0, cls: type = Tensor) -> Tensor:
    """A Tensor over a storage, outside autograd."""
    out = object.__new__(cls)
    out.storage, out.spec, out.offset = storage, spec, offset
    out._leaf = False
    out._fn = out._grad = out._base = None
    return out


def view_of(x: Tensor, spec: Spec, offset: int, cls: type = Tensor) -> Tensor:
    """Another view of x's storage, outside autograd."""
    return new_tensor(x.storage, spec, offset, cls)


def from_array(values: np.ndarray, dtype: dt.DType | None = None) -> Tensor:
    """A tensor that owns a copy of an array's values."""
    dtype = dtype or dt.from_numpy_dtype(values.dtype)
    out = empty_tensor(values.shape, dtype)
    if values.size:
        out._memory()[...] = values
    return out


def empty_tensor(shape, dtype: dt.DType, strides=None) -> Tensor:
    """A realized tensor with undefined values."""
    spec = spec_of(dtype, shape, strides)
    storage = Storage(blocks.take(spec.nbytes), spec.nbytes)
    return new_tensor(storage, spec)


def realize(*tensors: Tensor) -> None:
    """Runs what is pending for the given tensors (all that is pending if none is given) and waits
    until their values are there.

    >>> import jittensor as torch
    >>> a = torch.ones(3) * 2
    >>> torch.realize(a)
    """
    if not tensors or any(t.storage.node is not None for t in tensors):
        realize_all()
    blocks.settle()


__all__ = ["Tensor", "config", "device", "realize"]
