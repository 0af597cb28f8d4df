"""Triangular and orthogonal factorizations: matrices in, their factors out, by LAPACK.

Gradients: Murray, "Differentiation of the Cholesky decomposition" (2016); Walter and Lehmann, "On
evaluating higher-order derivatives of the QR decomposition" (2012); for LU, the differential
L^-1 P^T dA U^-1 split into its triangles.
"""

from __future__ import annotations

import numpy as np

from .. import return_types
from ..functions.joining import cat
from ..functions.rearranging import diag_embed
from ..graph.shapes import broadcast_shapes
from ..host import host_operator
from ..tensor import Tensor
from .checks import (
    check_floating,
    check_info,
    check_matrix,
    check_square,
    check_tensor,
    into_all,
    matrices,
)


def routine(name: str, x: np.ndarray):
    """The LAPACK routine of that name for x's dtype."""
    # SciPy is imported when it is first needed: it takes longer than all of jittensor
    from scipy.linalg import lapack
    return getattr(lapack, {"f": "s", "d": "d", "F": "c", "D": "z"}[x.dtype.char] + name)


def solve_adjoint(factor: Tensor, x: Tensor, upper: bool, unit: bool = False) -> Tensor:
    """factor^-H x, `factor` triangular."""
    from .solving import solve_triangular
    return solve_triangular(factor.mH, x, upper=not upper, unitriangular=unit)


def solve_adjoint_right(factor: Tensor, x: Tensor, upper: bool, unit: bool = False) -> Tensor:
    """x factor^-H, `factor` triangular."""
    from .solving import solve_triangular
    return solve_triangular(factor.mH, x, upper=not upper, left=False, unitriangular=unit)


def half_diagonal(x: Tensor) -> Tensor:
    """x with its diagonal halved."""
    return x - 0.5 * diag_embed(x.diagonal(0, -2, -1))


# ── Cholesky ──────────────────────────────────────────────────────────────────────────────────
def _cholesky_compute(a: np.ndarray, upper: bool):
    out, info = np.zeros(a.shape, a.dtype), np.zeros(a.shape[:-2], np.int32)
    for place, x in matrices(a):
        if x.size:
            factor, info[place] = routine("potrf", x)(x, lower=not upper, clean=True)
            out[place] = factor
    return out, info


def _cholesky_backward(node, grad, _):
    factor, upper = node.output(0), node.attrs["upper"]
    if upper:
        factor, grad = factor.mH, grad.mH
    inner = half_diagonal((factor.mH @ grad).tril())
    inner = 0.5 * (inner + inner.mH)
    inner = solve_adjoint(factor, inner, False)
    return [solve_adjoint(factor, inner.mH, False).mH]


_cholesky = host_operator("LinalgCholeskyExBackward0", _cholesky_compute, _cholesky_backward,
                          outputs=(0,))


def cholesky_ex(input: Tensor, *, upper: bool = False, check_errors: bool = False, out=None):
    """(L, info) with A = L L^H of Hermitian positive-definite A [..., n, n]; info is the order of
    the first leading minor that is not positive, else 0."""
    check_square("linalg.cholesky", input)
    factor, info = _cholesky(input, upper=bool(upper))
    if check_errors:
        _check_definite("linalg.cholesky_ex", info)
    return return_types.linalg_cholesky_ex(*into_all(out, (factor, info)))


