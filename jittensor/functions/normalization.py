"""Softmax and normalisation: a tensor and dims in, a tensor of its shape out."""

from __future__ import annotations

from ..graph.arguments import dtype_of
from ..graph.node import Rule, spec_of
from ..graph.ops import OPS
from ..graph.shapes import wrap_dim
from ..record import apply, record_rule, rule_of
from ..record import elementwise as record
from ..tensor import Tensor
from .rows import into, title


def _softmax_like(name: str, input: Tensor, dim: int, dtype) -> Tensor:
    asked = name, input.spec, dim, dim.__class__, dtype
    rule = _RULES.get(asked)
    if rule is not None:
        return record_rule(rule, (input,))
    if dtype is not None:
        input = input.to(dtype_of(dtype, name))
    d = wrap_dim(dim, input.ndim)
    if input.dtype.category < 2 or input.dtype.is_complex:
        raise NotImplementedError(
            f'"{name}_lastdim_kernel_impl" not implemented for \'{title(input)}\'')
    if not input.ndim:
        return record(OPS["exp" if name == "softmax" else "clone"], input - input)
    want = input.dtype
    if not input.numel():
        return input.clone()
    rule = rule_of(name, (input,), (d, want), (), lambda: spec_of(want, input.shape))
    if asked[1] is input.spec:
        _RULES[asked] = rule
    return record_rule(rule, (input,))


_RULES: dict[tuple, Rule] = {}     # of softmaxes, by what they are asked for


def softmax(input, dim: int, dtype=None, *, out=None) -> Tensor:
    """exp(x) / sum(exp(x)) over a dim."""
    result = _softmax_like("softmax", input, dim, dtype)
    return result if out is None else into(out, result)


def log_softmax(input, dim: int, dtype=None, *, out=None) -> Tensor:
    """log(softmax(x)) over a dim."""
    result = _softmax_like("log_softmax", input, dim, dtype)
    return result if out is None else into(out, result)


def check_parameters(input: Tensor, *parameters: Tensor | None) -> None:
    """RuntimeError where weights or statistics have another dtype than the input; those of 16-bit
    numbers may be float32."""
    for value in parameters:
        if value is not None and value.dtype is not input.dtype and (
                value.dtype is not input.dtype.compute):
            raise RuntimeError("mixed dtype (CPU): expect parameter to have scalar type of "
                               f"{title(input)}, but got {title(value)}")


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
    check_parameters(input, weight, bias)
    dims = tuple(range(input.ndim - len(shape), input.ndim))
    which = ("w" if weight is not None else "") + ("b" if bias is not None else "")
    operands = (input, *(v for v in (weight, bias) if v is not None))
    return apply("layer_norm", operands, (dims, float(eps), which),
                 spec=lambda: spec_of(input.dtype, input.shape))


def rms_norm(input, normalized_shape, weight=None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean(x^2) + eps), scaled (Zhang & Sennrich 2019)."""
    shape = tuple(normalized_shape)
    if not shape:
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., "
                           "containing at least one element, but got normalized_shape = []")
    if tuple(input.shape[input.ndim - len(shape):]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}")
    from ..numeric import finfo
    dims = tuple(range(-len(shape), 0))
    x = input.to(input.dtype.compute)
    eps = finfo(x.dtype).eps if eps is None else eps
    out = x * (x.square().mean(dims, keepdim=True) + eps).rsqrt()
    if weight is not None:
        out = out * weight.to(x.dtype)
    return out.to(input.dtype)
