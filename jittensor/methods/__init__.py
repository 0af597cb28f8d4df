"""Methods and operators of Tensor: functions in, installed on the class."""

from __future__ import annotations

from .. import functions as F
from .. import indexing
from ..arguments import with_misfits
from ..graph.ops import ELEMENTWISE, OPS
from ..record import elementwise as record
from ..tensor import Tensor
from . import conversion, dlpack, gradients, inplace, operators, protocols, shapes, storage

METHODS = {
    "index_add": with_misfits(indexing.index_add, "index_add"),
    "index_copy": with_misfits(indexing.index_copy, "index_copy"),
    "index_select": indexing.index_select, "_select_rows": indexing.select_rows,
    "_add_rows": indexing.add_rows, "_copy_rows": indexing.copy_rows,
    "where": lambda x, condition, other: F.where(condition, x, other),
    "polygamma": lambda x, n: F.polygamma(n, x),
    "polygamma_": lambda x, n: x.copy_(F.polygamma(n, x)),
}
# functions of the torch namespace that PyTorch does not give tensors as methods
NOT_METHODS = set("""
    is_inference
    embedding nll_loss linear layer_norm rms_norm gelu elu celu selu result_type broadcast_tensors
    cat concat concatenate stack hstack vstack row_stack dstack column_stack block_diag atleast_1d
    atleast_2d atleast_3d meshgrid cartesian_prod combinations tril_indices triu_indices
    constant_pad_nd unravel_index trapezoid trapz cumulative_trapezoid gradient searchsorted
    bucketize isin cdist pdist tensordot einsum chain_matmul complex polar real imag
    alias_copy as_strided_copy diagonal_copy expand_copy permute_copy select_copy slice_copy
    split_copy split_with_sizes_copy squeeze_copy t_copy transpose_copy unbind_copy unfold_copy
    unsqueeze_copy view_copy narrow_copy_ fill rsub std_mean var_mean vander
    """.split())
# x.name_(...) is x = name(x, ...), written back
WRITTEN_BACK = ("sub", "pow", "floor_divide", "remainder", "fmod", "round", "logit", "nan_to_num",
                "square", "float_power", "elu", "index_add", "index_copy", "scatter", "scatter_add",
                "scatter_reduce", "index_fill", "index_reduce", "masked_scatter", "put", "cumsum",
                "cumprod", "tril", "triu", "renorm", "addmm", "addmv", "addr", "addbmm", "baddbmm",
                "conj_physical", "mvlgamma")


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
    for part in (inplace, conversion, protocols, gradients, shapes, storage, dlpack):
        for name, value in {**part.METHODS, **getattr(part, "PROPERTIES", {})}.items():
            setattr(Tensor, name, value)
    for name, method in operators.INPLACE.items():
        setattr(Tensor, name, getattr(Tensor, method))


def _private(op):
    def method(*values):
        return record(op, *values)

    return method


def inplace_functions() -> dict:
    """The functions on tensors that write in place, `exp_(x)` and its kind, by name."""
    names = """abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh as_strided asin
        asinh atan atanh ceil clamp clamp_max clamp_min clip conj_physical cos cosh deg2rad detach
        erf erfc exp exp2 expm1 fill fix floor frac gcd i0 lcm ldexp log log10 log1p log2 logit
        nan_to_num neg negative rad2deg reciprocal relu resize_as round rsqrt sigmoid sin sinc sinh
        sqrt square tan tanh threshold trunc xlogy zero"""
    return {name + "_": getattr(Tensor, name + "_") for name in names.split()}


install()
