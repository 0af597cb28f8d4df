"""Methods and operators of Tensor: functions in, installed on the class."""

from __future__ import annotations

import numpy as np

from . import functions as F
from . import indexing, views
from .autograd import engine
from .autograd.graph import Handle, as_node, check_inplace, current, edge_of
from .autograd.modes import modes, no_grad
from .graph import dtypes as dt
from .graph.dtypes import ALIASES, BY_NAME, DType
from .graph.node import Storage, spec_of
from .graph.ops import ELEMENTWISE, OPS
from .graph.shapes import contiguous_strides, prod
from .record import cast, fill, make, sources, store, write, write_rule
from .record import elementwise as record
from .runtime import blocks
from .tensor import CPU, Tensor, check_device, device, new_tensor, realize_storage

NUMBERS = (bool, int, float, complex)


# ── operators ─────────────────────────────────────────────────────────────────────────────────
def _operator(name: str, function=None, swapped: bool = False):
    op = OPS[name]

    def operator(self, other):
        if not isinstance(other, Tensor) and type(other) not in NUMBERS:
            other = _other(other)
            if other is NotImplemented:
                return NotImplemented
        a, b = (other, self) if swapped else (self, other)
        return function(a, b) if function is not None else record(op, a, b)

    return operator


def _other(value):
    if isinstance(value, NUMBERS):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        from .creation import from_numpy
        return from_numpy(value)
    return NotImplemented


def _rpow(self, other):
    from .creation import tensor
    return F.pow(tensor(other, dtype=F.result_type(self, other)), self)


OPERATORS = {
    "__add__": _operator("add"), "__radd__": _operator("add"),
    "__sub__": _operator("sub", F.sub), "__rsub__": _operator("rsub", F.rsub),
    "__mul__": _operator("mul"), "__rmul__": _operator("mul"),
    "__truediv__": _operator("div"),
    "__rtruediv__": lambda a, b: F.mul(a.reciprocal(), b) if not isinstance(b, Tensor) else b / a,
    "__rdiv__": lambda a, b: F.mul(a.reciprocal(), b),
    "__floordiv__": _operator("floor_divide", F.floor_divide),
    "__rfloordiv__": _operator("floor_divide", F.floor_divide, True),
    "__mod__": _operator("remainder", F.remainder),
    "__rmod__": _operator("remainder", F.remainder, True),
    "__pow__": _operator("pow", F.pow), "__rpow__": _rpow,
    "__and__": _operator("bitwise_and"), "__rand__": _operator("bitwise_and"),
    "__or__": _operator("bitwise_or"), "__ror__": _operator("bitwise_or"),
    "__xor__": _operator("bitwise_xor"), "__rxor__": _operator("bitwise_xor"),
    "__lshift__": _operator("bitwise_left_shift"),
    "__rshift__": _operator("bitwise_right_shift"),
    "__rlshift__": _operator("bitwise_left_shift", swapped=True),
    "__rrshift__": _operator("bitwise_right_shift", swapped=True),
    "__lt__": _operator("lt"), "__le__": _operator("le"), "__gt__": _operator("gt"),
    "__ge__": _operator("ge"), "__eq__": _operator("eq"), "__ne__": _operator("ne"),
    "__neg__": lambda a: F.neg(a), "__pos__": lambda a: F.positive(a),
    "__abs__": lambda a: F.abs(a), "__invert__": lambda a: F.bitwise_not(a),
    "__matmul__": lambda a, b: F.matmul(a, b), "__rmatmul__": lambda a, b: F.matmul(b, a),
    "__getitem__": indexing.getitem, "__setitem__": indexing.setitem,
}
INPLACE = {"__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_",
           "__ifloordiv__": "floor_divide_", "__imod__": "remainder_", "__ipow__": "pow_",
           "__iand__": "bitwise_and_", "__ior__": "bitwise_or_", "__ixor__": "bitwise_xor_",
           "__ilshift__": "bitwise_left_shift_", "__irshift__": "bitwise_right_shift_"}


