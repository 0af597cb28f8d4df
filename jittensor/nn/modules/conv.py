"""In: signals (N, C, *size) or (C, *size). Out: their convolutions with learned kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ... import creation
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


def spread(value: Any, count: int) -> tuple:
    """One number for each dim."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * count


class _ConvNd(Module):
    dims: int
    transposed = False
    weight: Tensor

    def _build(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any,
               padding: Any, output_padding: Any, groups: int, bias: bool, dilation: Any,
               padding_mode: str, device: Any, dtype: Any) -> None:
        super().__init__()
        self._check(in_channels, out_channels, groups, padding, stride, padding_mode)
        count = self.dims
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride = spread(kernel_size, count), spread(stride, count)
        self.padding = padding if isinstance(padding, str) else spread(padding, count)
        self.dilation, self.groups = spread(dilation, count), groups
        self.output_padding = spread(output_padding, count)
        self.padding_mode = padding_mode
        first, second = ((in_channels, out_channels) if self.transposed
                         else (out_channels, in_channels))
        shape = (first, second // groups, *self.kernel_size)
        self.weight = Parameter(creation.empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(creation.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _check(self, in_channels: int, out_channels: int, groups: int, padding: Any, stride: Any,
               padding_mode: str) -> None:
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of "
                                 "{'same', 'valid'}")
            if padding == "same" and any(s != 1 for s in spread(stride, self.dims)):
                raise ValueError("padding='same' is not supported for strided convolutions")
        modes = {"zeros", "reflect", "replicate", "circular"}
        if padding_mode not in modes:
            raise ValueError(f"padding_mode must be one of {modes}, but got padding_mode="
                             f"'{padding_mode}'")

    def reset_parameters(self) -> None:
        """Draw the weight and then the bias anew, uniformly from ±1/sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self.dims, (1,) * self.dims
        text = (f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
                f"stride={self.stride}")
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != ones:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _PlainConv(_ConvNd):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
                 padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        self._build(in_channels, out_channels, kernel_size, stride, padding, 0, groups, bias,
                    dilation, padding_mode, device, dtype)

    def _sides(self) -> list[int]:
        """The padding as `nn.functional.pad` takes it."""
        if self.padding == "valid":
            return [0] * (2 * self.dims)
        if self.padding == "same":
            totals = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            return [n for t in reversed(totals) for n in (t // 2, t - t // 2)]
        return [n for p in reversed(self.padding) for n in (p, p)]

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *size) or (C, *size) to (N, O, *counts) or (O, *counts)."""
        form = (F.conv1d, F.conv2d, F.conv3d)[self.dims - 1]
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._sides(), mode=self.padding_mode), 0
        return form(input, self.weight, self.bias, self.stride, padding, self.dilation,
                    self.groups)


class Conv1d(_PlainConv):
    """Convolution of (N, C, L); the weight is (O, C / groups, kernel)."""

    dims = 1


class Conv2d(_PlainConv):
    """Convolution of (N, C, H, W); the weight is (O, C / groups, *kernel)."""

    dims = 2


class Conv3d(_PlainConv):
    """Convolution of (N, C, D, H, W); the weight is (O, C / groups, *kernel)."""

    dims = 3


class _TransposedConv(_ConvNd):
    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
                 padding: Any = 0, output_padding: Any = 0, groups: int = 1, bias: bool = True,
                 dilation: Any = 1, padding_mode: str = "zeros", device: Any = None,
                 dtype: Any = None) -> None:
        if padding_mode != "zeros":
            raise ValueError('Only "zeros" padding mode is supported for '
                             f"{self.__class__.__name__}")
        self._build(in_channels, out_channels, kernel_size, stride, padding, output_padding,
                    groups, bias, dilation, padding_mode, device, dtype)

    def _extra(self, input: Tensor, output_size: Any) -> tuple:
        """The output padding that gives an output size."""
        if output_size is None:
            return self.output_padding
        count = self.dims
        wanted = list(output_size)
        if len(wanted) == count + (input.dim() - count) and len(wanted) != count:
            wanted = wanted[-count:]
        if len(wanted) != count:
            raise ValueError(f"ConvTranspose{count}D: for {input.dim()}D input, output_size must "
                             f"have {count} or {input.dim()} elements (got {len(wanted)})")
        low = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, k, d in zip(
            input.shape[-count:], self.stride, self.padding, self.kernel_size, self.dilation,
            strict=True)]
        high = [n + s - 1 for n, s in zip(low, self.stride, strict=True)]
        if any(not a <= n <= b for n, a, b in zip(wanted, low, high, strict=True)):
            raise ValueError(f"requested an output size of {wanted}, but valid sizes range from "
                             f"{low} to {high} (for an input of {input.shape[-count:]})")
        return tuple(n - a for n, a in zip(wanted, low, strict=True))

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """(N, C, *counts) or (C, *counts) to (N, O, *size) or (O, *size)."""
        form = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.dims - 1]
        return form(input, self.weight, self.bias, self.stride, self.padding,
                    self._extra(input, output_size), self.groups, self.dilation)


class ConvTranspose1d(_TransposedConv):
    """The gradient of a 1-d convolution as a layer; the weight is (C, O / groups, kernel)."""

    dims = 1


class ConvTranspose2d(_TransposedConv):
    """The gradient of a 2-d convolution as a layer; the weight is (C, O / groups, *kernel)."""

    dims = 2


class ConvTranspose3d(_TransposedConv):
    """The gradient of a 3-d convolution as a layer; the weight is (C, O / groups, *kernel)."""

    dims = 3
