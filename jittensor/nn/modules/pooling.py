"""In: signals (N, C, *size) or (C, *size). Out: means and maxima of windows in them."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import functional as F
from .conv import spread
from .module import Module

__all__ = [f"{name}{d}d" for name in ("AdaptiveAvgPool", "AdaptiveMaxPool", "AvgPool", "LPPool",
                                      "MaxPool", "MaxUnpool") for d in (1, 2, 3)] + [
    "FractionalMaxPool2d", "FractionalMaxPool3d"]


def _function(name: str, dims: int) -> Any:
    return getattr(F, f"{name}{dims}d")


class _MaxPool(Module):
    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        """The maxima of windows, and their places if `return_indices`."""
        return _function("max_pool", self.dims)(
            input, self.kernel_size, self.stride, self.padding, self.dilation,
            ceil_mode=self.ceil_mode, return_indices=self.return_indices)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")


class _AvgPool(Module):
    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True,
                 divisor_override: int | None = None) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """The means of windows."""
        return _function("avg_pool", self.dims)(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The means of windows of (N, C, L) or (C, L)."""

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True) -> None:
        super().__init__(spread(kernel_size, 1), spread(
            kernel_size if stride is None else stride, 1), spread(padding, 1), ceil_mode,
            count_include_pad)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) to (N, C, windows)."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad)


class _LPPool(Module):
    dims: int

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None,
                 ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size = norm_type, kernel_size
        self.stride, self.ceil_mode = stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """The norms of windows."""
        return _function("lp_pool", self.dims)(input, float(self.norm_type), self.kernel_size,
                                               self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
                f"stride={self.stride}, ceil_mode={self.ceil_mode}")


class _AdaptiveAvgPool(Module):
    dims: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        """The means of `output_size` parts."""
        return _function("adaptive_avg_pool", self.dims)(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_AdaptiveAvgPool):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        """The maxima of `output_size` parts, and their places if `return_indices`."""
        return _function("adaptive_max_pool", self.dims)(input, self.output_size,
                                                         self.return_indices)


class _MaxUnpool(Module):
    dims: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = spread(kernel_size, self.dims)
        self.stride = spread(kernel_size if stride is None else stride, self.dims)
        self.padding = spread(padding, self.dims)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Zeros with each element put back where `max_pool` found it."""
        return _function("max_unpool", self.dims)(
            input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _FractionalMaxPool(Module):
    dims: int

    def __init__(self, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
                 return_indices: bool = False, _random_samples: Tensor | None = None) -> None:
        super().__init__()
        name = type(self).__name__
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output size, or a pooling "
                             "ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        self.kernel_size = spread(kernel_size, self.dims)
        self.output_size = None if output_size is None else spread(output_size, self.dims)
        self.output_ratio = None if output_ratio is None else spread(output_ratio, self.dims)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        """The maxima of windows at pseudo-random places."""
        return _function("fractional_max_pool", self.dims)(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
            self._random_samples)


def _layer(base: type, name: str, dims: int) -> type:
    """The class of a pooling layer over that many dims."""
    return type(name, (base,), {"dims": dims, "__module__": __name__, "__doc__":
                                f"`nn.functional` pooling over {dims} dims as a layer: {name}."})


AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d = (
    _layer(_AdaptiveAvgPool, f"AdaptiveAvgPool{d}d", d) for d in (1, 2, 3))
AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d = (
    _layer(_AdaptiveMaxPool, f"AdaptiveMaxPool{d}d", d) for d in (1, 2, 3))
AvgPool2d, AvgPool3d = (_layer(_AvgPool, f"AvgPool{d}d", d) for d in (2, 3))
LPPool1d, LPPool2d, LPPool3d = (_layer(_LPPool, f"LPPool{d}d", d) for d in (1, 2, 3))
MaxPool1d, MaxPool2d, MaxPool3d = (_layer(_MaxPool, f"MaxPool{d}d", d) for d in (1, 2, 3))
MaxUnpool1d, MaxUnpool2d, MaxUnpool3d = (
    _layer(_MaxUnpool, f"MaxUnpool{d}d", d) for d in (1, 2, 3))
FractionalMaxPool2d, FractionalMaxPool3d = (
    _layer(_FractionalMaxPool, f"FractionalMaxPool{d}d", d) for d in (2, 3))
