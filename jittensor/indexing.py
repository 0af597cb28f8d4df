"""Indexing: `x[...]` and `x[...] = value` with integers, slices, None, masks and index tensors."""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from . import views
from .autograd.modes import modes
from .bounds import value_range
from .graph import dtypes as dt
from .graph.node import spec_of
from .graph.ops import OPS
from .graph.shapes import broadcast_shapes, expand_strides, output_strides, wrap_dim
from .kernels import gather  # noqa: F401  (fills the table of opaque operators)
from .parts import extent, viewed
from .record import apply, cast, record_rule, rule_of, write
from .runtime import realize
from .tensor import Tensor, from_array


def getitem(x: Tensor, index) -> Tensor:
    """x[index]."""
    view = viewed(x, index)
    if view is not None:
        return view
    if type(index) is int:
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
    consumed, rest_named = 0, False
    for part in parts:
        if part is Ellipsis:
            rest_named = True
        elif part is not None and not isinstance(part, bool):
            consumed += part.ndim if _is_mask(part) else 1
    if consumed > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    if not rest_named:
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


def _whole(value) -> int | None:
    """An end of a slice as an int."""
    if isinstance(value, Tensor):
        return int(value.item())
    if value is None or hasattr(value, "__index__"):
        return value if value is None else value.__index__()
    raise TypeError("slice indices must be integers or None or have an __index__ method")


def _slice(view: Tensor, dim: int, part: slice) -> Tensor:
    size = view.spec.shape[dim]
    step = 1 if part.step is None else int(part.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step < 0:
        raise ValueError("step must be greater than zero")
    start, count, step = extent(slice(_whole(part.start), _whole(part.stop), step), size)
    if count == size and step == 1:
        return view
    return views.slice_dim(view, dim, start, start + count * step, step)


def _advanced(part, view: Tensor, dim: int) -> list[Tensor]:
    """Index tensors of one part: a mask becomes one for each of its dims."""
    if not isinstance(part, Tensor):
        if isinstance(part, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(part).__name__}'")
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
    if part.dtype not in (dt.int64, dt.int32):
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return [part]


def check_range(index: Tensor, size: int, dim: int, error=IndexError, *, wraps: bool = True,
                text: str = "index {bad} is out of bounds for dimension {dim} with size {size}"
                ) -> None:
    """An error when an index is not in -size..size - 1 (0..size - 1 unless it `wraps`); looks at
    the values now where their range is not known."""
    if not index.spec.numel:
        return
    if realize.capturing is not None:
        realize.capturing.checks.append((index, partial(
            check_range, size=size, dim=dim, error=error, wraps=wraps, text=text)))
    least = -size if wraps else 0
    bounds = value_range(index)
    if bounds is not None and least <= bounds[0] and bounds[1] < size:
        return
    values = index._array()
    low, high = int(values.min()), int(values.max())
    if low < least or high >= size:
        bad = low if low < least else high
        raise error(text.format(bad=bad, dim=dim, size=size))


def _joined(view: Tensor, advanced: list) -> tuple[Tensor, list[int], Tensor, tuple, int]:
    """(view with the indexed dims first as one, those dims, linear index, index shape, place)."""
    dims, shape, linear = _linear(view, advanced)
    rest = [d for d in range(view.ndim) if d not in dims]
    moved = _first(view, dims, rest)
    rest_shape = [view.shape[d] for d in rest]
    flat = moved if len(dims) == 1 else views.reshape(
        moved, prod(view.shape[d] for d in dims), *rest_shape)
    return flat, rest_shape, linear, shape, dims[0] if _adjacent(dims) else 0


def _adjacent(dims: list[int]) -> bool:
    return dims[-1] - dims[0] == len(dims) - 1


def _linear(view: Tensor, advanced: list) -> tuple[list[int], tuple, Tensor]:
    """(the indexed dims, their indices' common shape, a vector of places in those dims as one)."""
    sizes = view.spec.sizes
    dims = [d for d, t in enumerate(advanced) if t is not None]
    several = len(dims) > 1
    shape = (broadcast_indices([advanced[d] for d in dims]) if several
             else advanced[dims[0]].spec.sizes)
    for d in dims:
        check_range(advanced[d], sizes[d], d)
    linear = None
    for d in dims:
        index = advanced[d]
        index = index if index.spec.dtype is dt.int64 else index.to(dt.int64)
        if several:
            index = (index < 0).to(dt.int64) * sizes[d] + index
            index = index if linear is None else linear * sizes[d] + index
        linear = index
    linear = views.expand(linear, *shape) if linear.spec.sizes != shape else linear
    return dims, shape, linear if len(shape) == 1 else views.reshape(linear, -1)


def _first(view: Tensor, dims: list[int], rest: list[int]) -> Tensor:
    """The view with `dims` before the rest of its dims."""
    return view if dims[-1] == len(dims) - 1 else views.permute(view, [*dims, *rest])


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
    dims, shape, linear = _linear(view, advanced)
    if not _adjacent(dims):
        rest = [d for d in range(view.ndim) if d not in dims]
        view = views.permute(view, [*dims, *rest])
        advanced = [advanced[d] for d in (*dims, *rest)]
        dims = list(range(len(dims)))
    first, sizes = dims[0], view.spec.sizes
    before, after = sizes[:first], sizes[dims[-1] + 1:]
    flat = view if len(dims) == 1 else views.reshape(
        view, *before, prod(sizes[d] for d in dims), *after)
    out = select_rows(flat, first, linear)
    if len(shape) != 1:
        out = views.view(out, (*before, *shape, *after))
    strides = _taken_strides(view, dims, shape, advanced)
    if strides != out.spec.strides and out.spec.numel:
        out = cast(out, out.dtype, strides)
    if out._fn is not None:
        out._base = None
        out._fn.label = "IndexBackward0"
    return out


def _taken_strides(view: Tensor, dims: list[int], shape: tuple, advanced: list) -> tuple:
    """The strides that PyTorch gives to what the indices of adjacent dims pick: the order of the
    view's other dims, then of the indices', decides."""
    spec = view.spec
    key = ("taken", *[None if t is None else (t.spec.shape, t.spec.strides) for t in advanced])
    found = spec.views.get(key)
    if found is None:
        first, last = dims[0], dims[-1] + 1
        whole = (*spec.shape[:first], *shape, *spec.shape[last:])
        source = (*spec.strides[:first], *(0,) * len(shape), *spec.strides[last:])
        lead, rest = (0,) * first, (0,) * (len(spec.shape) - last)
        found = spec.views[key] = output_strides(whole, [(whole, source), *(
            (whole, (*lead, *expand_strides(advanced[d].spec.shape, advanced[d].spec.strides,
                                            shape), *rest)) for d in dims)], plain=False)
    return found


def index_select(input: Tensor, dim: int, index: Tensor, *, out=None) -> Tensor:
    """Rows of a dim picked by a 1-D (or 0-d) integer tensor."""
    from .functions import into
    must_be_index("index_select", index)
    d = wrap_dim(dim, input.ndim)
    if not input.ndim and index.numel() != 1:
        raise RuntimeError("index_select(): Index to scalar can have only 1 value, got "
                           f"{index.numel()} value(s)")
    if input.ndim and not input.shape[d] and index.numel():
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    check_range(index, input.shape[d] if input.ndim else 1, d, wraps=False,
                text="index out of range in self")
    if input.ndim:
        return into(out, select_rows(input, d, index))
    return into(out, views.view(select_rows(views.view(input, 1), 0, index), ()))


def must_be_index(name: str, index, title: str = "") -> None:
    """PyTorch's errors unless an index is a vector (or 0-d) of int64, or int32."""
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' (position 2) must be Tensor, not "
                        f"{type(index).__name__}")
    title = title or name
    if index.ndim > 1:
        raise IndexError(f"{title}(): Index is supposed to be a vector, but got dim: {index.ndim} "
                         f"with type: {_title(index)} and size: {list(index.shape)}")
    if index.dtype not in (dt.int64, dt.int32):
        raise RuntimeError(f"{title}(): Expected dtype int32/int64 for index but got: "
                           f"{_title(index)}")


