"""Conversions of tensors: dtypes, devices, copies, arrays and Python numbers out."""

from __future__ import annotations

import numpy as np

from ..autograd.modes import modes
from ..creation import from_numpy
from ..graph import dtypes as dt
from ..graph.arguments import dtype_of
from ..graph.dtypes import ALIASES, BY_NAME, DType
from ..graph.node import Storage
from ..graph.shapes import contiguous_strides
from ..record import cast
from ..runtime.realize import realize_all
from ..tensor import CPU, Tensor, check_device, new_tensor


def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False,
       memory_format=None) -> Tensor:
    """The tensor in another dtype or on another device; itself where nothing changes."""
    for a in args:
        if isinstance(a, (DType, type)):
            dtype = a
        elif isinstance(a, Tensor):
            dtype = a.dtype
        elif isinstance(a, (str, int, type(CPU))) and not isinstance(a, bool):
            device = a
    check_device(device)
    dtype = self.dtype if dtype is None else dtype_of(dtype, "to")
    if dtype is self.dtype and not copy:
        return self
    return cast(self, dtype)


def type_(self, dtype=None, non_blocking: bool = False, **kwargs):
    """The tensor's type as a string, or the tensor cast to a dtype."""
    if dtype is None:
        return "torch." + _CLASS_NAMES[self.dtype.name]
    if isinstance(dtype, str):
        found = _BY_CLASS.get(dtype.replace("torch.", ""))
        if found is None:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = found
    if isinstance(dtype, type):         # `torch.FloatTensor`, and `torch.Tensor`
        found = dt.Default.float_ if dtype is Tensor else getattr(dtype, "dtype", None)
        if not isinstance(found, DType):
            raise ValueError(f"invalid type: '{dtype.__name__}'")
        dtype = found
    return to(self, dtype)


_CLASS_NAMES = {"float32": "FloatTensor", "float64": "DoubleTensor", "float16": "HalfTensor",
                "bfloat16": "BFloat16Tensor", "uint8": "ByteTensor", "int8": "CharTensor",
                "int16": "ShortTensor", "int32": "IntTensor", "int64": "LongTensor",
                "bool": "BoolTensor", "complex64": "ComplexFloatTensor",
                "complex128": "ComplexDoubleTensor"}
_BY_CLASS = {name: BY_NAME[d] for d, name in _CLASS_NAMES.items()}


def contiguous(self, memory_format=None) -> Tensor:
    """The elements in row-major order: itself where they are already."""
    if self.spec.contiguous:
        return self
    return cast(self, self.dtype, contiguous_strides(self.spec.shape))


def clone(self, *, memory_format=None) -> Tensor:
    """A copy; dense strides are preserved."""
    return cast(self, self.dtype)


def detach(self) -> Tensor:
    """A view of the same storage, outside autograd."""
    out = new_tensor(self.storage, self.spec, self.offset)
    out._base = None
    return out


def detach_(self) -> Tensor:
    """Takes the tensor itself out of autograd."""
    self._fn, self._leaf = None, False
    return self


def cpu(self, memory_format=None) -> Tensor:
    """The tensor on the CPU (itself)."""
    return self


def cuda(self, device=None, non_blocking=False, memory_format=None) -> Tensor:
    """Raises: this build has no GPU."""
    check_device("cuda" if device is None else device)
    return self


def numpy(self, *, force: bool = False) -> np.ndarray:
    """The elements as an array over the same memory; RuntimeError where that would leave the
    graph of gradients."""
    if not force and modes.grad and (self._leaf or self._fn is not None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use "
                           "tensor.detach().numpy() instead.")
    if self.dtype is dt.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    realize_all()            # pending work may read this memory, which is open to change from now
    array = self._array()
    watch(self.storage, array)
    return array


def watch(storage: Storage, array: np.ndarray) -> None:
    """Marks a storage as seen from outside while the array (or a view of it) lives."""
    import weakref
    storage.bounds = None
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    if storage.external is None or not storage.external():
        storage.external = Watch(None)
    elif not isinstance(storage.external, Watch):
        storage.external = Watch(storage.external)
    storage.external.windows.append(weakref.ref(base.base if base.base is not None else base))


class Watch:
    """Says whether some array over a storage lives, or `before` says that memory is seen."""

    __slots__ = ("windows", "before")

    def __init__(self, before):
        self.windows: list = []
        self.before = before

    def __call__(self) -> bool:
        self.windows = [window for window in self.windows if window() is not None]
        return bool(self.windows) or self.before is not None and self.before()


def array_protocol(self, dtype=None, copy=None) -> np.ndarray:
    """`np.asarray(x)`."""
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return array.astype(dtype)
    return array.copy() if copy else array


def array_wrap(self, array: np.ndarray, context=None, return_scalar: bool = False) -> Tensor:
    """What NumPy's functions answer with when a tensor is among their operands: a tensor (uint8
    for truth values)."""
    array = np.asarray(array)
    return from_numpy(array.astype(np.uint8) if array.dtype == bool else array)


def item(self):
    """The one element as a Python number."""
    spec = self.spec
    if spec.numel != 1:
        raise RuntimeError(f"a Tensor with {spec.numel} elements cannot be converted to Scalar")
    if spec.dtype.cell is not None:
        return self._cell().value
    value = self._array().reshape(-1)[0]
    return value.item() if spec.dtype is not dt.bfloat16 else float(value)


def tolist(self):
    """The elements as nested lists of Python numbers."""
    if self.dtype is dt.bfloat16:
        return self._array().astype(np.float32).tolist()
    return self._array().tolist()


def share_memory_(self) -> Tensor:
    """Moves the tensor's memory to where other processes can map it; returns the tensor."""
    from ..multiprocessing.shared import share
    share(self.storage)
    return self


def is_shared(self) -> bool:
    """Whether other processes can map the tensor's memory."""
    return getattr(self.storage.block, "fd", None) is not None


CASTS = {"bool": dt.bool_, "bfloat16": dt.bfloat16, "byte": dt.uint8, "char": dt.int8,
         **{name: ALIASES[name] for name in ("half", "float", "double", "short", "int", "long",
                                             "cfloat", "cdouble")}}


def caster(dtype: DType):
    """The method that casts to a dtype: `float`, `long`, …"""
    def method(self, memory_format=None) -> Tensor:
        return to(self, dtype)

    return method


METHODS = {
    "to": to, "type": type_, "contiguous": contiguous, "clone": clone, "detach": detach,
    "detach_": detach_, "cpu": cpu, "cuda": cuda, "numpy": numpy, "__array__": array_protocol,
    "__array_wrap__": array_wrap,
    "item": item, "tolist": tolist, "type_as": lambda x, other: to(x, other.dtype),
    "get_device": lambda x: -1, "is_pinned": lambda x, device=None: False,
    "pin_memory": lambda x, device=None: x, "share_memory_": share_memory_,
    "is_shared": is_shared,
    **{name: caster(dtype) for name, dtype in CASTS.items()},
}
PROPERTIES = {
    **{"is_" + name: property(lambda x: False) for name in (
        "cuda", "sparse", "quantized", "mkldnn", "meta", "mps", "xpu", "nested", "xla", "ipu",
        "maia", "mtia")},
    "is_cpu": property(lambda x: True),
}
