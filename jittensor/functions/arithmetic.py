"""Elementwise functions with arguments of their own: tensors and numbers in, tensors out."""

from __future__ import annotations

import math

from .. import return_types
from ..autograd.graph import relabel
from ..creation import arange
from ..graph import dtypes as dt
from ..graph.dtypes import Default
from ..graph.ops import OPS
from ..numeric import check_fits
from ..record import elementwise as record
from ..tensor import Tensor
from .rows import COMPOSED, ROWS, into, must_be_tensor, operand, title

digamma, lgamma = ROWS["digamma"], ROWS["lgamma"]


def add(input, other, *, alpha=1, out=None) -> Tensor:
    """input + alpha * other."""
    other = operand(other, OPS["add"], "other")
    if alpha == 1:
        return into(out, record(OPS["add"], input, other))
    return into(out, record(OPS["add_scaled"], input, other, alpha))


def sub(input, other, *, alpha=1, out=None) -> Tensor:
    """input - alpha * other."""
    other = operand(other, OPS["sub"], "other")
    no_bool_minus(input, other)
    if alpha == 1:
        return into(out, record(OPS["sub"], input, other))
    return into(out, record(OPS["sub_scaled"], input, other, alpha))


subtract = sub


def no_bool_minus(a, b) -> None:
    """PyTorch's error for a difference of truth values."""
    if getattr(a, "dtype", None) is dt.bool_ or getattr(b, "dtype", None) is dt.bool_:
        both = getattr(a, "dtype", None) is getattr(b, "dtype", None)
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` "
            "or `logical_xor()` operator instead." if both else
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
            "trying to invert a mask, use the `~` or `logical_not()` operator instead.")


def rsub(input, other, *, alpha=1) -> Tensor:
    """other - alpha * input."""
    must_be_tensor("rsub", "input", input)
    other = operand(other, OPS["rsub"], "other")
    no_bool_minus(input, other)
    if alpha != 1:
        input = input * alpha
    return record(OPS["rsub"], input, other)


def div(input, other, *, rounding_mode: str | None = None, out=None) -> Tensor:
    """input / other; `rounding_mode` 'floor' or 'trunc' rounds the quotient."""
    other = operand(other, OPS["div"], "other")
    if rounding_mode is None:
        return into(out, record(OPS["div"], input, other))
    if rounding_mode == "floor":
        check_divisor(input, other)
        return into(out, record(OPS["div_floor"], input, other))
    if rounding_mode != "trunc":
        raise RuntimeError("div expected rounding_mode to be one of None, 'trunc', or 'floor' "
                           f"but found '{rounding_mode}'")
    check_divisor(input, other)
    return into(out, record(OPS["div_trunc"], input, other))


divide = true_divide = div


def check_divisor(a, b) -> None:
    """Integer division by zero raises at once."""
    if any(getattr(x, "dtype", dt.float32 if isinstance(x, float) else dt.int64).category >= 2
           for x in (a, b)):
        return
    zero = bool((b._array() == 0).any()) if isinstance(b, Tensor) else b == 0
    if zero and (not isinstance(a, Tensor) or a.numel()):
        raise RuntimeError("ZeroDivisionError")


def _dividing(name: str):
    def function(input, other, *, out=None) -> Tensor:
        other = operand(other, OPS[name], "other")
        if name == "fmod" or not isinstance(other, Tensor):
            must_be_tensor(name, "input", input)
        check_divisor(input, other)
        return into(out, record(OPS[name], input, other))

    function.__name__ = name
    function.__doc__ = f"Elementwise {name}; integer division by zero is a RuntimeError."
    return function


floor_divide, remainder, fmod = map(_dividing, ("floor_divide", "remainder", "fmod"))
_POWERS = {2: "square", 3: "cube", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal", 1: "clone"}


def pow(input, exponent, *, out=None) -> Tensor:
    """input ** exponent."""
    exponent = operand(exponent, OPS["pow"], "exponent")
    by_products = isinstance(exponent, int) and exponent in (2, 3)
    if not by_products and (_complex(input) or _complex(exponent)):
        return into(out, COMPOSED["pow"](input, exponent))
    if not isinstance(exponent, Tensor):
        floating = input.dtype.category >= 2
        if isinstance(exponent, int) and exponent < 0 and not floating:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if exponent == 0 and not isinstance(exponent, (bool, complex)) and floating and (
                isinstance(exponent, int)):
            return into(out, record(OPS["mul"], input, 0).fill_(1) if not _needs(input)
                        else record(OPS["pow"], input, exponent))
        special = _POWERS.get(exponent) if not isinstance(exponent, (bool, complex)) else None
        if special and (floating or special in ("square", "cube")) and not (
                not floating and isinstance(exponent, float)):
            return into(out, relabel(record(OPS[special], input), "PowBackward0"))
    return into(out, record(OPS["pow"], input, exponent))


def _complex(x) -> bool:
    return x.dtype.is_complex if isinstance(x, Tensor) else isinstance(x, complex)


def _needs(x: Tensor) -> bool:
    return x._leaf or x._fn is not None


def square(input, *, out=None) -> Tensor:
    """input * input."""
    if input.dtype is dt.bool_:
        input = input.to(dt.int64)
    return pow(input, 2, out=out)


def float_power(input, exponent, *, out=None) -> Tensor:
    """input ** exponent in float64."""
    complex_ = any(getattr(v, "dtype", None) is not None and v.dtype.is_complex
                   or isinstance(v, complex) for v in (input, exponent))
    wide = dt.complex128 if complex_ else dt.float64
    a = input.to(wide) if isinstance(input, Tensor) else wide.numpy.type(input).item()
    b = exponent.to(wide) if isinstance(exponent, Tensor) else wide.numpy.type(exponent).item()
    return into(out, pow(a, b) if isinstance(a, Tensor) or complex_ else record(OPS["pow"], a, b))


def addcmul(input, tensor1, tensor2, *, value=1, out=None) -> Tensor:
    """input + value * tensor1 * tensor2."""
    return into(out, record(OPS["addcmul"], input, tensor1, tensor2, value))


def addcdiv(input, tensor1, tensor2, *, value=1, out=None) -> Tensor:
    """input + value * tensor1 / tensor2."""
    if dt.result_type([input.dtype, tensor1.dtype, tensor2.dtype], [], []).category < 2:
        raise RuntimeError("Integer division with addcdiv is no longer supported, and in a future "
                           "release addcdiv will perform a true division of tensor1 and tensor2.")
    return into(out, record(OPS["addcdiv"], input, tensor1, tensor2, value))


def lerp(input, end, weight, *, out=None) -> Tensor:
    """input + weight * (end - input)."""
    must_be_tensor("lerp", "input", input)
    must_be_tensor("lerp", "end", end, 2)
    check_lerp(input, end, weight)
    return into(out, record(OPS["lerp"], input, end, weight))


def check_lerp(input: Tensor, end: Tensor, weight) -> None:
    """PyTorch's errors for dtypes of `lerp`; a 0-d weight may have any."""
    for value, name in ((end, "end"), (weight, "weight")):
        if isinstance(value, Tensor) and value.dtype is not input.dtype and (
                name == "end" or value.ndim):
            raise RuntimeError(f"expected dtype {input.dtype.name} for `{name}` but got dtype "
                               f"{value.dtype.name}")
    if input.dtype.category < dt.FLOAT:
        raise NotImplementedError(f'"lerp_kernel" not implemented for \'{title(input)}\'')


def clamp(input, min=None, max=None, *, out=None) -> Tensor:
    """Values limited to min..max."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if max is None:
        return into(out, relabel(record(OPS["clamp_min"], input, min), "ClampBackward1"))
    if min is None:
        return into(out, relabel(record(OPS["clamp_max"], input, max), "ClampBackward1"))
    return into(out, record(OPS["clamp"], input, min, max))


clip = clamp


def where(condition, input=None, other=None, *, out=None):
    """`input` where the condition holds, else `other`; with a condition alone, its indices."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return into(out, record(OPS["where"], condition, input, other))


def masked_fill(input, mask, value) -> Tensor:
    """`value` where the mask holds."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError("masked_fill only supports a 0-dimensional value tensor, but got "
                           f"tensor with {value.ndim} dimension(s).")
    if not isinstance(value, Tensor):
        check_fits(value, input.dtype)
    elif value.dtype.is_complex and not input.dtype.is_complex:
        check_fits(value.item(), input.dtype)
    return record(OPS["masked_fill"], input.contiguous(), mask, value)


def round(input, *, decimals: int = 0, out=None) -> Tensor:
    """To the nearest integer (or decimal), halves to even."""
    if decimals == 0:
        return into(out, record(OPS["round"], input))
    if decimals < 0:
        return into(out, record(OPS["round"], input / 10.0 ** -decimals) * 10.0 ** -decimals)
    return into(out, record(OPS["round_decimals"], input, 10.0 ** decimals))


def logit(input, eps: float | None = None, *, out=None) -> Tensor:
    """log(x / (1 - x)), x limited to eps..1 - eps when given."""
    if eps is not None:
        input = clamp(input, eps, 1 - eps)
    return into(out, record(OPS["logit"], input))


special_logit = logit


def nan_to_num(input, nan: float = 0.0, posinf=None, neginf=None, *, out=None) -> Tensor:
    """NaN and infinities replaced by numbers (the dtype's largest by default)."""
    if input.dtype.category < 2:
        return into(out, input.clone())
    from ..numeric import finfo
    info = finfo(input.dtype)
    return into(out, record(OPS["nan_to_num"], input, nan if nan is not None else 0.0,
                            info.max if posinf is None else posinf,
                            info.min if neginf is None else neginf))


def isclose(input, other, rtol: float = 1e-05, atol: float = 1e-08,
            equal_nan: bool = False) -> Tensor:
    """|input - other| <= atol + rtol * |other|."""
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{title(input)} did not match {title(other)}")
    for value, name in ((rtol, "rtol"), (atol, "atol")):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value:g}")
    close = input == other
    if equal_nan and input.dtype.category >= 2:
        close = close | ((input != input) & (other != other))
    if rtol == 0 and atol == 0:
        return close
    a, b = (input, other) if input.dtype.category >= 2 else (input.to(Default.float_),
                                                              other.to(Default.float_))
    error = (a - b).abs()
    return close | (error.isfinite() & (error <= (b * rtol).abs() + atol))


def allclose(input, other, rtol: float = 1e-05, atol: float = 1e-08,
             equal_nan: bool = False) -> bool:
    """Whether all elements are close."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())


def equal(input, other) -> bool:
    """Whether two tensors have the same shape and values."""
    return input.shape == other.shape and bool((input == other).all().item())


def isreal(input) -> Tensor:
    """Whether the imaginary part is zero."""
    if input.dtype.is_complex:
        return input.imag == 0
    return record(OPS["isfinite"], input) | True


def neg(input, *, out=None) -> Tensor:
    """-input."""
    if input.dtype is dt.bool_:
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported. If you "
                           "are trying to invert a mask, use the `~` or `logical_not()` operator "
                           "instead.")
    return into(out, record(OPS["neg"], input))


negative = neg


def positive(input) -> Tensor:
    """The tensor itself."""
    if input.dtype is dt.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def relu(input) -> Tensor:
    """The larger of 0 and input."""
    if input.dtype is dt.bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    return record(OPS["relu"], input)


def heaviside(input, values, *, out=None) -> Tensor:
    """0 below zero, 1 above, `values` at zero."""
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return into(out, record(OPS["heaviside"], input, values))


def _whole(function: str, arg: str, value, position: int) -> int:
    """An int; TypeError in PyTorch's words for anything else."""
    if isinstance(value, (bool, float, complex)) or not hasattr(value, "__index__"):
        raise TypeError(f"{function}(): argument '{arg}' (position {position}) must be int, not "
                        f"{type(value).__name__}")
    return value.__index__()


def polygamma(n: int, input, *, out=None) -> Tensor:
    """The n-th derivative of digamma."""
    n = _whole("polygamma", "n", n, 1)
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return into(out, digamma(input) if n == 0 else record(OPS["_polygamma"], input, n))


def mvlgamma(input, p: int, *, out=None) -> Tensor:
    """The logarithm of the multivariate gamma function of dimension p:
    sum of lgamma(x - k / 2) over k < p, plus p (p - 1) / 4 log π."""
    p = _whole("mvlgamma", "p", p, 2)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if input.dtype.category < dt.FLOAT:
        input = input.to(Default.float_)
    steps = arange(0, p, dtype=input.dtype) * -0.5
    shifted = input.unsqueeze(-1) + steps
    return into(out, lgamma(shifted).sum(-1) + p * (p - 1) / 4 * math.log(math.pi))


special_polygamma, special_multigammaln = polygamma, mvlgamma


def frexp(input, *, out=None):
    """(mantissas in 0.5..1, whole exponents) with input = mantissa * 2 ** exponent."""
    if input.dtype.category != dt.FLOAT:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    size = input.detach().abs()
    usable = size.isfinite() & (size > 0)
    exponent = size.log2().floor().where(usable, 0) + 1
    # log2 may round across a power of two
    scaled = size.where(usable, 0.5) / exponent.exp2()
    exponent = exponent + (scaled >= 1).to(exponent.dtype) - (scaled < 0.5).to(exponent.dtype)
    exponent = exponent.where(usable, 0).to(dt.int32)
    mantissa = input * (-exponent.to(input.dtype)).exp2()
    results = mantissa, exponent
    if out is not None:
        results = tuple(into(o, r) for o, r in zip(out, results, strict=True))
    return return_types.frexp(*results)
