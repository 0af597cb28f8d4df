"""Methods on a tensor's memory and parts: resizing, complex parts, sums to a shape."""

from __future__ import annotations

import numpy as np

from .. import creation, views
from .. import functions as F
from ..autograd.graph import attach_view
from ..autograd.modes import modes
from ..graph.node import Storage, spec_of
from ..graph.ops import OPS
from ..graph.shapes import Size
from ..record import elementwise as record
from ..record import reduce
from ..runtime import blocks
from ..tensor import Tensor, new_tensor, realize_storage


def resize_(self, *sizes, size=None, memory_format=None) -> Tensor:
    """Another shape over the same storage, which grows if it must."""
    shape = views.sizes_of(sizes, "size", size)
    spec = spec_of(self.dtype, shape)
    need = (spec.numel + self.offset) * spec.dtype.itemsize
    storage = self.storage
    if need > storage.nbytes:
        realize_storage(storage)
        block = blocks.take(need)
        old = blocks.as_array(storage.block, 0, np.dtype(np.uint8), (storage.nbytes,), (1,))
        blocks.as_array(block, 0, np.dtype(np.uint8), (storage.nbytes,), (1,))[...] = old
        storage.block, storage.nbytes, storage.bounds = block, need, None
    self.spec = spec
    return self


def set_(self, source=None, storage_offset=0, size=(), stride=()) -> Tensor:
    """The tensor becomes a view of another's storage."""
    if source is None:
        source = new_tensor(Storage(blocks.take(0), 0), spec_of(self.dtype, (0,)))
    spec, offset = source.spec, source.offset
    if len(size) or storage_offset:
        shape = views.sizes_of((size,))
        strides = views.sizes_of((stride,), "stride") if len(stride) else None
        if storage_offset < 0:
            raise RuntimeError(f"Tensor: invalid storage offset {storage_offset}")
        if any(n < 0 for n in (*shape, *(strides or ()))):
            raise RuntimeError(f"set_: sizes and strides must not be negative, got {list(shape)} "
                               f"and {strides}")
        spec, offset = spec_of(spec.dtype, shape, strides), int(storage_offset)
        reach = offset + sum((n - 1) * s for n, s in zip(spec.shape, spec.strides, strict=True))
        if spec.numel and (reach + 1) * spec.dtype.itemsize > source.storage.nbytes:
            raise RuntimeError(f"setStorage: sizes {list(shape)}, strides {list(spec.strides)}, "
                               f"storage offset {offset}, and itemsize {spec.dtype.itemsize} "
                               f"requiring a storage size of {(reach + 1) * spec.dtype.itemsize} "
                               f"are out of bounds for storage of size {source.storage.nbytes}")
    self.storage, self.spec, self.offset = source.storage, spec, offset
    return self


def sum_to_size(self, *sizes, size=None) -> Tensor:
    """Summed over the dims that broadcasting from `size` would add or repeat."""
    plain = len(sizes) == 1 and sizes[0].__class__ is Size
    shape = sizes[0] if plain else views.sizes_of(sizes, "size", size)
    have = self.spec.sizes
    if have == shape:
        return self if shape else F.sum(self)
    known = self.spec.views.get(("sum_to", shape))
    if known is None:
        known = self.spec.views["sum_to", shape] = _summed_dims(have, shape)
    dims, keepdim, extra = known
    out = reduce("sum", self, dims, keepdim) if dims else self
    if not extra or not keepdim:
        return out
    return views.reshape(out, *shape) if shape else views.view(out, ())


def _summed_dims(have: tuple, shape: tuple) -> tuple[tuple, bool, int]:
    """(the dims that a sum to a shape is over, whether they are kept at first, how many are
    gone in the end)."""
    extra = len(have) - len(shape)
    if extra < 0 or any(n != m and n != 1 for n, m in zip(shape, have[extra:], strict=False)):
        raise RuntimeError(f"size {{{list(shape)}}} is not expandable to size {{{list(have)}}}.")
    gone = tuple(range(extra))
    if extra and have[extra:] == shape:
        return gone, False, extra
    return gone + tuple(d + extra for d, n in enumerate(shape)
                        if n == 1 and have[d + extra] != 1), True, extra


def conj(self) -> Tensor:
    """The complex conjugate (a real tensor is itself)."""
    return record(OPS["_conj"], self) if self.dtype.is_complex else self


def _real_part(self, part: int) -> Tensor:
    spec = self.spec
    real = spec.dtype.to_real()
    want = spec_of(real, spec.shape, tuple(2 * s for s in spec.strides))
    self.realize()
    out = new_tensor(self.storage, want, 2 * self.offset + part)
    out._base = self if self._base is None else self._base
    if modes.grad and self.requires_grad:
        def back(g):
            zero = g.new_zeros(g.shape)
            z = F.complex(g, zero) if part == 0 else F.complex(zero, g)
            return z

        attach_view(out, self, "SelectBackward0", back)
    return out


def _real(self) -> Tensor:
    return _real_part(self, 0) if self.dtype.is_complex else self


def _imag(self) -> Tensor:
    if not self.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _real_part(self, 1)


def _adjoint(self) -> Tensor:
    out = views.transpose(self, -2, -1)
    return out.conj()


def _T(self) -> Tensor:  # noqa: N802
    return views.permute(self, list(range(self.ndim))[::-1])


def new_like(function):
    """A `new_...` method: a factory with this tensor's dtype by default."""
    def method(self, *args, dtype=None, **kwargs):
        return function(*args, dtype=dtype or self.dtype, **kwargs)

    return method


def untyped_storage(self):
    """The memory that the tensor is a view of, as an `UntypedStorage`."""
    from ..storage import UntypedStorage
    return UntypedStorage(self.storage)


METHODS = {
    "untyped_storage": untyped_storage, "resize_": resize_, "set_": set_,
    "sum_to_size": sum_to_size, "conj": conj,
    "resolve_conj": lambda x: x, "resolve_neg": lambda x: x, "is_conj": lambda x: False,
    "is_neg": lambda x: False, "adjoint": _adjoint,
    "expand_as": lambda x, other: views.expand(x, *other.shape),
    "view_as": lambda x, other: views.view(x, *other.shape),
    "reshape_as": lambda x, other: views.reshape(x, *other.shape),
    "is_set_to": lambda x, y: (
        x.storage is y.storage and x.spec is y.spec and x.offset == y.offset),
    **{"new_" + name: new_like(getattr(creation, name))
       for name in ("zeros", "ones", "full", "empty", "tensor")},
}
PROPERTIES = {
    "T": property(_T), "mT": property(lambda x: views.transpose(x, -2, -1)),
    "mH": property(_adjoint), "H": property(lambda x: _adjoint(x) if x.ndim == 2 else x.conj()),
    "real": property(_real), "imag": property(_imag),
}