def cholesky(input: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """L with A = L L^H (or U with A = U^H U) of Hermitian positive-definite A [..., n, n].

    >>> import jittensor as torch
    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    check_square("linalg.cholesky", input)
    factor, info = _cholesky(input, upper=bool(upper))
    _check_definite("linalg.cholesky", info)
    return into_all(None if out is None else (out,), (factor,))[0]


def _check_definite(name: str, info: Tensor) -> None:
    check_info(name, info, "The factorization could not be completed because the input is not "
               "positive-definite (the leading minor of order {info} is not positive-definite).")


# ── QR ────────────────────────────────────────────────────────────────────────────────────────
def _qr_compute(a: np.ndarray, mode: str):
    m, n = a.shape[-2:]
    if mode == "r":
        return np.zeros(0, a.dtype), np.linalg.qr(a, mode="r")
    if not a.size:
        k = m if mode == "complete" else min(m, n)
        q = np.broadcast_to(np.eye(m, k, dtype=a.dtype), (*a.shape[:-2], m, k))
        return q, np.zeros((*a.shape[:-2], k, n), a.dtype)
    found = np.linalg.qr(a, mode=mode)
    return found.Q, found.R


def _qr_backward(node, grad_q, grad_r):
    q, r, mode = node.output(0), node.output(1), node.attrs["mode"]
    m, n = q.shape[-2], r.shape[-1]
    if mode == "r":
        raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when "
                           "mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to "
                           "require gradients")
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and "
                           "nrows > ncols")
    if m >= n:
        return [_qr_tall(q, r, grad_q, grad_r)]
    left, right = r[..., :m], r[..., m:]
    if grad_r is None:
        tail = q @ (right * 0)
        return [cat((_qr_tall(q, left, grad_q, None), tail), -1)]
    grad_left, grad_right = grad_r[..., :m], grad_r[..., m:]
    tail = q @ grad_right
    moved = q @ (right @ grad_right.mH) if grad_q is None else (
        grad_q + q @ (right @ grad_right.mH))
    # right = Q^H C, so Q's gradient gets C grad_right^H = Q right grad_right^H
    return [cat((_qr_tall(q, left, moved, grad_left), tail), -1)]


def _qr_tall(q: Tensor, r: Tensor, grad_q, grad_r) -> Tensor:
    inner = None
    if grad_r is not None:
        inner = r @ grad_r.mH
    if grad_q is not None:
        inner = -(grad_q.mH @ q) if inner is None else inner - grad_q.mH @ q
    inner = inner.tril()
    inner = half_diagonal(inner + inner.mH)
    total = q @ inner if grad_q is None else grad_q + q @ inner
    return solve_adjoint_right(r, total, True)


_qr = host_operator("LinalgQrBackward0", _qr_compute, _qr_backward, outputs=(0, 1))


def qr(A: Tensor, mode: str = "reduced", *, out=None):  # noqa: N803
    """(Q, R), Q orthonormal columns and R upper triangular; mode 'reduced', 'complete' or 'r'."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' "
                           "(default), 'r', or 'complete'")
    check_matrix("linalg.qr", A)
    check_floating("linalg.qr", A)
    return return_types.linalg_qr(*into_all(out, _qr(A, mode=mode)))


# ── Householder reflections ───────────────────────────────────────────────────────────────────
def _geqrf_compute(a: np.ndarray):
    k = min(a.shape[-2:])
    out, tau = np.array(a), np.zeros((*a.shape[:-2], k), a.dtype)
    for place, x in matrices(a):
        if x.size:
            out[place], tau[place] = routine("geqrf", x)(x)[:2]
    return out, tau


_geqrf = host_operator("GeqrfBackward0", _geqrf_compute)


def geqrf(input: Tensor, *, out=None):
    """(a, tau): R above the diagonal of a, the Householder vectors of Q below it."""
    check_matrix("torch.geqrf", input, "input")
    check_floating("torch.geqrf", input)
    return return_types.geqrf(*into_all(out, _geqrf(input)))


def _check_reflectors(name: str, a: Tensor, tau: Tensor) -> None:
    check_tensor(name, a, tau)
    if a.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if tau.ndim != a.ndim - 1 or tau.shape[:-1] != a.shape[:-2]:
        raise RuntimeError(f"{name}: Expected tau to have one dimension less than input and its "
                           f"batch dimensions, got tau of shape {list(tau.shape)} and input of "
                           f"shape {list(a.shape)}")
    if tau.shape[-1] > a.shape[-1]:
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to "
                           "tau.shape[-1]")
    if a.dtype is not tau.dtype:
        raise RuntimeError(f"{name}: tau dtype {tau.dtype} does not match input dtype {a.dtype}")


def _reflected(a: Tensor, tau: Tensor, x: Tensor, forward: bool, adjoint: bool) -> Tensor:
    """The reflections I - tau_i v_i v_i^H applied to x, the first one first if `forward`."""
    from ..creation import eye
    m, count = a.shape[-2], tau.shape[-1]
    vectors = a[..., :count].tril(-1) + eye(m, count, dtype=a.dtype)
    scales = tau.conj() if adjoint else tau
    for i in range(count) if forward else reversed(range(count)):
        v = vectors[..., i:i + 1]
        x = x - scales[..., i:i + 1].unsqueeze(-1) * (v @ (v.mH @ x))
    return x


