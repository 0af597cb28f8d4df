"""Methods and operators of Tensor: functions in, installed on the class."""

from __future__ import annotations

from .. import indexing
from .. import functions as F
from ..graph.ops import ELEMENTWISE, OPS
from ..record import elementwise as record
from ..tensor import Tensor
from . import conversion, gradients, inplace, operators, protocols, storage

METHODS = {
    "index_add": indexing.index_add, "index_copy": indexing.index_copy,
    "index_select": indexing.index_select,
    "where": lambda x, condition, other: F.where(condition, x, other),
}
# functions of the torch namespace that PyTorch does not give tensors as methods
NOT_METHODS = set("""
    embedding nll_loss linear layer_norm rms_norm gelu elu celu selu result_type broadcast_tensors
    cat concat concatenate stack hstack vstack row_stack dstack column_stack block_diag atleast_1d
    atleast_2d atleast_3d meshgrid cartesian_prod combinations tril_indices triu_indices
    constant_pad_nd unravel_index trapezoid trapz cumulative_trapezoid gradient searchsorted
    bucketize isin cdist pdist tensordot einsum chain_matmul complex polar real imag
    """.split())
# x.name_(...) is x = name(x, ...), written back
WRITTEN_BACK = ("sub", "pow", "floor_divide", "remainder", "fmod", "round", "logit", "nan_to_num",
                "square", "float_power", "elu", "index_add", "index_copy", "scatter", "scatter_add",
                "scatter_reduce", "index_fill", "index_reduce", "masked_scatter", "put", "cumsum",
                "cumprod", "tril", "triu", "renorm", "addmm", "addmv", "addr", "addbmm", "baddbmm",
                "conj_physical")


def install() -> None:
    """Puts methods, operators and properties on Tensor."""
    for name, value in F.METHODS.items():
        if name not in NOT_METHODS and not name.startswith("special_"):
            setattr(Tensor, name, value)
    for op in list(OPS.values()):
        if op.kind == ELEMENTWISE:
            names = op.public or ((op.name,) if op.name.startswith("_") else ())
            for name in names:
                if name.startswith("_"):
                    setattr(Tensor, name, _private(op))
                if op.inplace and name.isidentifier():
                    setattr(Tensor, name + "_", inplace.inplace_row(op))
    for name in WRITTEN_BACK:
        setattr(Tensor, name + "_", inplace.inplace_function(name))
    for name, value in {**operators.METHODS, **METHODS}.items():
        setattr(Tensor, name, value)
    for part in (inplace, conversion, protocols, gradients, storage):
        for name, value in {**part.METHODS, **getattr(part, "PROPERTIES", {})}.items():
            setattr(Tensor, name, value)
    for name, method in operators.INPLACE.items():
        setattr(Tensor, name, getattr(Tensor, method))


def _private(op):
    def method(*values):
        return record(op, *values)

    return method


install()
