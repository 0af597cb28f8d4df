"""Products of vectors, matrices and batches: tensors in, a tensor out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import views
from ..autograd.graph import relabel
from ..creation import zeros
from ..graph import dtypes as dt
from ..graph.node import Rule, spec_of
from ..graph.ops import OPS
from ..graph.shapes import broadcast_shapes, contiguous_strides
from ..kernels import matmul as _matmul_kernel
from ..record import RULES, cast, record_rule
from ..record import elementwise as record
from ..tensor import Tensor
from .rows import into, must_be_tensor, title


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
    left, right = _for_blas(a), _for_blas(b)
    key = ("matmul", left.spec, right.spec)
    rule = RULES.get(key)
    if rule is None:
        rule = RULES[key] = Rule(OPS["matmul"], (left.spec, right.spec), spec_of(a.dtype, shape),
                                 (None, a.dtype))
    if left is a and right is b and a.ndim == b.ndim == 2:
        _PLAIN[a.spec, b.spec] = rule
    return record_rule(rule, (left, right))


_PLAIN: dict[tuple, Rule] = {}     # matrices that the BLAS takes as they are


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
    rule = _PLAIN.get((a.spec, b.spec)) if isinstance(b, Tensor) and out is None else None
    if rule is not None:
        return record_rule(rule, (a, b))
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
    if result._fn is not None:
        _name(result, a, b)
    return into(out, result)


def _name(result: Tensor, a: Tensor, b: Tensor) -> None:
    """PyTorch's name for the last of the operations that it makes a product of."""
    if b.ndim == 1 and a.ndim <= 2:
        relabel(result, "DotBackward0" if a.ndim == 1 else "MvBackward0")
    elif a.ndim == 1 and b.ndim == 2:
        relabel(result, "SqueezeBackward4")
    elif a.ndim == 2 < b.ndim and a.requires_grad:      # it multiplies the transposed matrices
        relabel(result, "TransposeBackward0" if 1 in result.shape[-2:] else "CloneBackward0")
    elif a.ndim > 2 or b.ndim > 2:
        relabel(result, "UnsafeViewBackward0")


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
    """input @ weight.T + bias; 16-bit floats are rounded once, after the bias is added."""
    if bias is not None and input.spec.dtype.itemsize == 2 and _halves(input, weight, bias):
        out = linear(*[cast(x, dt.float32) for x in (input, weight, bias)])
        return relabel(cast(out, input.dtype), out._fn and out._fn.label)
    rule = _LINEAR.get((input.spec, weight.spec))
    if rule is None:
        rule = _linear_rule(input, weight)
    if rule is not None:
        out = record_rule(rule, (input, weight))
    elif input.dtype is not weight.dtype:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {title(input)} and "
                           f"{title(weight)}")
    else:
        out = matmul(input, views.t(weight) if weight.ndim > 1 else weight)
    if bias is None:
        return out
    if not isinstance(bias, Tensor):
        must_be_tensor("linear", "bias", bias, 3)
    if bias.spec.dtype is not out.spec.dtype:
        raise RuntimeError(f"self and mat2 must have the same dtype, but got {title(bias)} and "
                           f"{title(out)}")
    out = record(_ADD, out, bias)
    if input.spec.ndim == 2:
        return relabel(out, "AddmmBackward0")
    return relabel(out, "ViewBackward0") if input.spec.contiguous else out


_ADD = OPS["add"]


def _halves(*tensors: Any) -> bool:
    """Whether all are tensors of one dtype, floats of 16 bits."""
    dtype = tensors[0].dtype
    return dtype in (dt.float16, dt.bfloat16) and all(
        isinstance(x, Tensor) and x.dtype is dtype for x in tensors)


def rounded_once(function: Callable) -> Callable:
    """A function of three tensors that computes with 16-bit floats in float32, its result being
    rounded at the end."""
    @functools.wraps(function)
    def call(input, a, b, *, beta=1, alpha=1, out: Tensor | None = None) -> Tensor:
        if not _halves(input, a, b):
            return function(input, a, b, beta=beta, alpha=alpha, out=out)
        wide = function(*[cast(x, dt.float32) for x in (input, a, b)], beta=beta, alpha=alpha)
        return into(out, relabel(cast(wide, a.dtype), wide._fn and wide._fn.label))

    return call


_LINEAR: dict[tuple, Rule] = {}


def _linear_rule(x: Tensor, weight: Tensor) -> Rule | None:
    """The rule of a real matrix times a transposed one, where the BLAS takes both as they are."""
    if x.ndim != 2 or weight.ndim != 2 or x.dtype is not weight.dtype or (
            x.dtype not in (dt.float32, dt.float64)) or x.shape[1] != weight.shape[1] or (
            not x.numel() or not weight.numel()):
        return None
    turned = _matmul_kernel.transposed(weight.spec)
    if _matmul_kernel.layout(x.spec) is None or _matmul_kernel.layout(turned) is None:
        return None
    rule = _LINEAR[x.spec, weight.spec] = Rule(
        OPS["linear"], (x.spec, turned), spec_of(x.dtype, (x.shape[0], weight.shape[0])),
        (None, x.dtype))
    return rule
