"""Views: a tensor and a way of looking at it in, a tensor over the same storage out. No copies."""

from __future__ import annotations

from math import prod

from .autograd.graph import attach_view, remember_view
from .autograd.modes import modes, no_grad
from .graph import dtypes as dt
from .graph.arguments import dtype_of
from .graph.node import Spec, spec_of
from .graph.shapes import (
    contiguous_strides,
    infer_size,
    may_overlap_itself,
    sizes_of,
    view_strides,
    wrap_dim,
)
from .tensor import Tensor, new_tensor

_new = object.__new__


def make_view(x: Tensor, spec: Spec, offset: int, label: str, back) -> Tensor:
    """A view with autograd: `back(grad)` brings a gradient of the view into x's shape."""
    if not differentiable(x):
        return plain_view(x, spec, offset)
    out = new_tensor(x.storage, spec, offset)
    out._base = x if x._base is None else x._base
    attach_view(out, x, label, back)
    out._seen = x.storage.version
    return out


def differentiable(x: Tensor) -> bool:
    """Whether what is made of x now is recorded for backward."""
    return (x._leaf or x._fn is not None) and modes.grad


def plain_view(x: Tensor, spec: Spec, offset: int) -> Tensor:
    """A view of a tensor that is not differentiable now."""
    out = _new(Tensor)
    out.storage, out.spec, out.offset = x.storage, spec, offset
    out._leaf = False
    out._fn = out._grad = None
    out._base = x if x._base is None else x._base
    if not modes.grad:
        out._forbid = "no_grad"
    elif spec.dtype.category >= 2:
        remember_view(out)
    out._seen = x.storage.version
    return out


def _spec(x: Tensor, shape, strides) -> Spec:
    return spec_of(x.spec.dtype, tuple(shape), tuple(strides), x.spec.device)


# ── permutations ──────────────────────────────────────────────────────────────────────────────
def permute(input: Tensor, *order, dims=None) -> Tensor:
    """The dims in another order."""
    dims = sizes_of(order, "dims", dims)
    spec = input.spec
    if len(dims) != spec.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {spec.ndim} is not "
            f"equal to len(dims) = {len(dims)}")
    order = tuple(wrap_dim(d, spec.ndim) for d in dims)
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    out = _spec(input, [spec.shape[d] for d in order], [spec.strides[d] for d in order])
    back = [0] * len(order)
    for i, d in enumerate(order):
        back[d] = i
    return make_view(input, out, input.offset, "PermuteBackward0", lambda g: permute(g, back))


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dims exchanged.

    >>> import jittensor as torch
    >>> torch.zeros(2, 3).transpose(0, 1).stride()
    (1, 3)
    """
    spec = input.spec
    if type(dim0) is not int or type(dim1) is not int:      # 1.0 would be found as 1
        dim0, dim1 = wrap_dim(dim0, spec.ndim), wrap_dim(dim1, spec.ndim)
    key = ("transpose", dim0, dim1)
    out = spec.views.get(key)
    if out is None:
        a, b = wrap_dim(dim0, spec.ndim), wrap_dim(dim1, spec.ndim)
        shape, strides = list(spec.shape), list(spec.strides)
        if spec.ndim:
            shape[a], shape[b] = shape[b], shape[a]
            strides[a], strides[b] = strides[b], strides[a]
        out = spec.views[key] = _spec(input, shape, strides)
    return make_view(input, out, input.offset, "TransposeBackward0",
                     lambda g: transpose(g, dim0, dim1))


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix (0-d and 1-d tensors are themselves)."""
    if input.spec.ndim > 2:
        raise RuntimeError("t() expects a tensor with <= 2 dimensions, but self is "
                           f"{input.spec.ndim}D")
    if input.spec.ndim < 2:
        return make_view(input, input.spec, input.offset, "TBackward0", t)
    out = transpose(input, 0, 1)
    if out._fn is not None:
        out._fn.label = "TBackward0"
    return out


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """`transpose`."""
    return transpose(input, axis0, axis1)


swapdims = transpose


def adjoint(input: Tensor) -> Tensor:
    """The conjugate of matrices with rows and columns exchanged."""
    return transpose(input, -2, -1).conj()