def householder_product(input: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first n columns of H_1 ... H_k for Householder vectors below the diagonal of
    input [..., m, n] and their scales tau [..., k]."""
    from ..creation import eye
    name = "torch.linalg.householder_product"
    _check_reflectors(name, input, tau)
    m, n = input.shape[-2:]
    if m < n:
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to "
                           "input.shape[-1]")
    check_floating(name, input)
    start = eye(m, n, dtype=input.dtype).expand(*input.shape[:-2], m, n)
    if not tau.shape[-1]:
        start = start + input * 0    # no reflection, but in the graph of the input
    found = _reflected(input, tau, start, False, False)
    return into_all(None if out is None else (out,), (found.contiguous(),))[0]


def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False,
          *, out: Tensor | None = None) -> Tensor:
    """Q other (or other Q; Q^H with `transpose`), Q the product of Householder reflections."""
    name = "torch.ormqr"
    _check_reflectors(name, input, tau)
    check_tensor(name, other)
    if other.ndim < 2:
        raise RuntimeError(f"{name}: other must have at least 2 dimensions.")
    k = -2 if left else -1
    if other.shape[k] != input.shape[-2]:
        raise RuntimeError(f"{name}: other.shape[{k}] must be equal to input.shape[-2]")
    if other.shape[:-2] != input.shape[:-2]:
        raise RuntimeError(f"{name}: batch dimensions of other must be equal to input.shape[:-2], "
                           f"got {list(other.shape[:-2])}")
    if tau.shape[-1] > other.shape[k]:
        raise RuntimeError(f"{name}: other.shape[{k}] must be greater than or equal to "
                           "tau.shape[-1]")
    if tau.shape[-1] != min(other.shape[k], input.shape[-1]):
        raise RuntimeError(f"{name}: tau.shape[-1] must be equal to min(other.shape[{k}], "
                           "input.shape[-1])")
    if other.dtype is not input.dtype:
        raise RuntimeError(f"{name}: Expected input and other to have the same dtype, but input "
                           f"has dtype {input.dtype} and other has dtype {other.dtype}")
    check_floating(name, input)
    adjoint = transpose == left
    x = other if left else other.mH
    found = _reflected(input, tau, x, adjoint, adjoint)
    found = found if left else found.mH
    return into_all(None if out is None else (out,), (found.contiguous(),))[0]


# ── LU ────────────────────────────────────────────────────────────────────────────────────────
def _lu_compute(a: np.ndarray, pivot: bool):
    k = min(a.shape[-2:])
    out = np.array(a)
    pivots = np.broadcast_to(np.arange(k, dtype=np.int32), (*a.shape[:-2], k)).copy()
    info = np.zeros(a.shape[:-2], np.int32)
    for place, x in matrices(a):
        if not x.size:
            continue
        if pivot:
            out[place], pivots[place], info[place] = routine("getrf", x)(x)
        else:
            out[place], info[place] = _unpivoted(x)
    return out, pivots + np.int32(1), info


def _unpivoted(x: np.ndarray) -> tuple[np.ndarray, int]:
    """LU without row exchanges, and the first zero pivot's number."""
    x, info = np.array(x), 0
    with np.errstate(all="ignore"):
        for k in range(min(x.shape)):
            if x[k, k] == 0 and not info:
                info = k + 1
            x[k + 1:, k] /= x[k, k]
            x[k + 1:, k + 1:] -= np.outer(x[k + 1:, k], x[k, k + 1:])
    return x, info


def _lu_backward(node, grad, *_):
    packed, pivots = node.output(0), node.output(1)
    from .solving import permutation
    m, n = packed.shape[-2:]
    k = min(m, n)
    inner_l, inner_u = packed[..., :, :k], packed[..., :k, :]
    if m > n:
        lower = grad[..., n:, :]
        tail = solve_adjoint_right(inner_u, lower, True)
        corner, grad_u = grad[..., :n, :], grad[..., :n, :].triu()
        core = _unit(inner_l[..., :n, :]).mH @ corner.tril(-1)
        outer = grad_u @ inner_u.triu().mH - inner_l[..., n:, :].mH @ lower
        body = _lu_core(inner_l[..., :n, :], inner_u, core, outer)
        found = cat((body, tail), -2)
    elif m < n:
        right = grad[..., :, m:]
        tail = solve_adjoint(inner_l, right, False, True)
        corner = grad[..., :, :m]
        core = _unit(inner_l).mH @ corner.tril(-1) - right @ inner_u[..., m:].mH
        outer = corner.triu() @ inner_u[..., :m].triu().mH
        found = cat((_lu_core(inner_l, inner_u[..., :m], core, outer), tail), -1)
    else:
        core = _unit(packed).mH @ grad.tril(-1)
        found = _lu_core(packed, packed, core, grad.triu() @ packed.triu().mH)
    return [permutation(pivots, m, found.dtype) @ found]


def _unit(x: Tensor) -> Tensor:
    """The unit lower triangle."""
    from ..creation import eye
    return x.tril(-1) + eye(*x.shape[-2:], dtype=x.dtype)


def _lu_core(low: Tensor, up: Tensor, core: Tensor, outer: Tensor) -> Tensor:
    inner = solve_adjoint(low, core.tril(-1) + outer.triu(), False, True)
    return solve_adjoint_right(up, inner, True)


lu_packed = host_operator("LinalgLuFactorExBackward0", _lu_compute, _lu_backward, outputs=(0, 1))


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False,  # noqa: N803
                 out=None):
    """(LU, pivots, info): P L U = A, both triangles in one matrix, row exchanges from 1."""
    check_matrix("torch.lu_factor", A)
    check_floating("torch.linalg.lu_factor_ex", A)
    found = lu_packed(A, pivot=bool(pivot))
    if check_errors:
        check_pivots("torch.linalg.lu_factor_ex", found[2])
    return return_types.linalg_lu_factor_ex(*into_all(out, found))


