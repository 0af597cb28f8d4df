"""Least squares: matrices in, pseudo-inverses and solutions of overdetermined systems out.

Gradients: Golub and Pereyra, "The differentiation of pseudo-inverses" (1973).
"""

from __future__ import annotations

import numpy as np

from .. import return_types
from ..graph import dtypes as dt
from ..graph.shapes import broadcast_shapes
from ..host import host_operator
from ..tensor import Tensor
from .checks import check_floating, check_matrix, check_square, check_tensor, into_all, matrices


def tolerances(name: str, atol, rtol, x: Tensor) -> tuple:
    """(absolute, relative) bounds on singular values, as arrays."""
    def values(t):
        if isinstance(t, Tensor):
            if t.is_complex():
                raise RuntimeError(f"{name}: atol and rtol tensors of complex type are not "
                                   f"supported. Got {t.dtype}")
            return t._array().astype(np.float64)
        return np.float64(t)

    default = np.finfo(x.dtype.numpy).eps * max(x.shape[-2:], default=0)
    if rtol is None:
        given = 0.0 if atol is None else values(atol)
        rtol = np.where(np.asarray(given) > 0, 0.0, default)
    else:
        rtol = values(rtol)
    return np.asarray(0.0 if atol is None else values(atol)), np.asarray(rtol)


def _pinv_compute(a: np.ndarray, atol: np.ndarray, rtol: np.ndarray, hermitian: bool):
    if not a.size:
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    if hermitian:
        values, u = np.linalg.eigh(a)
        vh, size = np.conj(np.swapaxes(u, -1, -2)), np.abs(values)
    else:
        u, values, vh = np.linalg.svd(a, full_matrices=False)
        size = values
    bound = np.maximum(atol, rtol * size.max(-1))[..., None]
    with np.errstate(all="ignore"):
        turned = np.where(size > bound, 1 / values, 0).astype(a.real.dtype)
    v, uh = (np.conj(np.swapaxes(x, -1, -2)) for x in (vh, u))
    return (v * turned[..., None, :]) @ uh


def _pinv_backward(node, grad):
    a, p = node.saved(0), node.output(0)
    ph, gh = p.mH, grad.mH
    first = gh @ p                                  # [m, m]
    onto_rows = first @ ph - a @ (p @ (first @ ph))
    onto_columns = ph @ (p @ gh) - (ph @ (p @ (gh @ p))) @ a
    return [onto_rows + onto_columns - ph @ grad @ ph]


_pinv = host_operator("LinalgPinvBackward0", _pinv_compute, _pinv_backward, inputs=(0,),
                      outputs=(0,))


def pinv(A: Tensor, rcond=None, hermitian: bool = False, *, atol=None, rtol=None,  # noqa: N803
         out: Tensor | None = None) -> Tensor:
    """The Moore-Penrose inverse; singular values up to max(atol, rtol * largest) count as 0."""
    check_matrix("linalg.pinv", A)
    check_floating("linalg.pinv", A)
    if hermitian:
        check_square("linalg.pinv", A)
    bounds = tolerances("torch.linalg.pinv", atol, rtol if rcond is None else rcond, A)
    found = _pinv(A, atol=bounds[0], rtol=bounds[1], hermitian=bool(hermitian))
    return into_all(None if out is None else (out,), (found,))[0]


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The Moore-Penrose inverse."""
    return pinv(input, rtol=rcond)


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def _lstsq_compute(a: np.ndarray, b: np.ndarray, rcond: float, driver: str):
    from scipy import linalg as scipy_linalg
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*lead, *a.shape[-2:]))
    b = np.broadcast_to(b, (*lead, *b.shape[-2:]))
    (m, n), k = a.shape[-2:], b.shape[-1]
    out = np.zeros((*lead, n, k), a.dtype)
    rank = np.full(lead, min(m, n), np.int64)
    values = np.zeros((*lead, min(m, n)), a.real.dtype)
    for place, x in matrices(a):
        if not x.size or not k:
            continue
        if driver == "gels":
            out[place] = np.linalg.pinv(x) @ b[place]
        else:
            out[place], _, rank[place], s = scipy_linalg.lstsq(x, b[place], cond=rcond,
                                                               lapack_driver=driver)
            if s is not None:
                values[place] = s
    return out, rank, values


def _lstsq_backward(node, grad, *_):
    a, b = node.saved(0), node.saved(1)
    inverse = pinv(a)
    grad_b = inverse.mH @ grad
    x = node.output(0)
    residual = b - a @ x
    # pinv's gradient for G = grad b^H, with the products taken in the cheap order
    ph = inverse.mH
    grad_a = (residual @ (grad.mH @ (inverse @ ph)) - grad_b @ x.mH
              + ph @ (x @ grad.mH - x @ (grad_b.mH @ a)))
    return [grad_a, grad_b]


_lstsq = host_operator("LinalgLstsqBackward0", _lstsq_compute, _lstsq_backward, inputs=(0, 1),
                       outputs=(0,))


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *,  # noqa: N803
          driver: str | None = None, out=None):
    """(X, residuals, rank, singular values) with the least |A X - B|."""
    from ..creation import empty
    name = "torch.linalg.lstsq"
    check_tensor(name, A, B)
    if A.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if B.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if A.dtype is not B.dtype:
        raise RuntimeError(f"{name}: Expected input and other to have the same dtype, but got "
                           f"input's dtype {A.dtype} and other's dtype {B.dtype}")
    check_floating(name, A)
    driver = "gelsy" if driver is None else driver
    if driver not in _DRIVERS:
        raise RuntimeError(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, "
                           "gelss)")
    vector = B.ndim == A.ndim - 1 and B.shape == A.shape[:-1] or B.ndim == 1
    b = B.unsqueeze(-1) if vector else B
    m, n = A.shape[-2:]
    if b.shape[-2] != m:
        raise RuntimeError(f"{name}: input.size(-2) should match other.size(-"
                           f"{1 if vector else 2})")
    rcond = float(np.finfo(A.dtype.numpy).eps) * max(m, n) if rcond is None else float(rcond)
    x, rank, values = _lstsq(A, b, rcond=rcond, driver=driver)
    none = empty(0, dtype=values.dtype)
    residuals = none
    if m > n and driver != "gelsy" and (rank._array() == n).all():
        residuals = (A @ x - b).abs().square().sum(-2)
    if vector:
        x = x.squeeze(-1)
    ranks = rank if driver != "gels" else empty(0, dtype=dt.int64)
    singular = values if driver in ("gelsd", "gelss") else none
    return return_types.linalg_lstsq(*into_all(out, (x, residuals, ranks, singular)))
