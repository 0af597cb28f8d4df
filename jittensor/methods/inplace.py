"""In-place forms: a tensor and operands in, the tensor with a write recorded out."""

from __future__ import annotations

from .. import functions as F
from .. import indexing
from ..autograd.inplace import check_inplace
from ..functions.rows import OPERANDS, operand
from ..graph.ops import OPS
from ..numeric import check_fits
from ..record import write
from ..tensor import Tensor
from .operators import NUMBERS


def inplace_row(op):
    """The in-place method of an elementwise row."""
    args, defaults, count = op.args, op.defaults, len(op.args) - 1

    def method(self, *values, **named):
        if len(values) < count:
            values = list(values)
            for arg in args[len(values) + 1:]:
                if arg in named:
                    values.append(named.pop(arg))
                elif arg in defaults:
                    values.append(defaults[arg])
                else:
                    raise TypeError(f"{op.name}_() missing 1 required positional argument: "
                                    f"'{arg}'")
        checked = [v if isinstance(v, OPERANDS) else operand(v, op, a)
                   for v, a in zip(values, args[1:], strict=True)]
        return write(self, op, self, *checked)

    method.__name__ = op.name + "_"
    return method


def inplace_function(name: str):
    """`x.name_(...)` as x = name(x, ...), written back."""
    def method(self, *args, **named):
        check_inplace(self)
        function = getattr(F, name, None) or getattr(indexing, name)
        result = function(self, *args, **named)
        if result.shape != self.shape:
            raise RuntimeError(f"output with shape {list(self.shape)} doesn't match the broadcast "
                               f"shape {list(result.shape)}")
        from ..record import _check_cast
        _check_cast(result.dtype, self.dtype)
        return write(self, OPS["cast"], result)

    method.__name__ = name + "_"
    return method


def add_(self, other, *, alpha=1) -> Tensor:
    """self += alpha * other."""
    if not isinstance(other, OPERANDS):
        other = operand(other, OPS["add"], "other")
    if alpha == 1:
        return write(self, OPS["add"], self, other)
    return write(self, OPS["add_scaled"], self, other, alpha)


def sub_(self, other, *, alpha=1) -> Tensor:
    """self -= alpha * other."""
    if not isinstance(other, OPERANDS):
        other = operand(other, OPS["sub"], "other")
    F.arithmetic.no_bool_minus(self, other)
    if alpha == 1:
        return write(self, OPS["sub"], self, other)
    return write(self, OPS["sub_scaled"], self, other, alpha)


def div_(self, other, *, rounding_mode=None) -> Tensor:
    """self /= other."""
    if not isinstance(other, OPERANDS):
        other = operand(other, OPS["div"], "other")
    if rounding_mode is None:
        return write(self, OPS["div"], self, other)
    return write(self, OPS["cast"], F.div(self, other, rounding_mode=rounding_mode))


def addcmul_(self, tensor1, tensor2, *, value=1) -> Tensor:
    """self += value * tensor1 * tensor2."""
    return write(self, OPS["addcmul"], self, tensor1, tensor2, value)


def addcdiv_(self, tensor1, tensor2, *, value=1) -> Tensor:
    """self += value * tensor1 / tensor2."""
    return write(self, OPS["addcdiv"], self, tensor1, tensor2, value)


def lerp_(self, end, weight) -> Tensor:
    """self += weight * (end - self)."""
    F.arithmetic.check_lerp(self, end, weight)
    return write(self, OPS["lerp"], self, end, weight)


def clamp_(self, min=None, max=None) -> Tensor:
    """self limited to min..max."""
    if min is None or max is None:
        name, bound = ("clamp_max", max) if min is None else ("clamp_min", min)
        if bound is None:
            raise RuntimeError("torch.clamp_: At least one of 'min' or 'max' must not be None")
        return write(self, OPS[name], self, bound)
    return write(self, OPS["clamp"], self, min, max)


def masked_fill_(self, mask, value) -> Tensor:
    """self = value where the mask holds."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError("masked_fill_ only supports a 0-dimensional value tensor, but got "
                           f"tensor with {value.ndim} dimension(s).")
    if not isinstance(value, Tensor):
        check_fits(value, self.dtype)
    elif value.dtype.is_complex and not self.dtype.is_complex:
        check_fits(value.item(), self.dtype)
    return write(self, OPS["masked_fill"], self, mask, value)


def fill_(self, value) -> Tensor:
    """Every element becomes `value`."""
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError("fill_ only supports 0-dimension value tensor but got tensor with "
                               f"{value.ndim} dimensions.")
        return write(self, OPS["cast"], value)
    if not isinstance(value, NUMBERS):
        if not hasattr(value, "item"):
            raise TypeError("fill_() received an invalid combination of arguments - got "
                            f"({type(value).__name__})")
        value = value.item()
    check_fits(value, self.dtype)
    return write(self, OPS["fill"], value)


def zero_(self) -> Tensor:
    """Every element becomes 0."""
    return write(self, OPS["fill"], 0)


def copy_(self, src, non_blocking: bool = False) -> Tensor:
    """The elements of `src`, broadcast and cast; a number counts as a tensor."""
    if isinstance(src, NUMBERS):
        return fill_(self, src)
    if not isinstance(src, Tensor):
        raise TypeError(f"copy_(): argument 'other' (position 1) must be Tensor, not "
                        f"{type(src).__name__}")
    return write(self, OPS["cast"], src)


METHODS = {
    "add_": add_, "sub_": sub_, "subtract_": sub_, "div_": div_, "divide_": div_,
    "true_divide_": div_, "addcmul_": addcmul_, "addcdiv_": addcdiv_, "lerp_": lerp_,
    "clamp_": clamp_, "clip_": clamp_, "masked_fill_": masked_fill_, "fill_": fill_,
    "zero_": zero_, "copy_": copy_,
}
