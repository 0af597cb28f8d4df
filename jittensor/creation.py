"""Creation: sizes, numbers, lists and arrays in, tensors out."""

from __future__ import annotations

import math
import warnings
from ctypes import memmove
from typing import Any

import numpy as np

from .arguments import guard
from .graph import dtypes as dt
from .graph.dtypes import Default, DType
from .graph.node import Storage, spec_of
from .graph.ops import _scalar_name
from .graph.shapes import given_sizes, sizes_of
from .kernels.random_arithmetic import scale_and_shift32, scale_and_shift64
from .nested import read
from .numeric import check_fits
from .record import fill
from .runtime import blocks
from .tensor import Tensor, check_device, empty_tensor, from_array, new_tensor

__all__ = ["arange", "as_tensor", "asarray", "empty", "empty_like", "empty_strided", "eye",
           "frombuffer", "from_numpy", "full", "full_like", "linspace", "logspace", "ones",
           "ones_like", "range", "scalar_tensor", "tensor", "zeros", "zeros_like"]
_range = range      # a function below takes the builtin's name


def _finish(out: Tensor, requires_grad: bool) -> Tensor:
    if requires_grad:
        if out.dtype.category < dt.FLOAT:
            raise RuntimeError("Only Tensors of floating point and complex dtype can require "
                               "gradients")
        out.requires_grad_(True)
    return out


def resize_output(out: Tensor, shape) -> Tensor:
    """`out` with another shape; a UserWarning unless it has that shape already or is empty."""
    if out.shape == tuple(shape):
        return out
    if out.numel():
        warnings.warn(
            f"An output with one or more elements was resized since it had shape "
            f"{list(out.shape)}, which does not match the required output shape {list(shape)}. "
            "This is deprecated: resize it to zero elements first, with out.resize_(0).",
            stacklevel=4)
    return out.resize_(shape)


def filled_out(out: Tensor, result: Tensor, dtype: DType | None, warns: bool = True) -> Tensor:
    """`out` with a result written to it; RuntimeError where a dtype was asked for that it has
    not."""
    if dtype is not None and dtype is not out.dtype:
        raise RuntimeError(f"dtype {_scalar_name(dtype)} does not match dtype of out parameter "
                           f"({_scalar_name(out.dtype)})")
    return (resize_output(out, result.shape) if warns else out.resize_(result.shape)).copy_(result)


