"""Python's operators on tensors: operands in, recorded operators out."""

from __future__ import annotations

import numpy as np

from .. import functions as F
from .. import indexing
from ..autograd.graph import relabel
from ..graph.ops import OPS
from ..record import elementwise as record
from ..tensor import Tensor

NUMBERS = (bool, int, float, complex)


def _operator(name: str, function=None, swapped: bool = False):
    op = OPS[name]

    def operator(self, other):
        if not isinstance(other, Tensor) and type(other) not in NUMBERS:
            other = _other(other)
            if other is NotImplemented:
                return NotImplemented
        a, b = (other, self) if swapped else (self, other)
        return function(a, b) if function is not None else record(op, a, b)

    return operator


def _other(value):
    if isinstance(value, np.generic):        # before numbers: np.float64 is a float
        return value.item()
    if isinstance(value, NUMBERS):
        return value
    if isinstance(value, np.ndarray):
        from ..creation import from_numpy
        return from_numpy(value)
    return NotImplemented


def _product(self, other, swapped: bool):
    if not isinstance(other, Tensor):        # NumPy may know: it wraps its answer in a tensor
        return NotImplemented
    return F.matmul(other, self) if swapped else F.matmul(self, other)


def _rpow(self, other):
    from ..creation import tensor
    if isinstance(other, Tensor):
        return F.pow(other, self)
    other = _other(other)
    if not isinstance(other, NUMBERS):
        return other if other is NotImplemented else F.pow(other, self)
    return relabel(F.pow(tensor(other, dtype=F.result_type(self, other)), self), "PowBackward2")


METHODS = {
    "__add__": _operator("add"), "__radd__": _operator("add"),
    "__sub__": _operator("sub", F.sub), "__rsub__": _operator("rsub", F.rsub),
    "__mul__": _operator("mul"), "__rmul__": _operator("mul"),
    "__truediv__": _operator("div"),
    "__rtruediv__": lambda a, b: F.mul(a.reciprocal(), b) if not isinstance(b, Tensor) else b / a,
    "__rdiv__": lambda a, b: F.mul(a.reciprocal(), b),
    "__floordiv__": _operator("floor_divide", F.floor_divide),
    "__rfloordiv__": _operator("floor_divide", F.floor_divide, True),
    "__mod__": _operator("remainder", F.remainder),
    "__rmod__": _operator("remainder", F.remainder, True),
    "__pow__": _operator("pow", F.pow), "__rpow__": _rpow,
    "__and__": _operator("bitwise_and"), "__rand__": _operator("bitwise_and"),
    "__or__": _operator("bitwise_or"), "__ror__": _operator("bitwise_or"),
    "__xor__": _operator("bitwise_xor"), "__rxor__": _operator("bitwise_xor"),
    "__lshift__": _operator("bitwise_left_shift"),
    "__rshift__": _operator("bitwise_right_shift"),
    "__rlshift__": _operator("bitwise_left_shift", swapped=True),
    "__rrshift__": _operator("bitwise_right_shift", swapped=True),
    "__lt__": _operator("lt"), "__le__": _operator("le"), "__gt__": _operator("gt"),
    "__ge__": _operator("ge"), "__eq__": _operator("eq"), "__ne__": _operator("ne"),
    "__neg__": lambda a: F.neg(a), "__pos__": lambda a: F.positive(a),
    "__abs__": lambda a: F.abs(a), "__invert__": lambda a: F.bitwise_not(a),
    "__matmul__": lambda a, b: _product(a, b, False),
    "__rmatmul__": lambda a, b: _product(a, b, True),
    "__getitem__": indexing.getitem, "__setitem__": indexing.setitem,
}


# += and its kind are the in-place methods
INPLACE = {"__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_",
           "__ifloordiv__": "floor_divide_", "__imod__": "remainder_", "__ipow__": "pow_",
           "__iand__": "bitwise_and_", "__ior__": "bitwise_or_", "__ixor__": "bitwise_xor_",
           "__ilshift__": "bitwise_left_shift_", "__irshift__": "bitwise_right_shift_"}
