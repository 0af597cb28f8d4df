"""Pieces of gradient formulas that are no plain row: tensors in, tensors out. The operator tables
call them as methods."""

from __future__ import annotations

from .. import views
from ..creation import full
from ..graph.node import spec_of
from ..record import apply
from ..tensor import Tensor
from . import losses, scans
from .joining import cat


def _pow_grad_self(self, grad, exponent) -> Tensor:
    """d(self ** exponent) / d(self) * grad; 0 where the exponent is 0."""
    if isinstance(exponent, Tensor):
        slope = exponent * self.pow(exponent - 1)
        return (grad * slope.conj()).masked_fill(exponent == 0, 0)
    if exponent == 0:
        return grad * 0
    return grad * (exponent * self.pow(exponent - 1)).conj()


def _pow_grad_exponent(self, grad, base, result) -> Tensor:
    """d(base ** self) / d(self) * grad; 0 where 0 ** self stays 0."""
    if not isinstance(base, Tensor):
        return grad * 0 if base == 0 else grad * (result * _log(base)).conj()
    slope = result * base.log()
    return (grad * slope.conj()).masked_fill((base == 0) & (self >= 0), 0)


def _log(value):
    import cmath
    import math
    return math.log(value) if not isinstance(value, complex) and value > 0 else (
        float("nan") if not isinstance(value, complex) else cmath.log(value))


def _xlogy_grad(self, x, y) -> Tensor:
    """grad * log(y), 0 where x = 0 and y <= 0 or y is NaN."""
    if not isinstance(y, Tensor):
        return (self * _log(y)).masked_fill(x == 0, 0) if y <= 0 else self * _log(y)
    return self * y.log().masked_fill((x == 0) & (y <= 0), 0.0)


def _xlog1py_grad(self, x, y) -> Tensor:
    """grad * log(1 + y), 0 where x = 0 and y <= -1."""
    if not isinstance(y, Tensor):
        return self._xlogy_grad(x, 1 + y)
    return self * y.log1p().masked_fill((x == 0) & (y <= -1), 0.0)


def _igamma_grad(self, x) -> Tensor:
    """The derivative of the regularised incomplete gamma function P(a, x) in x."""
    return ((self - 1) * x.log() - x - self.lgamma()).exp()


def _sinc_grad(self, grad) -> Tensor:
    """d sinc(x) / dx = (cos(πx) πx - sin(πx)) / (π x²), 0 at 0."""
    x = self * 3.141592653589793
    slope = (x.cos() * x - x.sin()) / (x * self)
    return grad * slope.masked_fill(self == 0, 0)


def _sgn_grad(self, x, result) -> Tensor:
    """The gradient of x / |x|: what is across x, divided by |x|; 0 for real numbers."""
    if not x.dtype.is_complex:
        return self * 0
    share = self / x.abs()
    return (share - result * (share * result.conj()).real).masked_fill(x == 0, 0)


def _angle_grad(self, x) -> Tensor:
    """The gradient of a complex number's angle, i g x / |x|^2; 0 for real numbers."""
    if not x.dtype.is_complex:
        return self * 0
    return (self * 1j / x.conj()).masked_fill(x == 0, 0)


def _prod_grad(self, grad, result, dims) -> Tensor:
    """The gradient of a product: the product of the others, without dividing."""
    if len(dims) == 1 and self.ndim:
        (d,) = dims
        return grad * _others(self, d)
    flat = views.reshape(self, -1)
    return grad * views.reshape(_others(flat, 0), *self.shape) if self.ndim else grad.clone()


def _others(x: Tensor, d: int) -> Tensor:
    return (scans.scan("cumprod", x, d)._shifted(d, 1, 1)
            * scans.scan("cumprod", x, d, True)._shifted(d, -1, 1))


def _shifted(self, dim: int, by: int, fill) -> Tensor:
    """Moved along a dim by one or minus one; `fill` comes in."""
    size = self.shape[dim]
    if not size:
        return self
    shape = list(self.shape)
    shape[dim] = 1
    edge = full(shape, fill, dtype=self.dtype)
    if by > 0:
        return cat([edge, views.narrow(self, dim, 0, size - 1)], dim)
    return cat([views.narrow(self, dim, 1, size - 1), edge], dim)


def _cumprod_grad(self, x, dim: int, reverse: bool = False) -> Tensor:
    """The gradient of running products without dividing: with S[k] = grad[k] + x[k + 1] S[k + 1],
    it is the product of x[:k] times S[k]. With `reverse` all of it runs the other way."""
    if not x.ndim:
        return self
    step = -1 if reverse else 1
    before = scans.scan("cumprod", x, dim, reverse)._shifted(dim, step, 1)
    return before * _recurrence(self, x._shifted(dim, -step, 0), dim, not reverse)


def _scan(self, name: str, dim: int, reverse: bool) -> Tensor:
    return scans.scan(name, self, dim, reverse)


def _recurrence(self, factor, dim: int, reverse: bool) -> Tensor:
    """y[k] = self[k] + factor[k] y[k - 1] along a dim (from the end with `reverse`)."""
    x, a = self.contiguous(), factor.contiguous()
    return apply("_recurrence", (x, a), (dim, reverse), spec=lambda: spec_of(x.dtype, x.shape))


def _softmax_grad(self, y, dim: int) -> Tensor:
    return apply("_softmax_grad", (self, y), (dim,), spec=lambda: spec_of(y.dtype, y.shape))


def _log_softmax_grad(self, y, dim: int) -> Tensor:
    return apply("_log_softmax_grad", (self, y), (dim,), spec=lambda: spec_of(y.dtype, y.shape))


def _layer_norm_grad(self, inputs, dims, eps: float) -> Tensor:
    return apply("_layer_norm_grad", inputs, (dims, eps),
                 spec=lambda: spec_of(inputs[1].dtype, inputs[1].shape))


def _layer_normed(self, dims, eps: float) -> Tensor:
    return apply("_layer_normed", (self,), (dims, eps),
                 spec=lambda: spec_of(self.dtype, self.shape))


def _nll_loss_grad(self, target, places, spec, reduction: str, ignore: int) -> Tensor:
    return apply("_nll_loss_grad", (self, target, places), (reduction, ignore, spec.shape),
                 spec=lambda: spec_of(spec.dtype, spec.shape))


def _nll_picked(self, target, places, reduction: str, ignore: int) -> Tensor:
    return losses.nll(self, target, places, reduction, ignore)
