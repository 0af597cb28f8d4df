"""Rearranging: a tensor in, a copy with its elements in other places out."""

from __future__ import annotations

from .. import views
from ..creation import arange, full, pending, zeros
from ..graph import dtypes as dt
from ..graph.node import spec_of
from ..graph.ops import OPS
from ..graph.shapes import may_overlap_itself, output_strides, wrap_dim
from ..record import cast, write
from ..record import elementwise as record
from ..tensor import Tensor, new_tensor
from .rules import gradient_rule, with_gradient
from .splitting import split, split_with_sizes, unbind


# ── order of elements ─────────────────────────────────────────────────────────────────────────
def flip(input, *axes, dims=None) -> Tensor:
    """A copy with dims in reverse order."""
    if not axes and dims is None:
        raise TypeError('flip() missing 1 required positional arguments: "dims"')
    axes = [wrap_dim(d, input.ndim) for d in views.sizes_of(axes if dims is None else (dims,),
                                                            "dims")]
    if len(set(axes)) != len(axes):
        raise RuntimeError(f"dim {axes[-1]} appears multiple times in the list of dims")
    spec = input.spec
    if not spec.ndim or 0 in spec.shape:
        return input.clone()
    strides, offset = list(spec.strides), input.offset
    for d in axes:
        offset += (spec.shape[d] - 1) * strides[d]
        strides[d] = -strides[d]
    view = spec_of(spec.dtype, spec.shape, tuple(strides), spec.device)
    back = views.make_view(input, view, offset, "FlipBackward0", lambda g: flip(g, axes))
    return cast(back, spec.dtype, output_strides(spec.shape, [(spec.shape, spec.strides)]))


def fliplr(input) -> Tensor:
    """Dim 1 in reverse order."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input) -> Tensor:
    """Dim 0 in reverse order."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def _roll_backward(node, grad):
    shifts, dims = node.attrs
    return [roll(grad, [-s for s in shifts], dims)]


_ROLL = gradient_rule("roll", _roll_backward, saves=())


def roll(input, shifts, dims=None) -> Tensor:
    """Elements moved along dims, those that leave at one end coming in at the other."""
    shifts = [shifts] if isinstance(shifts, int) else list(shifts)
    dims = [] if dims is None else [dims] if isinstance(dims, int) else list(dims)
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return views.reshape(roll(views.flatten(input), shifts, 0), *input.shape) if (
            input.ndim) else input.clone()
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:"
                           f"{len(dims)}")
    if not input.numel():
        return input.clone()
    for shift, dim in zip(shifts, dims, strict=True):
        input = _rolled(input, shift, wrap_dim(dim, input.ndim, False))
    return input


def _rolled(x: Tensor, shift: int, d: int) -> Tensor:
    size = x.shape[d] if x.ndim else 1
    shift %= size

    def compute() -> Tensor:
        whole = pending(x.shape, x.dtype)
        if x.ndim and shift:
            write(views.narrow(whole, d, shift, size - shift), OPS["cast"],
                  views.narrow(x, d, 0, size - shift))
            write(views.narrow(whole, d, 0, shift), OPS["cast"],
                  views.narrow(x, d, size - shift, shift))
        else:
            write(whole, OPS["cast"], x)
        whole.storage.version = 0
        return whole

    return with_gradient(_ROLL, compute, (x,), ((shift,), (d,)))


def rot90(input, k: int = 1, dims=(0, 1)) -> Tensor:
    """A copy turned by k quarters in the plane of two dims."""
    dims = list(dims)
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    a, b = (wrap_dim(d, input.ndim) for d in dims)
    if a == b:
        raise RuntimeError("expected rotation dims to be different, but got dim0 = "
                           f"{dims[0]} and dim1 = {dims[1]}")
    k %= 4
    if k == 2:
        return flip(input, a, b)
    if k == 1:
        return views.transpose(flip(input, b), a, b)
    return views.transpose(flip(input, a), a, b) if k else input.clone()


# ── triangles and diagonals ───────────────────────────────────────────────────────────────────
def _triangle(input: Tensor, name: str, diagonal: int, below: bool) -> Tensor:
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    if not hasattr(diagonal, "__index__"):
        raise TypeError(f"{name}(): argument 'diagonal' (position 2) must be int, not "
                        f"{type(diagonal).__name__}")
    rows = arange(input.shape[-2]).unsqueeze(-1)
    steps = arange(input.shape[-1]) - rows
    kept = steps <= diagonal if below else steps >= diagonal
    source = input if input.spec.contiguous else input.contiguous()
    return record(OPS["_where_grad"], source, kept)


