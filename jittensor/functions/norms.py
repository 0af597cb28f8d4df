"""Norms and statistics: tensors in, lengths, distances and moments out."""

from __future__ import annotations

import math

import numpy as np

from .. import views
from ..creation import zeros
from ..graph import dtypes as dt
from ..graph.dtypes import Default
from ..graph.shapes import wrap_dim
from ..tensor import Tensor, from_array
from .reductions import _all_dims, amax, amin
from .rows import into, title
from .rules import gradient_rule, with_gradient


# ── vector norms ──────────────────────────────────────────────────────────────────────────────
def _norm_value(x: Tensor, p: float, dims, keepdim: bool) -> Tensor:
    size = x.abs()
    if p == math.inf:
        return amax(size, dims, keepdim)
    if p == -math.inf:
        return amin(size, dims, keepdim)
    if p == 0:
        return (x != 0).to(size.dtype).sum(dims, keepdim)
    if p == 1:
        return size.sum(dims, keepdim)
    if p == 2:
        return (size * size).sum(dims, keepdim).sqrt()
    return size.pow(p).sum(dims, keepdim).pow(1.0 / p)


def _norm_backward(node, grad):
    p, dims, keepdim = node.attrs
    x, norm = node.saved(0), node.result()
    if not keepdim:
        for d in dims:
            norm, grad = norm.unsqueeze(d), grad.unsqueeze(d)
    if p == 0:
        return [x * 0]
    if p == 1:
        return [grad * x.sgn()]
    if p == 2:
        return [x * (grad / norm).masked_fill(norm == 0, 0)]
    if p in (math.inf, -math.inf):
        at = (x.abs() == norm) | (x.isnan() & norm.isnan())
        share = grad / at.sum(dims, keepdim=True) if dims else grad
        return [x.sgn() * at * share]
    if p < 1:
        slope = x.sgn() * x.abs().pow(p - 1).masked_fill(x == 0, 0)
        return [slope * grad * norm.pow(1 - p)]
    slope = x.sgn() * x.abs().pow(p - 1) if p < 2 else x * x.abs().pow(p - 2)
    return [slope * (grad / norm.pow(p - 1)).masked_fill(norm == 0, 0)]


_NORM = gradient_rule("norm", _norm_backward, saves=(0, "result"))


def vector_norm(input: Tensor, p: float, dims: tuple[int, ...], keepdim: bool) -> Tensor:
    """(sum |x|^p)^(1/p) over dims, with PyTorch's gradients where it is not smooth."""
    p = float(p)
    if not dims:
        dims = tuple(range(input.ndim))
    for d in dims:
        if input.shape[d] == 0 and (p < 0 or p == math.inf):
            raise RuntimeError("linalg.vector_norm cannot compute the "
                               f"{p} norm on an empty tensor because the operation does not have "
                               "an identity")
    return with_gradient(_NORM, lambda: _norm_value(input, p, dims, keepdim), (input,),
                         (p, dims, keepdim))


def _nuclear_backward(node, grad):
    return [grad.unsqueeze(-1).unsqueeze(-1) * node.attrs[0]]


_NUCLEAR = gradient_rule("nuclear_norm", _nuclear_backward, grad_name="LinalgSvdBackward0")


def _nuclear(x: Tensor, dims: tuple[int, int], keepdim: bool) -> Tensor:
    """The sum of singular values; the gradient is U V^H. Realizes its input (NumPy's SVD)."""
    if len(dims) != 2:
        raise RuntimeError("linalg.matrix_norm: dim must be a 2-tuple of ints")
    dims = tuple(wrap_dim(d, x.ndim) for d in dims)
    last = views.movedim(x, dims, (-2, -1))
    left, values, right = np.linalg.svd(last.detach()._array(), full_matrices=False)
    slope = from_array(np.ascontiguousarray(left @ right))
    total = from_array(np.asarray(values.sum(-1)))
    out = with_gradient(_NUCLEAR, lambda: total, (last,), (slope,))
    if keepdim:
        for d in sorted(dims):
            out = views.unsqueeze(out, d)
    return out


def norm(input, p="fro", dim=None, keepdim: bool = False, out: Tensor | None = None,
         dtype=None) -> Tensor:
    """The p-norm of all elements or over dims ('fro' and None are 2); 'nuc' is the sum of the
    singular values."""
    if dtype is not None:
        input = input.to(dtype)
    if input.dtype.category < dt.FLOAT:
        raise RuntimeError("linalg.vector_norm: Expected a floating point or complex tensor as "
                           f"input. Got {title(input)}")
    if p == "nuc":
        return into(out, _nuclear(input, (0, 1) if dim is None else tuple(dim), keepdim))
    p = 2 if p is None or p == "fro" else p
    return into(out, vector_norm(input, p, _all_dims(input, dim if dim != () else None), keepdim))


def dist(input, other, p: float = 2) -> Tensor:
    """The p-norm of a difference."""
    gap = input - other
    return vector_norm(gap, p, (), False) if gap.numel() else gap.sum()


