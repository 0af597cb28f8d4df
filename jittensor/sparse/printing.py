"""A sparse tensor in, PyTorch's printed form out: its parts, size, number of values, layout."""

from __future__ import annotations

from typing import Any

from ..graph.dtypes import Default, bool_, int64
from ..printing import contents_str, get_printoptions
from ..tensor import Tensor


def _part(x: Tensor, label: str, indent: int) -> str:
    prefix = label + "=tensor("
    values = x.detach()._array()
    text = contents_str(values, dtype_name=x.dtype.name, indent=indent + len(prefix))
    if not x.numel():
        text += f", size={tuple(x.shape)}"
    return prefix + text + ")"


def sparse_str(x: Any) -> str:
    """`repr` of a COO, CSR or blocked tensor."""
    start, suffixes = "tensor(", []
    indent = len(start)
    parts = x._parts()
    if parts is None:
        dense = x.detach().to_dense()
        text = contents_str(dense._array(), dtype_name=x.dtype.name, indent=indent)
    else:
        text = (",\n" + " " * indent).join(_part(p, name, indent) for name, p in parts.items())
        suffixes += [f"size={tuple(x.shape)}", f"nnz={x._nnz()}"]
    if x.dtype not in (Default.float_, int64, bool_) and not (
            x.dtype.is_complex and x.dtype.itemsize == 2 * Default.float_.itemsize):
        suffixes.append(f"dtype={x.dtype!r}")
    suffixes.append(f"layout={x.layout!r}")
    if x.grad_fn is not None:
        suffixes.append(f"grad_fn=<{x.grad_fn.name()}>")
    elif x.requires_grad:
        suffixes.append("requires_grad=True")
    return _joined(start + text, suffixes, indent, x.is_sparse) + ")"


def _joined(text: str, suffixes: list[str], indent: int, newline: bool) -> str:
    width = get_printoptions()["linewidth"]
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if newline or column + len(suffix) + 2 > width:
            text += ",\n" + " " * indent + suffix
            column, newline = indent + len(suffix), False
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text