def movedim(input: Tensor, source, destination) -> Tensor:
    """Dims moved to other places, the rest in order."""
    source = [source] if isinstance(source, int) else list(source)
    destination = [destination] if isinstance(destination, int) else list(destination)
    if len(source) != len(destination):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: source "
            f"({source} dims) should contain the same number of dims as destination "
            f"({destination} dims)")
    n = input.spec.ndim
    a, b = [wrap_dim(d, n) for d in source], [wrap_dim(d, n) for d in destination]
    if len(set(a)) != len(a) or len(set(b)) != len(b):
        raise RuntimeError("movedim: repeated dim in `source` or `destination`")
    rest = iter([d for d in range(n) if d not in a])
    place = dict(zip(b, a, strict=True))
    return permute(input, [place[d] if d in place else next(rest) for d in range(n)])


moveaxis = movedim


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────
def view(input: Tensor, *shape, size=None, dtype=None) -> Tensor:
    """The same elements under another shape; RuntimeError where the strides do not allow it.

    With a dtype instead of a shape, the same bytes read as another dtype.
    """
    if dtype is not None:
        return view_dtype(input, dtype_of(dtype, "view"))
    if size is not None:
        shape = sizes_of(shape, "size", size)
    if len(shape) == 1 and (isinstance(shape[0], dt.DType) or shape[0].__class__ is type):
        return view_dtype(input, dtype_of(shape[0], "view"))
    for part in shape:
        if type(part) is not int:          # 2.0 would be found as 2
            shape = sizes_of(shape, "size")
            break
    out = _shaped(input, shape)
    if out is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead.")
    return out


def _shaped(input: Tensor, sizes: tuple[int, ...]) -> Tensor | None:
    """The view of the same elements under another shape; None where the strides do not allow it."""
    spec = input.spec
    out = spec.views.get(("view", sizes))
    if out is None:
        shape = infer_size(sizes, spec.numel)
        strides = view_strides(spec.shape, spec.strides, shape)
        if strides is None:
            return None
        out = spec.views["view", sizes] = _spec(input, shape, strides)
    back = spec.shape
    return make_view(input, out, input.offset, "ViewBackward0", lambda g: reshape(g, back))


