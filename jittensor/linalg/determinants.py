"""Determinants: square matrices in, determinants and their logarithms out.

Gradients: Giles, "Collected matrix derivative results" (2008), by cofactors where det A = 0.
"""

from __future__ import annotations

import numpy as np

from .. import return_types
from ..autograd.modes import modes
from ..host import host_operator
from ..tensor import Tensor
from .checks import check_square, into_all
from .solving import _inv as inverse_of


def _det_compute(a: np.ndarray):
    with np.errstate(all="ignore"):
        return np.asarray(np.linalg.det(a), a.dtype)


def _cofactors_compute(a: np.ndarray):
    """det(A) A^-H by the SVD, which has an answer also where A is singular."""
    u, s, vh = np.linalg.svd(a)
    others = np.stack([np.prod(np.delete(s, k, -1), -1) for k in range(s.shape[-1])], -1)
    phase = np.linalg.det(u) * np.linalg.det(vh)
    return ((np.conj(phase)[..., None, None] * u * others[..., None, :]) @ vh).astype(a.dtype)


_cofactors = host_operator("CofactorsBackward0", _cofactors_compute)


def _det_backward(node, grad):
    a, value = node.saved(0), node.output(0)
    if not a.numel():
        return [a * 0]
    grad = grad.unsqueeze(-1).unsqueeze(-1)
    if modes.grad and (value.detach() != 0).all().item():
        return [(grad * value.conj().unsqueeze(-1).unsqueeze(-1)) * inverse_of(a)[0].mH]
    return [grad * _cofactors(a)]


_det = host_operator("LinalgDetBackward0", _det_compute, _det_backward, inputs=(0,), outputs=(0,))


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The determinants of square matrices [..., n, n]."""
    check_square("linalg.det", A)
    return into_all(None if out is None else (out,), (_det(A),))[0]


def _slogdet_compute(a: np.ndarray):
    with np.errstate(all="ignore"):
        sign, size = np.linalg.slogdet(a)
    return np.asarray(sign, a.dtype), np.asarray(size, a.real.dtype)


def _slogdet_backward(node, grad_sign, grad_size):
    a, sign = node.saved(0), node.output(0)
    if not a.numel():
        return [a * 0]
    weight = grad_size
    if a.is_complex():
        # d sign = i sign Im tr(A^-1 dA)
        turn = None if grad_sign is None else -1j * (grad_sign.conj() * sign).imag
        weight = turn if weight is None else weight if turn is None else weight + turn
    if weight is None:
        return [a * 0]
    return [weight.unsqueeze(-1).unsqueeze(-1) * inverse_of(a)[0].mH]


_slogdet = host_operator("LinalgSlogdetBackward0", _slogdet_compute, _slogdet_backward,
                         inputs=(0,), outputs=(0,))


def slogdet(A: Tensor, *, out=None):  # noqa: N803
    """(sign, log|det|) of square matrices; a singular one has sign 0 and -inf."""
    check_square("linalg.slogdet", A)
    return return_types.linalg_slogdet(*into_all(out, _slogdet(A)))


def logdet(input: Tensor) -> Tensor:
    """log det; NaN where the determinant is negative, -inf where it is 0."""
    check_square("logdet", input)
    sign, size = _slogdet(input)
    if input.is_complex():
        return sign.log() + size
    return size.where(sign.detach() != -1, float("nan"))