def lu_factor(A: Tensor, *, pivot: bool = True, out=None):  # noqa: N803
    """(LU, pivots): P L U = A, both triangles in one matrix, row exchanges from 1."""
    check_matrix("torch.lu_factor", A)
    check_floating("torch.linalg.lu_factor", A)
    packed, pivots, info = lu_packed(A, pivot=bool(pivot))
    check_pivots("torch.linalg.lu_factor", info)
    return return_types.linalg_lu_factor(*into_all(out, (packed, pivots)))


def check_pivots(name: str, info: Tensor) -> None:
    """Raises RuntimeError where U has a zero on its diagonal."""
    values = info._array()
    if values.any():
        k = int(values[tuple(int(i[0]) for i in np.nonzero(values))])
        raise RuntimeError(f"{name}: U[{k},{k}] is zero and using it on lu_solve would result in a "
                           "division by zero. If you still want to perform the factorization, "
                           "consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)")


# ── LDL ───────────────────────────────────────────────────────────────────────────────────────
def _ldl_compute(a: np.ndarray, hermitian: bool):
    name = "hetrf" if hermitian and a.dtype.kind == "c" else "sytrf"
    out, pivots = np.array(a), np.zeros(a.shape[:-1], np.int32)
    info = np.zeros(a.shape[:-2], np.int32)
    for place, x in matrices(a):
        if x.size:
            out[place], found, info[place] = routine(name, x)(x, lower=1)
            pivots[place] = found
    return np.tril(out), pivots, info


def _ldl_solve_compute(packed: np.ndarray, pivots: np.ndarray, b: np.ndarray, hermitian: bool):
    lead = broadcast_shapes(packed.shape[:-2], b.shape[:-2])
    packed = np.broadcast_to(packed, (*lead, *packed.shape[-2:]))
    pivots = np.broadcast_to(pivots, (*lead, pivots.shape[-1]))
    out = np.array(np.broadcast_to(b, (*lead, *b.shape[-2:])))
    name = "hetrs" if hermitian and packed.dtype.kind == "c" else "sytrs"
    for place, x in matrices(packed):
        if out[place].size:
            out[place] = routine(name, x)(x, pivots[place], out[place], lower=1)[0]
    return out


_ldl = host_operator("LinalgLdlFactorExBackward0", _ldl_compute)
_ldl_solve = host_operator("LinalgLdlSolveBackward0", _ldl_solve_compute)


def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False,  # noqa: N803
                  out=None):
    """(LD, pivots, info) of symmetric (or Hermitian) A, Bunch-Kaufman's factorization."""
    check_square("torch.linalg.ldl_factor_ex", A)
    found = _ldl(A, hermitian=bool(hermitian))
    if check_errors:
        check_info("torch.linalg.ldl_factor_ex", found[2],
                   "D[{info},{info}] is zero and using it would result in a division by zero.")
    return return_types.linalg_ldl_factor_ex(*into_all(out, found))


def ldl_factor(A: Tensor, *, hermitian: bool = False, out=None):  # noqa: N803
    """(LD, pivots) of symmetric (or Hermitian) A."""
    check_square("torch.linalg.ldl_factor", A)
    found = _ldl(A, hermitian=bool(hermitian))
    check_info("torch.linalg.ldl_factor", found[2],
               "D[{info},{info}] is zero and using it would result in a division by zero.")
    return return_types.linalg_ldl_factor(*into_all(out, found[:2]))


def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False,  # noqa: N803
              out: Tensor | None = None) -> Tensor:
    """X with A X = B, A given by `ldl_factor`."""
    name = "torch.linalg.ldl_solve"
    check_square(name, LD, "LD")
    check_matrix(name, B, "B")
    if LD.dtype is not B.dtype:
        raise RuntimeError(f"{name}: Expected LD and B to have the same dtype, but found LD of "
                           f"type {LD.dtype} and B of type {B.dtype} instead")
    if pivots.dtype.category != 1 or pivots.shape != LD.shape[:-1]:
        raise RuntimeError(f"{name}: Expected pivots of an integer dtype and shape "
                           f"{list(LD.shape[:-1])}, but found {pivots.dtype} of shape "
                           f"{list(pivots.shape)}")
    if LD.shape[-1] != B.shape[-2]:
        raise RuntimeError(f"{name}: Incompatible matrix sizes: each LD matrix is {LD.shape[-2]} "
                           f"by {LD.shape[-1]} but each B matrix is {B.shape[-2]} by "
                           f"{B.shape[-1]}")
    found = _ldl_solve(LD, pivots, B, hermitian=bool(hermitian))
    return into_all(None if out is None else (out,), (found,))[0]


