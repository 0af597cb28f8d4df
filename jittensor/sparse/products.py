"""Products of a sparse and a dense matrix: compressed rows, values and a matrix in, a matrix out.

Gradients for the values (the outer product at the pattern) and for the matrix (the product with the
transposed pattern), of every order.
"""

from __future__ import annotations

import numpy as np

from ..functions.rules import gradient_rule, with_gradient
from ..graph.dtypes import int64
from ..graph.node import spec_of
from ..kernels import sparse as _kernels  # noqa: F401  (fills the operator table)
from ..record import apply
from ..tensor import Tensor, from_array


class Rows:
    """A pattern as compressed rows: value k of row i lies in column col[k] for
    crow[i] <= k < crow[i + 1]."""

    def __init__(self, crow: np.ndarray, col: np.ndarray, columns: int):
        self.crow, self.col, self.columns = crow, col, columns
        self.crow_tensor, self.col_tensor = from_array(crow), from_array(col)
        self._turned: tuple | None = None
        self._shown: tuple[Tensor, Tensor] | None = None

    def shown(self) -> tuple[Tensor, Tensor]:
        """Copies of the row ends and columns that may be given away: the kernels rely on theirs."""
        if self._shown is None:
            self._shown = from_array(self.crow.copy()), from_array(self.col.copy())
        return self._shown

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.crow) - 1

    def row_of_value(self) -> np.ndarray:
        """The row of each value."""
        return np.repeat(np.arange(self.count, dtype=np.int64), np.diff(self.crow))

    def transposed(self) -> tuple[Rows, Tensor]:
        """The transposed pattern, and the value here of each value there."""
        if self._turned is None:
            order = np.argsort(self.col, kind="stable")
            self._turned = (Rows(compressed(self.col, self.columns),
                                 self.row_of_value()[order], self.count), from_array(order))
        return self._turned


def compressed(rows: np.ndarray, count: int) -> np.ndarray:
    """Row ends of values in the given rows, [count + 1]."""
    ends = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=count), out=ends[1:])
    return ends


def _needed(node, k: int) -> bool:
    return node.edges[k] is not None


def _mm_backward(node, grad):
    rows, = node.attrs
    values, dense = node.saved(0), node.saved(1)
    turned, order = rows.transposed()
    return [sampled(rows, grad, dense.conj()) if _needed(node, 0) else None,
            mm(turned, values.conj().index_select(0, order), grad) if _needed(node, 1) else None]


def _sampled_backward(node, grad):
    rows, = node.attrs
    a, b = node.saved(0), node.saved(1)
    turned, order = rows.transposed()
    return [mm(rows, grad, b.conj()) if _needed(node, 0) else None,
            mm(turned, grad.index_select(0, order), a.conj()) if _needed(node, 1) else None]


_MM = gradient_rule("sparse_mm", _mm_backward, saves=(0, 1), grad_name="SparseAddmmBackward0")
_SAMPLED = gradient_rule("sparse_sampled", _sampled_backward, saves=(0, 1),
                         grad_name="SparseSampledAddmmBackward0")


def mm(rows: Rows, values: Tensor, dense: Tensor) -> Tensor:
    """The matrix of a pattern and values, times dense [columns, n]."""
    return with_gradient(_MM, lambda: apply(
        "csr_matmul",
        (rows.crow_tensor, rows.col_tensor, values.contiguous(), dense.contiguous()), (),
        spec=lambda: spec_of(dense.dtype, (rows.count, dense.shape[1]))), (values, dense), (rows,))


def sampled(rows: Rows, a: Tensor, b: Tensor) -> Tensor:
    """Values of a @ b^T at a pattern, for a [rows, n] and b [columns, n]."""
    return with_gradient(_SAMPLED, lambda: apply(
        "csr_sampled", (rows.crow_tensor, rows.col_tensor, a.contiguous(), b.contiguous()), (),
        spec=lambda: spec_of(a.dtype, (len(rows.col),))), (a, b), (rows,))


def product(x, dense: Tensor) -> Tensor:
    """A sparse matrix times a dense matrix or vector; PyTorch's errors."""
    if x.ndim != 2:
        raise RuntimeError("addmm: Expected sparse matrix to be 2-D, but got "
                           f"{x.ndim}-D tensor")
    if dense.ndim == 1:
        if dense.shape[0] != x.shape[1]:
            raise RuntimeError(f"size mismatch, got input ({x.shape[0]}), mat ({x.shape[0]}x"
                               f"{x.shape[1]}), vec ({dense.shape[0]})")
        return product(x, dense.unsqueeze(1)).squeeze(1)
    if dense.ndim != 2:
        raise RuntimeError(f"mat2 must be a matrix, got {dense.ndim}-D tensor")
    if dense.shape[0] != x.shape[1]:
        raise RuntimeError(f"addmm: Argument #3 (dense): Expected dim 0 size {x.shape[1]}, got "
                           f"{dense.shape[0]}")
    if dense.dtype is not x.dtype:
        raise RuntimeError(f"Expected tensors of one dtype, but got {x.dtype!r} and "
                           f"{dense.dtype!r}")
    if dense.dtype.itemsize < 4 or dense.dtype.category < int64.category:
        raise NotImplementedError("\"addmm_sparse_dense\" not implemented for "
                                  f"'{dense.dtype.name}'")
    rows, values = x._rows()
    return mm(rows, values, dense)
