"""Linear systems: matrices and right-hand sides in, solutions, inverses and determinants out.

Gradients: Giles, "Collected matrix derivative results" (2008), with conjugates for complex
numbers; Golub and Pereyra (1973) for the pseudo-inverse.
"""

from __future__ import annotations

import numpy as np

from .. import return_types
from ..graph import dtypes as dt
from ..graph.shapes import broadcast_shapes
from ..host import host_operator
from ..tensor import Tensor
from .checks import (
    broadcast_batches,
    check_floating,
    check_info,
    check_matrix,
    check_rows,
    check_same_dtype,
    check_square,
    check_tensor,
    into_all,
    matrices,
)
from .factorizations import lu_packed, routine


# ── triangular systems ────────────────────────────────────────────────────────────────────────
def _triangular_compute(a: np.ndarray, b: np.ndarray, upper: bool, unit: bool):
    from scipy.linalg import blas
    out = np.zeros(b.shape, b.dtype)
    # LAPACK's trtrs refuses zeros on the diagonal; BLAS's trsm divides by them
    solve = getattr(blas, {"f": "s", "d": "d", "F": "c", "D": "z"}[a.dtype.char] + "trsm")
    for place, x in matrices(a):
        if x.size and out[place].size:
            out[place] = solve(1.0, x, b[place], lower=not upper, diag=unit)
    return out


def _triangular_backward(node, grad):
    a, x = node.saved(0), node.output(0)
    upper, unit = node.attrs["upper"], node.attrs["unit"]
    grad_b = _triangular(a.mH, grad, upper=not upper, unit=unit)
    grad_a = -(grad_b @ x.mH)
    inner = 1 if unit else 0
    return [grad_a.triu(inner) if upper else grad_a.tril(-inner), grad_b]


_triangular = host_operator("LinalgSolveTriangularBackward0", _triangular_compute,
                            _triangular_backward, inputs=(0,), outputs=(0,))


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True,  # noqa: N803
                     unitriangular: bool = False, out: Tensor | None = None) -> Tensor:
    """X with A X = B (or X A = B), A triangular; the other triangle is not looked at."""
    name = "linalg.solve_triangular"
    check_same_dtype(name, A, B)
    check_matrix(name, B, "B")
    check_square(name, A)
    check_rows(name, A, B, left)
    a, b = broadcast_batches(A, B)
    if left:
        found = _triangular(a, b, upper=bool(upper), unit=bool(unitriangular))
    else:
        found = _triangular(a.mT, b.mT, upper=not upper, unit=bool(unitriangular)).mT.contiguous()
    return into_all(None if out is None else (out,), (found,))[0]


def triangular_solve(input: Tensor, A: Tensor, upper: bool = True,  # noqa: N803
                     transpose: bool = False, unitriangular: bool = False, *, out=None):
    """(X, A) with A X = input (or A^T X = input), A triangular."""
    name = "triangular_solve"
    for x, argument in ((input, "b"), (A, "A")):
        check_tensor(name, x)
        if x.ndim < 2:
            raise RuntimeError(f"torch.triangular_solve: Expected {argument} to have at least 2 "
                               f"dimensions, but it has {x.ndim} dimensions instead")
    check_square(name, A)
    check_same_dtype(name, A, input)
    if A.shape[-1] != input.shape[-2]:
        raise RuntimeError(f"Incompatible matrix sizes for triangular_solve: each A matrix is "
                           f"{A.shape[-1]} by {A.shape[-1]} but each b matrix is "
                           f"{input.shape[-2]} by {input.shape[-1]}")
    a, b = broadcast_batches(A, input)
    turned = a.mT if transpose else a
    found = solve_triangular(turned, b, upper=upper != transpose, unitriangular=unitriangular)
    return return_types.triangular_solve(*into_all(out, (found, a.clone())))