def select_rows(input: Tensor, d: int, index: Tensor) -> Tensor:
    """Rows of dim d (not negative) named by an index that was checked; negative ones count from
    the end."""
    if index.spec.dtype is not dt.int64:
        index = index.to(dt.int64)
    if not input.spec.contiguous:
        input = input.contiguous()
    spec = input.spec
    rule = spec.views.get(("rows", d, index.spec))
    if rule is None:
        shape = (*spec.sizes[:d], index.numel(), *spec.sizes[d + 1:])
        rule = spec.views["rows", d, index.spec] = rule_of(
            "index_select", (input, index), (d,), (), lambda: spec_of(spec.dtype, shape))
    return record_rule(rule, (input, index))


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha=1,
              out=None) -> Tensor:
    """input with alpha * source added at the rows that `index` names, in their order."""
    from .functions import into
    d = wrap_dim(dim, input.ndim)
    must_be_index("index_add", index, "index_add_")
    if input.dtype is not source.dtype:
        raise RuntimeError(f"index_add_(): self ({_title(input)}) and source ({_title(source)}) "
                           "must have the same scalar type")
    if index.numel() != (source.shape[d] if source.ndim else 1):
        raise RuntimeError(
            f"index_add_(): Number of indices ({index.numel()}) should be equal to "
            f"source.size(dim): ({source.shape[d] if source.ndim else 1}), for dim: {d}")
    check_slices(input, source, d)
    if alpha != 1:
        source = (source * alpha).to(source.dtype)
    check_range(index, input.shape[d] if input.ndim else 1, d, RuntimeError, wraps=False)
    if not input.ndim:
        return into(out, views.view(add_rows(views.view(input, 1), 0, views.reshape(index, -1),
                                             views.reshape(source, -1)), ()))
    return into(out, add_rows(input, d, index, source))