def tril(input, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The lower triangle of matrices, zeros above."""
    from .rows import into
    return into(out, _triangle(input, "tril", diagonal, True))


def triu(input, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The upper triangle of matrices, zeros below."""
    from .rows import into
    return into(out, _triangle(input, "triu", diagonal, False))


def tril_indices(row: int, col: int, offset: int = 0, *, dtype=dt.int64, device=None,
                 layout=None) -> Tensor:
    """The rows and columns of the lower triangle, [2, n]."""
    return _triangle_indices(row, col, offset, dtype, True)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype=dt.int64, device=None,
                 layout=None) -> Tensor:
    """The rows and columns of the upper triangle, [2, n]."""
    return _triangle_indices(row, col, offset, dtype, False)


def _triangle_indices(row: int, col: int, offset: int, dtype, below: bool) -> Tensor:
    import numpy as np

    from ..tensor import from_array
    for n, name in ((row, "row"), (col, "col")):
        if n < 0:
            raise RuntimeError(f"{name} must be non-negative, got{n}")
    found = np.tril_indices(row, offset, col) if below else np.triu_indices(row, offset, col)
    return from_array(np.stack(found).astype(dtype.numpy), dtype)


def _embed_backward(node, grad):
    return [views.diagonal(grad, *node.attrs)]


_EMBED = gradient_rule("diag_embed", _embed_backward)


def diag_embed(input, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last dim as the diagonal of new matrices in dims dim1 and dim2."""
    rank = input.ndim + 1
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = input.shape[-1] + abs(offset)
    shape = list(input.shape[:-1])
    for d in sorted((a, b)):
        shape.insert(d, size)

    def compute() -> Tensor:
        whole = zeros(shape, dtype=input.dtype)
        write(views.diagonal(whole, offset, a, b), OPS["cast"], input)
        whole.storage.version = 0
        return whole

    return with_gradient(_EMBED, compute, (input,), (offset, a, b))


def diag(input, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """A vector as a matrix with that diagonal, or a copy of a matrix's diagonal."""
    from .rows import into
    if input.ndim == 1:
        return into(out, diag_embed(input, diagonal))
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return into(out, views.diagonal(input, diagonal).clone())


def diagflat(input, offset: int = 0) -> Tensor:
    """The elements as the diagonal of a matrix."""
    return diag_embed(views.reshape(input, -1), offset)


def trace(input) -> Tensor:
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise RuntimeError("trace: expected a matrix, but got tensor with dim " + str(input.ndim))
    return views.diagonal(input).sum()


# ── padding ───────────────────────────────────────────────────────────────────────────────────
def _pad_backward(node, grad):
    widths, _ = node.attrs
    return [constant_pad_nd(grad, [-n for n in widths], 0)]


_PAD = gradient_rule("constant_pad_nd", _pad_backward)


def constant_pad_nd(input, pad, value=0) -> Tensor:
    """`value` put around (or, for negative widths, elements cut off) the last dims; `pad` holds
    (before, after) from the last dim on."""
    widths = [int(n) for n in pad]
    if len(widths) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(widths)}")
    if len(widths) // 2 > input.ndim:
        raise RuntimeError("Length of pad should be no more than twice the number of dimensions "
                           f"of the input. Pad length is {len(widths)} while the input has "
                           f"{input.ndim} dimensions.")
    shape = list(input.shape)
    parts = []
    for k in range(0, len(widths), 2):
        d = input.ndim - 1 - k // 2
        shape[d] += widths[k] + widths[k + 1]
        if shape[d] < 0:
            raise RuntimeError(
                f"The input size {input.shape[d]}, plus negative padding {widths[k]} and "
                f"{widths[k + 1]} resulted in a negative output size, which is invalid. Check "
                f"dimension {d} of your input.")
        parts.append((d, max(0, -widths[k]), max(0, widths[k]),
                      input.shape[d] + min(0, widths[k]) + min(0, widths[k + 1])))

    def compute() -> Tensor:
        whole = full(shape, value, dtype=input.dtype)
        target, source = whole, input
        for d, skip, start, size in parts:
            size = max(0, size)
            source = views.slice_dim(source, d, skip, skip + size, 1)
            target = views.slice_dim(target, d, start, start + size, 1)
        if source.numel():
            write(target, OPS["cast"], source)
        whole.storage.version = 0
        return whole

    return with_gradient(_PAD, compute, (input,), (tuple(widths), value))


