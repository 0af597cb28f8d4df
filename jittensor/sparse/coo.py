"""Coordinates and values in, a sparse COO tensor out."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functions as F
from .. import views
from ..creation import as_tensor, zeros
from ..graph.dtypes import int64
from ..graph.shapes import Size, wrap_dim
from ..tensor import Tensor, check_device, from_array
from .layout import UnblockedTensor, kept
from .products import Rows, compressed, product


class SparseTensor(UnblockedTensor):
    """A tensor kept as coordinates, [sparse_dim, n], and values, [n, *dense dims]. Coordinates that
    occur several times add up; a coalesced tensor has none, and they are sorted."""

    __slots__ = ("_coordinates", "_coalesced", "_compressed")
    backend = label = "Sparse"
    is_sparse = True

    @property
    def layout(self) -> Any:
        """`torch.sparse_coo`."""
        from .. import sparse_coo
        return sparse_coo

    @staticmethod
    def _new(coordinates: np.ndarray, values: Tensor, shape: Any, coalesced: bool) -> SparseTensor:
        out = SparseTensor._over(values, tuple(shape))
        out._coordinates, out._coalesced, out._compressed = coordinates, coalesced, None
        return out

    def _with(self, values: Tensor) -> SparseTensor:
        return SparseTensor._new(self._coordinates, values, self.shape, self._coalesced)

    def _parts(self) -> dict:
        return {"indices": self._indices(), "values": self._held}

    # ── parts ─────────────────────────────────────────────────────────────────────────────────
    def _indices(self) -> Tensor:
        return from_array(self._coordinates)

    def _values(self) -> Tensor:
        return self._held

    def _nnz(self) -> int:
        return self._coordinates.shape[1]

    def sparse_dim(self) -> int:
        """The number of dims with coordinates."""
        return self._coordinates.shape[0]

    def dense_dim(self) -> int:
        """The number of dims of each value."""
        return self.ndim - self._coordinates.shape[0]

    def is_coalesced(self) -> bool:
        """Whether coordinates are sorted and occur once."""
        return self._coalesced

    def indices(self) -> Tensor:
        """The coordinates of a coalesced tensor; RuntimeError for another."""
        return self._indices() if self._checked("indices") else None

    def values(self) -> Tensor:
        """The values of a coalesced tensor; RuntimeError for another."""
        return self._held if self._checked("values") else None

    def _checked(self, what: str) -> bool:
        if not self._coalesced:
            raise RuntimeError(f"Cannot get {what} on an uncoalesced tensor, please call "
                               ".coalesce() first")
        return True

    def _flat(self) -> np.ndarray:
        """The coordinates as one number each, in row-major order."""
        count = self.sparse_dim()
        flat = np.zeros(self._nnz(), np.int64)
        for row, size in zip(self._coordinates, self.shape[:count], strict=True):
            flat = flat * size + row
        return flat

    def coalesce(self) -> SparseTensor:
        """The same tensor with sorted coordinates that occur once each."""
        if self._coalesced:
            return self
        flat, first, place = np.unique(self._flat(), return_index=True, return_inverse=True)
        count = len(flat)
        values = zeros((count, *self._held.shape[1:]), dtype=self.dtype)
        values = values.index_add(0, from_array(place.reshape(-1)), self._held)
        return SparseTensor._new(np.ascontiguousarray(self._coordinates[:, first]), values,
                                 self.shape, True)

    @property
    def grad(self) -> SparseTensor | None:
        """The gradient where the tensor has coordinates, coalesced."""
        grad = self._held.grad
        if grad is None or self._coalesced:
            return None if grad is None else self._with(grad)
        _, first = np.unique(self._flat(), return_index=True)
        return SparseTensor._new(np.ascontiguousarray(self._coordinates[:, first]),
                                 grad.index_select(0, from_array(first)), self.shape, True)

    @grad.setter
    def grad(self, value: SparseTensor | None) -> None:
        self._held.grad = None if value is None else value._held

    # ── other layouts ─────────────────────────────────────────────────────────────────────────
    def to_dense(self, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
        """A strided tensor."""
        count = self.sparse_dim()
        size = int(np.prod(self.shape[:count], dtype=np.int64))
        whole = zeros((size, *self.shape[count:]), dtype=self.dtype)
        whole = whole.index_add(0, from_array(self._flat()), self._held).reshape(self.shape)
        return whole if dtype is None else whole.to(dtype)

    def to_sparse(self, *args: Any, layout: Any = None, **named: Any) -> Tensor:
        """The tensor itself, or in CSR layout."""
        return self.to_sparse_csr() if str(layout) == "torch.sparse_csr" else self

    def to_sparse_coo(self) -> SparseTensor:
        """The tensor itself."""
        return self

    def to_sparse_csr(self, dense_dim: Any = None) -> Tensor:
        """The tensor in CSR layout."""
        from .csr import CSRTensor
        if self.ndim != 2 or self.sparse_dim() != 2:
            raise RuntimeError(f"to_sparse_csr expects a matrix, got a {self.ndim}-D tensor")
        x = self.coalesce()
        rows, values = x._rows()
        return CSRTensor._new(rows, kept("_sparse_csr_values", values), self.shape)

    def _rows(self) -> tuple[Rows, Tensor]:
        """The pattern as compressed rows and the values in their order."""
        if self.sparse_dim() != 2 or self.ndim != 2:
            raise RuntimeError("sparse products need a tensor of two sparse dims")
        if self._compressed is None:
            row, col = self._coordinates
            order = None if self._coalesced else np.argsort(row, kind="stable")
            if order is not None:
                row, col = row[order], col[order]
            self._compressed = (Rows(compressed(row, self.shape[0]), np.ascontiguousarray(col),
                                     self.shape[1]), None if order is None else from_array(order))
        rows, order = self._compressed
        return rows, self._held if order is None else self._held.index_select(0, order)

    # ── arithmetic ────────────────────────────────────────────────────────────────────────────
    def __matmul__(self, other: Tensor) -> Tensor:
        return sparse_product(self, other) if isinstance(other, SparseTensor) else product(
            self, other)

    def __rmatmul__(self, other: Tensor) -> Tensor:
        return product(self.t(), other.t() if other.ndim == 2 else other).t()

    matmul = mm = mv = __matmul__

    def __add__(self, other: Any) -> Tensor:
        return self.add(other)

    def __radd__(self, other: Any) -> Tensor:
        if not isinstance(other, Tensor) or other.shape != self.shape:
            return self.add(other)
        return other + self.to_dense()

    def add(self, other: Any, *, alpha: Any = 1) -> SparseTensor:
        """The sum of two sparse tensors; RuntimeError for a strided one."""
        if not isinstance(other, SparseTensor):
            raise RuntimeError(
                "add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
        if self.shape != other.shape:
            raise RuntimeError(f"add: expected sizes of 'self' and 'other' to match, but "
                               f"{list(self.shape)} != {list(other.shape)}")
        if self is other:
            return self._with(self._held * (1 + alpha))
        values = F.cat([self._held, other._held if alpha == 1 else other._held * alpha])
        out = SparseTensor._new(np.concatenate([self._coordinates, other._coordinates], 1),
                                values, self.shape, False)
        return out.coalesce() if self._coalesced and other._coalesced else out

    def sub(self, other: Any, *, alpha: Any = 1) -> SparseTensor:
        """The difference of two sparse tensors."""
        return self.add(other, alpha=-alpha)

    __sub__ = sub

    def mul(self, other: Any) -> SparseTensor:
        """Products with a number, or element by element with a sparse or strided tensor."""
        if not isinstance(other, Tensor) or not isinstance(other, SparseTensor) and not other.ndim:
            return self._with(self._held * other)
        if other.shape != self.shape:
            raise RuntimeError(f"mul operands have incompatible sizes {list(self.shape)} and "
                               f"{list(other.shape)}")
        x = self.coalesce()
        if isinstance(other, SparseTensor):
            y = other.coalesce()
            _, a, b = np.intersect1d(x._flat(), y._flat(), True, True)
            values = x._held.index_select(0, from_array(a)) * y._held.index_select(0, from_array(b))
            return SparseTensor._new(np.ascontiguousarray(x._coordinates[:, a]), values, x.shape,
                                     True)
        table = other.reshape(-1, *x._held.shape[1:])
        return x._with(x._held * table.index_select(0, from_array(x._flat())))

    __mul__ = __rmul__ = multiply = mul

    def div(self, other: Any, *, rounding_mode: str | None = None) -> SparseTensor:
        """Quotients by a number."""
        if isinstance(other, Tensor) and other.ndim:
            raise RuntimeError("Sparse division requires a scalar or zero-dim dense tensor "
                               "divisor (got shape " + str(list(other.shape)) + " for divisor)")
        x = self.coalesce() if rounding_mode else self
        return x._with(x._held.div(other, rounding_mode=rounding_mode))

    __truediv__ = div

    def neg(self) -> SparseTensor:
        """Negated values."""
        return self._with(-self._held)

    __neg__ = neg

    def sum(self, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
        """The sum of all values (a strided scalar), or a sparse tensor of sums over dims."""
        if dim is None:
            return self._held.sum(dtype=dtype)
        dims = {wrap_dim(d, self.ndim) for d in ((dim,) if isinstance(dim, int) else dim)}
        count = self.sparse_dim()
        inner = [d - count + 1 for d in sorted(dims) if d >= count]
        values = self._held.sum(inner) if inner else self._held
        values = values if dtype is None else values.to(dtype)
        rows = [k for k in range(count) if k not in dims]
        shape = [n for k, n in enumerate(self.shape) if k not in dims]
        if not rows:
            return values.sum(0)
        return SparseTensor._new(np.ascontiguousarray(self._coordinates[rows]), values, shape,
                                 False).coalesce()

    # ── shapes ────────────────────────────────────────────────────────────────────────────────
    def transpose(self, dim0: int, dim1: int) -> SparseTensor:
        """Two sparse dims exchanged."""
        a, b = wrap_dim(dim0, self.ndim), wrap_dim(dim1, self.ndim)
        if max(a, b) >= self.sparse_dim():
            self._refuse("'aten::transpose' over dense dims")
        order, shape = list(range(self.sparse_dim())), list(self.shape)
        order[a], order[b] = order[b], order[a]
        shape[a], shape[b] = shape[b], shape[a]
        return SparseTensor._new(np.ascontiguousarray(self._coordinates[order]), self._held, shape,
                                 self._coalesced and a == b)

    def t(self) -> SparseTensor:
        """The transposed matrix."""
        if self.ndim > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}"
                               "D")
        return self.transpose(0, 1) if self.ndim == 2 else self

    T = property(t)

    def __getitem__(self, index: int) -> Tensor:
        if not isinstance(index, int) or isinstance(index, bool):
            self._refuse("indexing by anything but an integer")
        size = self.shape[0]
        if not -size <= index < size:
            raise IndexError(f"select(): index {index} out of range for tensor of size "
                             f"{list(self.shape)} at dimension 0")
        found = np.flatnonzero(self._coordinates[0] == index % size)
        values = self._held.index_select(0, from_array(found))
        if self.sparse_dim() == 1:
            return values.sum(0)
        return SparseTensor._new(np.ascontiguousarray(self._coordinates[1:, found]), values,
                                 self.shape[1:], self._coalesced)

    def stride(self, dim: int | None = None) -> Any:
        """Zeros: there are no strides."""
        return (0,) * self.ndim if dim is None else 0

    def crow_indices(self) -> Tensor:
        """RuntimeError: there are no compressed rows."""
        raise RuntimeError(
            "crow_indices expected sparse row compressed tensor layout but got Sparse")

    def col_indices(self) -> Tensor:
        """RuntimeError: there are no compressed rows."""
        raise RuntimeError(
            "col_indices expected sparse row compressed tensor layout but got Sparse")


def _of_values(name: str):
    def method(self: SparseTensor) -> SparseTensor:
        x = self.coalesce()
        return x._with(getattr(x._held, name)())

    method.__name__, method.__doc__ = name, f"`{name}` of the values; zeros stay zeros."
    return method


for _name in """abs sqrt sin tan sinh tanh asin asinh atan atanh sign sgn floor ceil round trunc
        expm1 log1p relu erf erfinv deg2rad rad2deg frac isnan isinf square""".split():
    setattr(SparseTensor, _name, _of_values(_name))


def sparse_product(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """The product of two sparse matrices, sparse: every pair of values that meet."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} "
                           f"and {b.shape[0]}x{b.shape[-1]})")
    (left, x), (right, y) = a.coalesce()._rows(), b.coalesce()._rows()
    each = np.diff(right.crow)[left.col]
    ia = np.repeat(np.arange(len(left.col)), each)
    ib = np.arange(len(ia)) - np.repeat(np.cumsum(each) - each, each) + np.repeat(
        right.crow[left.col], each)
    values = x.index_select(0, from_array(ia)) * y.index_select(0, from_array(ib))
    return SparseTensor._new(np.stack([left.row_of_value()[ia], right.col[ib]]), values,
                             (a.shape[0], b.shape[1]), False).coalesce()


