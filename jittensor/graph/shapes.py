"""Stride mathematics: shapes and strides (in elements) in, shapes and strides out. No data."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

Ints = tuple[int, ...]


class Size(tuple):
    """`torch.Size`: a tuple of sizes."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements."""
        return prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __getitem__(self, index):
        got = tuple.__getitem__(self, index)
        return Size(got) if isinstance(index, slice) else got

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other)))

    def __mul__(self, count):
        return Size(tuple.__mul__(self, count))

    def __reduce__(self):
        return (Size, (tuple(self),))


def contiguous_strides(shape: Sequence[int]) -> Ints:
    """Row-major strides.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements lie in row-major order with no gaps (dims of size 1 do not count)."""
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size == 0:
            return True
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements fill a block with no overlap and no gaps, in any order of dims."""
    step = 1
    for stride, size in sorted((t, n) for n, t in zip(shape, strides, strict=True) if n != 1):
        if size == 0:
            return True
        if stride != step:
            return False
        step *= size
    return True


def may_overlap_itself(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether two indices may name the same element (a stride of 0 or interleaved strides)."""
    reach = 0
    for stride, size in sorted((abs(t), n) for n, t in zip(shape, strides, strict=True) if n > 1):
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


def span(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """The lowest and highest element offset reached, relative to the view's own offset."""
    low = high = 0
    for size, stride in zip(shape, strides, strict=True):
        if size == 0:
            return 0, -1
        reach = stride * (size - 1)
        low, high = (low + reach, high) if reach < 0 else (low, high + reach)
    return low, high


def broadcast_shapes(*shapes: Sequence[int]) -> Ints:
    """The common shape of operands; RuntimeError in PyTorch's words where there is none."""
    rank = max(map(len, shapes), default=0)
    out = [1] * rank
    for shape in shapes:
        shift = rank - len(shape)
        for i, size in enumerate(shape):
            have = out[shift + i]
            if size != have:
                if have == 1:
                    out[shift + i] = size
                elif size != 1:
                    raise RuntimeError(
                        f"The size of tensor a ({have}) must match the size of tensor b ({size})"
                        f" at non-singleton dimension {shift + i}"
                    )
    return tuple(out)


def expand_strides(shape: Sequence[int], strides: Sequence[int], target: Sequence[int]) -> Ints:
    """Strides of a view of `shape` broadcast to `target`: 0 where a size of 1 is repeated."""
    shift = len(target) - len(shape)
    out = [0] * shift
    for size, stride, goal in zip(shape, strides, target[shift:], strict=True):
        out.append(0 if size == 1 and goal != 1 else stride)
    return tuple(out)


def output_strides(shape: Ints, operands: Sequence[tuple[Ints, Ints]], plain: bool = True) -> Ints:
    """Strides of an elementwise result: the operands' permutation is kept, as PyTorch does.

    `operands` are (shape, strides) pairs already broadcast to `shape`; `plain` says that nothing
    was broadcast to it, neither a tensor nor a number.
    """
    if not operands:
        return contiguous_strides(shape)
    if plain and all(strides == operands[0][1] for _, strides in operands):
        first = operands[0][1]
        if is_contiguous(shape, first):
            return contiguous_strides(shape)
        if is_dense(shape, first) and min(first, default=1) > 0 and 0 not in shape:
            return first
    if plain and all(is_contiguous(shape, strides) for _, strides in operands):
        return contiguous_strides(shape)
    order = dim_order(shape, [strides for _, strides in operands])
    out, step = [0] * len(shape), 1
    for dim in order:
        out[dim] = step
        step *= max(shape[dim], 1)
    return tuple(out)


def dim_order(shape: Ints, strides_list: Sequence[Ints]) -> list[int]:
    """Dims from fastest to slowest, by the first operand whose strides decide."""
    order = list(range(len(shape) - 1, -1, -1))

    def ambiguous_or_after(a: int, b: int) -> int:
        for strides in strides_list:
            sa, sb = strides[a], strides[b]
            if sa == 0 or sb == 0:
                continue
            if sa != sb:
                return 1 if sa > sb else -1
            if shape[a] > shape[b]:
                return 1
        return 0

    for i in range(1, len(order)):
        at = i
        for j in range(i - 1, -1, -1):
            verdict = ambiguous_or_after(order[j], order[at])
            if verdict > 0:
                order[j], order[at] = order[at], order[j]
                at = j
            elif verdict < 0:
                break
    return order


def view_strides(shape: Ints, strides: Ints, new_shape: Ints) -> Ints | None:
    """Strides of `new_shape` over the same elements in row-major order, or None (needs a copy)."""
    if 0 in shape:
        return strides if shape == new_shape else contiguous_strides(new_shape)
    if not shape:
        return (1,) * len(new_shape)
    out = [0] * len(new_shape)
    view_dim = len(new_shape) - 1
    chunk_stride, chunk = strides[-1], 1
    for dim in range(len(shape) - 1, -1, -1):
        chunk *= shape[dim]
        last = dim == 0
        if last or (shape[dim - 1] != 1 and strides[dim - 1] != chunk * chunk_stride):
            filled = 1
            while view_dim >= 0 and (filled < chunk or new_shape[view_dim] == 1):
                out[view_dim] = filled * chunk_stride
                filled *= new_shape[view_dim]
                view_dim -= 1
            if filled != chunk:
                return None
            if not last:
                chunk, chunk_stride = 1, strides[dim - 1]
    return tuple(out) if view_dim == -1 else None


def infer_size(shape: Sequence[int], numel: int) -> Ints:
    """`shape` with its -1 worked out; RuntimeError in PyTorch's words."""
    known, hole = 1, None
    for i, size in enumerate(shape):
        if size == -1:
            if hole is not None:
                raise RuntimeError("only one dimension can be inferred")
            hole = i
        elif size < 0:
            raise RuntimeError(f"invalid shape dimension {size}")
        else:
            known *= size
    out = tuple(shape)
    if hole is not None:
        if known == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
                "unspecified dimension size -1 can be any value and is ambiguous"
            )
        if numel % known == 0:
            return out[:hole] + (numel // known,) + out[hole + 1:]
    elif known == numel:
        return out
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


def wrap_dim(dim: int, rank: int, scalar_ok: bool = True) -> int:
    """A dim in 0..rank-1; IndexError in PyTorch's words. A 0-d tensor takes 0 and -1."""
    if rank == 0 and scalar_ok:
        rank = 1
    if dim.__class__ is not int:
        dim = _whole(dim)
    if not -rank <= dim < rank:
        if rank == 0:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], "
            f"but got {dim})"
        )
    return dim + rank if dim < 0 else dim


