"""Methods and operators of Tensor: functions in, installed on the class."""

from __future__ import annotations

from .. import indexing
from .. import functions as F
from ..graph.node import spec_of
from ..graph.ops import ELEMENTWISE, OPS
from ..record import apply
from ..record import elementwise as record
from ..tensor import Tensor
from . import conversion, gradients, inplace, operators, protocols, storage

METHODS = {
    "index_add": indexing.index_add, "index_copy": indexing.index_copy,
    "index_select": indexing.index_select,
    "_softmax_grad": lambda g, y, dim: apply("_softmax_grad", (g, y), (dim,),
                                               spec=lambda: spec_of(y.dtype, y.shape)),
    "_log_softmax_grad": lambda g, y, dim: apply("_log_softmax_grad", (g, y), (dim,),
                                                   spec=lambda: spec_of(y.dtype, y.shape)),
    "_layer_norm_grad": lambda g, inputs, dims, eps: apply(
        "_layer_norm_grad", inputs, (dims, eps),
        spec=lambda: spec_of(inputs[1].dtype, inputs[1].shape)),
    "_nll_loss_grad": lambda g, target, places, spec, reduction, ignore: apply(
        "_nll_loss_grad", (g, target, places), (reduction, ignore, spec.shape),
        spec=lambda: spec_of(spec.dtype, spec.shape)),
    "_nll_picked": lambda g, target, places, reduction, ignore: F.losses.nll(
        g, target, places, reduction, ignore),
    "_layer_normed": lambda x, dims, eps: apply(
        "_layer_normed", (x,), (dims, eps), spec=lambda: spec_of(x.dtype, x.shape)),
}
# functions of the torch namespace that PyTorch does not give tensors as methods
NOT_METHODS = {"embedding", "nll_loss", "linear", "layer_norm", "rms_norm", "gelu", "elu", "celu",
               "selu", "result_type", "broadcast_tensors"}
# x.name_(...) is x = name(x, ...), written back
WRITTEN_BACK = ("sub", "pow", "floor_divide", "remainder", "fmod", "round", "logit", "nan_to_num",
                "square", "float_power", "elu", "index_add", "index_copy")


def install() -> None:
    """Puts methods, operators and properties on Tensor."""
    for name, value in F.METHODS.items():
        if name not in NOT_METHODS and not name.startswith("special_"):
            setattr(Tensor, name, value)
    for op in list(OPS.values()):
        if op.kind == ELEMENTWISE:
            names = op.public or ((op.name,) if op.name.startswith("_") else ())
            for name in names:
                if op.name.startswith("_"):
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