# ── general systems ───────────────────────────────────────────────────────────────────────────
def _solve_compute(a: np.ndarray, b: np.ndarray):
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*lead, *a.shape[-2:]))
    b = np.broadcast_to(b, (*lead, *b.shape[-2:]))
    info = np.zeros(lead, np.int32)
    try:
        return np.linalg.solve(a, b), info
    except np.linalg.LinAlgError:
        out = np.zeros(b.shape, b.dtype)
    for place, x in matrices(a):
        factor, pivots, info[place] = routine("getrf", x)(x)
        with np.errstate(all="ignore"):
            out[place] = routine("getrs", x)(factor, pivots, b[place])[0]
    return out, info


def _solve_backward(node, grad, _):
    a, x = node.saved(0), node.output(0)
    grad_b = _solve(a.mH, grad)[0]
    return [-(grad_b @ x.mH), grad_b]


_solve = host_operator("LinalgSolveExBackward0", _solve_compute, _solve_backward, inputs=(0,),
                       outputs=(0,))


def _is_vector(a: Tensor, b: Tensor) -> bool:
    return b.ndim == 1 or a.ndim - 1 == b.ndim and b.shape == a.shape[:-1]


def _solved(name: str, a: Tensor, b: Tensor, left: bool) -> tuple[Tensor, Tensor]:
    check_same_dtype(name, a, b)
    check_square(name, a)
    vector = _is_vector(a, b)
    if vector and not left:
        raise RuntimeError(f"{name}: Vector broadcasting of the left hand side is not supported "
                           "for left=False. In this case linalg.solve is equivalent to "
                           "B / A.squeeze(-1)")
    if b.ndim == 0:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    rhs = b.unsqueeze(-1) if vector else b
    check_rows(name, a, rhs, left)
    if left:
        x, info = _solve(a, rhs)
    else:
        x, info = _solve(a.mT, rhs.mT)
        x = x.mT.contiguous()
    return x.squeeze(-1) if vector else x, info


_SINGULAR = "The solver failed because the input matrix is singular."


def solve(A: Tensor, B: Tensor, *, left: bool = True,  # noqa: N803
          out: Tensor | None = None) -> Tensor:
    """X with A X = B (or X A = B); LinAlgError if A is singular.

    >>> import jittensor as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    x, info = _solved("linalg.solve", A, B, left)
    check_info("torch.linalg.solve", info, _SINGULAR)
    return into_all(None if out is None else (out,), (x,))[0]


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False,  # noqa: N803
             out=None):
    """(X, info) with A X = B; info is not zero where A is singular."""
    x, info = _solved("linalg.solve", A, B, left)
    if check_errors:
        check_info("torch.linalg.solve_ex", info, _SINGULAR)
    return return_types.linalg_solve_ex(*into_all(out, (x, info)))


def _inv_compute(a: np.ndarray):
    if not a.size:
        return np.zeros(a.shape, a.dtype), np.zeros(a.shape[:-2], np.int32)
    return _solve_compute(a, np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape))


def _inv_backward(node, grad, _):
    inverse = node.output(0)
    return [-(inverse.mH @ grad @ inverse.mH)]


_inv = host_operator("LinalgInvExBackward0", _inv_compute, _inv_backward, outputs=(0,))
_NO_INVERSE = ("The diagonal element {info} is zero, the inversion could not be completed because "
               "the input matrix is singular.")


def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The inverse; LinAlgError if A is singular."""
    check_square("linalg.inv", A)
    inverse, info = _inv(A)
    check_info("linalg.inv", info, _NO_INVERSE)
    return into_all(None if out is None else (out,), (inverse,))[0]


def inv_ex(A: Tensor, *, check_errors: bool = False, out=None):  # noqa: N803
    """(inverse, info): info is the number of the first zero pivot, else 0."""
    check_square("linalg.inv", A)
    inverse, info = _inv(A)
    if check_errors:
        check_info("linalg.inv_ex", info, _NO_INVERSE)
    return return_types.linalg_inv_ex(*into_all(out, (inverse, info)))