def view_dtype(input: Tensor, dtype) -> Tensor:
    """The same bytes as another dtype; the last dim grows or shrinks with the element size."""
    spec = input.spec
    have, want = spec.dtype.itemsize, dtype.itemsize
    shape, strides, offset = list(spec.shape), list(spec.strides), input.offset
    if have != want:
        if not shape:
            raise RuntimeError("self.dim() cannot be 0 to view "
                               f"{spec.dtype} as {dtype} (different element sizes)")
        if strides[-1] != 1:
            raise RuntimeError("self.stride(-1) must be 1 to view "
                               f"{spec.dtype} as {dtype} (different element sizes)")
        ratio = max(have, want) // min(have, want)
        if want > have:
            bad = [s for s in strides[:-1] if s % ratio]
            if shape[-1] % ratio or bad or offset % ratio:
                raise RuntimeError(
                    f"self.size(-1) must be divisible by {ratio} to view {spec.dtype} as {dtype} "
                    f"(different element sizes), but got {shape[-1]}")
            shape[-1] //= ratio
            strides = [s // ratio for s in strides[:-1]] + [1]
            offset //= ratio
        else:
            shape[-1] *= ratio
            strides = [s * ratio for s in strides[:-1]] + [1]
            offset *= ratio
    out = new_tensor(input.storage, spec_of(dtype, tuple(shape), tuple(strides)), offset)
    out._base = input if input._base is None else input._base
    if input.storage.node is not None:
        input.realize()         # bytes of another dtype are read from memory
    return out


def reshape(input: Tensor, *sizes, shape=None) -> Tensor:
    """The elements under another shape: a view where possible, else a copy."""
    if shape is not None:
        sizes = sizes_of(sizes, "shape", shape)
    for size in sizes:
        if type(size) is not int:
            sizes = sizes_of(sizes, "shape")
            break
    out = _shaped(input, sizes)
    if out is None:
        from .record import cast
        spec = input.spec
        out = _shaped(cast(input, spec.dtype, contiguous_strides(spec.shape)), sizes)
    return out


def expand(input: Tensor, *sizes, size=None, implicit: bool = False) -> Tensor:
    """Dims of size 1 repeated without a copy; -1 keeps a size."""
    sizes = sizes_of(sizes, "size", size)
    spec = input.spec
    out = spec.views.get(("expand", sizes))
    if out is None:
        out = spec.views["expand", sizes] = _expanded(input, sizes)
    back = spec.shape
    return make_view(input, out, input.offset, "ExpandBackward0", lambda g: g.sum_to_size(back))


def _expanded(input: Tensor, sizes: tuple[int, ...]) -> Spec:
    """The spec of `expand`; PyTorch's errors."""
    spec = input.spec
    extra = len(sizes) - spec.ndim
    if extra < 0:
        raise RuntimeError(
            f"expand({input.type()}{{{list(spec.shape)}}}, size={list(sizes)}): the number of "
            f"sizes provided ({len(sizes)}) must be greater or equal to the number of dimensions "
            f"in the tensor ({spec.ndim})")
    shape, strides = [], []
    for i, size in enumerate(sizes):
        have = spec.shape[i - extra] if i >= extra else 1
        step = spec.strides[i - extra] if i >= extra else 0
        if size == -1:
            if i < extra:
                raise RuntimeError(
                    f"The expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {i}")
            size = have
        if have != size:
            if have != 1:
                raise RuntimeError(
                    f"The expanded size of the tensor ({size}) must match the existing size "
                    f"({have}) at non-singleton dimension {i}.  Target sizes: {list(sizes)}.  "
                    f"Tensor sizes: {list(spec.shape)}")
            step = 0
        shape.append(size)
        strides.append(step)
    return _spec(input, shape, strides)


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A dim of size 1 put in."""
    spec = input.spec
    at = wrap_dim(dim, spec.ndim + 1)
    out = spec.views.get(("unsqueeze", at))
    if out is None:
        step = spec.shape[at] * spec.strides[at] if at < spec.ndim else 1
        shape, strides = list(spec.shape), list(spec.strides)
        shape.insert(at, 1)
        strides.insert(at, step)
        out = spec.views["unsqueeze", at] = _spec(input, shape, strides)
    return make_view(input, out, input.offset, "UnsqueezeBackward0", lambda g: squeeze(g, at))


def squeeze(input: Tensor, dim=None) -> Tensor:
    """Dims of size 1 taken out."""
    spec = input.spec
    key = ("squeeze", dim if dim is None or dim.__class__ is int else tuple(
        [wrap_dim(d, spec.ndim) for d in ((dim,) if isinstance(dim, int) else dim)]))
    out = spec.views.get(key)
    if out is None:
        out = spec.views[key] = _squeezed(input, key[1])
    back = spec.shape
    label = "SqueezeBackward0" if dim is None else "SqueezeBackward1"
    return make_view(input, out, input.offset, label, lambda g: reshape(g, back))


def _squeezed(input: Tensor, dims: int | tuple[int, ...] | None) -> Spec:
    """The spec of `squeeze`."""
    spec = input.spec
    if dims is None:
        gone = [d for d in range(spec.ndim) if spec.shape[d] == 1]
    else:
        gone = [d for d in (wrap_dim(d, spec.ndim) for d in (
            (dims,) if isinstance(dims, int) else dims)) if spec.ndim and spec.shape[d] == 1]
    stay = [d for d in range(spec.ndim) if d not in gone]
    return _spec(input, [spec.shape[d] for d in stay], [spec.strides[d] for d in stay])


# ── parts ─────────────────────────────────────────────────────────────────────────────────────
def scatter_view(grad: Tensor, whole: Spec, part: Spec, offset: int) -> Tensor:
    """Zeros of a dense spec `whole` with `grad` added in the region that a view took."""
    needs = modes.grad and (grad._leaf or grad._fn is not None)
    with no_grad():
        from .record import fill
        out = fill(spec_of(grad.spec.dtype, whole.shape, whole.strides), 0)
        if may_overlap_itself(part.shape, part.strides):
            out = _scatter_overlapping(out, grad, part, offset)
        else:
            as_strided(out, part.shape, part.strides, offset).copy_(grad)
    if needs:
        attach_view(out, grad, "AsStridedScatterBackward0",
                    lambda g: _region(g, whole, part, offset))
    return out


def _region(grad: Tensor, whole: Spec, part: Spec, offset: int) -> Tensor:
    """What a view took of a tensor, for a tensor laid out in its own way."""
    if grad.spec.strides != whole.strides:
        from .record import cast
        grad = cast(grad, grad.dtype, whole.strides)
    return as_strided(grad, part.shape, part.strides, grad.offset + offset)


def scatter_part(grad: Tensor, whole: Spec, part: Spec, start: int) -> Tensor:
    """`scatter_view` for a whole that may have gaps: the result is packed."""
    return scatter_view(grad, packed(whole), *repack(whole, part, start))


def _scatter_overlapping(out: Tensor, grad: Tensor, part: Spec, offset: int) -> Tensor:
    import numpy as np

    from .creation import tensor
    index = np.full(part.shape, offset, np.int64)
    for d, (n, s) in enumerate(zip(part.shape, part.strides, strict=True)):
        index += (np.arange(n) * s).reshape([-1 if k == d else 1 for k in range(part.ndim)])
    flat = new_tensor(out.storage, spec_of(out.spec.dtype, (out.spec.numel,)), 0)
    flat.index_add_(0, tensor(index.reshape(-1)), grad.reshape(-1))
    return new_tensor(out.storage, out.spec, out.offset)


def _part(input: Tensor, spec: Spec, offset: int, label: str) -> Tensor:
    whole, start = input.spec, offset - input.offset
    return make_view(input, spec, offset, label,
                     lambda g: scatter_part(g, whole, spec, start))


def packed(whole: Spec) -> Spec:
    """The spec that a gradient of a view with spec `whole` has."""
    return whole if whole.dense else spec_of(whole.dtype, whole.shape)


def repack(whole: Spec, part: Spec, start: int) -> tuple[Spec, int]:
    """Strides and offset of the part over a packed copy of the whole."""
    tight = packed(whole)
    if tight is whole:
        return part, start
    step = {s: p for n, s, p in zip(whole.shape, whole.strides, tight.strides, strict=True)
            if n > 1}
    offset, rest = 0, start
    for s in sorted(step, key=abs, reverse=True):
        if s:
            count = rest // s if rest * s >= 0 else 0
            offset += count * step[s]
            rest -= count * s
    strides = []
    for n, s in zip(part.shape, part.strides, strict=True):
        total, rest = 0, 0 if n == 1 else s
        for w in sorted((w for w in step if w), key=abs, reverse=True):
            count = rest // w if rest * w >= 0 else 0
            total += count * step[w]
            rest -= count * w
        strides.append(total)
    return spec_of(part.dtype, part.shape, tuple(strides)), offset


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One element of a dim, the dim gone."""
    spec = input.spec
    if spec.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, spec.ndim)
    index = index.__index__()
    size = spec.sizes[d]
    if not -size <= index < size:
        raise IndexError(f"select(): index {index} out of range for tensor of size "
                         f"{list(spec.shape)} at dimension {d}")
    index += size if index < 0 else 0
    out = spec.views.get(("select", d))
    if out is None:
        out = spec.views["select", d] = _spec(input, spec.shape[:d] + spec.shape[d + 1:],
                                              spec.strides[:d] + spec.strides[d + 1:])
    return _part(input, out, input.offset + index * spec.strides[d], "SelectBackward0")


