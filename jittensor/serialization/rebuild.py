"""What PyTorch's files call to put tensors together: storages and numbers in, tensors out.

The names are those of PyTorch's file format; `names` maps them to these functions.
"""

from __future__ import annotations

import contextlib
import threading
import types
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..creation import from_numpy
from ..graph.dtypes import DType
from ..graph.node import spec_of
from ..graph.shapes import span
from ..nn.parameter import Parameter
from ..sparse.coo import SparseTensor, sparse_coo_tensor
from ..sparse.csr import CSRTensor, sparse_csr_tensor
from ..storage import TypedStorage, UntypedStorage
from ..tensor import Tensor, new_tensor, view_of

FUNCTIONS: dict[str, Any] = {}       # name in torch._utils -> function


def _named(function):
    FUNCTIONS[function.__name__] = function
    return function


def _view(storage: TypedStorage, offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor over a storage; RuntimeError where it would reach outside."""
    if not isinstance(storage, TypedStorage):
        raise RuntimeError("a tensor of the file names no storage but a "
                           f"{type(storage).__name__}")
    shape, strides = tuple(map(int, size)), tuple(map(int, stride))
    low, high = span(shape, strides) if all(shape) else (0, -1)
    if len(shape) != len(strides) or min(shape, default=0) < 0 or offset < 0 or (
            offset + low < 0 or offset + high >= storage.size()):
        raise RuntimeError(f"a tensor of the file with sizes {list(shape)}, strides "
                           f"{list(strides)} and offset {offset} is out of bounds for its storage "
                           f"of {storage.size()} elements")
    return new_tensor(storage.untyped()._storage, spec_of(storage.dtype, shape, strides), offset)


@_named
def _rebuild_tensor(storage: TypedStorage, storage_offset: int, size: Any, stride: Any) -> Tensor:
    return _view(storage, storage_offset, size, stride)


@_named
def _rebuild_tensor_v2(storage: TypedStorage, storage_offset: int, size: Any, stride: Any,
                       requires_grad: bool, backward_hooks: Any, metadata: Any = None) -> Tensor:
    out = _view(storage, storage_offset, size, stride)
    if metadata and metadata.get("conj"):
        out = out.conj().realize()
    if metadata and metadata.get("neg"):
        out = (-out).realize()
    out.requires_grad_(bool(requires_grad))
    return out


@_named
def _rebuild_tensor_v3(storage: Any, storage_offset: int, size: Any, stride: Any,
                       requires_grad: bool, backward_hooks: Any, dtype: DType,
                       metadata: Any = None) -> Tensor:
    typed = TypedStorage(wrap_storage=storage.untyped(), dtype=dtype)
    return _rebuild_tensor_v2(typed, storage_offset, size, stride, requires_grad, backward_hooks,
                              metadata)


@_named
def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: Any) -> Parameter:
    return Parameter(data, bool(requires_grad))


@_named
def _rebuild_parameter_with_state(data: Tensor, requires_grad: bool, backward_hooks: Any,
                                  state: Any) -> Parameter:
    return _with_state(Parameter(data, bool(requires_grad)), state)


def _with_state(obj: Any, state: Any) -> Any:
    """Sets an object's state: a dict of attributes, or a pair of that and slots."""
    for attributes in state if isinstance(state, tuple) else (state,):
        for name, value in (attributes or {}).items():
            if name.startswith("__"):
                raise RuntimeError(f"the file sets an attribute {name!r} of a tensor")
            setattr(obj, name, value)
    return obj


def _rebuild_from_type_v2(function: Any, new_type: type, args: tuple, state: Any) -> Any:
    out = function(*args)
    if type(out) is not new_type:
        leaf = out.requires_grad
        out = view_of(out, out.spec, out.offset, new_type)
        out._leaf = leaf
    if getattr(type(out), "__setstate__", None) is not None:
        out.__setstate__(state)
        return out
    return _with_state(out, state)


class _Later(threading.local):
    """Sparse tensors whose indices are not there yet: those of legacy files, where the bytes come
    after the pickle. They are checked and filled in by `complete_sparse`."""

    waiting: list | None = None


_later = _Later()


@_named
def _rebuild_sparse_tensor(layout: Any, data: tuple) -> Tensor:
    if _later.waiting is None:
        return _sparse(layout, data)
    kind = CSRTensor if str(layout) == "torch.sparse_csr" else SparseTensor
    out = object.__new__(kind)
    _later.waiting.append((out, layout, data))
    return out


def _sparse(layout: Any, data: tuple) -> Tensor:
    if str(layout) == "torch.sparse_coo":
        indices, values, size = data[:3]
        return sparse_coo_tensor(indices, values, size,
                                 is_coalesced=data[3] if len(data) > 3 else None)
    if str(layout) == "torch.sparse_csr":
        compressed, plain, values, size = data
        return sparse_csr_tensor(compressed, plain, values, size)
    raise NotImplementedError(f"rebuilding sparse tensor for layout {layout}")


@contextlib.contextmanager
def deferring_sparse() -> Iterator[None]:
    """Within the block sparse tensors are only noted; they are made at its end."""
    before, _later.waiting = _later.waiting, []
    try:
        yield
        for out, layout, data in _later.waiting:
            made = _sparse(layout, data)
            if type(made) is not type(out):
                raise RuntimeError(f"the file holds a sparse tensor of layout {layout}")
            for kind in type(made).__mro__:
                for name in getattr(kind, "__slots__", ()):
                    slot = vars(kind).get(name)
                    if isinstance(slot, types.MemberDescriptorType):
                        with contextlib.suppress(AttributeError):     # a slot without a value
                            slot.__set__(out, slot.__get__(made))
    finally:
        _later.waiting = before


@_named
def _rebuild_device_tensor_from_numpy(data: np.ndarray, dtype: DType, device: Any,
                                      requires_grad: bool) -> Tensor:
    return from_numpy(data).to(dtype=dtype).requires_grad_(requires_grad)


@_named
def _rebuild_device_tensor_from_cpu_tensor(data: Tensor, dtype: DType, device: Any,
                                           requires_grad: bool) -> Tensor:
    return data.to(dtype=dtype).requires_grad_(requires_grad)


def _unsupported(name: str, what: str) -> None:
    def function(*args: Any) -> Any:
        raise NotImplementedError(f"the file holds {what}, which jittensor does not have")

    function.__name__ = name
    FUNCTIONS[name] = function


_unsupported("_rebuild_qtensor", "a quantized tensor")
_unsupported("_rebuild_nested_tensor", "a nested tensor")
_unsupported("_rebuild_meta_tensor_no_storage", "a tensor on the meta device")
_unsupported("_rebuild_wrapper_subclass", "a wrapper subclass of Tensor")


def _get_layout(name: str) -> Any:
    """The layout of a name such as 'torch.strided'."""
    import jittensor
    found = getattr(jittensor, str(name).rpartition(".")[2], None)
    if not isinstance(found, jittensor.layout):
        raise RuntimeError(f"the file names a layout that is not known: {name!r}")
    return found


# ── taking apart ──────────────────────────────────────────────────────────────────────────────
def take_apart(x: Tensor) -> tuple:
    """(function, arguments) that rebuild a tensor; its storage stands among the arguments as a
    `TypedStorage`, which the pickler writes by its number."""
    if x.is_sparse or str(x.layout) == "torch.sparse_csr":
        return _rebuild_sparse_tensor, _sparse_parts(x)
    if isinstance(x, Parameter):
        data = new_tensor(x.storage, x.spec, x.offset)
        if type(x) is Parameter:
            if not x.__dict__:
                return _rebuild_parameter, (data, x.requires_grad, OrderedDict())
            return _rebuild_parameter_with_state, (data, x.requires_grad, OrderedDict(),
                                                   dict(x.__dict__))
    typed = TypedStorage(wrap_storage=UntypedStorage(x.storage), dtype=x.dtype)
    parts = (typed, x.offset, tuple(x.shape), tuple(x.stride()), x.requires_grad, OrderedDict())
    if type(x) is Tensor and not x.__dict__:
        return _rebuild_tensor_v2, parts
    return _rebuild_from_type_v2, (_rebuild_tensor_v2, type(x), parts, dict(x.__dict__))


class LayoutName(str):
    """A layout, to be written as a call of `torch.serialization._get_layout`."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: int) -> tuple:
        return _get_layout, (str(self),)


def _sparse_parts(x: Tensor) -> tuple:
    layout = str(x.layout)
    if layout == "torch.sparse_coo":
        data = (x._indices(), x._values().detach(), x.shape, x.is_coalesced())
    elif layout == "torch.sparse_csr":
        data = (x.crow_indices(), x.col_indices(), x.values().detach(), x.shape)
    else:
        raise NotImplementedError(f"sparse tensor __reduce_ex__ for layout `{layout}`")
    return LayoutName(layout), data