# ── in-place forms ────────────────────────────────────────────────────────────────────────────
def _inplace_row(op):
    args, defaults = op.args, op.defaults

    def method(self, *values, **named):
        values = [self, *values]
        for arg in args[len(values):]:
            if arg in named:
                values.append(named.pop(arg))
            elif arg in defaults:
                values.append(defaults[arg])
            else:
                raise TypeError(f"{op.name}_() missing 1 required positional argument: '{arg}'")
        checked = [F._operand(v, op, a) for v, a in zip(values, args, strict=True)]
        return write(self, op, *checked)

    method.__name__ = op.name + "_"
    return method


def _inplace_function(name: str):
    """`x.name_(...)` as x = name(x, ...), written back."""
    def method(self, *args, **named):
        check_inplace(self)
        function = getattr(F, name, None) or getattr(indexing, name)
        result = function(self, *args, **named)
        if result.shape != self.shape:
            raise RuntimeError(f"output with shape {list(self.shape)} doesn't match the broadcast "
                               f"shape {list(result.shape)}")
        from .record import _check_cast
        _check_cast(result.dtype, self.dtype)
        return write(self, OPS["cast"], result)

    method.__name__ = name + "_"
    return method


def add_(self, other, *, alpha=1) -> Tensor:
    """self += alpha * other."""
    other = F._operand(other, OPS["add"], "other")
    if alpha == 1:
        return write(self, OPS["add"], self, other)
    return write(self, OPS["add_scaled"], self, other, alpha)


def sub_(self, other, *, alpha=1) -> Tensor:
    """self -= alpha * other."""
    other = F._operand(other, OPS["sub"], "other")
    F._no_bool_minus(self, other)
    if alpha == 1:
        return write(self, OPS["sub"], self, other)
    return write(self, OPS["sub_scaled"], self, other, alpha)


def div_(self, other, *, rounding_mode=None) -> Tensor:
    """self /= other."""
    other = F._operand(other, OPS["div"], "other")
    if rounding_mode is None:
        return write(self, OPS["div"], self, other)
    return write(self, OPS["cast"], F.div(self, other, rounding_mode=rounding_mode))


def addcmul_(self, tensor1, tensor2, *, value=1) -> Tensor:
    """self += value * tensor1 * tensor2."""
    return write(self, OPS["addcmul"], self, tensor1, tensor2, value)


def addcdiv_(self, tensor1, tensor2, *, value=1) -> Tensor:
    """self += value * tensor1 / tensor2."""
    return write(self, OPS["addcdiv"], self, tensor1, tensor2, value)


def lerp_(self, end, weight) -> Tensor:
    """self += weight * (end - self)."""
    return write(self, OPS["lerp"], self, end, weight)


def clamp_(self, min=None, max=None) -> Tensor:
    """self limited to min..max."""
    if min is None or max is None:
        name, bound = ("clamp_max", max) if min is None else ("clamp_min", min)
        if bound is None:
            raise RuntimeError("torch.clamp_: At least one of 'min' or 'max' must not be None")
        return write(self, OPS[name], self, bound)
    return write(self, OPS["clamp"], self, min, max)


def masked_fill_(self, mask, value) -> Tensor:
    """self = value where the mask holds."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError("masked_fill_ only supports a 0-dimensional value tensor, but got "
                           f"tensor with {value.ndim} dimension(s).")
    return write(self, OPS["masked_fill"], self, mask, value)


def fill_(self, value) -> Tensor:
    """Every element becomes `value`."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError("fill_ only supports 0-dimension value tensor but got tensor with "
                               f"{value.ndim} dimensions.")
        return write(self, OPS["cast"], value)
    if not isinstance(value, NUMBERS):
        value = value.item()
    return write(self, OPS["fill"], value)


def zero_(self) -> Tensor:
    """Every element becomes 0."""
    return write(self, OPS["fill"], 0)


def copy_(self, src, non_blocking: bool = False) -> Tensor:
    """The elements of `src`, broadcast and cast."""
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not "
                        f"{type(src).__name__}")
    return write(self, OPS["cast"], src)