def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse; LinAlgError if the matrix is singular."""
    return inv(input, out=out)


# ── with factors that are known ───────────────────────────────────────────────────────────────
def permutation(pivots: Tensor, size: int, dtype) -> Tensor:
    """The permutation matrix P of row exchanges (from 1), A = P L U."""
    from ..tensor import from_array
    exchanges = pivots._array()
    out = np.zeros((*exchanges.shape[:-1], size, size), dtype.numpy)
    for place in np.ndindex(exchanges.shape[:-1]):
        order = np.arange(size)
        for k, j in enumerate(exchanges[place]):
            order[[k, j - 1]] = order[[j - 1, k]]
        out[place][order, np.arange(size)] = 1
    return from_array(out, dtype)


def _check_pivots(name: str, packed: Tensor, pivots: Tensor) -> None:
    if pivots.dtype is not dt.int32:
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    if pivots.ndim < 1 or pivots.shape[:-1] != packed.shape[:-2] or (
            pivots.shape[-1] != min(packed.shape[-2:])):
        raise RuntimeError(f"{name}: Number of pivots per batch should be same as the dimension "
                           "of the matrix, and their batch shapes equal")


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True,  # noqa: N803
              unpack_pivots: bool = True, *, out=None):
    """(P, L, U) of a packed LU factorization; parts not asked for are empty."""
    from ..creation import empty, eye
    check_matrix("torch.lu_unpack", LU_data, "LU_data")
    if unpack_pivots:
        if LU_pivots.dtype is not dt.int32:
            raise RuntimeError("torch.lu_unpack: LU_pivots is expected to be a contiguous tensor "
                               "of torch.int32 dtype. Note: this function is intended to be used "
                               "with the output produced by torch.linalg.lu_factor")
        _check_pivots("torch.lu_unpack", LU_data, LU_pivots)
    m, n = LU_data.shape[-2:]
    k = min(m, n)
    p = low = up = empty(0, dtype=LU_data.dtype)
    if unpack_data:
        low = LU_data[..., :k].tril(-1) + eye(m, k, dtype=LU_data.dtype)
        up = LU_data[..., :k, :].triu()
    if unpack_pivots:
        p = permutation(LU_pivots, m, LU_data.dtype)
    return return_types.lu_unpack(*into_all(out, (p, low, up)))


def lu(A: Tensor, *, pivot: bool = True, out=None):  # noqa: N803
    """(P, L, U) with A = P L U; P is empty without pivoting."""
    check_matrix("linalg.lu", A)
    check_floating("linalg.lu", A)
    packed, pivots, _ = lu_packed(A, pivot=bool(pivot))
    return return_types.linalg_lu(*into_all(out, tuple(
        lu_unpack(packed, pivots, True, bool(pivot)))))


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True,  # noqa: N803
             adjoint: bool = False, out: Tensor | None = None) -> Tensor:
    """X with A X = B (A^H X = B with `adjoint`; X A = B unless `left`), A given by its LU."""
    name = "torch.linalg.lu_solve"
    check_floating(name, LU)
    if LU.dtype is not B.dtype:
        raise RuntimeError("linalg.lu_solve: Expected LU and B to have the same dtype, but found "
                           f"LU of type {LU.dtype} and B of type {B.dtype} instead")
    check_square(name, LU, "LU")
    check_matrix(name, B, "B")
    check_rows(name, LU, B, left)
    _check_pivots("linalg.lu_solve", LU, pivots)
    p = permutation(pivots, LU.shape[-1], LU.dtype)
    b = B if left else B.mH
    if adjoint == left:
        y = solve_triangular(LU.mH, b, upper=False)
        x = p @ solve_triangular(LU.mH, y, upper=True, unitriangular=True)
    else:
        y = solve_triangular(LU, p.mT @ b, upper=False, unitriangular=True)
        x = solve_triangular(LU, y, upper=True)
    x = x if left else x.mH.contiguous()
    return into_all(None if out is None else (out,), (x,))[0]


def _cholesky_solve_compute(b: np.ndarray, factor: np.ndarray, upper: bool):
    first = np.conj(np.swapaxes(factor, -1, -2)) if upper else factor
    y = _triangular_compute(first, b, False, False)
    return _triangular_compute(np.conj(np.swapaxes(first, -1, -2)), y, True, False)


def _cholesky_solve_backward(node, grad):
    # as PyTorch's, not cut to L's triangle
    factor, x, upper = node.saved(1), node.output(0), node.attrs["upper"]
    grad_b = _cholesky_solve(grad, factor, upper=upper)
    common = grad_b @ x.mH
    common = common + common.mH
    return [grad_b, -(factor @ common) if upper else -(common @ factor)]


_cholesky_solve = host_operator("CholeskySolveBackward0", _cholesky_solve_compute,
                                _cholesky_solve_backward, inputs=(1,), outputs=(0,))


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False, *,  # noqa: N803
                   out: Tensor | None = None) -> Tensor:
    """X with L L^H X = B (U^H U X = B if `upper`)."""
    for x, name in ((B, "b"), (L, "u")):
        check_tensor("cholesky_solve", x)
        if x.ndim < 2:
            raise RuntimeError(f"{name} should have at least 2 dimensions, but has {x.ndim} "
                               "dimensions instead")
    check_square("cholesky_solve", L)
    check_same_dtype("cholesky_solve", L, B)
    if L.shape[-1] != B.shape[-2]:
        raise RuntimeError("Incompatible matrix sizes for cholesky_solve: each A matrix is "
                           f"{L.shape[-1]} by {L.shape[-1]} but each b matrix is {B.shape[-2]} "
                           f"by {B.shape[-1]}")
    b, factor = broadcast_batches(B, L)
    return into_all(None if out is None else (out,),
                    (_cholesky_solve(b, factor, upper=bool(upper)),))[0]


def cholesky_inverse(L: Tensor, upper: bool = False, *,  # noqa: N803
                     out: Tensor | None = None) -> Tensor:
    """(L L^H)^-1 (or (U^H U)^-1)."""
    from ..creation import eye
    check_square("cholesky_inverse", L)
    unit = eye(L.shape[-1], dtype=L.dtype)
    return cholesky_solve(unit, L, upper, out=out)


# ── tensors as matrices ───────────────────────────────────────────────────────────────────────
def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The inverse of A as a map from its last dims to its first `ind`."""
    check_floating("tensorinv", A)
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    rows, columns = A.shape[:ind], A.shape[ind:]
    size = int(np.prod(rows))
    if size != int(np.prod(columns)):
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[ind:]) == "
                           f"prod(self.shape[:ind]), but got {int(np.prod(columns))} != {size}")
    check_floating("linalg.inv", A)
    found, info = _inv(A.reshape(size, size))
    check_info("linalg.tensorinv", info, _NO_INVERSE)
    return into_all(None if out is None else (out,), (found.reshape(*columns, *rows),))[0]


def tensorsolve(A: Tensor, B: Tensor, dims=None, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """X with tensordot(A, X, X.ndim) = B."""
    check_tensor("tensorsolve", A, B)
    if dims is not None:
        keep = [d for d in range(A.ndim) if d not in [d % A.ndim for d in dims]]
        A = A.permute(*keep, *[d % A.ndim for d in dims])  # noqa: N806
    shape = A.shape[B.ndim:]
    size = int(np.prod(shape))
    if A.numel() // max(size, 1) != size or B.numel() != size:
        raise RuntimeError("Expected self to satisfy the requirement prod(self.shape[other.ndim:])"
                           " == prod(self.shape[:other.ndim]), but got "
                           f"{size} != {int(np.prod(A.shape[:B.ndim]))}")
    found = solve(A.reshape(size, size), B.reshape(-1)).reshape(*shape)
    return into_all(None if out is None else (out,), (found,))[0]


