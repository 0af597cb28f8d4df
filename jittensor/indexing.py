"""Indexing: `x[...]` and `x[...] = value` with integers, slices, None, masks and index tensors."""

from __future__ import annotations

import numpy as np

from . import views
from .bounds import value_range
from .graph import dtypes as dt
from .graph.node import spec_of
from .graph.ops import OPS
from .graph.shapes import broadcast_shapes
from .kernels import gather  # noqa: F401  (fills the table of opaque operators)
from .record import apply, cast, write
from .runtime import realize
from .tensor import Tensor, from_array


def getitem(x: Tensor, index) -> Tensor:
    """x[index]."""
    kind = type(index)
    if kind is int:
        if not x.ndim:
            raise IndexError("invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                             "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number")
        return _pick(x, 0, index)
    view, advanced = basic(x, index)
    if not advanced:
        return view
    return take(view, advanced)


def _pick(x: Tensor, dim: int, index: int) -> Tensor:
    size = x.spec.shape[dim]
    if not -size <= index < size:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {size}")
    return views.select(x, dim, index)


def basic(x: Tensor, index) -> tuple[Tensor, list]:
    """The view that the basic part of an index makes, and the advanced part: a list with a
    tensor (or None) for each dim of the view, empty when there is none."""
    parts = list(index) if isinstance(index, tuple) else [index]
    consumed = 0
    for part in parts:
        if part is None or part is Ellipsis or isinstance(part, bool):
            continue
        consumed += part.ndim if _is_mask(part) else 1
    if consumed > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    view, dim, advanced, any_advanced = x, 0, [], False
    for part in parts:
        if part is Ellipsis:
            rest = x.ndim - consumed
            dim += rest
            advanced += [None] * rest
        elif part is None:
            view = views.unsqueeze(view, dim)
            advanced.append(None)
            dim += 1
        elif isinstance(part, bool) or (
                isinstance(part, Tensor) and not part.ndim and part.dtype is dt.bool_):
            view = views.unsqueeze(view, dim)
            mask = from_array(np.zeros(1 if bool(part) else 0, np.int64))
            advanced.append(mask)
            any_advanced, dim = True, dim + 1
        elif isinstance(part, slice):
            view = _slice(view, dim, part)
            advanced.append(None)
            dim += 1
        elif isinstance(part, int) or _is_integer_scalar(part):
            view = _pick(view, dim, part.__index__())
        else:
            tensors = _advanced(part, view, dim)
            advanced += tensors
            any_advanced, dim = True, dim + len(tensors)
    if not any_advanced:
        return (view if view is not x else alias(x)), []
    return view, advanced


def alias(x: Tensor) -> Tensor:
    """A new view of the whole of x."""
    return views.make_view(x, x.spec, x.offset, "AliasBackward0", lambda g: g)


def _is_mask(part) -> bool:
    if isinstance(part, Tensor):
        return part.dtype in (dt.bool_, dt.uint8) and part.ndim > 0 or (
            part.dtype is dt.bool_)
    return isinstance(part, np.ndarray) and part.dtype == np.bool_


def _is_integer_scalar(part) -> bool:
    if isinstance(part, Tensor):
        return part.ndim == 0 and part.dtype.category == dt.INT and part.dtype is not dt.uint8
    return isinstance(part, np.integer) or (
        not isinstance(part, (list, tuple, np.ndarray, range)) and hasattr(part, "__index__"))


def _bound(value, default: int, size: int, low: int, high: int) -> int:
    if value is None:
        return default
    value = value.__index__() if not isinstance(value, Tensor) else int(value.item())
    if value < 0:
        value += size
    return max(low, min(value, high))


def _slice(view: Tensor, dim: int, part: slice) -> Tensor:
    size = view.spec.shape[dim]
    step = 1 if part.step is None else int(part.step)
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start = _bound(part.start, 0, size, 0, size)
    stop = max(_bound(part.stop, size, size, 0, size), start)
    if start == 0 and stop == size and step == 1:
        return view
    return views.slice_dim(view, dim, start, stop, step)


def _advanced(part, view: Tensor, dim: int) -> list[Tensor]:
    """Index tensors of one part: a mask becomes one for each of its dims."""
    if not isinstance(part, Tensor):
        if not isinstance(part, (list, tuple, range, np.ndarray)):
            raise IndexError("only integers, slices (`:`), ellipsis (`...`), None and long or byte "
                             "Variables are valid indices (got "
                             f"{type(part).__name__})")
        from .creation import tensor
        part = tensor(list(part) if isinstance(part, range) else part)
        if part.numel() == 0 and part.dtype.category == dt.FLOAT:
            part = part.to(dt.int64)
    if part.dtype in (dt.bool_, dt.uint8):
        if tuple(part.shape) != tuple(view.shape[dim:dim + part.ndim]):
            at = next(k for k in range(part.ndim) if part.shape[k] != view.shape[dim + k])
            raise IndexError(
                f"The shape of the mask {list(part.shape)} at index {at} does not match the shape "
                f"of the indexed tensor {list(view.shape)} at index {dim + at}")
        found = np.nonzero(part._array())
        return [from_array(np.ascontiguousarray(f)) for f in found]
    if part.dtype.category != dt.INT:
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return [part]


def check_range(index: Tensor, size: int, dim: int, message=None) -> None:
    """IndexError when an index is out of range; looks at the values now."""
    if not index.numel():
        return
    if realize.capturing is not None:
        realize.capturing.checks.append((index, lambda x: check_range(x, size, dim, message)))
    bounds = value_range(index)
    if bounds is not None and -size <= bounds[0] and bounds[1] < size:
        return
    values = index._array()
    low, high = int(values.min()), int(values.max())
    if low < -size or high >= size:
        bad = low if low < -size else high
        raise (message or IndexError)(
            f"index {bad} is out of bounds for dimension {dim} with size {size}")


def _joined(view: Tensor, advanced: list) -> tuple[Tensor, list[int], Tensor, tuple, int]:
    """(view with the indexed dims first as one, those dims, linear index, index shape, place)."""
    dims = [d for d, t in enumerate(advanced) if t is not None]
    shape = broadcast_indices([advanced[d] for d in dims])
    adjacent = dims == list(range(dims[0], dims[0] + len(dims)))
    place = dims[0] if adjacent else 0
    rest = [d for d in range(view.ndim) if d not in dims]
    for d in dims:
        check_range(advanced[d], view.shape[d], d)
    moved = views.permute(view, [*dims, *rest])
    linear = None
    for d in dims:
        size = view.shape[d]
        index = advanced[d]
        index = index if index.dtype is dt.int64 else index.to(dt.int64)
        if len(dims) > 1:
            index = (index < 0).to(dt.int64) * size + index
            linear = index if linear is None else linear * size + index
        else:
            linear = index
    linear = views.expand(linear, *shape) if tuple(linear.shape) != shape else linear
    sizes = [view.shape[d] for d in dims]
    count = 1
    for n in sizes:
        count *= n
    rest_shape = [view.shape[d] for d in rest]
    flat = views.reshape(moved, count, *rest_shape)
    return flat, rest_shape, views.reshape(linear, -1), shape, place


def broadcast_indices(tensors) -> tuple:
    """The common shape of index tensors; IndexError in PyTorch's words."""
    try:
        return broadcast_shapes(*[t.shape for t in tensors])
    except RuntimeError:
        shapes = ", ".join(str(list(t.shape)) for t in tensors)
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together with "
                         f"shapes {shapes}") from None