# ── dtype, device, copies ─────────────────────────────────────────────────────────────────────
def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False,
       memory_format=None) -> Tensor:
    """The tensor in another dtype or on another device; itself where nothing changes."""
    for a in args:
        if isinstance(a, DType):
            dtype = a
        elif isinstance(a, Tensor):
            dtype = a.dtype
        elif isinstance(a, (str, int, type(CPU))) and not isinstance(a, bool):
            device = a
    check_device(device)
    dtype = dtype or self.dtype
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
    dtype = getattr(dtype, "tensor_dtype", dtype)
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
    check_device("cuda")
    return self


def numpy(self, *, force: bool = False) -> np.ndarray:
    """The elements as an array over the same memory."""
    if not force and modes and (self._leaf or self._fn is not None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use "
                           "tensor.detach().numpy() instead.")
    if self.dtype is dt.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    array = self._array()
    storage = self.storage
    if storage.block.pooled:
        watch(storage, array)
    return array


def watch(storage: Storage, array: np.ndarray) -> None:
    """Marks a storage as seen from outside while the array (or a view of it) lives."""
    import weakref
    base = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    window = weakref.ref(base.base if base.base is not None else base)
    before = storage.external

    def seen() -> bool:
        return window() is not None or (before is not None and before())

    storage.external = seen


def array_protocol(self, dtype=None, copy=None) -> np.ndarray:
    """`np.asarray(x)`."""
    array = numpy(self)
    return array if dtype is None else array.astype(dtype, copy=False)


def item(self):
    """The one element as a Python number."""
    if self.spec.numel != 1:
        raise RuntimeError(f"a Tensor with {self.spec.numel} elements cannot be converted to "
                           "Scalar")
    return self._array().reshape(-1)[0].item() if self.dtype is not dt.bfloat16 else float(
        self._array().reshape(-1)[0])


def tolist(self):
    """The elements as nested lists of Python numbers."""
    if self.dtype is dt.bfloat16:
        return self._array().astype(np.float32).tolist()
    return self._array().tolist()


# ── Python protocols ──────────────────────────────────────────────────────────────────────────
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
    from .printing import tensor_str
    values = self.detach()._array()
    if self.dtype is dt.bfloat16:
        values = values.astype(np.float32)
    fn = self.grad_fn
    text = tensor_str(values, dtype_name=self.dtype.name,
                      requires_grad=self._leaf and fn is None,
                      grad_fn_name=None if fn is None else fn.name())
    if type(self).__name__ == "Parameter":
        return "Parameter containing:\n" + text
    return text


def _deepcopy(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    if self._fn is not None:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the "
                           "deepcopy protocol at the moment.")
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
    from .creation import from_data
    array = np.ascontiguousarray(self.detach()._array())
    return _rebuild, (type(self), array.view(np.uint16) if self.dtype is dt.bfloat16 else array,
                      self.dtype, self._leaf, dict(self.__dict__))


def _rebuild(cls, array, dtype, requires_grad, attributes):
    from .tensor import from_array
    plain = from_array(array.view(dtype.numpy) if dtype is dt.bfloat16 else array, dtype)
    out = new_tensor(plain.storage, plain.spec, 0, cls)
    out._leaf = requires_grad
    out.__dict__.update(attributes)
    return out


# ── autograd ──────────────────────────────────────────────────────────────────────────────────
def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None) -> None:
    """Gradients of this tensor accumulate in the leaves' `.grad`."""
    engine.backward(self, gradient, retain_graph, create_graph, inputs)


def requires_grad_(self, requires_grad: bool = True) -> Tensor:
    """Turns recording for this leaf on or off."""
    _set_requires_grad(self, requires_grad)
    return self


def _get_requires_grad(self) -> bool:
    return self._leaf or self._fn is not None


def _set_requires_grad(self, value: bool) -> None:
    if self._fn is not None:
        if not value:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach().")
        return
    if value and self.dtype.category < dt.FLOAT:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    self._leaf = bool(value)


def _get_grad(self):
    if self._grad is None and self._fn is not None and not getattr(self, "_retain", None):
        import warnings
        warnings.warn("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. "
                      "Its .grad attribute won't be populated during autograd.backward(). If you "
                      "indeed want the .grad field to be populated for a non-leaf Tensor, use "
                      ".retain_grad() on the non-leaf Tensor.", stacklevel=2)
    return self._grad


