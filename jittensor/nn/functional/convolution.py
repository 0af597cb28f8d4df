"""In: signals (N, C, *size), kernels (O, C / groups, *kernel). Out: their convolutions.

The convolution, its transpose and the product that gives the kernels' gradient are linear in each
operand and each other's gradients (Dumoulin & Visin 2016), so that three operations are closed
under differentiation. float32 and float64 have kernels of their own; for other dtypes each is one
matrix product over windows.
"""

from __future__ import annotations

from math import prod

from ... import functions
from ...autograd.graph import relabel
from ...functions.rules import gradient_rule, with_gradient
from ...graph.node import spec_of
from ...graph.shapes import contiguous_strides, span
from ...kernels import convolution as kernels  # noqa: F401  (fills the table of opaque operators)
from ...record import apply
from ...tensor import Tensor
from .windows import Sizes, counts, overlap_add, plain, reach, several, window_view


def _conj(x: Tensor) -> Tensor:
    return x.conj() if x.dtype.is_complex else x


def _edges(low: Sizes, high: Sizes) -> list[int]:
    """The padding of `constant_pad_nd`, which starts at the last dim."""
    return [n for pair in zip(reversed(low), reversed(high), strict=True) for n in pair]


def _padded(x: Tensor, low: Sizes, high: Sizes) -> Tensor:
    return functions.constant_pad_nd(x, _edges(low, high), 0) if any(low) or any(high) else x


def _own(x: Tensor, other: Tensor) -> bool:
    """Whether the kernels of convolutions take the operands."""
    return (x.dtype.code in ("f32", "f64") and len(x.shape) <= 5 and x.numel() > 0
            and other.numel() > 0 and span(x.shape, x.stride())[1] < 1 << 30)


def _result(name: str, x: Tensor, other: Tensor, attrs: tuple, shape: tuple) -> Tensor:
    """What a kernel makes of the operands."""
    return apply(name, (x, other), attrs,
                 spec=lambda: spec_of(x.dtype, shape, contiguous_strides(shape), x.spec.device))


# attrs of all three: (stride, low, high, dilation, groups, kernel, size of the plain input)
def _convolve_backward(node, grad):
    x, weight = node.saved(0), node.saved(1)
    return [None if node.edges[0] is None else _transposed(grad, _conj(weight), *node.attrs),
            None if node.edges[1] is None else _correlate(_conj(x), grad, *node.attrs)]


def _transposed_backward(node, grad):
    x, weight = node.saved(0), node.saved(1)
    return [None if node.edges[0] is None else _convolve(grad, _conj(weight), *node.attrs),
            None if node.edges[1] is None else _correlate(grad, _conj(x), *node.attrs)]


def _correlate_backward(node, grad):
    x, other = node.saved(0), node.saved(1)
    return [None if node.edges[0] is None else _transposed(_conj(other), grad, *node.attrs),
            None if node.edges[1] is None else _convolve(_conj(x), grad, *node.attrs)]


_CONVOLVE = gradient_rule("convolution", _convolve_backward, saves=(0, 1))
_TRANSPOSED = gradient_rule("convolution_transposed", _transposed_backward, saves=(0, 1),
                            grad_name="ConvolutionBackward0")
_CORRELATE = gradient_rule("convolution_weight", _correlate_backward, saves=(0, 1),
                           grad_name="ConvolutionBackwardBackward0")