def _filled(shape, value, dtype: DType | None, device, requires_grad: bool, out=None) -> Tensor:
    check_device(device)
    if min(shape, default=0) < 0:
        bad = next(n for n in shape if n < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {bad}: {list(shape)}")
    if out is not None:
        if dtype is not None and dtype is not out.dtype:
            raise RuntimeError(f"dtype {_scalar_name(dtype)} does not match dtype of out parameter "
                               f"({_scalar_name(out.dtype)})")
        return out.resize_(shape).fill_(value)
    return _finish(fill(spec_of(dtype or Default.float_, shape), value), requires_grad)


def zeros(*sizes, size=None, out=None, dtype=None, layout=None, device=None, pin_memory=False,
          requires_grad=False) -> Tensor:
    """Zeros of a shape.

    >>> import jittensor as torch
    >>> torch.zeros(2, 2)
    tensor([[0., 0.],
            [0., 0.]])
    """
    return _filled(given_sizes(sizes, size), 0, dtype, device, requires_grad, out)


def ones(*sizes, size=None, out=None, dtype=None, layout=None, device=None, pin_memory=False,
         requires_grad=False) -> Tensor:
    """Ones of a shape."""
    return _filled(given_sizes(sizes, size), 1, dtype, device, requires_grad, out)


def full(size, fill_value, *, out=None, dtype=None, layout=None, device=None, pin_memory=False,
         requires_grad=False) -> Tensor:
    """One value in every place; its type gives the dtype."""
    if isinstance(fill_value, Tensor):
        if fill_value.ndim:
            raise TypeError("full(): argument 'fill_value' (position 2) must be Number, not Tensor")
        fill_value = fill_value.item()
    dtype = dtype or (out.dtype if out is not None else Default.of(type(fill_value)))
    check_fits(fill_value, dtype)
    return _filled(sizes_of((size,)), fill_value, dtype, device, requires_grad, out)


def empty(*sizes, size=None, out=None, dtype=None, layout=None, device=None, pin_memory=False,
          requires_grad=False, memory_format=None) -> Tensor:
    """Memory with undefined values."""
    check_device(device)
    size = given_sizes(sizes, size)
    if out is not None:
        return resize_output(out, size)
    if any(n < 0 for n in size):
        bad = next(n for n in size if n < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {bad}: {list(size)}")
    return _finish(empty_tensor(size, dtype or Default.float_), requires_grad)


def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False,
                  pin_memory=False) -> Tensor:
    """Memory with undefined values under given strides."""
    size, stride = sizes_of((size,)), sizes_of((stride,), "stride")
    reach = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    dtype = dtype or Default.float_
    spec = spec_of(dtype, size, stride)
    nbytes = reach * dtype.itemsize
    return _finish(new_tensor(Storage(blocks.take(nbytes), nbytes), spec), requires_grad)


def pending(shape, dtype: DType) -> Tensor:
    """A tensor whose memory is taken when it is first written; the engine's own use."""
    spec = spec_of(dtype, shape)
    return new_tensor(Storage(None, spec.nbytes), spec)


def _like(function):
    def like(input: Tensor, *, dtype=None, layout=None, device=None, requires_grad=False,
             memory_format=None) -> Tensor:
        check_device(device)
        spec = input.spec
        strides = spec.strides if spec.dense and spec.numel and min(
            spec.strides, default=1) > 0 else None
        want = spec_of(dtype or spec.dtype, spec.shape, strides)
        return _finish(function(want), requires_grad)

    return like


zeros_like = _like(lambda spec: fill(spec, 0))
ones_like = _like(lambda spec: fill(spec, 1))
empty_like = _like(lambda spec: empty_tensor(spec.shape, spec.dtype, spec.strides))


def full_like(input: Tensor, fill_value, *, dtype=None, **options) -> Tensor:
    """One value in every place, with the shape and dtype of `input`."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    check_fits(fill_value, dtype or input.dtype)
    return _like(lambda spec: fill(spec, fill_value))(input, dtype=dtype, **options)


# ── data ──────────────────────────────────────────────────────────────────────────────────────
def tensor(data: Any, *, dtype=None, device=None, requires_grad=False, pin_memory=False) -> Tensor:
    """A new tensor with a copy of numbers, nested lists, an array or a tensor.

    >>> import jittensor as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    check_device(device)
    if isinstance(data, Tensor):
        out = data.detach().clone()
        out = out.to(dtype) if dtype is not None else out
        return _finish(out, requires_grad)
    return _finish(from_data(data, dtype), requires_grad)


def from_data(data: Any, dtype: DType | None) -> Tensor:
    """A tensor of Python numbers, nested sequences or an array; ValueError when ragged."""
    kind = type(data)
    if kind is float and dtype is None or kind is int and 0 <= data < 0x80:
        dtype = dtype or Default.of(kind)
        if dtype.cell is not None:
            return _number_tensor(data, dtype)
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        have = dt.from_numpy_dtype(array.dtype)
        return from_array(array.astype((dtype or have).numpy), dtype or have)
    values, shape, dtype = read(data, dtype)
    if isinstance(values, np.ndarray):
        return from_array(values.reshape(shape), dtype)
    out = empty_tensor(shape, dtype)
    address, count = values.buffer_info()
    memmove(out.storage.block.address, address, out.spec.nbytes)
    if 0 < count <= FEW and dtype.category == dt.INT:
        out.storage.bounds = dtype, (min(values), max(values))
    return out


FEW = 64        # of so few numbers Python finds the least faster than NumPy


def _number_tensor(value: float, dtype: DType) -> Tensor:
    """A 0-d tensor of a number that fits a dtype whose elements C has a type for."""
    out = empty_tensor((), dtype)
    dtype.cell.from_address(out.storage.block.address).value = value
    if dtype.category == dt.INT:
        out.storage.bounds = dtype, (value, value)
    return out


def as_tensor(data: Any, dtype=None, device=None) -> Tensor:
    """The data as a tensor, sharing memory where possible."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None or dtype is data.dtype else data.to(dtype)
    if isinstance(data, np.ndarray):
        out = from_numpy(data)
        return out if dtype is None or dtype is out.dtype else out.to(dtype)
    return from_data(data, dtype)


asarray = as_tensor


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares an array's memory: a change made through either is seen through both.

    >>> import numpy as np, jittensor as torch
    >>> a = np.zeros(2)
    >>> x = torch.from_numpy(a)
    >>> a[0] = 5
    >>> x
    tensor([5., 0.], dtype=torch.float64)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    dtype = dt.from_numpy_dtype(array.dtype)
    step = dtype.itemsize
    if any(s < 0 for s in array.strides):
        raise ValueError("At least one stride in the given numpy array is negative, and tensors "
                         "with negative strides are not currently supported. (You can probably "
                         "work around this by making a copy of your array  with array.copy().)")
    if any(s % step for s in array.strides):
        raise ValueError("given numpy array strides not a multiple of the element byte size. "
                         "Copy the numpy array to reallocate the memory.")
    strides = tuple(s // step for s in array.strides)
    reach = 0 if array.size == 0 else 1 + sum(
        (n - 1) * s for n, s in zip(array.shape, strides, strict=True))
    storage = Storage(blocks.foreign(array), reach * step)
    storage.external = _watch(array)
    return new_tensor(storage, spec_of(dtype, array.shape, strides))


def frombuffer(buffer, *, dtype, count: int = -1, offset: int = 0,
               requires_grad: bool = False) -> Tensor:
    """A vector over the memory of an object with the buffer protocol, from a byte offset."""
    size = len(memoryview(buffer).cast("B"))
    if not size:
        raise ValueError("both buffer length (0) and count (-1) must not be 0")
    if not 0 <= offset < size:
        raise ValueError(f"offset ({offset} bytes) must be non-negative and no greater than buffer "
                         f"length ({size} bytes) minus 1")
    if count < 0 and (size - offset) % dtype.itemsize:
        raise ValueError(f"buffer length ({size - offset} bytes) after offset ({offset} bytes) "
                         f"must be a multiple of element size ({dtype.itemsize})")
    if count > 0 and offset + count * dtype.itemsize > size:
        raise ValueError(f"requested buffer length ({count} * {dtype.itemsize} bytes) after offset "
                         f"({offset} bytes) must not be greater than actual buffer length "
                         f"({size} bytes)")
    return _finish(from_numpy(np.frombuffer(buffer, dtype.numpy, count, offset)), requires_grad)


def _watch(array: np.ndarray):
    """Whether somebody besides the block still holds the array (or the memory behind it)."""
    import sys
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if owner is not array or owner.base is not None:
        from .tensor import always
        return always
    reference = [array]
    base = sys.getrefcount(array)
    del array, owner

    def held() -> bool:
        return sys.getrefcount(reference[0]) > 3

    del base
    return held


# ── ranges ────────────────────────────────────────────────────────────────────────────────────
def arange(start=None, end=None, step=1, *, out=None, dtype=None, layout=None, device=None,
           pin_memory=False, requires_grad=False) -> Tensor:
    """start, start + step, … below end."""
    check_device(device)
    if end is None:
        start, end = 0, start
    elif start is None:
        start = 0
    start, end, step = (_number(v, name, "arange") for v, name in (
        (start, "start"), (end, "end"), (step, "step")))
    given = dtype
    if dtype is None:
        floats = any(isinstance(v, float) for v in (start, end, step))
        dtype = out.dtype if out is not None else Default.float_ if floats else dt.int64
    _check_steps(start, end, step)
    if dtype is dt.int64:
        if int(step) == 0:
            raise ValueError("step must be nonzero")
        start, end, step = int(start), int(end), int(step)
    if dtype.category == dt.INT and all(isinstance(v, int) for v in (start, end, step)):
        values = np.arange(start, end, step)
    else:
        count = math.ceil((end - start) / step)
        values = start + np.arange(count) * (float(step) if dtype.category >= 2 else step)
    result = from_array(values.astype(dtype.numpy), dtype)
    if out is not None:
        return filled_out(out, result, given)
    return _finish(result, requires_grad)


def _number(value, name: str, function: str):
    """A bound as a Python number; TypeError for anything else."""
    if isinstance(value, Tensor) and value.numel() == 1 or isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bool, int, float)):
        return value
    if hasattr(value, "__index__") and not isinstance(value, Tensor):
        return value.__index__()
    raise TypeError(f"{function}(): argument '{name}' must be Number, not {type(value).__name__}")


def _check_steps(start, end, step) -> None:
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * (1 if step > 0 else -1) < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")


def range(start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None,
          pin_memory=False, requires_grad=False) -> Tensor:
    """start, start + step, … up to end, which is included where it is met (deprecated)."""
    warnings.warn("torch.range is deprecated and will be removed in a future release because its "
                  "behavior is inconsistent with Python's range builtin. Instead, use "
                  "torch.arange, which produces values in [start, end).", stacklevel=3)
    if end is None:
        start, end = 0, start
    start, end, step = (_number(v, name, "range") for v, name in (
        (start, "start"), (end, "end"), (step, "step")))
    _check_steps(start, end, step)
    given = dtype
    dtype = dtype or (Default.float_ if out is None else out.dtype)
    count = math.floor((end - start) / step) + 1
    values = (start + np.arange(count) * step).astype(dtype.numpy)
    result = from_array(values, dtype)
    if out is not None:
        return filled_out(out, result, given)
    return _finish(result, requires_grad)


def linspace(start, end, steps, *, out=None, dtype=None, layout=None, device=None,
             pin_memory=False, requires_grad=False) -> Tensor:
    """`steps` values evenly from start to end, both included."""
    check_device(device)
    start, end, steps = _ends("linspace", start, end, steps)
    complex_ = isinstance(start, complex) or isinstance(end, complex)
    given = dtype
    dtype = dtype or (out.dtype if out is not None else Default.float_.to_complex()
                      if complex_ else Default.float_)
    result = from_array(_spaced(start, end, steps, dtype), dtype)
    if out is not None:
        return filled_out(out, result, given, warns=False)
    return _finish(result, requires_grad)


def _ends(name: str, start, end, steps) -> tuple:
    """Start, end and the number of steps as Python numbers; PyTorch's errors."""
    for value, which in ((start, "start"), (end, "end")):
        if isinstance(value, Tensor) and value.ndim:
            raise RuntimeError(f"{name} only supports 0-dimensional start and end tensors, but "
                               f"got {which} with {value.ndim} dimension(s).")
        if not isinstance(value, (int, float, complex, Tensor)):
            raise TypeError(f"{name}() received an invalid combination of arguments: '{which}' "
                            f"must be Number, not {type(value).__name__}")
    if not hasattr(steps, "__index__"):
        raise TypeError(f"{name}() received an invalid combination of arguments: 'steps' must be "
                        f"int, not {type(steps).__name__}")
    if steps.__index__() < 0:
        raise RuntimeError("number of steps must be non-negative")
    return *(v.item() if isinstance(v, Tensor) else v for v in (start, end)), steps.__index__()


def _line(at: np.ndarray, by, base) -> np.ndarray:
    return base + by * at


# of linspace, whose products and sums of real numbers PyTorch rounds once
_FUSED = {np.float32: scale_and_shift32, np.float64: scale_and_shift64}


def _spaced(start, end, steps: int, dtype: DType, lines: dict = _FUSED) -> np.ndarray:
    """PyTorch's linspace: from both ends towards the middle, in the dtype's own arithmetic."""
    kind = dtype.compute.numpy
    i = np.arange(steps)
    if steps == 1:
        return np.array([start]).astype(dtype.numpy)
    if dtype.category == dt.INT:
        step = (float(end) - float(start)) / max(steps - 1, 1)
        up = np.trunc(start + step * i)
        down = np.trunc(end - step * (steps - 1 - i))
        return np.where(i < steps // 2, up, down).astype(dtype.numpy)
    first, last = kind.type(start), kind.type(end)
    step = (last - first) / kind.type(max(steps - 1, 1))
    line = lines.get(kind.type, _line)
    up, down = line(i.astype(kind), step, first), line((steps - 1 - i).astype(kind), -step, last)
    return np.where(i < steps // 2, up, down).astype(dtype.numpy)


def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, layout=None, device=None,
             pin_memory=False, requires_grad=False) -> Tensor:
    """base ** linspace(start, end, steps)."""
    check_device(device)
    start, end, steps = _ends("logspace", start, end, steps)
    base = base.item() if isinstance(base, Tensor) else base
    given = dtype
    dtype = dtype or (Default.float_ if out is None else out.dtype)
    if dtype.category == dt.INT:
        step = (float(end) - float(start)) / max(steps - 1, 1)
        values = np.power(float(base), float(start) + step * np.arange(steps)).astype(dtype.numpy)
    else:
        wide = _spaced(float(start), float(end), steps, dt.float64, {})
        values = np.power(base, wide).astype(dtype.numpy)
    result = from_array(values, dtype)
    if out is not None:
        return filled_out(out, result, given, warns=False)
    return _finish(result, requires_grad)


def eye(n: int, m: int | None = None, *, out=None, dtype=None, layout=None, device=None,
        pin_memory=False, requires_grad=False) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    check_device(device)
    for value, name in ((n, "n"), (m if m is not None else 0, "m")):
        if value < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {value}")
    given = dtype
    dtype = dtype or (Default.float_ if out is None else out.dtype)
    result = from_array(np.eye(n, m).astype(dtype.numpy), dtype)
    if out is not None:
        return filled_out(out, result, given, warns=False)
    return _finish(result, requires_grad)


def scalar_tensor(s, *, dtype=None, layout=None, device=None, requires_grad=False) -> Tensor:
    """A 0-d tensor of the default float dtype."""
    return _finish(from_data(s, dtype or Default.float_), requires_grad)


guard(globals(), __all__, __name__.rpartition(".")[0])


def legacy_tensor(cls, *args, **kwargs) -> Tensor:
    """`torch.Tensor(2, 3)`: uninitialised sizes; `torch.Tensor([1, 2])`: data as float32."""
    check_device(kwargs.get("device"))
    if len(args) == 1 and isinstance(args[0], Tensor):
        out = args[0].detach()
    elif len(args) == 1 and not isinstance(args[0], int):
        from .graph.shapes import Size
        out = (empty_tensor(tuple(args[0]), Default.float_) if isinstance(args[0], Size)
               else from_data(args[0], Default.float_))
    else:
        out = empty_tensor(sizes_of(args) if args else (0,), Default.float_)
    if cls is Tensor:
        return out
    return new_tensor(out.storage, out.spec, out.offset, cls)