def _set_grad(self, value) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type "
                            f"{type(value).__name__}")
        if value.shape != self.shape:
            raise RuntimeError(f"assigned grad has data of a different size")
        if value.dtype is not self.dtype:
            raise RuntimeError(f"assigned grad has data of a different type")
    self._grad = value


def _grad_fn(self):
    return current(self) if self._fn is not None else None


def _is_leaf(self) -> bool:
    return self._fn is None


def _get_data(self) -> Tensor:
    out = new_tensor(self.storage, self.spec, self.offset)
    return out


def _set_data(self, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError("Variable data has to be a tensor, but got "
                        f"{type(value).__name__}")
    self.storage, self.spec, self.offset = value.storage, value.spec, value.offset


def register_hook(self, hook):
    """`hook(grad)` sees (and may replace) the gradient of this tensor."""
    if self._fn is None:
        if not self._leaf:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        hooks = getattr(self, "_hooks", None)
        if hooks is None:
            hooks = self._hooks = []
        return Handle(hooks, hook)
    _watch_node(self)
    return Handle(self._hooks, hook)


def _watch_node(self) -> None:
    if getattr(self, "_hooks", None) is not None:
        return
    self._hooks = []
    hooks, before = self._hooks, self._fn.retained
    number = getattr(self, "_output", 0)

    def seen(grads, accumulate):
        grads = before(grads, accumulate) if before is not None else list(grads)
        for hook in list(hooks):
            changed = hook(grads[number])
            if changed is not None:
                grads = list(grads)
                grads[number] = changed
        return grads

    self._fn.retained = seen


def retain_grad(self) -> None:
    """Keeps the gradient of a tensor that is no leaf in `.grad`."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self._fn is None or getattr(self, "_retain", False):
        return
    import weakref
    self._retain = True
    me = weakref.ref(self)

    def keep(grad):
        x = me()
        if x is not None:
            x._grad = grad if x._grad is None else x._grad + grad

    register_hook(self, keep)


def register_post_accumulate_grad_hook(self, hook):
    """`hook(tensor)` runs after the gradient of a leaf was accumulated."""
    if self._fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return Handle(self.__dict__.setdefault("_post_accumulate", []), hook)


# ── storage ───────────────────────────────────────────────────────────────────────────────────
def resize_(self, *sizes, memory_format=None) -> Tensor:
    """Another shape over the same storage, which grows if it must."""
    shape = views.sizes_of(sizes)
    spec = spec_of(self.dtype, shape)
    need = (spec.numel + self.offset) * spec.dtype.itemsize
    storage = self.storage
    if need > storage.nbytes:
        realize_storage(storage)
        block = blocks.take(need)
        old = blocks.as_array(storage.block, 0, np.dtype(np.uint8), (storage.nbytes,), (1,))
        blocks.as_array(block, 0, np.dtype(np.uint8), (storage.nbytes,), (1,))[...] = old
        storage.block, storage.nbytes = block, need
    self.spec = spec
    return self


def set_(self, source=None, storage_offset=0, size=(), stride=()) -> Tensor:
    """The tensor becomes a view of another's storage."""
    if source is None:
        source = new_tensor(Storage(blocks.take(0), 0), spec_of(self.dtype, (0,)))
    self.storage, self.spec, self.offset = source.storage, source.spec, source.offset
    return self


def sum_to_size(self, *size) -> Tensor:
    """Summed over the dims that broadcasting from `size` would add or repeat."""
    shape = views.sizes_of(size)
    have = self.spec.shape
    if have == shape:
        return self
    extra = len(have) - len(shape)
    if extra < 0 or any(n != m and n != 1 for n, m in zip(shape, have[extra:], strict=False)):
        raise RuntimeError(f"size {{{list(shape)}}} is not expandable to size {{{list(have)}}}.")
    dims = tuple(range(extra)) + tuple(
        d + extra for d, n in enumerate(shape) if n == 1 and have[d + extra] != 1)
    out = F.sum(self, dims, True) if dims else self
    return views.reshape(out, *shape) if extra and shape else (
        views.view(out, ()) if extra else out)


def conj(self) -> Tensor:
    """The complex conjugate (a real tensor is itself)."""
    return record(OPS["_conj"], self) if self.dtype.is_complex else self


def _real_part(self, part: int, label: str) -> Tensor:
    spec = self.spec
    real = spec.dtype.to_real()
    want = spec_of(real, spec.shape, tuple(2 * s for s in spec.strides))
    self.realize()
    out = new_tensor(self.storage, want, 2 * self.offset + part)
    out._base = self if self._base is None else self._base
    if modes.grad and self.requires_grad:
        from .autograd.graph import attach_view

        def back(g):
            z = F.complex(g, F.zeros_like(g)) if part == 0 else F.complex(F.zeros_like(g), g)
            return z

        attach_view(out, self, label, back)
    return out


def _real(self) -> Tensor:
    return _real_part(self, 0, "RealBackward0") if self.dtype.is_complex else self


def _imag(self) -> Tensor:
    if not self.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _real_part(self, 1, "ImagBackward0")


def _adjoint(self) -> Tensor:
    out = views.transpose(self, -2, -1)
    return out.conj()


def _T(self) -> Tensor:  # noqa: N802
    return views.permute(self, list(range(self.ndim))[::-1])


def _new(function):
    def method(self, *args, dtype=None, **kwargs):
        return function(*args, dtype=dtype or self.dtype, **kwargs)

    return method


PROPERTIES = {
    "requires_grad": property(_get_requires_grad, _set_requires_grad),
    "grad": property(_get_grad, _set_grad, lambda self: setattr(self, "_grad", None)),
    "grad_fn": property(_grad_fn), "is_leaf": property(_is_leaf),
    "data": property(_get_data, _set_data), "T": property(_T),
    "mT": property(lambda x: views.transpose(x, -2, -1)), "mH": property(_adjoint),
    "H": property(lambda x: _adjoint(x) if x.ndim == 2 else x.conj()),
    "real": property(_real), "imag": property(_imag),
    "is_cuda": property(lambda x: False), "is_sparse": property(lambda x: False),
    "is_quantized": property(lambda x: False), "is_mkldnn": property(lambda x: False),
    "is_meta": property(lambda x: False), "is_mps": property(lambda x: False),
    "is_xpu": property(lambda x: False), "is_nested": property(lambda x: False),
    "retains_grad": property(lambda x: bool(getattr(x, "_retain", False))),
    "output_nr": property(lambda x: getattr(x, "_output", 0)), "name": property(lambda x: None),
    "is_cpu": property(lambda x: True),
}
METHODS = {
    "add_": add_, "sub_": sub_, "subtract_": sub_, "div_": div_, "divide_": div_,
    "true_divide_": div_, "addcmul_": addcmul_, "addcdiv_": addcdiv_, "lerp_": lerp_,
    "clamp_": clamp_, "clip_": clamp_, "masked_fill_": masked_fill_, "fill_": fill_,
    "zero_": zero_, "copy_": copy_, "to": to, "type": type_, "contiguous": contiguous,
    "clone": clone, "detach": detach, "detach_": detach_, "cpu": cpu, "cuda": cuda,
    "numpy": numpy, "__array__": array_protocol, "item": item, "tolist": tolist,
    "__bool__": _bool, "__index__": _index, "__len__": _len, "__iter__": _iter,
    "__contains__": _contains, "__format__": _format, "__repr__": _repr, "__str__": _repr,
    "__deepcopy__": _deepcopy, "__reduce_ex__": _reduce, "backward": backward,
    "__float__": lambda x: float(item(x)), "__int__": lambda x: int(item(x)),
    "__complex__": lambda x: complex(item(x)),
    "requires_grad_": requires_grad_, "register_hook": register_hook, "retain_grad": retain_grad,
    "register_post_accumulate_grad_hook": register_post_accumulate_grad_hook,
    "resize_": resize_, "set_": set_, "sum_to_size": sum_to_size, "conj": conj,
    "resolve_conj": lambda x: x, "resolve_neg": lambda x: x, "is_conj": lambda x: False,
    "is_neg": lambda x: False, "adjoint": _adjoint,
    "expand_as": lambda x, other: views.expand(x, *other.shape),
    "view_as": lambda x, other: views.view(x, *other.shape),
    "reshape_as": lambda x, other: views.reshape(x, *other.shape),
    "type_as": lambda x, other: to(x, other.dtype),
    "get_device": lambda x: -1, "is_pinned": lambda x, device=None: False,
    "pin_memory": lambda x, device=None: x, "share_memory_": lambda x: x,
    "is_shared": lambda x: False, "is_set_to": lambda x, y: (
        x.storage is y.storage and x.spec is y.spec and x.offset == y.offset),
    "index_add": indexing.index_add, "index_copy": indexing.index_copy,
    "index_select": indexing.index_select,
    "_softmax_grad": lambda g, y, dim: F.apply("_softmax_grad", (g, y), (dim,),
                                               spec=lambda: spec_of(y.dtype, y.shape)),
    "_log_softmax_grad": lambda g, y, dim: F.apply("_log_softmax_grad", (g, y), (dim,),
                                                   spec=lambda: spec_of(y.dtype, y.shape)),
    "_layer_norm_grad": lambda g, inputs, dims, eps: F.apply(
        "_layer_norm_grad", inputs, (dims, eps),
        spec=lambda: spec_of(inputs[1].dtype, inputs[1].shape)),
    "_nll_loss_grad": lambda g, target, places, spec, reduction, ignore: F.apply(
        "_nll_loss_grad", (g, target, places), (reduction, ignore, spec.shape),
        spec=lambda: spec_of(spec.dtype, spec.shape)),
    "_nll_picked": lambda g, target, places, reduction, ignore: F._nll(
        g, target, places, reduction, ignore),
    "_layer_normed": lambda x, dims, eps: F.apply(
        "_layer_normed", (x,), (dims, eps), spec=lambda: spec_of(x.dtype, x.shape)),
}
NOT_METHODS = {"realize_all", "realize_step", "into", "from_row", "as_tensor", "zeros", "apply",
               "cast", "reduce", "write", "record", "check_divisor", "reduced_shape",
               "make_view", "sizes_of", "spec_of", "wrap_dim", "wrap_dims", "linear", "layer_norm",
               "matmul_2d", "broadcast_shapes", "contiguous_strides", "infer_size",
               "view_strides", "may_overlap_itself", "new_tensor", "attach_view"}
SELF_MADE = ("sub", "pow", "floor_divide", "remainder", "fmod", "round", "logit", "nan_to_num",
             "where", "square", "float_power", "elu", "index_add", "index_copy", "squeeze",
             "unsqueeze")


def install() -> None:
    """Puts methods, operators and properties on Tensor."""
    for name, value in vars(F).items():
        if callable(value) and not name.startswith("__") and name not in NOT_METHODS and (
                not isinstance(value, type)):
            setattr(Tensor, name, value)
    for op in list(OPS.values()):
        if op.kind == ELEMENTWISE:
            names = op.public or ((op.name,) if op.name.startswith("_") else ())
            for name in names:
                if op.name.startswith("_"):
                    setattr(Tensor, name, _private(op))
                if op.inplace and name.isidentifier():
                    setattr(Tensor, name + "_", _inplace_row(op))
    for name in SELF_MADE:
        if hasattr(F, name) or hasattr(indexing, name):
            setattr(Tensor, name + "_", _inplace_function(name))
    for name, value in {**OPERATORS, **METHODS, **PROPERTIES}.items():
        setattr(Tensor, name, value)
    for name, method in INPLACE.items():
        setattr(Tensor, name, getattr(Tensor, method))
    for name, dtype in {**BY_NAME, **ALIASES}.items():
        if name in ("bool", "half", "float", "double", "short", "int", "long", "bfloat16",
                    "cfloat", "cdouble"):
            setattr(Tensor, name, _caster(dtype))
    Tensor.byte, Tensor.char = _caster(dt.uint8), _caster(dt.int8)
    for name in ("zeros", "ones", "full", "empty", "tensor"):
        from . import creation
        setattr(Tensor, "new_" + name, _new(getattr(creation, name)))


def _caster(dtype: DType):
    def method(self, memory_format=None) -> Tensor:
        return to(self, dtype)

    return method


def _private(op):
    def method(*values):
        return record(op, *values)

    return method


install()
_ = (as_node, edge_of, fill, make, sources, store, write_rule, device, prod)
