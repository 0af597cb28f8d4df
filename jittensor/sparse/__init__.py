"""`torch.sparse`: sparse tensors in, products, sums and softmaxes out.

The layouts are in `coo`, `csr` and `blocked`; the functions of the torch namespace that take sparse
tensors are routed to their methods by `route`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..creation import zeros
from ..graph.shapes import wrap_dim
from ..tensor import Tensor, from_array
from .blocked import to_mkldnn
from .coo import SparseTensor, sparse_coo_tensor, to_sparse
from .csr import sparse_csr_tensor, to_sparse_csr
from .layout import UnblockedTensor

__all__ = ["addmm", "log_softmax", "mm", "softmax", "sum"]


def mm(mat1: Tensor, mat2: Tensor) -> Tensor:
    """The product of a sparse and a dense matrix (strided), or of two sparse ones (sparse).

    Gradients reach the sparse matrix's values and the dense one.
    """
    return mat1 @ mat2


def addmm(mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta * mat + alpha * (mat1 @ mat2), for a sparse mat1."""
    product = mat1 @ mat2
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else (mat if beta == 1 else mat * beta) + product


def sum(input: Tensor, dim: Any = None, dtype: Any = None) -> Tensor:  # noqa: A001
    """The sum of a sparse tensor's values, or a sparse tensor of sums over dims."""
    return input.sum(dim, dtype=dtype)


def softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """exp(x) over the sum of its dim, over the values there are: absent ones count as -inf."""
    return _normalised(input, dim, dtype, False)


def log_softmax(input: SparseTensor, dim: int, *, dtype: Any = None) -> SparseTensor:
    """The logarithm of `softmax`."""
    return _normalised(input, dim, dtype, True)


def _normalised(input: SparseTensor, dim: int, dtype: Any, logarithm: bool) -> SparseTensor:
    x = input.coalesce() if dtype is None else input.coalesce().to(dtype)
    d = wrap_dim(dim, x.ndim)
    if d >= x.sparse_dim():
        values = x._held.log_softmax(d - x.sparse_dim() + 1)
        return x._with(values if logarithm else values.exp())
    others = np.delete(x._coordinates, d, 0)
    _, place = np.unique(others, axis=1, return_inverse=True)
    place = from_array(np.ascontiguousarray(place.reshape(-1)))
    count = int(place._array().max(initial=-1)) + 1
    peak = np.full((count, *x._held.shape[1:]), -np.inf, x.dtype.numpy)
    np.maximum.at(peak, place._array(), x._held.detach()._array())
    moved = x._held - from_array(peak).index_select(0, place)
    total = zeros((count, *moved.shape[1:]), dtype=moved.dtype).index_add(0, place, moved.exp())
    if logarithm:
        return x._with(moved - total.log().index_select(0, place))
    return x._with(moved.exp() / total.index_select(0, place))


# ── the torch namespace ───────────────────────────────────────────────────────────────────────
_BINARY = {"mm": "__rmatmul__", "matmul": "__rmatmul__", "add": "__radd__", "mul": "__rmul__",
           "multiply": "__rmul__"}
_ROUTED = ("mm", "matmul", "mv", "add", "sub", "mul", "multiply", "div", "neg", "abs", "sqrt",
           "sum", "t", "transpose", "clone", "relu", "sin", "tan", "tanh", "floor", "ceil", "round",
           "expm1", "log1p", "square", "sign")


def _route(name: str, dense: Any) -> Any:
    """A function that hands sparse first (or second) operands to their method."""
    reflected = _BINARY.get(name)

    def function(*args: Any, **named: Any) -> Any:
        if args and isinstance(args[0], UnblockedTensor):
            return getattr(args[0], name)(*args[1:], **named)
        if reflected and len(args) > 1 and isinstance(args[1], UnblockedTensor):
            return getattr(args[1], reflected)(args[0])
        return dense(*args, **named)

    function.__name__, function.__doc__ = name, dense.__doc__
    function.__wrapped__ = dense
    return function


def _zeros(dense: Any) -> Any:
    def function(*size: Any, layout: Any = None, **named: Any) -> Tensor:
        if layout is None or str(layout) == "torch.strided":
            return dense(*size, **named)
        if str(layout) != "torch.sparse_coo":
            raise NotImplementedError(f"zeros with layout {layout!r} is not there")
        named.pop("out", None)
        return sparse_coo_tensor(size[0] if len(size) == 1 and not isinstance(size[0], int)
                                 else size, **named)

    function.__name__, function.__doc__, function.__wrapped__ = "zeros", dense.__doc__, dense
    return function


def route(namespace: dict) -> None:
    """Puts the functions that take sparse tensors into the torch namespace."""
    for name in _ROUTED:
        if name in namespace:
            namespace[name] = _route(name, namespace[name])
    dense = namespace["addmm"]

    def added(input, mat1, mat2, **named):
        if isinstance(mat1, UnblockedTensor):
            return addmm(input, mat1, mat2, **named)
        return dense(input, mat1, mat2, **named)

    namespace["zeros"] = _zeros(namespace["zeros"])
    added.__name__, added.__doc__, added.__wrapped__ = "addmm", dense.__doc__, dense
    namespace.update(addmm=added, spmm=mm, smm=mm, sparse_coo_tensor=sparse_coo_tensor,
                     sparse_csr_tensor=sparse_csr_tensor)


def _lacking(name: str, layout: str) -> Any:
    def method(self: Tensor) -> Tensor:
        raise RuntimeError(f"{name} expected {layout} tensor layout but got Strided")

    return method


def _install() -> None:
    methods = {"to_sparse": to_sparse, "to_sparse_csr": to_sparse_csr, "to_mkldnn": to_mkldnn,
               "to_sparse_coo": lambda self: self.to_sparse(),
               "to_dense": lambda self, dtype=None, masked_grad=None: (
                   self if dtype is None else self.to(dtype)),
               "dense_dim": lambda self: self.ndim, "sparse_dim": lambda self: 0,
               "is_sparse_csr": property(lambda self: False),
               "is_coalesced": _lacking("is_coalesced", "sparse coordinate"),
               "_nnz": _lacking("_nnz", "sparse"),
               "coalesce": _lacking("coalesce", "sparse coordinate"),
               "indices": _lacking("indices", "sparse coordinate"),
               "values": _lacking("values", "sparse"),
               "crow_indices": _lacking("crow_indices", "sparse row compressed"),
               "col_indices": _lacking("col_indices", "sparse row compressed")}
    for name, method in methods.items():
        setattr(Tensor, name, method)


_install()
