"""Compressed rows and values in, a sparse CSR matrix out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import as_tensor
from ..tensor import Tensor, check_device
from .coo import SparseTensor
from .layout import UnblockedTensor, kept
from .products import Rows, product


class CSRTensor(UnblockedTensor):
    """A matrix kept as row ends [rows + 1], columns [n] and values [n]."""

    __slots__ = ("_pattern",)
    backend = label = "SparseCsr"
    is_sparse = False
    is_sparse_csr = True

    @property
    def layout(self) -> Any:
        """`torch.sparse_csr`."""
        from .. import sparse_csr
        return sparse_csr

    @staticmethod
    def _new(pattern: Rows, values: Tensor, shape: Any) -> CSRTensor:
        out = CSRTensor._over(values, tuple(shape))
        out._pattern = pattern
        return out

    def _with(self, values: Tensor) -> CSRTensor:
        return CSRTensor._new(self._pattern, values, self.shape)

    def _parts(self) -> dict:
        return {"crow_indices": self.crow_indices(), "col_indices": self.col_indices(),
                "values": self._held}

    def crow_indices(self) -> Tensor:
        """Row i's values begin at crow_indices[i] and end before crow_indices[i + 1]; a copy, so
        that no write can make the matrix invalid."""
        return self._pattern.shown()[0]

    def col_indices(self) -> Tensor:
        """The column of each value; a copy."""
        return self._pattern.shown()[1]

    def values(self) -> Tensor:
        """The values, row by row."""
        return self._held

    def _nnz(self) -> int:
        return len(self._pattern.col)

    def sparse_dim(self) -> int:
        """Two: rows and columns."""
        return 2

    def dense_dim(self) -> int:
        """Zero: values are numbers."""
        return 0

    def indices(self) -> Tensor:
        """RuntimeError: there are no coordinates."""
        raise RuntimeError(
            "indices expected sparse coordinate tensor layout but got SparseCsr")

    def _rows(self) -> tuple[Rows, Tensor]:
        return self._pattern, self._held

    # ── other layouts ─────────────────────────────────────────────────────────────────────────
    def to_sparse(self, *args: Any, layout: Any = None, **named: Any) -> Tensor:
        """The matrix in COO layout, or itself for `layout=torch.sparse_csr`."""
        if str(layout) == "torch.sparse_csr":
            return self
        found = np.stack([self._pattern.row_of_value(), self._pattern.col])
        return SparseTensor._new(found, self._held, self.shape, _sorted(self._pattern))

    to_sparse_coo = to_sparse

    def to_sparse_csr(self, dense_dim: Any = None) -> CSRTensor:
        """The matrix itself."""
        return self

    def to_dense(self, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
        """A strided matrix."""
        return self.to_sparse().to_dense(dtype)

    # ── arithmetic ────────────────────────────────────────────────────────────────────────────
    def __matmul__(self, other: Tensor) -> Tensor:
        if isinstance(other, UnblockedTensor):
            return (self.to_sparse() @ other.to_sparse()).to_sparse_csr()
        return product(self, other)

    def __rmatmul__(self, other: Tensor) -> Tensor:
        return self.to_sparse().__rmatmul__(other)

    matmul = mm = mv = __matmul__

    def mul(self, other: Any) -> CSRTensor:
        """Products with a number, or element by element with a CSR or strided matrix."""
        if not isinstance(other, Tensor) or not other.ndim:
            return self._with(self._held * other)
        other = other.to_sparse() if isinstance(other, CSRTensor) else other
        return self.to_sparse().mul(other).to_sparse_csr()

    __mul__ = __rmul__ = multiply = mul

    def div(self, other: Any) -> CSRTensor:
        """Quotients by a number."""
        return self._with(self._held / other)

    __truediv__ = div

    def neg(self) -> CSRTensor:
        """Negated values."""
        return self._with(-self._held)

    __neg__ = neg

    def add(self, other: Any, *, alpha: Any = 1) -> CSRTensor:
        """The sum of two CSR matrices."""
        if not isinstance(other, CSRTensor):
            raise RuntimeError("Expected all tensors to be sparse CSR matrices")
        return self.to_sparse().add(other.to_sparse(), alpha=alpha).to_sparse_csr()

    __add__ = add

    def __radd__(self, other: Any) -> Tensor:
        return other + self.to_dense() if isinstance(other, Tensor) else self.add(other)

    def sub(self, other: Any, *, alpha: Any = 1) -> CSRTensor:
        """The difference of two CSR matrices."""
        return self.add(other, alpha=-alpha)

    __sub__ = sub

    def sum(self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """The sum of all values."""
        if dim is not None:
            self._refuse("'aten::sum' over a dim")
        return self._held.sum(dtype=dtype)

    def t(self) -> Tensor:
        """NotImplementedError: the transposed matrix would have compressed columns."""
        raise NotImplementedError("the transpose of a CSR matrix has the CSC layout, which is not "
                                  "there. Use x.to_sparse().t()")

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """As `t`."""
        return self.t()


def _sorted(rows: Rows) -> bool:
    """Whether columns ascend within each row."""
    inner = np.ones(max(len(rows.col) - 1, 0), bool)
    ends = rows.crow[1:-1]
    inner[ends[(ends > 0) & (ends < len(rows.col))] - 1] = False
    return bool((np.diff(rows.col)[inner] > 0).all())


def sparse_csr_tensor(crow_indices: Any, col_indices: Any, values: Any, size: Any = None, *,
                      dtype: Any = None, device: Any = None, pin_memory: bool = False,
                      requires_grad: bool = False,
                      check_invariants: bool | None = None) -> CSRTensor:
    """A CSR matrix; RuntimeError for indices that fit neither it nor each other, always checked.

    >>> import jittensor as torch
    >>> torch.sparse_csr_tensor([0, 1, 2], [1, 0], [3.0, 4.0]) @ torch.ones(2)
    tensor([3., 4.])
    """
    check_device(device)
    crow, col = (np.ascontiguousarray(as_tensor(x)._array()) for x in (crow_indices, col_indices))
    values = as_tensor(values) if dtype is None else as_tensor(values).to(dtype)
    if crow.ndim != 1 or col.ndim != 1 or values.ndim != 1:
        raise NotImplementedError("batches of CSR matrices and dense dims are not there")
    if crow.dtype not in (np.int32, np.int64) or col.dtype != crow.dtype:
        raise RuntimeError("crow_indices and col_indices must be an int32 or int64 type, but got: "
                           f"{crow.dtype} and {col.dtype}")
    crow, col = crow.astype(np.int64), col.astype(np.int64)
    if size is None:
        size = (len(crow) - 1, int(col.max(initial=-1)) + 1)
    _check_rows(crow, col, values.shape[0], tuple(size))
    held = kept("_sparse_csr_values", values)
    out = CSRTensor._new(Rows(crow, col, size[1]), held, size)
    return out.requires_grad_(True) if requires_grad and held._fn is None else out


def _check_rows(crow: np.ndarray, col: np.ndarray, count: int, size: tuple) -> None:
    rows, columns = size
    steps = np.diff(crow)
    rules = (("`crow_indices.shape[-1] == nrows + 1`", len(crow) == rows + 1),
             ("`col_indices.shape[-1] == nnz`", len(col) == count),
             ("`crow_indices[..., 0] == 0`", len(crow) and crow[0] == 0),
             ("`crow_indices[..., -1] == nnz`", len(crow) and crow[-1] == count),
             ("`0 <= crow_indices[..., 1:] - crow_indices[..., :-1] <= ncols`",
              bool(((steps >= 0) & (steps <= columns)).all())),
             ("`0 <= col_indices < ncols`", bool(((col >= 0) & (col < columns)).all())))
    for rule, holds in rules:
        if not holds:
            raise RuntimeError(f"{rule} is not satisfied.")


def to_sparse_csr(self: Tensor, dense_dim: Any = None) -> CSRTensor:
    """A strided matrix in CSR layout."""
    if self.ndim != 2:
        raise RuntimeError(f"to_sparse_csr expects a matrix, got a {self.ndim}-D tensor")
    return self.to_sparse().to_sparse_csr()
