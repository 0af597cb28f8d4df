"""Python protocols: `bool`, `len`, `iter`, `repr`, copying and pickling of tensors."""

from __future__ import annotations

import numpy as np

from .. import functions as F
from ..autograd.modes import no_grad
from ..graph import dtypes as dt
from ..graph.node import Storage
from ..runtime import blocks
from ..tensor import Tensor, new_tensor, realize_storage
from .conversion import item
from .operators import NUMBERS


def _bool(self) -> bool:
    if self.spec.numel != 1:
        if self.spec.numel == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(item(self))


def _index(self) -> int:
    if self.spec.numel != 1 or self.dtype.category > dt.INT:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(item(self))


def _number(self):
    """The one element; ValueError where there is not one."""
    if self.spec.numel != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    return item(self)


def _len(self) -> int:
    if not self.ndim:
        raise TypeError("len() of a 0-d tensor")
    return self.spec.shape[0]


def _iter(self):
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(F.unbind(self, 0))


def _contains(self, element) -> bool:
    if isinstance(element, (Tensor, *NUMBERS)):
        return bool((self == element).any().item())
    raise RuntimeError("Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                       f"{type(element)}.")


def _format(self, spec: str) -> str:
    if self.ndim == 0 and type(self) is Tensor:
        return format(item(self), spec)
    return object.__format__(self, spec)


def _repr(self) -> str:
    from ..printing import tensor_str
    values = self.detach()._array()
    if self.dtype is dt.bfloat16:
        values = values.astype(np.float32)
    fn = self.grad_fn
    text = tensor_str(values, dtype_name=self.dtype.name, default_dtype=dt.Default.float_.name,
                      requires_grad=self._leaf and fn is None,
                      grad_fn_name=None if fn is None else fn.name())
    return text


def _deepcopy(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    if self._fn is not None:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the "
                           "deepcopy protocol at the moment.  If you were attempting to deepcopy a "
                           "module, this may be because of a torch.nn.utils.weight_norm usage, see "
                           "https://github.com/pytorch/pytorch/pull/103001")
    with no_grad():
        copied = new_tensor(_copied_storage(self.storage, memo), self.spec, self.offset,
                            type(self))
    copied._leaf = self._leaf
    memo[id(self)] = copied
    if self._grad is not None:
        copied._grad = _deepcopy(self._grad, memo)
    import copy
    copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return copied


def _copied_storage(storage: Storage, memo) -> Storage:
    if id(storage) not in memo:
        realize_storage(storage)
        block = blocks.take(storage.nbytes)
        source = blocks.as_array(storage.block, 0, np.dtype(np.uint8), (storage.nbytes,), (1,))
        blocks.as_array(block, 0, np.dtype(np.uint8), (storage.nbytes,), (1,))[...] = source
        memo[id(storage)] = Storage(block, storage.nbytes)
    return memo[id(storage)]


def _reduce(self, protocol):
    array = np.ascontiguousarray(self.detach()._array())
    return _rebuild, (type(self), array.view(np.uint16) if self.dtype is dt.bfloat16 else array,
                      self.dtype, self._leaf, dict(self.__dict__))


def _rebuild(cls, array, dtype, requires_grad, attributes):
    from ..tensor import from_array
    plain = from_array(array.view(dtype.numpy) if dtype is dt.bfloat16 else array, dtype)
    out = new_tensor(plain.storage, plain.spec, 0, cls)
    out._leaf = requires_grad
    out.__dict__.update(attributes)
    return out


METHODS = {
    "__bool__": _bool, "__index__": _index, "__len__": _len, "__iter__": _iter,
    "__contains__": _contains, "__format__": _format, "__repr__": _repr, "__str__": object.__str__,
    "__deepcopy__": _deepcopy, "__reduce_ex__": _reduce, "__float__": lambda x: float(_number(x)),
    "__int__": lambda x: int(_number(x)), "__complex__": lambda x: complex(_number(x)),
}
