"""In: signals (N, C, *size) or (C, *size). Out: means and maxima of windows in them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from ... import creation, functions
from ...autograd.graph import relabel
from ...autograd.modes import modes, no_grad
from ...functions.rules import gradient_rule, with_gradient
from ...graph.dtypes import int64
from ...graph.node import spec_of
from ...graph.shapes import contiguous_strides
from ...kernels import pooling as kernels  # noqa: F401  (fills the table of opaque operators)
from ...record import apply
from ...tensor import Tensor
from .windows import Sizes, reach, several, window_view, windows


def batched(x: Tensor, dims: int, name: str = "") -> Tensor:
    """x with a batch dim.

    Raises:
        RuntimeError: other dims, or sizes of zero.
    """
    if x.dim() not in (dims + 1, dims + 2) or 0 in x.shape[x.dim() - dims - 1:]:
        raise RuntimeError(f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected "
                           "for input")
    return x if x.dim() == dims + 2 else x.unsqueeze(0)


def _geometry(name: str, x: Tensor, kernel_size, stride, padding, dilation, ceil_mode: bool,
              dims: int) -> tuple[Sizes, Sizes, Sizes, Sizes, Sizes, Sizes]:
    """(kernel, stride, before, after, dilation, counts) of a pooling; `after` holds what windows
    in ceil mode reach beyond the padding."""
    kernel = several(kernel_size, dims, "kernel_size", name)
    empty = stride is None or (not isinstance(stride, int) and not len(stride))
    steps = kernel if empty else several(stride, dims, "stride", name)
    edges = several(padding, dims, "padding", name)
    gaps = several(dilation, dims, "dilation", name)
    if min(steps) == 0:
        raise RuntimeError("stride should not be zero")
    if min(kernel) <= 0 or min(gaps) <= 0 or min(steps) < 0:
        raise RuntimeError("kernel size should be greater than zero, but got "
                           f"{list(kernel)}" if min(kernel) <= 0 else
                           f"dilation should be greater than zero, but got {list(gaps)}")
    for p, k, d in zip(edges, kernel, gaps, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p > (d * (k - 1) + 1) // 2:
            raise RuntimeError("pad should be at most half of effective kernel size, but got "
                               f"pad={p}, kernel_size={k} and dilation={d}")
    number, after = [], []
    for n, r, s, p in zip(x.shape[2:], reach(kernel, gaps), steps, edges, strict=True):
        count = (n + 2 * p - r + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1              # a window has to start inside the input or its left padding
        number.append(count)
        after.append((count - 1) * s + r - n - p)
    if min(number) < 1:
        had, got = ("x".join(map(str, (x.shape[1], *v))) for v in (x.shape[2:], number))
        raise RuntimeError(f"Given input size: ({had}). Calculated output size: ({got}). Output "
                           "size is too small")
    return kernel, steps, edges, tuple(after), gaps, tuple(number)


def _padded(x: Tensor, low: Sizes, high: Sizes, value) -> Tensor:
    widths = [n for pair in zip(reversed(low), reversed(high), strict=True) for n in pair]
    return functions.constant_pad_nd(x, widths, value) if any(widths) else x


# ── kernels of their own ──────────────────────────────────────────────────────────────────────
# attrs of all: (kernel, stride, padding, dilation, windows), of means (divisor's mode, divisor) too
def _own(x: Tensor) -> bool:
    """Whether the kernels of pooling take a signal."""
    return x.dtype.code in ("f32", "f64") and x.numel() > 0 and len(x.shape) <= 5


def _pooled(name: str, tensors: tuple, attrs: tuple, size: Sizes, dtype=None) -> Tensor:
    """What a kernel makes of contiguous tensors (N, C, ...): (N, C, *size)."""
    tensors = tuple(t.contiguous() for t in tensors)
    x = tensors[0]
    shape = (*x.shape[:2], *size)
    return apply(name, tensors, attrs, spec=lambda: spec_of(
        dtype or x.dtype, shape, contiguous_strides(shape), x.spec.device))


def _largest(x: Tensor, attrs: tuple) -> Tensor:
    """The places of maxima."""
    with no_grad():
        return _pooled("_max_places", (x.detach(),), attrs, attrs[4], int64)


def _max_backward(node, grad):
    x, size = node.saved(0), node.specs[0].shape[2:]
    if not modes.grad:
        return [_pooled("_max_pool_back", (x, grad), (*node.attrs, size), size)]
    places = _largest(x, node.attrs).reshape(*x.shape[:2], -1)
    zeros = creation.zeros((*x.shape[:2], prod(size)), dtype=grad.dtype)
    return [zeros.scatter_add(2, places, grad.reshape(places.shape)).reshape(x.shape)]


def _avg_backward(node, grad):
    return [_spread(grad, node.attrs, node.specs[0].shape[2:])]


def _spread_backward(node, grad):
    return [_means(grad, node.attrs[:-1])]


_MAXIMA = gradient_rule("max_pool", _max_backward, saves=(0,))
_MEANS = gradient_rule("avg_pool", _avg_backward)
_SPREAD = gradient_rule("avg_pool_back", _spread_backward)


def _maxima(x: Tensor, attrs: tuple) -> Tensor:
    return with_gradient(_MAXIMA, lambda: _pooled("_max_pool", (x,), attrs, attrs[4]), (x,), attrs)


def _means(x: Tensor, attrs: tuple) -> Tensor:
    return with_gradient(_MEANS, lambda: _pooled("_avg_pool", (x,), attrs, attrs[4]), (x,), attrs)


def _spread(x: Tensor, attrs: tuple, size: Sizes) -> Tensor:
    """The gradient of means."""
    attrs = (*attrs[:5], *attrs[5:7], size)
    return with_gradient(_SPREAD, lambda: _pooled(
        "_avg_pool_back", (x,), (*attrs[:5], size, *attrs[5:7]), size), (x,), attrs)


# ── maxima ────────────────────────────────────────────────────────────────────────────────────
def take_largest(x: Tensor, table: np.ndarray, number: Sizes) -> tuple[Tensor, Tensor]:
    """The largest of those elements of each (N, C) plane that a row of the table names.

    `table` (windows, elements) holds places in a plane; of equal values the first is taken.
    Returns (values, places), both (N, C, *number).
    """
    flat = x.reshape(*x.shape[:2], prod(x.shape[2:]))
    index = creation.from_numpy(table)
    with no_grad():
        seen = flat.detach().index_select(2, index.reshape(-1)).reshape(
            *x.shape[:2], *table.shape)
        which = seen.argmax(-1)
        rows = creation.arange(table.shape[0], dtype=int64) * table.shape[1]
        places = index.reshape(-1)[(which + rows).reshape(-1)].reshape(which.shape)
    values = flat.gather(2, places)
    return values.reshape(*x.shape[:2], *number), places.reshape(*x.shape[:2], *number)



def _window_table(size: Sizes, kernel: Sizes, stride: Sizes, low: Sizes, dilation: Sizes,
                  number: Sizes) -> np.ndarray:
    """Places (windows, elements) in a plane; those in the padding name the first that is not."""
    dims = len(size)
    places, valid = np.zeros(number + kernel, np.int64), np.ones(number + kernel, bool)
    for d, n in enumerate(size):
        at = (np.arange(number[d])[:, None] * stride[d] - low[d]
              + np.arange(kernel[d])[None] * dilation[d])
        shape = [1] * (2 * dims)
        shape[d], shape[dims + d] = at.shape
        at = at.reshape(shape)
        places = places * n + at
        valid &= (at >= 0) & (at < n)
    places, valid = places.reshape(prod(number), -1), valid.reshape(prod(number), -1)
    first = np.take_along_axis(places, valid.argmax(1)[:, None], 1)
    return np.where(valid, places, first)


def _lowest(x: Tensor):
    if x.dtype.is_floating_point:
        return float("-inf")
    return int(np.iinfo(x.dtype.numpy).min)


def _max_pool(dims: int, with_indices: bool = False) -> Callable:
    name = f"max_pool{dims}d"

    def max_pool(input: Tensor, kernel_size, stride=None, padding=0, dilation=1,
                 ceil_mode: bool = False, return_indices: bool = False):
        x = batched(input, dims)
        kernel, steps, low, high, gaps, number = _geometry(
            name, x, kernel_size, stride, padding, dilation, ceil_mode, dims)
        indices = return_indices or with_indices
        if _own(x):
            attrs = (kernel, steps, low, gaps, number)
            values = relabel(_maxima(x, attrs), f"MaxPool{dims}DWithIndicesBackward0")
            places = _largest(x, attrs) if indices else values
            if x is not input:
                values, places = values.squeeze(0), places.squeeze(0)
            return (values, places) if indices else values
        if not indices and not (modes.grad and x.requires_grad):
            view = window_view(_padded(x, low, high, _lowest(x)), kernel, steps, gaps)
            out = view.amax(tuple(range(2, 2 + dims)))
            return out if x is input else out.squeeze(0)
        table = _window_table(tuple(x.shape[2:]), kernel, steps, low, gaps, number)
        values, places = take_largest(x, table, number)
        relabel(values, f"MaxPool{dims}DWithIndicesBackward0")
        if x is not input:
            values, places = values.squeeze(0), places.squeeze(0)
        return (values, places) if indices else values

    max_pool.__name__ = max_pool.__qualname__ = name + ("_with_indices" if with_indices else "")
    max_pool.__doc__ = ("The largest element of each window; with `return_indices` its place in "
                        "the plane too.\n\nRaises:\n    RuntimeError: sizes do not fit.\n")
    return max_pool


max_pool1d, max_pool2d, max_pool3d = _max_pool(1), _max_pool(2), _max_pool(3)
max_pool1d_with_indices, max_pool2d_with_indices = _max_pool(1, True), _max_pool(2, True)
max_pool3d_with_indices = _max_pool(3, True)


def _max_unpool(dims: int) -> Callable:
    name = f"max_unpool{dims}d"

    def max_unpool(input: Tensor, indices: Tensor, kernel_size, stride=None, padding=0,
                   output_size=None) -> Tensor:
        x = batched(input, dims)
        kernel = several(kernel_size, dims, "kernel_size", name)
        steps = kernel if stride is None else several(stride, dims, "stride", name)
        edges = several(padding, dims, "padding", name)
        if indices.dtype is not int64:
            raise RuntimeError("elements in indices should be type int64 but got: "
                               f"{indices.dtype.name.title()}")
        if indices.shape != input.shape:
            raise RuntimeError(f"Expected shape of indices to be same as that of the input tensor "
                               f"({list(input.shape)}) but got indices tensor with shape: "
                               f"{list(indices.shape)}")
        size = _unpooled_size(x.shape[2:], kernel, steps, edges, output_size)
        lead, count = x.shape[:2], prod(size)
        index = indices.reshape(*lead, -1)
        if index.numel():
            low, high = int(index.min()), int(index.max())
            if low < 0 or high >= count:
                raise RuntimeError(f"Found an invalid max index: {high if low >= 0 else low} "
                                   f"(output volumes are of size {'x'.join(map(str, size))}")
        zeros = creation.zeros((*lead, count), dtype=x.dtype)
        out = zeros.scatter(2, index, x.reshape(*lead, -1)).reshape(*lead, *size)
        return out if x is input else out.squeeze(0)

    max_unpool.__name__ = max_unpool.__qualname__ = name
    max_unpool.__doc__ = ("Zeros with each element put back where `max_pool` found it.\n\n"
                          "Raises:\n    RuntimeError: an index lies outside.\n"
                          "    ValueError: `output_size` is too far from the usual one.\n")
    return max_unpool


def _unpooled_size(size, kernel: Sizes, stride: Sizes, padding: Sizes, wanted) -> Sizes:
    usual = tuple((n - 1) * s + k - 2 * p for n, k, s, p in zip(
        size, kernel, stride, padding, strict=True))
    if wanted is None:
        return usual
    wanted = tuple(wanted)
    if len(wanted) == len(kernel) + 2:
        wanted = wanted[2:]
    if len(wanted) != len(kernel):
        raise ValueError("output_size should be a sequence containing "
                         f"{len(kernel)} or {len(kernel) + 2} elements, but it has a length of "
                         f"'{len(wanted)}'")
    for d, (n, m, s) in enumerate(zip(wanted, usual, stride, strict=True)):
        if not m - s < n < m + s:
            raise ValueError(f"invalid output_size \"{list(wanted)}\" (dim {d} must be between "
                             f"{m - s} and {m + s})")
    return wanted


max_unpool1d, max_unpool2d, max_unpool3d = _max_unpool(1), _max_unpool(2), _max_unpool(3)


# ── means ─────────────────────────────────────────────────────────────────────────────────────
def _divisors(size, kernel: Sizes, stride: Sizes, low: Sizes, number: Sizes,
              padded: bool) -> np.ndarray:
    """How many elements each window has, padding counted or not."""
    out = np.ones(number)
    for d, n in enumerate(size):
        start = np.arange(number[d]) * stride[d] - low[d]
        stop = np.minimum(start + kernel[d], n + low[d])
        if not padded:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        out = out * (stop - start).reshape([-1 if k == d else 1 for k in range(len(size))])
    return out


def _avg_pool(dims: int) -> Callable:
    name = f"avg_pool{dims}d"

    def avg_pool(input: Tensor, kernel_size, stride=None, padding=0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> Tensor:
        if input.dim() <= dims:
            raise IndexError(f"Dimension out of range (expected to be in range of "
                             f"[{-input.dim()}, {input.dim() - 1}], but got {-dims - 1})")
        x = batched(input, dims)
        if divisor_override == 0:
            raise RuntimeError("divisor must be not zero")
        kernel, steps, low, high, gaps, number = _geometry(
            name, x, kernel_size, stride, padding, 1, ceil_mode, dims)
        if _own(x):
            mode = 0 if divisor_override is not None else 1 if count_include_pad else 2
            out = _means(x, (kernel, steps, low, gaps, number, mode, divisor_override or 1))
            relabel(out, f"AvgPool{dims}DBackward0")
            return out if x is input else out.squeeze(0)
        wide = _padded(x.to(x.dtype.compute), low, high, 0)
        total = windows(wide, kernel, steps, gaps).sum(tuple(range(2, 2 + dims)))
        if divisor_override is not None:
            out = total / divisor_override
        else:
            shares = _divisors(x.shape[2:], kernel, steps, low, number, count_include_pad)
            same = shares.min() == shares.max()
            out = total / (float(shares.flat[0]) if same else creation.from_numpy(
                shares).to(total.dtype))
        out = out if out.dtype is x.dtype else out.to(x.dtype)
        relabel(out, f"AvgPool{dims}DBackward0")
        return out if x is input else out.squeeze(0)

    avg_pool.__name__ = avg_pool.__qualname__ = name
    avg_pool.__doc__ = ("The mean of each window; padding counts as zeros unless "
                        "`count_include_pad` is False.\n\nRaises:\n"
                        "    RuntimeError: sizes do not fit.\n")
    return avg_pool


_avg_pool1d, avg_pool2d, avg_pool3d = _avg_pool(1), _avg_pool(2), _avg_pool(3)


def avg_pool1d(input: Tensor, kernel_size, stride=None, padding=0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Tensor:
    """The mean of each window of (N, C, L) or (C, L); see `avg_pool2d`."""
    return _avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def _lp_pool(dims: int) -> Callable:
    def lp_pool(input: Tensor, norm_type: float, kernel_size, stride=None,
                ceil_mode: bool = False) -> Tensor:
        kernel = several(kernel_size, dims, "kernel_size", f"lp_pool{dims}d")
        pool = (_avg_pool1d, avg_pool2d, avg_pool3d)[dims - 1]
        out = pool(input.pow(norm_type), kernel, stride, 0, ceil_mode)
        return (out.sign() * functions.relu(out.abs())).mul(prod(kernel)).pow(1.0 / norm_type)

    lp_pool.__name__ = lp_pool.__qualname__ = f"lp_pool{dims}d"
    lp_pool.__doc__ = "The p-norm of each window: (sum x ** p) ** (1 / p)."
    return lp_pool


lp_pool1d, lp_pool2d, lp_pool3d = _lp_pool(1), _lp_pool(2), _lp_pool(3)