def check_slices(input: Tensor, source: Tensor, d: int) -> None:
    """RuntimeError unless two tensors have the same sizes in all dims but d."""
    have, want = list(source.shape), list(input.shape)
    if have and want:
        del have[d:d + 1], want[d]
    if have != want:
        raise RuntimeError("source tensor shape must match self tensor shape, excluding the "
                           f"specified dimension. Got self.shape = {list(input.shape)} "
                           f"source.shape = {list(source.shape)}")


def add_rows(input: Tensor, d: int, index: Tensor, source: Tensor) -> Tensor:
    """`index_add` with operands that were checked; negative indices count from the end."""
    index = index if index.dtype is dt.int64 else index.to(dt.int64)
    return apply("index_add", (input.contiguous(), index, source.contiguous()), (d,),
                 spec=lambda: spec_of(input.dtype, input.shape))


def _title(x: Tensor) -> str:
    from .graph.ops import _scalar_name
    return _scalar_name(x.dtype)


# ── writing ───────────────────────────────────────────────────────────────────────────────────
def setitem(x: Tensor, index, value) -> None:
    """x[index] = value."""
    view, advanced = viewed(x, index), []
    if view is None:
        if _fills_mask(x, index, value):
            x.masked_fill_(views.view(index, *index.shape, *(1,) * (x.ndim - index.ndim))
                           if index.ndim < x.ndim else index, value)
            return
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


def _fills_mask(x: Tensor, index, value) -> bool:
    """Whether a number is put wherever a mask of x's leading dims is true, and no gradient asks
    how: then nobody needs to know the places."""
    return (isinstance(index, Tensor) and index.dtype is dt.bool_ and index.ndim > 0
            and index.shape == x.shape[:index.ndim] and index.spec.contiguous
            and isinstance(value, (int, float))
            and (x.dtype.is_floating_point or isinstance(value, int))
            and not (modes.grad and (x._leaf or x._fn is not None)))


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
    if len(shape) != 1:
        value = views.reshape(value, linear.numel(), *rest)
    dims = [d for d, t in enumerate(advanced) if t is not None]
    others = [d for d in range(view.ndim) if d not in dims]
    moved = _first(view, dims, others)
    result = add_rows(flat, 0, linear, value) if accumulate else copy_rows(flat, 0, linear, value)
    write(moved, OPS["cast"], views.view(result, *moved.shape) if moved.ndim != result.ndim
          else result)


def _result_shape(shape, rest, place: int) -> tuple:
    return (*rest[:place], *shape, *rest[place:])


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor, *, out=None) -> Tensor:
    """input with the rows that `index` names replaced by source's; later ones win."""
    from .functions import into
    d = wrap_dim(dim, input.ndim)
    _check_copy(input, d, index, source)
    check_range(index, input.shape[d] if input.ndim else 1, d, wraps=False,
                text="index_copy_(): index {bad} is out of bounds for dimension {dim} with size "
                     "{size}")
    a, s = (x if x.ndim else views.reshape(x, 1) for x in (input, source))
    if s.ndim < a.ndim:
        s = views.reshape(s, [1] * a.ndim)
    result = copy_rows(a, d, views.reshape(index, -1), s)
    return into(out, result if input.ndim else views.reshape(result, ()))


def _check_copy(input: Tensor, d: int, index: Tensor, source: Tensor) -> None:
    """PyTorch's errors of `index_copy`, but for the range of the index."""
    name = "index_copy_()"
    if index.ndim > 1:
        raise IndexError(f"{name}: Index should have dimension 1 or 0 (got {index.ndim})")
    count = index.numel()
    if not source.ndim and count != 1:
        raise IndexError(f"{name}: When source is scalar, index should have one element (got "
                         f"{count})")
    if source.ndim and input.ndim and source.ndim != input.ndim:
        raise IndexError(f"{name}: When source and destination are not scalars, their "
                         f"dimensionality must match. Source dimensionality ({source.ndim}), "
                         f"destination dimensionality ({input.ndim})")
    if index.dtype is not dt.int64:
        raise RuntimeError(f"{name}: Expected a long tensor for index, but got {_title(index)}")
    if input.dtype is not source.dtype:
        raise RuntimeError(f"{name}: self and source expected to have the same dtype, but got "
                           f"(self) {_title(input)} and (source) {_title(source)}")
    have, want = list(source.shape), list(input.shape)
    del have[d:d + 1], want[d:d + 1]
    if have != want:
        raise RuntimeError(f"{name}: Source/destination tensor must have same slice shapes. "
                           f"Destination slice shape: {want} at dimension {d} and source slice "
                           f"shape: {have} at dimension 0.")
    if source.ndim and count != source.shape[d]:
        raise IndexError(f"{name}: Number of indices ({count}) should be equal to "
                         f"source.size(dim) ({source.shape[d]})")


def copy_rows(input: Tensor, d: int, index: Tensor, source: Tensor) -> Tensor:
    """`index_copy` with operands that were checked; negative indices count from the end."""
    index = index if index.dtype is dt.int64 else index.to(dt.int64)
    return apply("index_copy", (input.contiguous(), index, source.contiguous()), (d,),
                 spec=lambda: spec_of(input.dtype, input.shape))