def renorm(input, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None) -> Tensor:
    """Slices of a dim scaled down to a p-norm of at most maxnorm."""
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if input.ndim < 2:
        raise RuntimeError("renorm: input needs at least 2 dimensions, got "
                           f"{input.ndim} dimensions")
    d = wrap_dim(dim, input.ndim)
    dims = tuple(k for k in range(input.ndim) if k != d)
    size = vector_norm(input, p, dims, True)
    scale = (maxnorm / (size + 1e-7)).where(size > maxnorm, 1.0)
    return into(out, input.contiguous() * scale)


def cdist(x1, x2, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary",
          ) -> Tensor:
    """The p-distances of all rows of x1 [..., n, k] to all rows of x2 [..., m, k]."""
    for x, name in ((x1, "X1"), (x2, "X2")):
        if x.dtype.category != dt.FLOAT:
            raise RuntimeError(f"cdist only supports floating-point dtypes, {name} got: "
                               f"{title(x)}")
        if x.ndim < 2:
            raise RuntimeError("cdist only supports at least 2D tensors, "
                               f"{name} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} "
                           f"X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    gap = views.unsqueeze(x1, -2) - views.unsqueeze(x2, -3)
    if not gap.shape[-1]:
        return zeros(gap.shape[:-1], dtype=gap.dtype)
    return vector_norm(gap, p, (gap.ndim - 1,), False)


def pdist(input, p: float = 2.0) -> Tensor:
    """The p-distances of all pairs of rows."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    from .rearranging import triu_indices
    n = input.shape[0]
    pairs = triu_indices(n, n, 1)
    if not pairs.shape[1]:
        return zeros(0, dtype=input.dtype) + input.sum() * 0
    gap = input[pairs[0]] - input[pairs[1]]
    return vector_norm(gap, p, (1,), False)


# ── sums without NaN, moments ─────────────────────────────────────────────────────────────────
def nansum(input, dim=None, keepdim: bool = False, *, dtype=None,
           out: Tensor | None = None) -> Tensor:
    """The sum of the elements that are not NaN."""
    if input.dtype.category >= dt.FLOAT:
        input = input.masked_fill(input.isnan(), 0)
    return into(out, input.sum(dim, keepdim, dtype=dtype))


def nanmean(input, dim=None, keepdim: bool = False, *, dtype=None,
            out: Tensor | None = None) -> Tensor:
    """The mean of the elements that are not NaN."""
    if input.dtype.category < dt.FLOAT:
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but "
                           f"got {title(input)}")
    count = (~input.isnan()).sum(dim, keepdim)
    return into(out, nansum(input, dim, keepdim, dtype=dtype) / count)


def cov(input, *, correction: int = 1, fweights=None, aweights=None) -> Tensor:
    """The covariance matrix of variables (rows) over observations (columns)."""
    if input.ndim > 2:
        raise RuntimeError("cov(): expected input to have two or fewer dimensions but got an input "
                           f"with {input.ndim} dimensions")
    if input.dtype is dt.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    for value, name in ((fweights, "fweights"), (aweights, "aweights")):
        if value is not None and value.ndim > 1:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got "
                               f"{name} with {value.ndim} dimensions")
        if value is not None and value.numel() != (input.shape[-1] if input.ndim else 1):
            raise RuntimeError(f"cov(): expected {name} to have the same numel as there are "
                               f"observations in the input but got {value.numel()}")
    if fweights is not None and fweights.dtype.category != dt.INT:
        raise RuntimeError("cov(): expected fweights to have integral dtype but got fweights with "
                           f"{title(fweights)} dtype")
    if aweights is not None and aweights.dtype.category != dt.FLOAT:
        raise RuntimeError("cov(): expected aweights to have floating point dtype but got aweights "
                           f"with {title(aweights)} dtype")
    for value, name in ((fweights, "fweights"), (aweights, "aweights")):
        if value is not None and bool((value < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
    x = views.reshape(input, 1, -1) if input.ndim < 2 else input
    weights = None
    if fweights is not None:
        weights = fweights
    if aweights is not None:
        weights = aweights if weights is None else fweights * aweights
    floating = x if x.dtype.category >= dt.FLOAT else x.to(Default.float_)
    if weights is None:
        total, mean = x.shape[1], floating.mean(1, keepdim=True)
        scale = total - correction
    else:
        sum_of = weights.sum()
        mean = (floating * weights).sum(1, keepdim=True) / sum_of
        scale = sum_of - correction if aweights is None or not correction else (
            sum_of - correction * (weights * aweights).sum() / sum_of)
    off = floating - mean
    spread = off if weights is None else off * weights
    if isinstance(scale, Tensor):
        scale = scale.to(floating.dtype).clamp(min=0)
    else:
        scale = max(scale, 0)
    out = (spread @ off.mH) / scale
    return views.squeeze(out) if out.numel() == 1 else out


def corrcoef(input) -> Tensor:
    """The correlation coefficients of variables (rows) over observations (columns)."""
    if input.ndim > 2:
        raise RuntimeError("corrcoef(): expected input to have two or fewer dimensions but got an "
                           f"input with {input.ndim} dimensions")
    c = cov(input)
    if not c.ndim:
        return c / c
    size = views.diagonal(c).sqrt()
    return (c / views.unsqueeze(size, 1) / views.unsqueeze(size, 0)).clamp(-1, 1)
