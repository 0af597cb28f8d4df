"""Functions on tensors: `torch.*` by name. Elementwise ones come from the operator table."""

from __future__ import annotations

from math import prod

from . import views
from .creation import as_tensor, zeros
from .graph import composites, elementwise, reductions  # noqa: F401  (fill the tables)
from .graph import dtypes as dt
from .graph.dtypes import Default, DType
from .graph.node import spec_of
from .graph.ops import ELEMENTWISE, OPS, Op
from .graph.shapes import broadcast_shapes, contiguous_strides, wrap_dim, wrap_dims
from .kernels import matmul as _matmul_kernel
from .record import apply, cast, reduce, write
from .record import elementwise as record
from .runtime.realize import realize_all
from .tensor import Tensor
from .views import *  # noqa: F403


_any, _range = any, range     # the functions below take the builtins' names


def into(out: Tensor | None, result: Tensor) -> Tensor:
    """`result`, or `out` with the result written to it (resized when its shape differs)."""
    if out is None:
        return result
    if result.dtype.category > out.dtype.category:
        from .graph.ops import _scalar_name
        raise RuntimeError(f"result type {_scalar_name(result.dtype)} can't be cast to the desired "
                           f"output type {_scalar_name(out.dtype)}")
    if out.shape != result.shape:
        out.resize_(result.shape)
    write(out, OPS["cast"], result)
    return out


# ── elementwise functions from the table ──────────────────────────────────────────────────────
def _operand(value, op: Op, arg: str):
    if isinstance(value, Tensor) or isinstance(value, (bool, int, float, complex)):
        return value
    if hasattr(value, "item") and hasattr(value, "dtype"):
        return value.item() if getattr(value, "ndim", 0) == 0 else as_tensor(value)
    raise TypeError(f"{op.name}(): argument '{arg}' must be Tensor, not {type(value).__name__}")


def from_row(op: Op):
    """The public function of an elementwise row."""
    args, defaults = op.args, op.defaults
    required = len(args) - len(defaults)

    def function(*values, out=None, **named):
        values = list(values)
        for arg in args[len(values):]:
            if arg in named:
                values.append(named.pop(arg))
            elif arg == args[0] and "input" in named:
                values.append(named.pop("input"))
            elif arg in defaults:
                values.append(defaults[arg])
            else:
                raise TypeError(f"{op.name}() missing {required - len(values)} required positional "
                                f"arguments: \"{arg}\"")
        if named:
            raise TypeError(f"{op.name}() got an unexpected keyword argument "
                            f"'{next(iter(named))}'")
        if len(values) > len(args):
            raise TypeError(f"{op.name}() takes {len(args)} positional arguments but "
                            f"{len(values)} were given")
        checked = [_operand(v, op, a) for v, a in zip(values, args, strict=True)]
        if not _any(isinstance(v, Tensor) for v in checked):
            raise TypeError(f"{op.name}(): argument '{args[0]}' (position 1) must be Tensor, not "
                            f"{type(values[0]).__name__}")
        return into(out, record(op, *checked))

    function.__name__ = function.__qualname__ = op.public[0] if op.public else op.name
    function.__doc__ = (f"Elementwise: `{op.formula}`."
                        + (f" {op.doc}" if op.doc else ""))
    return function


for _op in list(OPS.values()):
    if _op.kind == ELEMENTWISE and _op.public:
        _function = from_row(_op)
        for _name in _op.public:
            globals().setdefault(_name, _function)


def _table(name: str):
    return OPS[name]


def add(input, other, *, alpha=1, out=None) -> Tensor:
    """input + alpha * other."""
    other = _operand(other, OPS["add"], "other")
    if alpha == 1:
        return into(out, record(OPS["add"], input, other))
    return into(out, record(OPS["add_scaled"], input, other, alpha))


def sub(input, other, *, alpha=1, out=None) -> Tensor:
    """input - alpha * other."""
    other = _operand(other, OPS["sub"], "other")
    _no_bool_minus(input, other)
    if alpha == 1:
        return into(out, record(OPS["sub"], input, other))
    return into(out, record(OPS["sub_scaled"], input, other, alpha))


subtract = sub