# ── making them ───────────────────────────────────────────────────────────────────────────────
def sparse_coo_tensor(indices: Any, values: Any = None, size: Any = None, *, dtype: Any = None,
                      device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
                      check_invariants: bool | None = None,
                      is_coalesced: bool | None = None) -> SparseTensor:
    """A COO tensor of coordinates [sparse_dim, n] and values [n, ...]; with a size alone, zeros.

    RuntimeError for coordinates that are negative or beyond the size, whatever `check_invariants`.

    >>> import jittensor as torch
    >>> torch.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0]).to_dense()
    tensor([[0., 1.],
            [2., 0.]])
    """
    check_device(device)
    if values is None:
        size = Size(indices if size is None else size)
        none = np.zeros((len(size), 0), np.int64)
        return SparseTensor._new(none, zeros(0, dtype=dtype), size, True).requires_grad_(
            requires_grad)
    indices = as_tensor(indices)
    if indices.dtype.category != int64.category:
        indices = indices.to(int64)
    values = as_tensor(values) if dtype is None else as_tensor(values).to(dtype)
    if values.ndim == 0:
        values = values.expand(indices.shape[-1])
    if indices.ndim != 2:
        raise RuntimeError(
            f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    coordinates = np.ascontiguousarray(indices._array().astype(np.int64))
    size = _fitted_size(coordinates, values, size)
    held = kept("_sparse_coo_values", values)
    out = SparseTensor._new(coordinates, held, size, bool(is_coalesced) or False)
    return out.requires_grad_(True) if requires_grad and held._fn is None else out


def _fitted_size(coordinates: np.ndarray, values: Tensor, size: Any) -> tuple:
    """The size given or implied; PyTorch's errors for what does not fit."""
    dims, count = coordinates.shape
    if values.shape[0] != count:
        raise RuntimeError("indices and values must have same nnz, but got nnz from indices: "
                           f"{count}, nnz from values: {values.shape[0]}")
    low = coordinates.min(1, initial=0) if count else np.zeros(dims, np.int64)
    high = coordinates.max(1, initial=-1) if count else np.full(dims, -1)
    for d in range(dims):
        if low[d] < 0:
            raise RuntimeError(f"found negative index {low[d]} for dim {d}")
    if size is None:
        return (*(int(n) + 1 for n in high), *values.shape[1:])
    size = tuple(size)
    if len(size) != dims + values.ndim - 1:
        raise RuntimeError("'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = "
                           f"{len(size)}, sparse_dim = {dims}, dense_dim = {values.ndim - 1}")
    for d in range(dims):
        if high[d] >= size[d]:
            raise RuntimeError(f"size is inconsistent with indices: for dim {d}, size is {size[d]} "
                               f"but found index {high[d]}")
    if tuple(values.shape[1:]) != size[dims:]:
        raise RuntimeError(f"values has incorrect size, expected {[count, *size[dims:]]}, got "
                           f"{list(values.shape)}")
    return size


def to_sparse(self: Tensor, sparse_dim: int | None = None, *, layout: Any = None,
              blocksize: Any = None, dense_dim: Any = None) -> Tensor:
    """A strided tensor in COO layout (or `layout`), with coordinates for the first dims."""
    if str(layout) == "torch.sparse_csr":
        return self.to_sparse_csr()
    count = self.ndim if sparse_dim is None else sparse_dim
    if not 0 <= count <= self.ndim or self.ndim and not count:
        raise RuntimeError(f"sparse_dim argument must be in >0 and <={self.ndim}, but got "
                           f"{sparse_dim}")
    array = self.detach()._array()
    there = (array != 0).reshape(*self.shape[:count], -1).any(-1)
    coordinates = np.stack(np.nonzero(there)) if count else np.zeros((0, int(there)), np.int64)
    flat = from_array(np.flatnonzero(there))
    rows = views.reshape(self, int(np.prod(self.shape[:count])), *self.shape[count:])
    values = kept("_sparse_coo_values", rows.index_select(0, flat))
    return SparseTensor._new(np.ascontiguousarray(coordinates), values, self.shape, True)
