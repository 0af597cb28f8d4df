"""Spectra: matrices in, singular values, eigenvalues and their vectors out.

Gradients: Townsend, "Differentiating the singular value decomposition" (2016); Giles (2008) for
eigenvalues. They hold for distinct values, and for losses that do not depend on the vectors'
signs or phases.
"""

from __future__ import annotations

import numpy as np

from .. import return_types
from ..creation import eye
from ..functions.rearranging import diag_embed
from ..host import host_operator
from ..tensor import Tensor
from .checks import LinAlgError, check_floating, check_matrix, check_square, into_all, matrices


def _column(x: Tensor) -> Tensor:
    return x.unsqueeze(-1)


def _row(x: Tensor) -> Tensor:
    return x.unsqueeze(-2)


def _gaps(values: Tensor) -> Tensor:
    """values_j - values_i, 1 on the diagonal."""
    unit = eye(values.shape[-1], dtype=values.dtype)
    return _row(values) - _column(values) + unit


def _off_diagonal(x: Tensor) -> Tensor:
    return x - diag_embed(x.diagonal(0, -2, -1))


# ── singular values ───────────────────────────────────────────────────────────────────────────
def _svd_compute(a: np.ndarray, full: bool, driver: str | None):
    m, n = a.shape[-2:]
    k = min(m, n)
    if not a.size:
        lead = a.shape[:-2]
        u, v = (np.broadcast_to(np.eye(s, s if full else k, dtype=a.dtype),
                                (*lead, s, s if full else k)) for s in (m, n))
        return u, np.zeros((*lead, k), a.real.dtype), np.swapaxes(v, -1, -2)
    try:
        return tuple(np.linalg.svd(a, full_matrices=full))
    except np.linalg.LinAlgError:
        raise _svd_error(a) from None


def _svd_error(a: np.ndarray) -> LinAlgError:
    why = ("it is ill-conditioned or has too many repeated singular values"
           if np.isfinite(a).all() else "the input matrix contained non-finite values")
    return LinAlgError(f"linalg.svd: The algorithm failed to converge because {why}.")


def _svd_backward(node, grad_u, grad_s, grad_vh):
    u, s, vh = node.output(0), node.output(1), node.output(2)
    k = s.shape[-1]
    if grad_u is None and grad_vh is None:
        return [(u[..., :k] * _row(grad_s)) @ vh[..., :k, :]]
    u, vh = u[..., :k], vh[..., :k, :]
    squares = s * s
    gaps = _gaps(squares)
    inner = 0 if grad_s is None else diag_embed(grad_s)
    if grad_u is not None:
        grad_u = grad_u[..., :k]
        turn = u.mH @ grad_u
        turn = turn - turn.mH
        inner = inner + _off_diagonal(turn) / gaps * _row(s)
        if u.is_complex() and grad_vh is not None:
            inner = inner + diag_embed(turn.diagonal(0, -2, -1) / (2 * s))
    if grad_vh is not None:
        grad_v = grad_vh[..., :k, :].mH
        turn = vh @ grad_v
        turn = turn - turn.mH
        inner = inner + _column(s) * (_off_diagonal(turn) / gaps)
    found = u @ inner.to(u.dtype) @ vh
    if grad_u is not None and u.shape[-2] > k:
        outside = grad_u / _row(s)
        found = found + (outside - u @ (u.mH @ outside)) @ vh
    if grad_vh is not None and vh.shape[-1] > k:
        outside = grad_v.mH / _column(s)
        found = found + u @ (outside - (outside @ vh.mH) @ vh)
    return [found]


_svd = host_operator("LinalgSvdBackward0", _svd_compute, _svd_backward, outputs=(0, 1, 2))


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None,  # noqa: N803
        out=None):
    """(U, S, Vh) with A = U diag(S) Vh, S in descending order.

    >>> import jittensor as torch
    >>> torch.linalg.svd(torch.diag(torch.tensor([3.0, 2.0]))).S
    tensor([3., 2.])
    """
    check_matrix("linalg.svd", A)
    check_floating("linalg.svd", A)
    if driver is not None:
        raise RuntimeError("torch.linalg.svd: keyword argument `driver=` is only supported on CUDA "
                           "inputs with cuSOLVER backend.")
    found = _svd(A, full=bool(full_matrices), driver=driver)
    return return_types.linalg_svd(*into_all(out, found))


