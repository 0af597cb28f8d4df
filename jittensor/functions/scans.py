"""Scans along a dim: a tensor in, running sums, products and extremes of its shape out."""

from __future__ import annotations

from .. import return_types, views
from ..creation import ones, zeros
from ..graph import dtypes as dt
from ..graph.dtypes import Default
from ..graph.node import spec_of
from ..graph.shapes import wrap_dim
from ..kernels import scan as _kernels  # noqa: F401  (fills the table of opaque operators)
from ..record import apply
from ..tensor import Tensor
from .joining import cat
from .rows import into, title


def scan(name: str, x: Tensor, dim: int, reverse: bool = False) -> Tensor:
    """A scan operator along a dim (from the end with `reverse`)."""
    if not x.ndim:
        return views.reshape(scan(name, views.reshape(x, 1), 0), ())
    x = x.contiguous()
    return apply(name, (x,), (dim, reverse), spec=lambda: spec_of(x.dtype, x.shape))


def _widened(input: Tensor, dtype) -> Tensor:
    if dtype is None and input.dtype.category <= dt.INT:
        dtype = dt.int64
    return input if dtype is None else input.to(dtype)


def cumsum(input, dim: int, *, dtype=None, out: Tensor | None = None) -> Tensor:
    """Running sums; integers become int64."""
    d = wrap_dim(dim, input.ndim)
    return into(out, scan("cumsum", _widened(input, dtype), d))


def cumprod(input, dim: int, *, dtype=None, out: Tensor | None = None) -> Tensor:
    """Running products; integers become int64."""
    d = wrap_dim(dim, input.ndim)
    return into(out, scan("cumprod", _widened(input, dtype), d))


def logcumsumexp(input, dim: int, *, out: Tensor | None = None) -> Tensor:
    """Logarithms of running sums of exponentials."""
    d = wrap_dim(dim, input.ndim)
    if input.dtype.category < dt.FLOAT:
        raise RuntimeError(f'"logcumsumexp_out_cpu" not implemented for \'{title(input)}\'')
    return into(out, scan("logcumsumexp", input, d))


def _running(name: str, input: Tensor, dim: int):
    d = wrap_dim(dim, input.ndim)
    if not input.ndim:
        return input.clone(), zeros((), dtype=dt.int64)
    x = input.contiguous()
    index = apply(f"_{name}_index", (x,), (d,), spec=lambda: spec_of(dt.int64, x.shape))
    from .selection import picked
    return picked(input, d, index), index


def cummax(input, dim: int, *, out=None):
    """(running maxima, their indices)."""
    return return_types.cummax(*_outs(out, _running("cummax", input, dim)))


def cummin(input, dim: int, *, out=None):
    """(running minima, their indices)."""
    return return_types.cummin(*_outs(out, _running("cummin", input, dim)))


def _outs(out, results):
    return results if out is None else tuple(
        into(o, r) for o, r in zip(out, results, strict=True))


def vander(x, N: int | None = None, increasing: bool = False) -> Tensor:  # noqa: N803
    """Powers of a vector's elements as columns, the highest first unless `increasing`."""
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    wide = x if x.dtype.category >= dt.FLOAT else x.to(dt.int64)
    if count < 2:
        return ones(x.shape[0], count, dtype=wide.dtype)
    factors = views.expand(views.unsqueeze(wide, 1), x.shape[0], count - 1)
    powers = cat([ones(x.shape[0], 1, dtype=wide.dtype), cumprod(factors, 1)], 1)
    if increasing:
        return powers
    from .rearranging import flip
    return flip(powers, 1)


# ── differences and integrals ─────────────────────────────────────────────────────────────────
def diff(input, n: int = 1, dim: int = -1, prepend=None, append=None, *,
         out: Tensor | None = None) -> Tensor:
    """n-th differences of neighbours along a dim."""
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = wrap_dim(dim, input.ndim)
    parts = [x for x in (prepend, input, append) if x is not None]
    x = cat(parts, d) if len(parts) > 1 else input
    if n == 0:
        return into(out, x.clone())
    for _ in range(min(n, x.shape[d])):
        size = x.shape[d]
        high, low = views.narrow(x, d, 1, size - 1), views.narrow(x, d, 0, size - 1)
        x = high ^ low if x.dtype is dt.bool_ else high - low
    return into(out, x)


def _steps(y: Tensor, x, dx, d: int, name: str):
    if x is None:
        return dx
    if not x.ndim:
        raise RuntimeError(f"{name}: Expected x to have at least one dimension")
    if x.ndim == 1:
        if x.shape[0] != y.shape[d]:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        shape = [1] * y.ndim
        shape[d] = x.shape[0]
        x = views.reshape(x, *shape)
    elif x.ndim < y.ndim:
        x = views.reshape(x, *([1] * (y.ndim - x.ndim)), *x.shape)
    return diff(x, dim=d - y.ndim)


