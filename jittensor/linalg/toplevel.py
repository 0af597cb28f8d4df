"""Matrix functions of the top level (`torch.qr`, `torch.lu`, …) by their older conventions."""

from __future__ import annotations

from .. import return_types
from ..functions.outputs import takes_out, with_out
from ..functions.rows import into
from ..tensor import Tensor
from . import factorizations, products, solving, spectra
from .checks import check_floating, check_matrix, check_square, into_all
from .determinants import det, logdet
from .determinants import slogdet as _slogdet
from .factorizations import geqrf, ormqr
from .least_squares import pinverse
from .products import matrix_power
from .solving import (
    cholesky_inverse,
    cholesky_solve,
    inverse,
    lu_unpack,
    triangular_solve,
)


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """L with A = L L^H of Hermitian positive-definite A (U with A = U^H U if `upper`)."""
    check_square("cholesky", input)
    factor, info = factorizations._cholesky(input, upper=bool(upper))
    factorizations._check_definite("linalg.cholesky", info)
    return into(out, factor)


def qr(input: Tensor, some: bool = True, *, out=None):
    """(Q, R); complete Q unless `some`."""
    return return_types.qr(*factorizations.qr(input, "reduced" if some else "complete", out=out))


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out=None):
    """(U, S, V) with A = U diag(S) V^H; U and V are zeros without `compute_uv`."""
    check_matrix("linalg.svd", input)
    u, s, vh = spectra.svd(input, not some)
    v = vh.mH
    if not compute_uv:
        m, n = input.shape[-2:]
        u, v = (u.new_zeros((*input.shape[:-2], k, k)) for k in (m, n))
    return return_types.svd(*into_all(out, (u, s, v)))


def matrix_exp(input: Tensor) -> Tensor:
    """The matrix exponential."""
    return products.matrix_exp(input)


def slogdet(input: Tensor, *, out=None):
    """(sign, log|det|) of square matrices."""
    return return_types.slogdet(*_slogdet(input, out=out))


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out=None):  # noqa: N803
    """(LU, pivots), with `get_infos` also the numbers of zero pivots."""
    check_matrix("torch.lu_factor", A)
    check_floating("torch.linalg.lu_factor_ex", A)
    packed, pivots, info = factorizations.lu_packed(A, pivot=bool(pivot))
    if not get_infos:
        factorizations.check_pivots("lu", info)
        return into_all(out, (packed, pivots))
    return into_all(out, (packed, pivots, info))


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *,  # noqa: N803
             out: Tensor | None = None) -> Tensor:
    """X with A X = b, A given by its LU factorization."""
    return solving.lu_solve(LU_data, LU_pivots, b, out=out)


FUNCTIONS = {
    "cholesky": cholesky, "cholesky_inverse": cholesky_inverse, "cholesky_solve": cholesky_solve,
    "det": det, "geqrf": geqrf, "inverse": inverse, "logdet": logdet, "lu": lu,
    "lu_solve": lu_solve, "lu_unpack": lu_unpack, "matrix_exp": matrix_exp,
    "matrix_power": matrix_power, "ormqr": ormqr, "orgqr": factorizations.householder_product,
    "pinverse": pinverse, "qr": qr, "slogdet": slogdet, "svd": svd,
    "triangular_solve": triangular_solve,
}
NOT_METHODS = {"lu_unpack"}


def install() -> None:
    """Puts the methods on Tensor, and what `out=` asks for around the functions."""
    for name, function in FUNCTIONS.items():        # methods have no out=
        if name not in NOT_METHODS:
            setattr(Tensor, name, function)
        if takes_out(function):
            FUNCTIONS[name] = with_out(function, name)