def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The singular values in descending order."""
    found = svd(A, False, driver=driver).S
    return into_all(None if out is None else (out,), (found,))[0]


# ── eigenvalues of Hermitian matrices ─────────────────────────────────────────────────────────
def _eigh_compute(a: np.ndarray, lower: bool):
    if not a.size:
        return np.zeros(a.shape[:-1], a.real.dtype), np.zeros(a.shape, a.dtype)
    try:
        values, vectors = np.linalg.eigh(a, "L" if lower else "U")
    except np.linalg.LinAlgError:
        raise LinAlgError("linalg.eigh: The algorithm failed to converge because the input matrix "
                          "is ill-conditioned or has too many repeated eigenvalues.") from None
    return values, vectors


def _eigh_backward(node, grad_values, grad_vectors):
    values, v = node.output(0), node.output(1)
    if grad_vectors is None:
        return [(v * _row(grad_values)) @ v.mH]
    inner = _off_diagonal(v.mH @ grad_vectors) / _gaps(values)
    if grad_values is not None:
        inner = inner + diag_embed(grad_values)
    found = v @ inner @ v.mH
    return [0.5 * (found + found.mH)]


_eigh = host_operator("LinalgEighBackward0", _eigh_compute, _eigh_backward, outputs=(0, 1))


def _lower(name: str, UPLO: str) -> bool:  # noqa: N803
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper() == "L"


def eigh(A: Tensor, UPLO: str = "L", *, out=None):  # noqa: N803
    """(eigenvalues in ascending order, eigenvectors) of Hermitian A, of which one triangle is
    looked at."""
    check_square("linalg.eigh", A)
    found = _eigh(A, lower=_lower("linalg.eigh", UPLO))
    return return_types.linalg_eigh(*into_all(out, found))


def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The eigenvalues of Hermitian A in ascending order."""
    check_square("linalg.eigvalsh", A)
    found = _eigh(A, lower=_lower("linalg.eigvalsh", UPLO))[0]
    return into_all(None if out is None else (out,), (found,))[0]


# ── eigenvalues ───────────────────────────────────────────────────────────────────────────────
def _eig_compute(a: np.ndarray):
    kind = np.result_type(a.dtype, np.complex64)
    if not a.size:
        return np.zeros(a.shape[:-1], kind), np.zeros(a.shape, kind)
    if not np.isfinite(a).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    values, vectors = np.zeros(a.shape[:-1], kind), np.zeros(a.shape, kind)
    try:
        # SciPy's LAPACK gives the vectors PyTorch's signs more often than NumPy's does
        from scipy import linalg as scipy_linalg
        for place, x in matrices(a):
            values[place], vectors[place] = scipy_linalg.eig(x, check_finite=False)
    except np.linalg.LinAlgError:
        raise LinAlgError("linalg.eig: The algorithm failed to converge because the input matrix "
                          "is ill-conditioned or has too many repeated eigenvalues.") from None
    return values, vectors


def _eig_backward(node, grad_values, grad_vectors):
    from .solving import solve
    values, v = node.output(0), node.output(1)
    if grad_vectors is None:
        return [solve(v.mH, _column(grad_values) * v.mH)]
    inner = v.mH @ grad_vectors
    weights = inner.diagonal(0, -2, -1).real
    inner = _off_diagonal(inner - (v.mH @ v) * _row(weights)) / _gaps(values).conj()
    if grad_values is not None:
        inner = inner + diag_embed(grad_values)
    return [solve(v.mH, inner @ v.mH)]


_eig = host_operator("LinalgEigBackward0", _eig_compute, _eig_backward, outputs=(0, 1))


def eig(A: Tensor, *, out=None):  # noqa: N803
    """(eigenvalues, eigenvectors), complex, of square A."""
    check_square("linalg.eig", A)
    return return_types.linalg_eig(*into_all(out, _eig(A)))


def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The eigenvalues, complex, of square A."""
    check_square("linalg.eigvals", A)
    return into_all(None if out is None else (out,), (_eig(A)[0],))[0]
