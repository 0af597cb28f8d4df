"""Parts of tensors: ints, slices, None and `...` of an index in, the view that they make out."""

from __future__ import annotations

from .graph.node import Spec, spec_of
from .tensor import Tensor
from .views import differentiable, plain_view

# parts of an index in the key of the view that they make; a slice is (count, step), and a run of
# whole dims _REST less their number
_PICK, _NEW, _REST = -1, -2, -3


def viewed(x: Tensor, index) -> Tensor | None:
    """The view that ints, slices, None and `...` make, in one step, where no gradient asks for the
    single ones; None where the index is of another kind, does not fit, or one does."""
    if differentiable(x):
        return None
    spec = x.spec
    sizes, strides, ndim, offset = spec.sizes, spec.strides, spec.ndim, x.offset
    key, dim, rest = [], 0, None
    for part in index if index.__class__ is tuple else (index,):
        kind = part.__class__
        if kind is int or kind is slice:
            if dim == ndim:
                return None
            size = sizes[dim]
            if kind is int:
                if part < 0:
                    part += size
                if not 0 <= part < size:
                    return None
                offset += part * strides[dim]
                key.append(_PICK)
            else:
                taken = extent(part, size)
                if taken is None:
                    return None
                start, count, step = taken
                offset += start * strides[dim]
                key += count, step
            dim += 1
        elif part is None:
            key.append(_NEW)
        elif part is Ellipsis and rest is None:
            rest = ndim - sum([p is not None for p in index]) + 1 if index is not part else ndim
            if rest < 0:
                return None
            key.append(_REST - rest)
            dim += rest
        else:
            return None
    key = tuple(key)
    found = spec.views.get(key)
    if found is None:
        found = spec.views[key] = _viewed_spec(spec, key)
    return plain_view(x, found, offset)


def _viewed_spec(spec: Spec, key: tuple) -> Spec:
    """The spec of the view that a key of `viewed` stands for."""
    shape, strides, dim, codes = [], [], 0, iter(key)
    for code in codes:
        if code == _NEW:
            strides.append(spec.sizes[dim] * spec.strides[dim] if dim < spec.ndim else 1)
            shape.append(1)
        elif code <= _REST:
            end = dim + _REST - code
            shape += spec.sizes[dim:end]
            strides += spec.strides[dim:end]
            dim = end
        else:
            if code != _PICK:
                shape.append(code)
                strides.append(spec.strides[dim] * next(codes))
            dim += 1
    return spec_of(spec.dtype, (*shape, *spec.sizes[dim:]), (*strides, *spec.strides[dim:]),
                   spec.device)


def extent(part: slice, size: int) -> tuple[int, int, int] | None:
    """(start, count, step) of a slice of Python ints in a dim, start 0 where it takes nothing;
    None for other slices and steps that are not positive."""
    first, last, step = part.start, part.stop, part.step
    if step is None:
        step = 1
    elif step.__class__ is not int or step <= 0:
        return None
    if first is None:
        first = 0
    elif first.__class__ is not int:
        return None
    elif first < 0:
        first = first + size if first > -size else 0
    if last is None or last.__class__ is int and last >= size:
        last = size
    elif last.__class__ is not int:
        return None
    elif last < 0:
        last += size
    return (first, -((first - last) // step), step) if first < last else (0, 0, step)