def take(view: Tensor, advanced: list) -> Tensor:
    """The advanced part of reading."""
    flat, rest, linear, shape, place = _joined(view, advanced)
    out = index_select(flat, 0, linear)
    out = views.view(out, *shape, *rest) if (shape or rest) else views.view(out, ())
    if place and rest:
        order = list(range(len(shape), len(shape) + place)) + list(range(len(shape))) + list(
            range(len(shape) + place, len(shape) + len(rest)))
        out = cast(views.permute(out, order), out.dtype, None).contiguous() if False else (
            views.permute(out, order))
    if out._fn is not None:
        out._base = None
        out._fn.label = "IndexBackward0"
    return out


def index_select(input: Tensor, dim: int, index: Tensor, *, out=None) -> Tensor:
    """Rows of a dim picked by a 1-D (or 0-d) integer tensor."""
    from .graph.shapes import wrap_dim
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype not in (dt.int64, dt.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index but got: "
                           f"{index.dtype}")
    d = wrap_dim(dim, input.ndim)
    if not input.ndim:
        return views.view(index_select(views.view(input, 1), 0, index), ())
    check_range(index, input.shape[d], d)
    if index.dtype is not dt.int64:
        index = index.to(dt.int64)
    if not input.spec.contiguous:
        input = input.contiguous()
    count = index.numel()
    shape = (*input.shape[:d], count, *input.shape[d + 1:])
    result = apply("index_select", (input, index), (d,), spec=lambda: spec_of(input.dtype, shape))
    from .functions import into
    return into(out, result)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha=1,
              out=None) -> Tensor:
    """input with alpha * source added at the rows that `index` names, in their order."""
    from .functions import into
    from .graph.shapes import wrap_dim
    d = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError("index_add_(): Index is supposed to be a vector, but got dim: "
                         f"{index.ndim} with type: {index.type()} and size: {list(index.shape)}")
    if input.dtype is not source.dtype:
        raise RuntimeError("index_add_(): self and source expected to have the same dtype, but got "
                           f"(self) {_title(input)} and (source) {_title(source)}")
    if index.numel() != (source.shape[d] if source.ndim else 1):
        raise RuntimeError(
            f"index_add_(): Number of indices ({index.numel()}) should be equal to "
            f"source.size(dim): ({source.shape[d] if source.ndim else 1}), for dim: {d}")
    if alpha != 1:
        source = source * alpha
    if not input.ndim:
        return into(out, views.view(index_add(views.view(input, 1), 0, views.reshape(index, -1),
                                              views.reshape(source, -1)), ()))
    check_range(index, input.shape[d], d)
    index = index if index.dtype is dt.int64 else index.to(dt.int64)
    want = (*input.shape[:d], index.numel(), *input.shape[d + 1:])
    if tuple(source.shape) != want:
        source = views.expand(source, *want)
    result = apply("index_add", (input.contiguous(), index, source.contiguous()), (d,),
                   spec=lambda: spec_of(input.dtype, input.shape))
    return into(out, result)


