"""Draws with parameters of their own for each element: tensors of parameters in, samples out.

`poisson`, `binomial`, and the gamma and Dirichlet draws under `torch.distributions`, the latter
two with a gradient for their parameters.
"""

from __future__ import annotations

import numpy as np

from .functions.rows import title
from .functions.rules import gradient_rule, with_gradient
from .graph.node import spec_of
from .graph.shapes import broadcast_shapes
from .kernels import implicit_gradients as _kernels  # noqa: F401  (fills the operator table)
from .kernels import rejection_draws as draws
from .random import _drawn
from .record import apply
from .tensor import Tensor

__all__ = ["_dirichlet_grad", "_sample_dirichlet", "_standard_gamma", "_standard_gamma_grad",
           "binomial", "poisson"]


def _numbers(x: Tensor, name: str, narrow: bool) -> np.ndarray:
    """A floating tensor's values in float32 or float64; `narrow`: 16-bit dtypes are allowed."""
    if not x.is_floating_point() or not narrow and x.dtype.itemsize < 4:
        raise NotImplementedError(f"\"{name}\" not implemented for '{_cpp_name(x.dtype)}'")
    values = np.ascontiguousarray(x.detach()._array())
    return values if x.dtype.itemsize >= 4 else values.astype(np.float32)


def _cpp_name(dtype) -> str:
    from .graph.ops import _scalar_name
    return _scalar_name(dtype)


def poisson(input: Tensor, generator=None) -> Tensor:
    """Poisson draws of the rates in `input`, in its shape and floating dtype. The gradient is 0.

    >>> import jittensor as torch
    >>> torch.poisson(torch.zeros(3))
    tensor([0., 0., 0.])
    """
    rates = _numbers(input, "poisson_cpu", True)
    if bool((rates < 0).any()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return with_gradient(_POISSON, lambda: _drawn(
        lambda d: draws.poisson(d, _numbers(input, "poisson_cpu", True)).astype(
            input.dtype.numpy), tuple(input.shape), input.dtype, generator), (input,))


def binomial(count: Tensor, prob: Tensor, generator=None) -> Tensor:
    """Numbers of successes among `count` trials of probability `prob`, broadcast to each other.

    RuntimeError for dtypes that are not floating or differ, and shapes that do not fit.
    """
    for x in (count, prob):
        if not x.is_floating_point():
            raise ValueError("binomial only supports floating-point dtypes for "
                             f"{'count' if x is count else 'prob'}, got: {title(x)}")
    if count.dtype is not prob.dtype:
        raise RuntimeError("Found dtype " + title(prob) + " but expected " + title(count))
    shape = broadcast_shapes(count.shape, prob.shape)
    count, wide = count.detach().expand(shape), prob.detach().expand(shape)
    return _drawn(lambda d: draws.binomial(d, _numbers(count, "binomial_cpu", True), _numbers(
        wide, "binomial_cpu", True)).astype(count.dtype.numpy), tuple(count.shape), count.dtype,
        generator)


_POISSON = gradient_rule("poisson", lambda node, grad: [grad * 0], grad_name="PoissonBackward0")


# ── draws with gradients ──────────────────────────────────────────────────────────────────────
def _standard_gamma_grad(input: Tensor, output: Tensor) -> Tensor:
    """d output / d input of gamma draws `output` with the shape parameters `input`."""
    return apply("_standard_gamma_grad", (input.contiguous(), output.contiguous()),
                 spec=lambda: spec_of(input.dtype, input.shape))


def _dirichlet_grad(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """(dx/d alpha) / (1 - x) of Dirichlet draws x whose parameters are alpha and sum to total."""
    total = total.expand(x.shape)
    return apply("_dirichlet_grad", (x.contiguous(), alpha.contiguous(), total.contiguous()),
                 spec=lambda: spec_of(x.dtype, x.shape))


def _gamma_backward(node, grad):
    return [grad * _standard_gamma_grad(node.saved(0), node.result())]


def _dirichlet_backward(node, grad):
    alpha, x = node.saved(0), node.result()
    slope = _dirichlet_grad(x, alpha, alpha.sum(-1, True))
    return [slope * (grad - (x * grad).sum(-1, True))]


_GAMMA = gradient_rule("standard_gamma", _gamma_backward, saves=(0, "result"),
                       grad_name="StandardGammaBackward0")
_DIRICHLET = gradient_rule("sample_dirichlet", _dirichlet_backward, saves=(0, "result"),
                           grad_name="SampleDirichletBackward0")


def _standard_gamma(input: Tensor, generator=None) -> Tensor:
    """Gamma draws with the shape parameters `input` (float32 or float64) and rate 1."""
    _numbers(input, "gamma_cpu", False)
    return with_gradient(_GAMMA, lambda: _drawn(
        lambda d: draws.standard_gamma(d, _numbers(input, "gamma_cpu", False)),
        tuple(input.shape), input.dtype, generator), (input,))


def _sample_dirichlet(input: Tensor, generator=None) -> Tensor:
    """Dirichlet draws along the last dim with the parameters `input` (float32 or float64)."""
    _numbers(input, "dirichlet", False)
    return with_gradient(_DIRICHLET, lambda: _drawn(
        lambda d: draws.dirichlet(d, _numbers(input, "dirichlet", False)),
        tuple(input.shape), input.dtype, generator), (input,))


Tensor.poisson = poisson
