"""DLPack: tensors in, capsules over their memory out, and the other way; nothing is copied.

NumPy makes and reads the capsules. It has no bfloat16: such elements pass through it as uint16, and
the dtype in the capsule's DLTensor is put right
(https://dmlc.github.io/dlpack/latest/c_api.html).
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from typing import Any

import numpy as np

from ..creation import from_numpy
from ..graph import dtypes as dt
from ..graph.node import spec_of
from ..tensor import Tensor, new_tensor
from .conversion import numpy

UNSIGNED, BFLOAT = 1, 4           # codes of dtypes
_DTYPE = 20                       # where a DLTensor keeps its dtype's code: after its memory's
_VERSIONED = 32                   # address, device and rank; a versioned header is before it


class DLDeviceType(IntEnum):
    """Kinds of devices, as DLPack numbers them."""

    kDLCPU = 1  # noqa: N815


def _code(capsule: Any) -> ctypes.c_uint8:
    """The dtype's code in a capsule that nobody has consumed; RuntimeError for another one."""
    for name, start in ((b"dltensor_versioned", _VERSIONED), (b"dltensor", 0)):
        if ctypes.pythonapi.PyCapsule_IsValid(ctypes.py_object(capsule), name):
            get = ctypes.pythonapi.PyCapsule_GetPointer
            get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
            return ctypes.c_uint8.from_address(get(capsule, name) + start + _DTYPE)
    raise RuntimeError("from_dlpack received an invalid capsule. Note that DLTensor capsules can "
                       "be consumed only once, so you might have already constructed a tensor "
                       "from it once.")


def dlpack(self, *, stream=None, max_version: tuple[int, int] | None = None,
           dl_device: tuple[int, int] | None = None, copy: bool | None = None) -> Any:
    """A capsule over the tensor's memory (over a copy's with `copy=True`).

    Raises:
        BufferError: the tensor requires a gradient, or another device is asked for.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if dl_device is not None and tuple(map(int, dl_device)) != (1, 0):
        raise BufferError(f"__dlpack__(): the tensor is on the CPU, not on device {dl_device}")
    x = self.clone() if copy else self
    narrow = x.dtype is dt.bfloat16
    if narrow:
        x = new_tensor(x.storage, spec_of(dt.int16, x.spec.shape, x.spec.strides), x.offset)
    array = numpy(x)
    options = {} if max_version is None else {"max_version": tuple(max_version)}
    capsule = (array.view(np.uint16) if narrow else array).__dlpack__(**options)
    if narrow:
        _code(capsule).value = BFLOAT
    return capsule


def dlpack_device(self) -> tuple[DLDeviceType, int]:
    """(kind, number) of the device."""
    return DLDeviceType.kDLCPU, 0


class _Holder:
    """A capsule as an object that NumPy takes one from."""

    def __init__(self, capsule: Any):
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array (an object with `__dlpack__`, or a
    capsule): a change made through either is seen through both.

    Raises:
        RuntimeError: a capsule was consumed before, or the memory is not on the CPU.

    >>> import numpy as np, jittensor as torch
    >>> a = np.zeros(2)
    >>> x = torch.from_dlpack(a)
    >>> a[0] = 5
    >>> x
    tensor([5., 0.], dtype=torch.float64)
    """
    if hasattr(ext_tensor, "__dlpack__"):
        kind = ext_tensor.__dlpack_device__()
        if int(kind[0]) != 1:
            raise RuntimeError(f"from_dlpack(): memory on device {tuple(map(int, kind))} cannot be "
                               "read here, only the CPU's")
        try:
            capsule = ext_tensor.__dlpack__(max_version=(1, 0))
        except TypeError:                # a producer of before DLPack 1.0
            capsule = ext_tensor.__dlpack__()
    else:
        capsule = ext_tensor
    code = _code(capsule)
    narrow = code.value == BFLOAT
    if narrow:
        code.value = UNSIGNED
    array = np.from_dlpack(_Holder(capsule))
    out = from_numpy(array.view(np.int16) if narrow else array)
    if narrow:
        out = new_tensor(out.storage, spec_of(dt.bfloat16, out.spec.shape, out.spec.strides), 0)
    return out.clone() if copy else out


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule over a tensor's memory."""
    return dlpack(tensor)


METHODS = {"__dlpack__": dlpack, "__dlpack_device__": dlpack_device}