def _title(x: Tensor) -> str:
    from .graph.ops import _scalar_name
    return _scalar_name(x.dtype)


# ── writing ───────────────────────────────────────────────────────────────────────────────────
def setitem(x: Tensor, index, value) -> None:
    """x[index] = value."""
    view, advanced = basic(x, index)
    if not advanced:
        if isinstance(value, Tensor):
            if value.ndim > view.ndim:
                lead = value.shape[:value.ndim - view.ndim]
                if any(n != 1 for n in lead):
                    raise RuntimeError(
                        f"expand({value.type()}{{{list(value.shape)}}}, "
                        f"size={list(view.shape)}): the number of sizes provided ({view.ndim}) "
                        "must be greater or equal to the number of dimensions in the tensor "
                        f"({value.ndim})")
                value = views.reshape(value, value.shape[value.ndim - view.ndim:])
            view.copy_(value)
        else:
            _fill_view(view, value)
        return
    put(view, advanced, value)


def _fill_view(view: Tensor, value) -> None:
    if isinstance(value, np.ndarray):
        from .creation import tensor
        view.copy_(tensor(value))
    elif isinstance(value, (list, tuple)):
        raise TypeError(f"can't assign a {type(value).__name__} to a {view.type()}")
    else:
        view.fill_(value)


def put(view: Tensor, advanced: list, value, accumulate: bool = False) -> None:
    """The advanced part of writing."""
    from .creation import tensor
    if not isinstance(value, Tensor):
        value = tensor(value, dtype=view.dtype)
    if value.dtype is not view.dtype:
        if value.ndim == 0:
            value = value.to(view.dtype)
        else:
            raise RuntimeError("Index put requires the source and destination dtypes match, got "
                               f"{_title(view)} for the destination and {_title(value)} for the "
                               "source.")
    flat, rest, linear, shape, place = _joined(view, advanced)
    target = (*view.shape[:0], *_result_shape(shape, rest, place))
    try:
        value = views.expand(value, *target) if tuple(value.shape) != target else value
    except RuntimeError:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to "
            f"indexing result of shape {list(target)}") from None
    if place and rest:
        order = list(range(place, place + len(shape))) + list(range(place)) + list(
            range(place + len(shape), len(target)))
        value = views.permute(value, order)
    value = views.reshape(value, linear.numel(), *rest)
    dims = [d for d, t in enumerate(advanced) if t is not None]
    others = [d for d in range(view.ndim) if d not in dims]
    moved = views.permute(view, [*dims, *others])
    result = index_add(flat, 0, linear, value) if accumulate else index_copy(flat, 0, linear, value)
    write(moved, OPS["cast"], views.view(result, *moved.shape) if moved.ndim else result)


def _result_shape(shape, rest, place: int) -> tuple:
    return (*rest[:place], *shape, *rest[place:])


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor, *, out=None) -> Tensor:
    """input with the rows that `index` names replaced by source's; later ones win."""
    from .functions import into
    from .graph.shapes import wrap_dim
    d = wrap_dim(dim, input.ndim)
    check_range(index, input.shape[d] if input.ndim else 1, d)
    index = index if index.dtype is dt.int64 else index.to(dt.int64)
    shape = input.shape
    a = views.reshape(input, 1) if not input.ndim else input
    s = views.reshape(source, 1) if not source.ndim and a.ndim == 1 else source
    result = apply("index_copy", (a.contiguous(), views.reshape(index, -1), s.contiguous()), (d,),
                   spec=lambda: spec_of(a.dtype, a.shape))
    return into(out, views.reshape(result, *shape) if tuple(shape) != tuple(result.shape)
                else result)
