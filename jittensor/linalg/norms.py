"""Norms of vectors and matrices, condition numbers and ranks: tensors in, sizes out."""

from __future__ import annotations

import math

import numpy as np

from ..functions import norms as _norms
from ..functions.reductions import _all_dims
from ..functions.rows import into, title
from ..graph import dtypes as dt
from ..graph.shapes import wrap_dim
from ..tensor import Tensor, from_array
from .checks import check_floating, check_matrix, check_square
from .least_squares import tolerances
from .solving import inv_ex
from .spectra import eigvalsh, svdvals


def _cast(name: str, x: Tensor, dtype) -> Tensor:
    check_floating(name, x, low=True)
    if dtype is None:
        return x
    if dtype.category < dt.FLOAT or x.is_complex() != dtype.is_complex:
        raise RuntimeError(f"{name}: dtype should be floating point or complex and of the input's "
                           f"kind, but got {dtype} for an input of {title(x)}")
    if dt.promote_types(x.dtype, dtype) is not dtype:
        raise RuntimeError(f"{name}: the dtype of the input ({title(x)}) should be convertible "
                           f"without narrowing to the specified dtype ({dtype})")
    return x.to(dtype)


def vector_norm(x: Tensor, ord: float = 2, dim=None, keepdim: bool = False, *, dtype=None,
                out: Tensor | None = None) -> Tensor:
    """(sum |x|^ord)^(1/ord) over dims (all if None); inf and -inf are the extremes, 0 counts."""
    x = _cast("linalg.vector_norm", x, dtype)
    if isinstance(ord, str) or isinstance(ord, complex):
        raise TypeError("linalg_vector_norm(): argument 'ord' must be Number, not "
                        f"{type(ord).__name__}")
    if isinstance(dim, (list, tuple)) and not dim:
        dim = None
    dims = _all_dims(x, dim)
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dims[0]} appears multiple times in the list of dims")
    return into(out, _norms.vector_norm(x, ord, tuple(sorted(dims)), keepdim))


def _two_dims(name: str, x: Tensor, dim) -> tuple[int, int]:
    if not isinstance(dim, (list, tuple)) or len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {dim}")
    a, b = (wrap_dim(d, x.ndim) for d in dim)
    if a == b:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    return a, b


def matrix_norm(A: Tensor, ord="fro", dim=(-2, -1), keepdim: bool = False, *,  # noqa: N803
                dtype=None, out: Tensor | None = None) -> Tensor:
    """A norm of matrices: 'fro', 'nuc', 2 and -2 (singular values), 1, -1, inf, -inf (sums)."""
    name = "linalg.matrix_norm"
    check_matrix(name, A)
    x = _cast(name, A, dtype)
    rows, columns = _two_dims(name, x, dim)
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"{name}: Order {ord} not supported.")
        if ord == "fro":
            return into(out, _norms.vector_norm(x, 2, tuple(sorted((rows, columns))), keepdim))
    elif abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if ord == "nuc" or abs(ord) == 2:
        values = svdvals(x.movedim((rows, columns), (-2, -1)))
        found = values.sum(-1) if ord == "nuc" else values.amax(-1) if ord > 0 else values.amin(-1)
    else:
        first, second = (columns, rows) if abs(ord) == math.inf else (rows, columns)
        sums = x.abs().sum(first, keepdim=True)
        found = sums.amax(second, True) if ord > 0 else sums.amin(second, True)
        found = found.squeeze(max(rows, columns)).squeeze(min(rows, columns))
    if keepdim:
        for d in sorted((rows, columns)):
            found = found.unsqueeze(d)
    return into(out, found)


def norm(A: Tensor, ord=None, dim=None, keepdim: bool = False, *, dtype=None,  # noqa: N803
         out: Tensor | None = None) -> Tensor:
    """A vector norm over one dim (or all elements), or a matrix norm over two."""
    if isinstance(dim, int):
        dim = (dim,)
    if ord is not None:
        if dim is not None and len(dim) not in (1, 2):
            raise RuntimeError("linalg.norm: If dim is specified, it must be of length 1 or 2. Got "
                               f"{list(dim)}")
        if dim is None and A.ndim not in (1, 2):
            raise RuntimeError("linalg.norm: If dim is not specified but ord is, the input must be "
                               f"1D or 2D. Got {A.ndim}D.")
        many = len(dim) if dim is not None else A.ndim
        if many == 2:
            return matrix_norm(A, ord, dim or (0, 1), keepdim, dtype=dtype, out=out)
        if isinstance(ord, str):
            raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple for order {ord}")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, out=out)


def cond(A: Tensor, p=None, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """The condition number: norm(A) * norm(A^-1), by singular values for p = None, 2 and -2."""
    check_matrix("linalg.cond", A)
    check_floating("linalg.cond", A)
    if p is not None and (p not in ("fro", "nuc") if isinstance(p, str) else
                          abs(p) not in (1, 2, math.inf)):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if p is None or p in (2, -2):
        if not A.numel():
            return into(out, A.abs().sum((-2, -1)))
        values = svdvals(A)
        top, bottom = values[..., 0], values[..., -1]
        return into(out, bottom / top if p == -2 else top / bottom)
    check_square("linalg.cond", A)
    if not A.numel():
        return into(out, A.abs().sum((-2, -1)))
    inverse, info = inv_ex(A)
    product = matrix_norm(A, p) * matrix_norm(inverse, p)
    return into(out, product.masked_fill(info != 0, math.inf))


def matrix_rank(A: Tensor, tol=None, hermitian: bool = False, *, atol=None,  # noqa: N803
                rtol=None, out: Tensor | None = None) -> Tensor:
    """How many singular values are above max(atol, rtol * largest)."""
    check_matrix("linalg.matrix_rank", A)
    check_floating("linalg.matrix_rank", A)
    if tol is not None:
        atol, rtol = tol, 0.0
    bounds = tolerances("torch.linalg.matrix_rank", atol, rtol, A)
    if not A.numel():
        return into(out, from_array(np.zeros(A.shape[:-2], np.int64)))
    x = A.detach()
    values = np.abs((eigvalsh(x) if hermitian else svdvals(x))._array())
    bound = np.maximum(bounds[0], bounds[1] * values.max(-1))[..., None]
    return into(out, from_array(np.asarray((values > bound).sum(-1), np.int64)))