def slice_dim(input: Tensor, dim: int, start: int, stop: int, step: int) -> Tensor:
    """Elements start..stop of a dim in steps; bounds already normalised."""
    spec = input.spec
    count = max(0, -(-(stop - start) // step))
    key = ("slice", dim, count, step)
    out = spec.views.get(key)
    if out is None:
        shape, strides = list(spec.shape), list(spec.strides)
        shape[dim], strides[dim] = count, strides[dim] * step
        out = spec.views[key] = _spec(input, shape, strides)
    return _part(input, out, input.offset + (start * spec.strides[dim] if count else 0),
                 "SliceBackward0")


def narrow(input: Tensor, dim: int, start, length: int) -> Tensor:
    """`length` elements of a dim from `start`."""
    if not input.spec.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, input.spec.ndim)
    size = input.spec.shape[d]
    if isinstance(start, Tensor):
        if start.ndim or start.dtype.category != dt.INT:
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = start.item()
    if not (hasattr(start, "__index__") and hasattr(length, "__index__")):
        raise TypeError("narrow() received an invalid combination of arguments: 'start' and "
                        f"'length' must be int, got {type(start).__name__} and "
                        f"{type(length).__name__}")
    start, length = start.__index__(), length.__index__()
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(f"start out of range (expected to be in range of [{-size}, {size}], "
                         f"but got {start})")
    start += size if start < 0 else 0
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return slice_dim(input, d, start, start + length, 1)


def as_strided(input: Tensor, size, stride, storage_offset: int | None = None) -> Tensor:
    """Any sizes and strides over the storage; RuntimeError outside its bounds."""
    shape, strides = sizes_of((size,)), sizes_of((stride,), "stride")
    if len(shape) != len(strides):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in strides):
        raise RuntimeError("as_strided: Negative strides are not supported at the moment, got "
                           f"strides: {list(strides)}")
    offset = input.offset if storage_offset is None else int(storage_offset)
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)} and "
                           f"strides={list(strides)}")
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    reach = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    have = input.storage.nbytes // input.spec.dtype.itemsize
    if 0 not in shape and (reach >= have or offset < 0):
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {input.spec.dtype.itemsize} requiring a storage size of "
            f"{(reach + 1) * input.spec.dtype.itemsize} are out of bounds for storage of size "
            f"{input.storage.nbytes}")
    return _part(input, _spec(input, shape, strides), offset, "AsStridedBackward0")


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The elements with equal indices in two dims, as a new last dim."""
    spec, offset = input.spec, int(offset)
    a, b = wrap_dim(dim1, spec.ndim, False), wrap_dim(dim2, spec.ndim, False)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    if offset >= 0:
        size = max(min(spec.shape[a], spec.shape[b] - offset), 0)
        start = offset * spec.strides[b]
    else:
        size = max(min(spec.shape[a] + offset, spec.shape[b]), 0)
        start = -offset * spec.strides[a]
    rest = [d for d in range(spec.ndim) if d not in (a, b)]
    out = _spec(input, [spec.shape[d] for d in rest] + [size],
                [spec.strides[d] for d in rest] + [spec.strides[a] + spec.strides[b]])
    return _part(input, out, input.offset + (start if size else 0), "DiagonalBackward0")


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of a dim as a new last dim."""
    for value, name, place in ((size, "size", 2), (step, "step", 3)):
        if not hasattr(value, "__index__"):
            raise TypeError(f"unfold(): argument '{name}' (position {place}) must be int, not "
                            f"{type(value).__name__}")
    spec, size, step = input.spec, size.__index__(), step.__index__()
    d = wrap_dim(dimension, spec.ndim)
    have = spec.shape[d] if spec.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > have:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {have} but size is "
                           f"{size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not spec.ndim:
        return _part(input, _spec(input, (size,), (1,)), input.offset, "UnfoldBackward0")
    shape, strides = list(spec.shape), list(spec.strides)
    shape[d], strides[d] = (have - size) // step + 1, strides[d] * step
    return _part(input, _spec(input, [*shape, size], [*strides, spec.strides[d]]), input.offset,
                 "UnfoldBackward0")


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dims start..end as one."""
    n = input.spec.ndim
    a, b = wrap_dim(start_dim, n), wrap_dim(end_dim, n)
    if n == 0:
        return reshape(input, 1)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if a == b:
        return input
    shape = input.spec.shape
    return reshape(input, *shape[:a], prod(shape[a:b + 1]), *shape[b + 1:])


def unflatten(input: Tensor, dim: int, sizes) -> Tensor:
    """One dim as several."""
    sizes = tuple(sizes) if not isinstance(sizes, int) else (sizes,)
    d = wrap_dim(dim, input.spec.ndim)
    shape = input.spec.shape
    if not sizes:
        raise RuntimeError("unflatten: sizes must be non-empty")
    known = prod(s for s in sizes if s != -1)
    if sizes.count(-1) == 1 and known and shape[d] % known == 0:
        sizes = tuple(shape[d] // known if s == -1 else s for s in sizes)
    if prod(sizes) != shape[d]:
        raise RuntimeError(f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size"
                           f" of dim {d} ({shape[d]}) in the input tensor")
    return view(input, *shape[:d], *sizes, *shape[d + 1:])


def ravel(input: Tensor) -> Tensor:
    """The elements as a vector."""
    return reshape(input, -1)