def _whole(dim) -> int:
    """A dim that is no int but stands for one; TypeError for anything else."""
    if not hasattr(dim, "__index__"):
        raise TypeError(f"argument 'dim' must be int, not {type(dim).__name__}")
    return dim.__index__()


def wrap_dims(dims: Sequence[int], rank: int) -> Ints:
    """Sorted distinct dims; a dim named twice is a RuntimeError."""
    out = [wrap_dim(d, rank) for d in dims]
    for i, d in enumerate(out):
        if d in out[:i]:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return tuple(sorted(out))


def given_sizes(args, named=None) -> tuple[int, ...]:
    """`sizes_of` where PyTorch wants a size: TypeError where there is none at all."""
    if named is None and not args:
        raise TypeError("missing 1 required positional arguments: \"size\"")
    return sizes_of(args, "size", named)


def sizes_of(args, name: str = "size", named=None) -> tuple[int, ...]:
    """Sizes given as f(2, 3), f((2, 3)), f(Size) or, as `named`, f(size=(2, 3)); TypeError for
    anything else."""
    if named is not None:
        if args:
            raise TypeError(f"got multiple values for argument '{name}'")
        if hasattr(named, "__index__"):
            raise TypeError(f"argument '{name}' must be tuple of ints, not {type(named).__name__}")
        args = (named,)
    if len(args) == 1 and not hasattr(args[0], "__index__"):
        args = args[0]
        if args is None or isinstance(args, (str, float)):
            raise TypeError(f"argument '{name}' must be tuple of ints, not "
                            f"{type(args).__name__}")
    out = []
    for a in args:
        try:
            out.append(a.__index__())
        except AttributeError:
            raise TypeError(f"argument '{name}' must be tuple of ints, but found element of type "
                            f"{type(a).__name__}") from None
    return tuple(out)