def _samples(y, x, dx, dim: int, name: str) -> tuple:
    """(steps, wrapped dim, sums of neighbours or None for no panels) of an integration."""
    d = wrap_dim(dim, y.ndim)
    if not y.ndim:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    if x is not None and dx is not None:
        raise TypeError(f"{name}() received an invalid combination of arguments: both x and dx")
    if y.dtype is dt.bool_ or x is not None and x.dtype is dt.bool_:
        which = "`y`" if x is None else "`x` or `y`"
        raise RuntimeError(f"{name}: received a bool input for {which}, but bool is not supported")
    if isinstance(dx, (bool, complex)):
        raise RuntimeError(f"{name}: Currently, we only support dx as a real number.")
    size = y.shape[d]
    if not size:
        return 1, d, None
    step = _steps(y, x, 1 if dx is None else dx, d, name)
    return step, d, views.narrow(y, d, 0, size - 1) + views.narrow(y, d, 1, size - 1)


def trapezoid(y, x=None, *, dx=None, dim: int = -1) -> Tensor:
    """The integral along a dim by the trapezoidal rule, over points x or steps dx.

    Raises:
        RuntimeError: bools, a dx that is not real, or another number of points than samples.

    >>> import jittensor as torch
    >>> torch.trapezoid(torch.tensor([1.0, 5.0, 10.0])).item()
    10.5
    """
    step, d, pairs = _samples(y, x, dx, dim, "trapezoid")
    if pairs is None:
        return y.sum(d, dtype=y.dtype)
    if isinstance(step, Tensor):
        return (pairs * step).sum(d) / 2.0
    ends = views.select(y, d, 0) + views.select(y, d, -1)
    return (y.sum(d) - ends * 0.5) * step


trapz = trapezoid


def cumulative_trapezoid(y, x=None, *, dx=None, dim: int = -1) -> Tensor:
    """The running integral along a dim by the trapezoidal rule."""
    step, d, pairs = _samples(y, x, dx, dim, "cumulative_trapezoid")
    return y * 1.0 if pairs is None else cumsum(step / 2.0 * pairs, d)


def gradient(input, *, spacing=None, dim=None, edge_order: int = 1) -> list[Tensor]:
    """Estimates of the derivatives along dims by central differences, one-sided at the edges
    (second-order interior formula of Fornberg 1988 for uneven points)."""
    if input.dtype.category < dt.FLOAT:
        input = input.to(Default.float_)
    dims = list(range(input.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [wrap_dim(d, input.ndim) for d in dims]
    for d in dims:
        if dims.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    if isinstance(spacing, (int, float)):
        steps = [spacing] * len(dims)
    else:
        steps = list(spacing)
        if isinstance(spacing, Tensor) and not spacing.ndim:
            steps = [spacing.item()] * len(dims)
    if len(steps) != len(dims):
        raise RuntimeError("torch.gradient expected spacing to be unspecified, a scalar, or a list "
                           f"of length {len(dims)}, but got a list of length {len(steps)}")
    for d in dims:
        if input.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least "
                               "edge_order+1")
    return [_along(input, step, d, edge_order) for step, d in zip(steps, dims, strict=True)]


def _along(x: Tensor, step, d: int, order: int) -> Tensor:
    size = x.shape[d]

    def part(start: int, count: int = 1) -> Tensor:
        return views.narrow(x, d, start, count)

    if isinstance(step, Tensor) and step.ndim:
        shape = [1] * x.ndim
        shape[d] = size - 1
        gaps = views.reshape(diff(step.to(x.dtype)), *shape)
        a, b = views.narrow(gaps, d, 0, size - 2), views.narrow(gaps, d, 1, size - 2)
        inner = (part(0, size - 2) * (-b / (a * (a + b))) + part(1, size - 2) * ((b - a) / (a * b))
                 + part(2, size - 2) * (a / (b * (a + b))))
        first, second = views.narrow(gaps, d, 0, 1), views.narrow(gaps, d, min(1, size - 2), 1)
        last = views.narrow(gaps, d, size - 2, 1)
        before = views.narrow(gaps, d, max(0, size - 3), 1)
    else:
        if isinstance(step, Tensor):
            step = step.item()
        inner = (part(2, size - 2) - part(0, size - 2)) / (2.0 * step)
        first = second = last = before = step
    if order == 1:
        left = (part(1) - part(0)) / first
        right = (part(size - 1) - part(size - 2)) / last
    else:
        left = (part(0) * (-(2.0 * first + second) / (first * (first + second)))
                + part(1) * ((first + second) / (first * second))
                - part(2) * (first / (second * (first + second))))
        right = (part(size - 1) * ((2.0 * last + before) / (last * (last + before)))
                 - part(size - 2) * ((last + before) / (last * before))
                 + part(size - 3) * (last / (before * (last + before))))
    return cat([left, inner, right], d)
