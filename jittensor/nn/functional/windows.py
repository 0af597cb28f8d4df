"""In: a tensor with spatial dims. Out: the windows a kernel sees in it; their sum back in place.

The two are each other's gradient, so that both can be differentiated as often as one likes.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

from ... import creation, functions, views
from ...functions.rules import gradient_rule, with_gradient
from ...graph.ops import OPS
from ...graph.shapes import contiguous_strides
from ...record import cast, write
from ...tensor import Tensor, new_tensor

Sizes = tuple[int, ...]


def several(value: int | Sequence[int], count: int, name: str, what: str = "") -> Sizes:
    """One number for each spatial dim, given one or `count` of them.

    Raises:
        RuntimeError: another count of numbers.
    """
    if isinstance(value, int):
        return (value,) * count
    sizes = tuple(int(n) for n in value)
    if len(sizes) == 1:
        return sizes * count
    if len(sizes) != count:
        if what:
            raise RuntimeError(f"{what}: {name} must either be a single int, or a tuple of "
                               f"{'two' if count == 2 else 'three' if count == 3 else 'one'} ints")
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {count} values to match "
            f"the convolution dimensions, but got {name}={list(sizes)}")
    return sizes


def reach(kernel: Sizes, dilation: Sizes) -> Sizes:
    """How many elements a kernel covers in each dim, gaps included."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def counts(size: Sequence[int], kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many windows fit in each dim."""
    return tuple((n - r) // s + 1
                 for n, r, s in zip(size, reach(kernel, dilation), stride, strict=True))


def plain(x: Tensor) -> Tensor:
    """x as a tensor of its own, no view of another."""
    x.storage.version = 0
    return new_tensor(x.storage, x.spec, x.offset)


def window_view(x: Tensor, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Tensor:
    """(N, C, *size) to a view (N, C, *kernel, *counts) of it."""
    x = x.contiguous()
    inner = x.stride()[2:]
    number = counts(x.shape[2:], kernel, stride, dilation)
    steps = [s * d for s, d in zip(inner, dilation, strict=True)]
    moves = [s * d for s, d in zip(inner, stride, strict=True)]
    return views.as_strided(x, (*x.shape[:2], *kernel, *number),
                            (*x.stride()[:2], *steps, *moves))


def _windows_backward(node, grad):
    kernel, stride, dilation, size = node.attrs
    return [overlap_add(grad, kernel, stride, dilation, size)]


def _overlap_backward(node, grad):
    kernel, stride, dilation, _ = node.attrs
    return [windows(grad, kernel, stride, dilation)]


_WINDOWS = gradient_rule("windows", _windows_backward, grad_name="Im2ColBackward0")
_OVERLAP = gradient_rule("overlap_add", _overlap_backward, grad_name="Col2ImBackward0")


def windows(x: Tensor, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Tensor:
    """(N, C, *size) to a copy (N, C, *kernel, *counts) of its windows."""
    def compute() -> Tensor:
        view = window_view(x, kernel, stride, dilation)
        return plain(cast(view, view.dtype, contiguous_strides(view.shape)))

    return with_gradient(_WINDOWS, compute, (x,), (kernel, stride, dilation, tuple(x.shape[2:])))


def overlap_add(x: Tensor, kernel: Sizes, stride: Sizes, dilation: Sizes, size: Sizes) -> Tensor:
    """Windows (N, C, *kernel, *counts) added up in (N, C, *size), each in its place."""
    number = tuple(x.shape[2 + len(kernel):])

    def compute() -> Tensor:
        whole = creation.zeros((*x.shape[:2], *size), dtype=x.dtype)
        if not x.numel():
            return whole
        for place in itertools.product(*map(range, kernel)):
            source, target = x, whole
            for d, k in enumerate(place):
                source = views.select(source, 2, k)
                start = k * dilation[d]
                stop = start + stride[d] * (number[d] - 1) + 1
                target = views.slice_dim(target, 2 + d, start, stop, stride[d])
            write(target, OPS["add"], target, source)
        return plain(whole)

    return with_gradient(_OVERLAP, compute, (x,), (kernel, stride, dilation, size))


def unfold(input: Tensor, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """(N, C, H, W) or (C, H, W) to the columns (N, C * kernel, windows).

    Raises:
        RuntimeError: other dims, or no window fits.
    """
    kernel, steps = several(kernel_size, 2, "kernel_size"), several(stride, 2, "stride")
    gaps, edges = several(dilation, 2, "dilation"), several(padding, 2, "padding")
    if input.dim() not in (3, 4) or 0 in input.shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}")
    _check_positive(kernel, steps, gaps)
    x = input if input.dim() == 4 else input.unsqueeze(0)
    x = functions.constant_pad_nd(x, [edges[1], edges[1], edges[0], edges[0]], 0)
    number = counts(x.shape[2:], kernel, steps, gaps)
    if min(number) < 1:
        raise RuntimeError(
            f"Given input with spatial size ({input.shape[-2]}, {input.shape[-1]}), kernel_size="
            f"({kernel[0]}, {kernel[1]}), dilation=({gaps[0]}, {gaps[1]}), padding=({edges[0]}, "
            f"{edges[1]}), calculated shape of the array of sliding blocks as ({number[0]}, "
            f"{number[1]}), but its components must be at least one.")
    out = windows(x, kernel, steps, gaps).reshape(
        x.shape[0], x.shape[1] * prod(kernel), prod(number))
    return out if input.dim() == 4 else out.squeeze(0)


def _check_positive(kernel: Sizes, stride: Sizes, dilation: Sizes) -> None:
    for values, name in ((kernel, "kernel size"), (dilation, "dilation"), (stride, "stride")):
        if min(values) <= 0:
            raise RuntimeError(f"{name} should be greater than zero, but got {name.split()[0]}"
                               f"_height: {values[0]} {name.split()[0]}_width: {values[1]}")


def fold(input: Tensor, output_size, kernel_size, dilation=1, padding=0, stride=1) -> Tensor:
    """Columns (N, C * kernel, windows) added up in (N, C, *output_size).

    Raises:
        RuntimeError: the columns do not fit the sizes.
    """
    kernel, steps = several(kernel_size, 2, "kernel_size"), several(stride, 2, "stride")
    gaps, edges = several(dilation, 2, "dilation"), several(padding, 2, "padding")
    size = several(output_size, 2, "output_size")
    _check_positive(kernel, steps, gaps)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}")
    x = input if input.dim() == 3 else input.unsqueeze(0)
    if x.shape[1] % prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={x.shape[1]} and kernel_size=({kernel[0]}, {kernel[1]}).")
    wide = tuple(n + 2 * p for n, p in zip(size, edges, strict=True))
    number = counts(wide, kernel, steps, gaps)
    if x.shape[2] != prod(number) or min(number) < 1:
        raise RuntimeError(
            f"Given output_size=({size[0]}, {size[1]}), kernel_size=({kernel[0]}, {kernel[1]}), "
            f"dilation=({gaps[0]}, {gaps[1]}), padding=({edges[0]}, {edges[1]}), stride=("
            f"{steps[0]}, {steps[1]}), expected size of input's dimension 2 to match the "
            f"calculated number of sliding blocks {number[0]} * {number[1]} = {prod(number)}, "
            f"but got input.size(2)={x.shape[2]}.")
    parts = x.reshape(x.shape[0], x.shape[1] // prod(kernel), *kernel, *number)
    out = overlap_add(parts, kernel, steps, gaps, wide)
    out = functions.constant_pad_nd(out, [-edges[1], -edges[1], -edges[0], -edges[0]], 0)
    return out if input.dim() == 3 else out.squeeze(0)
