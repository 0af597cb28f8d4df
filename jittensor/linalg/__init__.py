"""`torch.linalg`: matrices in, factorizations, spectra, solutions and norms out, with gradients.

LAPACK computes (through NumPy and SciPy) when the function is called.
"""

from ..functions.outputs import with_outs
from . import removed, toplevel
from .checks import LinAlgError
from .determinants import det, slogdet
from .factorizations import (
    cholesky,
    cholesky_ex,
    householder_product,
    ldl_factor,
    ldl_factor_ex,
    ldl_solve,
    lu_factor,
    lu_factor_ex,
    qr,
)
from .least_squares import lstsq, pinv
from .norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from .products import (
    cross,
    diagonal,
    matmul,
    matrix_exp,
    matrix_power,
    multi_dot,
    vander,
    vecdot,
)
from .solving import (
    inv,
    inv_ex,
    lu,
    lu_solve,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)
from .spectra import eig, eigh, eigvals, eigvalsh, svd, svdvals

toplevel.install()
removed.install()

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh",
    "eigvals", "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex",
    "ldl_solve", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp",
    "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet",
    "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve",
    "vander", "vecdot", "vector_norm",
]
globals().update(with_outs(globals(), __all__, "linalg."))
