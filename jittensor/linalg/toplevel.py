"""Matrix functions of the top level (`torch.qr`, `torch.lu`, …) by their older conventions."""

from __future__ import annotations

from .. import return_types
from ..functions.rows import into
from ..tensor import Tensor
from . import factorizations, solving
from .checks import check_floating, check_matrix, check_square, into_all
from .determinants import det, logdet
from .determinants import slogdet as _slogdet
from .factorizations import geqrf, ormqr, qr
from .least_squares import pinverse
from .products import matrix_exp_toplevel, matrix_power
from .solving import (
    cholesky_inverse,
    cholesky_solve,
    inverse,
    lu_unpack,
    triangular_solve,
)
from .spectra import svd_toplevel


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """L with A = L L^H of Hermitian positive-definite A (U with A = U^H U if `upper`)."""
    check_square("cholesky", input)
    factor, info = factorizations._cholesky(input, upper=bool(upper))
    factorizations._check_definite("linalg.cholesky", info)
    return into(out, factor)


def qr_toplevel(input: Tensor, some: bool = True, *, out=None):
    """(Q, R); complete Q unless `some`."""
    return return_types.qr(*qr(input, "reduced" if some else "complete", out=out))


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
    "lu_solve": lu_solve, "lu_unpack": lu_unpack, "matrix_exp": matrix_exp_toplevel,
    "matrix_power": matrix_power, "ormqr": ormqr, "orgqr": factorizations.householder_product,
    "pinverse": pinverse, "qr": qr_toplevel, "slogdet": slogdet, "svd": svd_toplevel,
    "triangular_solve": triangular_solve,
}
NOT_METHODS = {"lu_unpack"}


def install() -> None:
    """Puts the methods on Tensor."""
    for name, function in FUNCTIONS.items():
        if name not in NOT_METHODS:
            setattr(Tensor, name, function)