# ── a part written into a copy ────────────────────────────────────────────────────────────────
def _same_layout(x: Tensor) -> Tensor:
    """A copy with x's own strides, gaps and all."""
    spec = x.spec
    if spec.dense or may_overlap_itself(spec.shape, spec.strides):
        return x.clone()

    def compute() -> Tensor:
        reach = 1 + sum((n - 1) * s for n, s in zip(spec.shape, spec.strides, strict=True))
        whole = new_tensor(pending((reach,), spec.dtype).storage, spec)
        write(whole, OPS["cast"], x)
        whole.storage.version = 0
        return whole

    return with_gradient(OPS["clone"], compute, (x,))


def _scattered(input: Tensor, src: Tensor, name: str, view) -> Tensor:
    out = _same_layout(input)
    region = view(out)
    if region.shape != src.shape:
        raise RuntimeError(f"expected src to have a size equal to the slice of self. src size = "
                           f"{list(src.shape)}, slice size = {list(region.shape)}")
    region.copy_(src)
    return out


def select_scatter(input, src, dim: int, index: int) -> Tensor:
    """A copy with `src` in place of one element of a dim."""
    return _scattered(input, src, "select_scatter", lambda x: views.select(x, dim, index))


def slice_scatter(input, src, dim: int = 0, start: int | None = None, end: int | None = None,
                  step: int = 1) -> Tensor:
    """A copy with `src` in place of a slice of a dim."""
    d = wrap_dim(dim, input.ndim)
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    a, b, _ = slice(start, end).indices(input.shape[d])
    return _scattered(input, src, "slice_scatter",
                      lambda x: views.slice_dim(x, d, a, max(a, b), step))


def diagonal_scatter(input, src, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy with `src` in place of a diagonal."""
    return _scattered(input, src, "diagonal_scatter",
                      lambda x: views.diagonal(x, offset, dim1, dim2))


def as_strided_scatter(input, src, size, stride, storage_offset: int | None = None) -> Tensor:
    """A copy with `src` in place of a strided part."""
    return _scattered(input, src, "as_strided_scatter",
                      lambda x: views.as_strided(x, size, stride, storage_offset))


# ── indices ───────────────────────────────────────────────────────────────────────────────────
def unravel_index(indices, shape) -> tuple[Tensor, ...]:
    """Coordinates of flat (row-major) indices in a shape."""
    sizes = views.sizes_of((shape,), "shape")
    if indices.dtype.category != dt.INT:
        raise ValueError(f"expected 'indices' to be integer, but got {indices.dtype}")
    out, rest = [], indices.to(dt.int64)
    for n in reversed(sizes):
        out.append(rest % n if n else rest)
        rest = rest // n if n else rest
    return tuple(reversed(out))


def _copy_of(name: str, function):
    def copy(input, *args, **named):
        got = function(input, *args, **named)
        if isinstance(got, tuple):
            return tuple(x.clone() for x in got)
        return got.clone()

    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"A copy of what `{name.removesuffix('_copy')}` views."
    return copy


def _alias(input: Tensor) -> Tensor:
    return input


for _name in ("expand", "permute", "transpose", "t", "narrow", "select", "squeeze", "unsqueeze",
              "unfold", "view", "as_strided", "diagonal"):
    globals()[_name + "_copy"] = _copy_of(_name + "_copy", getattr(views, _name))
alias_copy = _copy_of("alias_copy", _alias)
slice_copy = _copy_of("slice_copy", lambda x, dim=0, start=None, end=None, step=1: views.slice_dim(
    x, wrap_dim(dim, x.ndim), *_limits(x, dim, start, end), step))
unbind_copy = _copy_of("unbind_copy", unbind)
split_copy = _copy_of("split_copy", split)
split_with_sizes_copy = _copy_of("split_with_sizes_copy", split_with_sizes)


def _limits(x: Tensor, dim: int, start, end) -> tuple[int, int]:
    a, b, _ = slice(start, end).indices(x.shape[wrap_dim(dim, x.ndim)])
    return a, max(a, b)