def _convolve(x, weight, stride, low, high, dilation, groups, kernel, size) -> Tensor:
    """(N, C, *size), (O, C / groups, *kernel) to (N, O, *counts)."""
    def compute() -> Tensor:
        if _own(x, weight):
            number = counts([n + p + q for n, p, q in zip(x.shape[2:], low, high, strict=True)],
                            kernel, stride, dilation)
            return _result("_slide", x, weight.contiguous(), (
                stride, low, dilation, groups, kernel, number),
                (x.shape[0], weight.shape[0], *number))
        wide = _padded(x, low, high)
        number = counts(wide.shape[2:], kernel, stride, dilation)
        count, channels = x.shape[:2]
        columns = window_view(wide, kernel, stride, dilation).reshape(
            count, groups, channels // groups * prod(kernel), prod(number))
        matrix = weight.reshape(1, groups, weight.shape[0] // groups, columns.shape[2])
        return plain(functions.matmul(matrix, columns).reshape(
            count, weight.shape[0], *number))

    return with_gradient(_CONVOLVE, compute, (x, weight),
                         (stride, low, high, dilation, groups, kernel, size))


def _transposed(x, weight, stride, low, high, dilation, groups, kernel, size) -> Tensor:
    """(N, O, *counts), (O, C / groups, *kernel) to (N, C, *size)."""
    def compute() -> Tensor:
        if _own(x, weight):
            return _result("_slide_back", x, weight, (stride, low, dilation, groups, kernel, size),
                           (x.shape[0], groups * weight.shape[1], *size))
        count, outputs = x.shape[:2]
        number = tuple(x.shape[2:])
        matrix = weight.reshape(1, groups, outputs // groups, weight.shape[1] * prod(kernel))
        columns = functions.matmul(matrix.transpose(-1, -2), x.reshape(
            count, groups, outputs // groups, prod(number)))
        parts = columns.reshape(count, groups * weight.shape[1], *kernel, *number)
        wide = tuple(max(n + p, (m - 1) * s + r) for n, p, m, s, r in zip(
            size, low, number, stride, reach(kernel, dilation), strict=True))
        whole = overlap_add(parts, kernel, stride, dilation, wide)
        cut = tuple(n + p - w for n, p, w in zip(size, low, wide, strict=True))
        return plain(_padded(whole, tuple(-p for p in low), cut))

    return with_gradient(_TRANSPOSED, compute, (x, weight),
                         (stride, low, high, dilation, groups, kernel, size))


def _correlate(x, other, stride, low, high, dilation, groups, kernel, size) -> Tensor:
    """(N, C, *size), (N, O, *counts) to (O, C / groups, *kernel), summed over N and windows."""
    def compute() -> Tensor:
        dims, channels, outputs = len(kernel), x.shape[1], other.shape[1]
        if _own(x, other):
            return _result("_correlate", x, other.contiguous(), (
                stride, low, dilation, groups, kernel), (outputs, channels // groups, *kernel))
        number = tuple(other.shape[2:])
        view = window_view(_padded(x, low, high), kernel, stride, dilation)
        # The windows that the plain convolution made may be fewer than those that fit.
        for d, n in enumerate(number):
            view = view.narrow(2 + dims + d, 0, n)
        columns = view.permute(1, *range(2, 2 + dims), 0, *range(2 + dims, 2 + 2 * dims)).reshape(
            groups, channels // groups * prod(kernel), x.shape[0] * prod(number))
        rows = other.transpose(0, 1).reshape(groups, outputs // groups, columns.shape[2])
        return plain(functions.matmul(rows, columns.transpose(1, 2)).reshape(
            outputs, channels // groups, *kernel))

    return with_gradient(_CORRELATE, compute, (x, other),
                         (stride, low, high, dilation, groups, kernel, size))


# ── checks ────────────────────────────────────────────────────────────────────────────────────
_TITLES = {"float32": "Float", "float64": "Double", "int64": "Long", "int32": "Int",
           "float16": "Half", "bfloat16": "BFloat16", "complex64": "ComplexFloat",
           "complex128": "ComplexDouble", "bool": "Bool"}


def _check(name: str, input: Tensor, weight: Tensor, bias: Tensor | None, dims: int,
           groups: int, transposed: bool) -> Tensor:
    """The input with a batch dim; PyTorch's errors where the operands do not fit."""
    if input.dim() not in (dims + 1, dims + 2):
        raise RuntimeError(f"Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to "
                           f"{name}, but got input of size: {list(input.shape)}")
    x = input if input.dim() == dims + 2 else input.unsqueeze(0)
    if weight.dim() != dims + 2:
        raise RuntimeError(
            f"Expected {x.dim()}-dimensional input for {x.dim()}-dimensional weight "
            f"{list(weight.shape)}, but got {weight.dim()}-dimensional input of size "
            f"{list(x.shape)} instead" if transposed else
            f"weight should have at least three dimensions, but got {list(weight.shape)}")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    head = f"Given {'transposed=1' if transposed else f'groups={groups}'}"
    if weight.shape[0] % groups or weight.shape[0] < groups:
        raise RuntimeError(f"Given groups={groups}, expected weight to be divisible by {groups} "
                           f"at dimension 0, but got weight of size [{list(weight.shape)}] "
                           "instead")
    want = weight.shape[0] if transposed else weight.shape[1] * groups
    if x.shape[1] != want:
        raise RuntimeError(
            f"{head}, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have "
            f"{want} channels, but got {x.shape[1]} channels instead")
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise RuntimeError(
            f"Given {'transposed=1, ' if transposed else ''}weight of size {list(weight.shape)}, "
            f"expected bias to be 1-dimensional with {outputs} elements, but got bias of size "
            f"{list(bias.shape)} instead")
    for other in (weight, bias):
        if other is not None and other.dtype is not x.dtype:
            raise RuntimeError(f"expected scalar type {_TITLES.get(x.dtype.name, x.dtype.name)} "
                               f"but found {_TITLES.get(other.dtype.name, other.dtype.name)}")
    return x


def _check_steps(stride: Sizes, dilation: Sizes) -> None:
    if min(stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(dilation) <= 0:
        raise RuntimeError(f"dilation should be greater than zero, but got {list(dilation)}")


def _sides(padding, stride: Sizes, kernel: Sizes, dilation: Sizes) -> tuple[Sizes, Sizes]:
    """The padding before and after each dim, 'same' and 'valid' included."""
    dims = len(kernel)
    if isinstance(padding, str):
        if padding == "valid":
            return (0,) * dims, (0,) * dims
        if padding != "same":
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if max(stride) > 1:
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        total = [r - 1 for r in reach(kernel, dilation)]
        return tuple(n // 2 for n in total), tuple(n - n // 2 for n in total)
    low = several(padding, dims, "padding")
    if min(low) < 0:
        raise RuntimeError("negative padding is not supported")
    return low, low


def _finish(out: Tensor, bias: Tensor | None, batched: bool) -> Tensor:
    if bias is not None:
        out = relabel(out + bias.reshape(-1, *[1] * (out.dim() - 2)), "ConvolutionBackward0")
    return out if batched else out.squeeze(0)


def _rounds(weight: Tensor, bias: Tensor | None) -> bool:
    """Whether the sum with the bias would be rounded a second time."""
    return bias is not None and weight.dtype is not weight.dtype.compute


def _once(form, input: Tensor, weight: Tensor, bias: Tensor, *options) -> Tensor:
    """A convolution of 16-bit floats in float32, rounded when the bias has been added."""
    out = form(*[x.to(weight.dtype.compute) for x in (input, weight, bias)], *options)
    return relabel(out.to(weight.dtype), "ConvolutionBackward0")


# ── the public functions ──────────────────────────────────────────────────────────────────────
def _plain_form(dims: int):
    name = f"conv{dims}d"

    def conv(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride=1, padding=0,
             dilation=1, groups: int = 1) -> Tensor:
        x = _check(name, input, weight, bias, dims, groups, False)
        if _rounds(weight, bias):
            return _once(conv, input, weight, bias, stride, padding, dilation, groups)
        steps, gaps = several(stride, dims, "stride"), several(dilation, dims, "dilation")
        _check_steps(steps, gaps)
        kernel = tuple(weight.shape[2:])
        low, high = _sides(padding, steps, kernel, gaps)
        wide = [n + p + q for n, p, q in zip(x.shape[2:], low, high, strict=True)]
        cover = reach(kernel, gaps)
        if any(n < r for n, r in zip(wide, cover, strict=True)):
            raise RuntimeError(
                f"Calculated padded input size per channel: ({' x '.join(map(str, wide))}). "
                f"Kernel size: ({' x '.join(map(str, cover))}). Kernel size can't be greater "
                "than actual input size")
        out = _convolve(x, weight, steps, low, high, gaps, groups, kernel, tuple(x.shape[2:]))
        return _finish(out, bias, x is input)

    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = (f"The cross-correlation of (N, C, *{dims} sizes) with kernels (O, C / groups,"
                    f" *{dims} sizes).\n\n`padding` may be 'same' or 'valid'.\n\nRaises:\n"
                    "    RuntimeError: shapes, dtypes or steps do not fit.\n")
    return conv


def _transposed_form(dims: int):
    name = f"conv_transpose{dims}d"

    def conv(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride=1, padding=0,
             output_padding=0, groups: int = 1, dilation=1) -> Tensor:
        x = _check(name, input, weight, bias, dims, groups, True)
        if _rounds(weight, bias):
            return _once(conv, input, weight, bias, stride, padding, output_padding, groups,
                         dilation)
        steps, gaps = several(stride, dims, "stride"), several(dilation, dims, "dilation")
        _check_steps(steps, gaps)
        low = several(padding, dims, "padding")
        extra = several(output_padding, dims, "output_padding")
        if min(low) < 0:
            raise RuntimeError("negative padding is not supported")
        _check_extra(extra, steps, gaps)
        kernel = tuple(weight.shape[2:])
        size = tuple((n - 1) * s - 2 * p + r + e for n, s, p, r, e in zip(
            x.shape[2:], steps, low, reach(kernel, gaps), extra, strict=True))
        if min(size) < 1:
            raise RuntimeError(
                f"Given input size per channel: {list(x.shape[2:])}. Calculated output size per "
                f"channel: {list(size)}. Output size is too small")
        high = tuple(p - e for p, e in zip(low, extra, strict=True))
        out = _transposed(x, weight, steps, low, high, gaps, groups, kernel, size)
        return _finish(out, bias, x is input)

    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = (f"The transposed convolution of (N, O, *{dims} sizes) with kernels (O, C / "
                    f"groups, *{dims} sizes):\nthe gradient of the plain one in its input.\n\n"
                    "Raises:\n    RuntimeError: shapes, dtypes or steps do not fit.\n")
    return conv


def _check_extra(extra: Sizes, stride: Sizes, dilation: Sizes) -> None:
    if min(extra) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if any(e >= s and e >= d for e, s, d in zip(extra, stride, dilation, strict=True)):
        sides = ("depth", "height", "width")[-max(2, len(extra)):]
        parts = [f"{name}_{side}: {v}" for name, values in (
            ("output_padding", extra), ("stride", stride), ("dilation", dilation))
            for side, v in zip(sides, (1,) * (len(sides) - len(values)) + values, strict=True)]
        raise RuntimeError("output padding must be smaller than either stride or dilation, but "
                           "got " + " ".join(parts))


conv1d, conv2d, conv3d = _plain_form(1), _plain_form(2), _plain_form(3)
conv_transpose1d, conv_transpose2d = _transposed_form(1), _transposed_form(2)
conv_transpose3d = _transposed_form(3)


def convolution(input: Tensor, weight: Tensor, bias: Tensor | None, stride, padding, dilation,
                transposed: bool, output_padding, groups: int) -> Tensor:
    """The convolution of any number of dims, plain or transposed."""
    dims = weight.dim() - 3
    if transposed:
        form = (conv_transpose1d, conv_transpose2d, conv_transpose3d)[dims]
        return form(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return (conv1d, conv2d, conv3d)[dims](input, weight, bias, stride, padding, dilation, groups)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """A 1-d convolution of (time, batch, channels) with kernels (kernel, in, out)."""
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias,
                  padding=pad).permute(2, 0, 1)