def _no_bool_minus(a, b) -> None:
    if getattr(a, "dtype", None) is dt.bool_ or getattr(b, "dtype", None) is dt.bool_:
        both = getattr(a, "dtype", None) is getattr(b, "dtype", None)
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` "
            "or `logical_xor()` operator instead." if both else
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
            "trying to invert a mask, use the `~` or `logical_not()` operator instead.")


def rsub(input, other, *, alpha=1) -> Tensor:
    """other - alpha * input."""
    _no_bool_minus(input, other)
    if alpha != 1:
        input = input * alpha
    return record(OPS["rsub"], input, other)


def div(input, other, *, rounding_mode: str | None = None, out=None) -> Tensor:
    """input / other; `rounding_mode` 'floor' or 'trunc' rounds the quotient."""
    other = _operand(other, OPS["div"], "other")
    if rounding_mode is None:
        return into(out, record(OPS["div"], input, other))
    if rounding_mode == "floor":
        return into(out, floor_divide(input, other))
    if rounding_mode != "trunc":
        raise RuntimeError("div expected rounding_mode to be one of None, 'trunc', or 'floor' "
                           f"but found '{rounding_mode}'")
    check_divisor(input, other)
    return into(out, record(OPS["div_trunc"], input, other))


divide = true_divide = div


def check_divisor(a, b) -> None:
    """Integer division by zero raises at once."""
    if _any(getattr(x, "dtype", dt.float32 if isinstance(x, float) else dt.int64).category >= 2
           for x in (a, b)):
        return
    zero = bool((b._array() == 0).any()) if isinstance(b, Tensor) else b == 0
    if zero and (not isinstance(a, Tensor) or a.numel()):
        raise RuntimeError("ZeroDivisionError")


def _dividing(name: str):
    def function(input, other, *, out=None) -> Tensor:
        other = _operand(other, OPS[name], "other")
        check_divisor(input, other)
        return into(out, record(OPS[name], input, other))

    function.__name__ = name
    function.__doc__ = f"Elementwise {name}; integer division by zero is a RuntimeError."
    return function


floor_divide, remainder, fmod = map(_dividing, ("floor_divide", "remainder", "fmod"))
_POWERS = {2: "square", 3: "cube", 0.5: "sqrt", -0.5: "rsqrt", -1: "reciprocal", 1: "clone"}


def pow(input, exponent, *, out=None) -> Tensor:
    """input ** exponent."""
    exponent = _operand(exponent, OPS["pow"], "exponent")
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
            return into(out, record(OPS[special], input))
    return into(out, record(OPS["pow"], input, exponent))


def _needs(x: Tensor) -> bool:
    return x._leaf or x._fn is not None


def square(input, *, out=None) -> Tensor:
    """input * input."""
    return pow(input, 2, out=out)


def float_power(input, exponent, *, out=None) -> Tensor:
    """input ** exponent in float64."""
    complex_ = _any(getattr(v, "dtype", None) is not None and v.dtype.is_complex
                   or isinstance(v, complex) for v in (input, exponent))
    wide = dt.complex128 if complex_ else dt.float64
    a = input.to(wide) if isinstance(input, Tensor) else wide.numpy.type(input).item()
    b = exponent.to(wide) if isinstance(exponent, Tensor) else wide.numpy.type(exponent).item()
    return into(out, pow(a, b) if isinstance(a, Tensor) else record(OPS["pow"], a, b))


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
    for other in (end, weight):
        if isinstance(other, Tensor) and other.dtype is not input.dtype:
            raise RuntimeError(f"expected dtype {input.dtype} for `end` but got dtype "
                               f"{other.dtype}")
    return into(out, record(OPS["lerp"], input, end, weight))


def clamp(input, min=None, max=None, *, out=None) -> Tensor:
    """Values limited to min..max."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if max is None:
        return into(out, record(OPS["clamp_min"], input, min))
    if min is None:
        return into(out, record(OPS["clamp_max"], input, max))
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
    return record(OPS["masked_fill"], input, mask, value)


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
    from .numeric import finfo
    info = finfo(input.dtype)
    return into(out, record(OPS["nan_to_num"], input, nan if nan is not None else 0.0,
                            info.max if posinf is None else posinf,
                            info.min if neginf is None else neginf))


def isclose(input, other, rtol: float = 1e-05, atol: float = 1e-08,
            equal_nan: bool = False) -> Tensor:
    """|input - other| <= atol + rtol * |other|."""
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{_title(input)} did not match {_title(other)}")
    close = input == other
    if equal_nan and input.dtype.category >= 2:
        close = close | ((input != input) & (other != other))
    if rtol == 0 and atol == 0:
        return close
    a, b = (input, other) if input.dtype.category >= 2 else (input.to(Default.float_),
                                                              other.to(Default.float_))
    error = (a - b).abs()
    return close | (error.isfinite() & (error <= (b * rtol).abs() + atol))


def _title(x: Tensor) -> str:
    from .graph.ops import _scalar_name
    return _scalar_name(x.dtype)


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


def gelu(input, *, approximate: str = "none") -> Tensor:
    """x Φ(x); 'tanh' uses the tanh approximation (Hendrycks & Gimpel 2016)."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return record(OPS["gelu_tanh" if approximate == "tanh" else "gelu"], input)


def elu(input, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """x above 0, alpha (exp(x) - 1) below."""
    return record(OPS["elu"], input, float(alpha), float(scale), float(input_scale))


def selu(input) -> Tensor:
    """Scaled ELU (Klambauer et al. 2017)."""
    return record(OPS["elu"], input, 1.6732632423543772848, 1.0507009873554804934, 1.0)


def celu(input, alpha: float = 1.0) -> Tensor:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return record(OPS["elu"], input, float(alpha), 1.0, 1.0 / alpha)


# ── reductions ────────────────────────────────────────────────────────────────────────────────
def _dims(dim) -> tuple[int, ...] | None:
    if dim is None or isinstance(dim, int):
        return None if dim is None else (dim,)
    return tuple(int(d) for d in dim) or None


def _all_dims(x: Tensor, dim) -> tuple[int, ...]:
    dims = _dims(dim)
    return tuple(range(x.ndim)) if dims is None else wrap_dims(dims, x.ndim)


def sum(input, dim=None, keepdim: bool = False, *, dtype: DType | None = None, out=None,
        axis=None, keepdims=None) -> Tensor:
    """The sum, of all elements or over dims."""
    dim = axis if dim is None else dim
    keepdim = keepdim if keepdims is None else keepdims
    if dtype is not None and dtype.category < input.dtype.category:
        input = input.to(dtype)
    out_ = reduce("sum", input, _dims(dim), keepdim, dtype)
    if dim is None and out_._fn is not None:
        out_._fn.label = "SumBackward0"
    return into(out, out_)


def mean(input, dim=None, keepdim: bool = False, *, dtype: DType | None = None, out=None,
         axis=None, keepdims=None) -> Tensor:
    """The mean, of all elements or over dims."""
    dim = axis if dim is None else dim
    keepdim = keepdim if keepdims is None else keepdims
    want = dtype or input.dtype
    if want.category < 2:
        from .graph.ops import _scalar_name
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {_scalar_name(want)}")
    if dtype is not None:
        input = input.to(dtype)
    dims = _all_dims(input, dim)
    shape = reduced_shape(input, dims, keepdim)
    return into(out, apply("mean", (input,), (dims, keepdim, None),
                           spec=lambda: spec_of(want, shape)))


def reduced_shape(x: Tensor, dims, keepdim: bool) -> tuple[int, ...]:
    """The shape of a reduction over dims."""
    if keepdim:
        return tuple(1 if d in dims else n for d, n in enumerate(x.shape))
    return tuple(n for d, n in enumerate(x.shape) if d not in dims)


def var(input, dim=None, unbiased=None, keepdim: bool = False, *, correction=None,
        out=None, axis=None) -> Tensor:
    """The variance, with Bessel's correction unless told otherwise."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dim = axis if dim is None else dim
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    if input.dtype.category < 2:
        raise RuntimeError("std and var only support floating point and complex dtypes")
    if input.dtype.is_complex:
        return var(input.real, dim, keepdim=keepdim, correction=correction) + var(
            input.imag, dim, keepdim=keepdim, correction=correction)
    dims = _all_dims(input, dim)
    shape = reduced_shape(input, dims, keepdim)
    return into(out, apply("var", (input,), (dims, keepdim, correction),
                           spec=lambda: spec_of(input.dtype.to_real(), shape)))


def std(input, dim=None, unbiased=None, keepdim: bool = False, *, correction=None,
        out=None, axis=None) -> Tensor:
    """The standard deviation."""
    return into(out, record(OPS["sqrt"], var(input, dim, unbiased, keepdim,
                                             correction=correction, axis=axis)))


def var_mean(input, dim=None, unbiased=None, keepdim: bool = False, *, correction=None):
    """(variance, mean)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return (var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim))


def std_mean(input, dim=None, unbiased=None, keepdim: bool = False, *, correction=None):
    """(standard deviation, mean)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return (std(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim))


def prod(input, dim: int | None = None, keepdim: bool = False, *, dtype=None, out=None) -> Tensor:
    """The product."""
    if dtype is not None:
        input = input.to(dtype)
    return into(out, reduce("prod", input, _dims(dim), keepdim, dtype))


def amax(input, dim=(), keepdim: bool = False, *, out=None) -> Tensor:
    """The largest value; gradients are shared among equal ones."""
    return into(out, _extreme("amax", input, _dims(dim), keepdim))


def amin(input, dim=(), keepdim: bool = False, *, out=None) -> Tensor:
    """The smallest value; gradients are shared among equal ones."""
    return into(out, _extreme("amin", input, _dims(dim), keepdim))


def _extreme(name: str, x: Tensor, dims, keepdim: bool) -> Tensor:
    if x.numel() == 0 and dims is None:
        raise RuntimeError(f"{name}(): Expected reduction dim to be specified for input.numel() "
                           "== 0. Specify the reduction dim with the 'dim' argument.")
    return reduce(name, x, dims, keepdim)


def all(input, dim=None, keepdim: bool = False, *, out=None) -> Tensor:
    """Whether all elements are true."""
    return into(out, reduce("all", input, _dims(dim), keepdim))


def any(input, dim=None, keepdim: bool = False, *, out=None) -> Tensor:
    """Whether any element is true."""
    return into(out, reduce("any", input, _dims(dim), keepdim))


def logsumexp(input, dim, keepdim: bool = False, *, out=None) -> Tensor:
    """log(sum(exp(x))) over dims, without overflow."""
    if input.dtype.category < 2:
        input = input.to(Default.float_)
    dims = _all_dims(input, dim)
    shape = reduced_shape(input, dims, keepdim)
    if not input.ndim or 0 in input.shape:
        return into(out, sum(input.exp(), dim, keepdim).log())
    return into(out, apply("logsumexp", (input,), (dims, keepdim),
                           spec=lambda: spec_of(input.dtype, shape)))


# ── softmax, normalisation, losses ────────────────────────────────────────────────────────────
def _softmax_like(name: str, input: Tensor, dim: int, dtype) -> Tensor:
    if dtype is not None:
        input = input.to(dtype)
    if input.dtype.category < 2:
        raise RuntimeError(f'"{name}_lastdim_kernel_impl" not implemented for \'{_title(input)}\'')
    d = wrap_dim(dim, input.ndim)
    if not input.ndim:
        return record(OPS["exp" if name == "softmax" else "clone"], input - input)
    want = input.dtype
    return apply(name, (input,), (d, want), spec=lambda: spec_of(want, input.shape))


def softmax(input, dim: int, dtype=None, *, out=None) -> Tensor:
    """exp(x) / sum(exp(x)) over a dim."""
    return into(out, _softmax_like("softmax", input, dim, dtype))


def log_softmax(input, dim: int, dtype=None, *, out=None) -> Tensor:
    """log(softmax(x)) over a dim."""
    return into(out, _softmax_like("log_softmax", input, dim, dtype))


def layer_norm(input, normalized_shape, weight=None, bias=None, eps: float = 1e-05,
               cudnn_enable: bool = True) -> Tensor:
    """Normalised over the last dims to mean 0 and variance 1, then scaled and shifted
    (Ba et al. 2016)."""
    shape = tuple(normalized_shape) if not isinstance(normalized_shape, int) else (
        normalized_shape,)
    if tuple(input.shape[input.ndim - len(shape):]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}")
    for value, name in ((weight, "weight"), (bias, "bias")):
        if value is not None and tuple(value.shape) != shape:
            raise RuntimeError(f"Expected {name} to be of same shape as normalized_shape, but got "
                               f"{name} of shape {list(value.shape)} and normalized_shape = "
                               f"{list(shape)}")
    dims = tuple(range(input.ndim - len(shape), input.ndim))
    which = ("w" if weight is not None else "") + ("b" if bias is not None else "")
    operands = (input, *(v for v in (weight, bias) if v is not None))
    return apply("layer_norm", operands, (dims, float(eps), which),
                 spec=lambda: spec_of(input.dtype, input.shape))


# ── matrix products ───────────────────────────────────────────────────────────────────────────
def _for_blas(x: Tensor) -> Tensor:
    """x, copied when its strides do not suit the BLAS."""
    if _matmul_kernel.layout(x.spec) is None:
        return cast(x, x.dtype, contiguous_strides(x.shape))
    return x


def matmul_2d(a: Tensor, b: Tensor) -> Tensor:
    """[..., m, k] @ [..., k, n] with broadcast leading dims."""
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: "
                           f"{_c_name(a)} != {_c_name(b)}")
    if a.dtype in (dt.float16, dt.bfloat16):
        return cast(matmul_2d(a.to(dt.float32), b.to(dt.float32)), a.dtype)
    if a.dtype is dt.bool_:
        raise RuntimeError('"addmm_impl_cpu_" not implemented for \'Bool\'')
    shape = (*broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    if a.shape[-1] == 0 or 0 in shape:
        return zeros(shape, dtype=a.dtype) + (a.sum() + b.sum()) * 0
    return apply("matmul", (_for_blas(a), _for_blas(b)), (None, a.dtype),
                 spec=lambda: spec_of(a.dtype, shape))


def _c_name(x: Tensor) -> str:
    return {"float32": "float", "float64": "double", "int64": "long", "int32": "int",
            "complex64": "c10::complex<float>"}.get(x.dtype.name, x.dtype.name)


def matmul(input, other, *, out=None) -> Tensor:
    """Matrix product of vectors, matrices or batches of them, leading dims broadcast.

    >>> import jittensor as torch
    >>> torch.matmul(torch.ones(2, 3), torch.ones(3)).shape
    torch.Size([2])
    """
    a, b = input, other
    if not isinstance(b, Tensor):
        raise TypeError("matmul(): argument 'other' (position 2) must be Tensor, not "
                        f"{type(b).__name__}")
    if not a.ndim or not b.ndim:
        raise RuntimeError("both arguments to matmul need to be at least 1D, but they are "
                           f"{a.ndim}D and {b.ndim}D")
    k, k2 = a.shape[-1], b.shape[-2] if b.ndim > 1 else b.shape[0]
    if k != k2:
        if a.ndim == b.ndim == 1:
            raise RuntimeError("inconsistent tensor size, expected tensor "
                               f"{list(a.shape)} and src {list(b.shape)} to have the same number "
                               f"of elements, but got {k} and {k2} elements respectively")
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied "
                           f"({_rows(a)}x{k} and {k2}x{b.shape[-1] if b.ndim > 1 else 1})")
    left = views.unsqueeze(a, 0) if a.ndim == 1 else a
    right = views.unsqueeze(b, 1) if b.ndim == 1 else b
    if left.ndim > 2 and right.ndim == 2 and left.spec.contiguous and left.numel():
        lead = left.shape[:-1]
        result = matmul_2d(views.reshape(left, -1, k), right)
        result = views.view(result, *lead, right.shape[-1])
    else:
        result = matmul_2d(left, right)
    if b.ndim == 1:
        result = views.squeeze(result, -1)
    if a.ndim == 1:
        result = views.squeeze(result, -2 if b.ndim > 1 else -1)
    return into(out, result)


def _rows(a: Tensor) -> int:
    out = 1
    for n in a.shape[:-1]:
        out *= n
    return out


def mm(input, mat2, *, out=None) -> Tensor:
    """The product of two matrices; no broadcasting."""
    for x, name in ((input, "self"), (mat2, "mat2")):
        if x.ndim != 2:
            raise RuntimeError(f"{name} must be a matrix")
    return matmul(input, mat2, out=out)


def linear(input, weight, bias=None) -> Tensor:
    """input @ weight.T + bias."""
    out = matmul(input, views.t(weight) if weight.ndim > 1 else weight)
    return out if bias is None else record(OPS["add"], out, bias)


def result_type(a, b) -> DType:
    """The dtype that arithmetic on two operands has."""
    groups: tuple[list, list, list] = ([], [], [])
    for x in (a, b):
        if isinstance(x, Tensor):
            groups[0 if x.ndim else 1].append(x.dtype)
        else:
            groups[2].append(type(x))
    return dt.result_type(*groups)


def unbind(input, dim: int = 0) -> tuple:
    """The slices along a dim."""
    d = wrap_dim(dim, input.ndim, False)
    return tuple([views.select(input, d, k) for k in range(input.shape[d])])


def unsqueeze_copy(input, dim: int) -> Tensor:
    """A copy with a dim of size 1 put in."""
    return views.unsqueeze(input, dim).clone()


def clone(input, *, memory_format=None) -> Tensor:
    """A copy."""
    return input.clone()


def embedding(input, weight, padding_idx: int | None = None) -> Tensor:
    """Rows of `weight` named by `input`."""
    from .indexing import index_select
    if input.dtype not in (dt.int64, dt.int32):
        raise RuntimeError("Expected tensor for argument #1 'indices' to have one of the following "
                           "scalar types: Long, Int; but got "
                           f"{input.type()} instead (while checking arguments for embedding)")
    flat = index_select(weight, 0, views.reshape(input, -1))
    return views.view(flat, *input.shape, *weight.shape[1:])


def nll_loss(input, target, weight=None, reduction: str = "mean",
             ignore_index: int = -100) -> Tensor:
    """-input[i, target[i]] for log-probabilities [N, C], [C] or [N, C, d...] and class indices."""
    from .indexing import check_range
    if input.ndim == 0 or input.ndim == 1 and target.ndim > 0:
        raise ValueError(f"Expected 0D target for 1D input, but got {target.ndim}D")
    if input.ndim >= 2 and (target.ndim != input.ndim - 1 or tuple(target.shape) != (
            input.shape[0], *input.shape[2:])):
        if target.ndim and input.shape[0] != target.shape[0]:
            raise ValueError(f"Expected input batch_size ({input.shape[0]}) to match target "
                             f"batch_size ({target.shape[0]}).")
        raise RuntimeError(f"Expected target size {[input.shape[0], *input.shape[2:]]}, got "
                           f"{list(target.shape)}")
    if target.dtype not in (dt.int64, dt.uint8, dt.int32):
        raise RuntimeError('"nll_loss_out_frame" not implemented for \''
                           f"{_title(target)}'")
    last = input if input.ndim <= 2 else views.movedim(input, 1, -1)
    classes = last.shape[-1]
    _check_targets(target, classes, ignore_index)
    places = _places(classes, target.dtype)
    kind = reduction if weight is None else "none"
    losses = _nll(last, target, places, kind, ignore_index)
    if weight is None:
        return losses
    safe = target.clamp(0, classes - 1)
    scale = embedding(safe.to(dt.int64), weight) * (target != ignore_index)
    losses = losses * scale
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / scale.sum()


def _nll(last, target, places, reduction: str, ignore_index: int) -> Tensor:
    """The loss of class indices over the last dim."""
    shape = tuple(target.shape) if reduction == "none" else ()
    return apply("nll_loss", (last, target, places), (reduction, int(ignore_index)),
                 spec=lambda: spec_of(last.dtype, shape))


def _check_targets(target: Tensor, classes: int, ignore_index: int) -> None:
    if not target.numel():
        return
    values = target._array()
    bad = ((values < 0) | (values >= classes)) & (values != ignore_index)
    if bad.any():
        raise IndexError(f"Target {int(values[bad].reshape(-1)[0])} is out of bounds.")


_PLACES: dict = {}


def _places(count: int, dtype: DType) -> Tensor:
    """0..count - 1, kept for reuse."""
    key = (count, dtype)
    if key not in _PLACES:
        from .creation import arange
        if len(_PLACES) > 64:
            _PLACES.clear()
        _PLACES[key] = arange(count, dtype=dtype)
    return _PLACES[key]


def dropout(input, p: float = 0.5, training: bool = True) -> Tensor:
    """In training, zeroes elements with probability p and scales the rest by 1 / (1 - p)."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0 or not input.numel():
        return input
    if p == 1:
        return input * zeros(input.shape, dtype=input.dtype)
    from .random import dropout_mask
    return input * dropout_mask(input.shape, p, input.dtype)


def rms_norm(input, normalized_shape, weight=None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean(x^2) + eps), scaled (Zhang & Sennrich 2019)."""
    shape = tuple(normalized_shape)
    if tuple(input.shape[input.ndim - len(shape):]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}")
    from .numeric import finfo
    dims = tuple(range(-len(shape), 0))
    x = input.to(input.dtype.compute)
    eps = finfo(input.dtype).eps if eps is None else eps
    out = (x * (x.square().mean(dims, keepdim=True) + eps).rsqrt()).to(input.dtype)
    return out if weight is None else out * weight


def broadcast_tensors(*tensors) -> tuple:
    """The tensors expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*[t.shape for t in tensors])
    return tuple(views.expand(t, *shape) for t in tensors)


# ── engine ────────────────────────────────────────────────────────────────────────────────────
def realize_step(tensors=()) -> None:
    """Runs what is pending; optimizers call it at the end of a step."""
    realize_all()


del elementwise, reductions, composites
_ = (DType, prod)
