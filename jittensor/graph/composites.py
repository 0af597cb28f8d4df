"""Composite operators: recorded as one node, spelled out as primitives by the compiler.

`expand(builder, *inputs, *attrs)` builds with the same rules as recorded operators, so a
composite fuses, and gives the bits, of the operators it is made of.
"""

from __future__ import annotations

from math import prod

from .ops import composite


def _count(spec, dims) -> int:
    return prod(spec.shape[d] for d in dims)


# ── mean and variance ─────────────────────────────────────────────────────────────────────────
def _mean(b, x, dims, keepdim, dtype):
    total = b.reduce("sum", x, dims, keepdim, dtype)
    return b.map("div", total, float(_count(x.spec, dims)))


def _mean_backward(node, grad):
    from .reductions import restore
    dims, keepdim, _ = node.attrs
    shape = node.specs[0].shape
    return [restore(grad, dims, keepdim).expand(shape) / _count(node.specs[0], dims)]


composite("mean", _mean, _mean_backward, grad_name="MeanBackward1")


def _var(b, x, dims, keepdim, correction):
    n = _count(x.spec, dims)
    x32 = b.cast(x, x.spec.dtype.compute) if not x.spec.dtype.is_complex else x
    mean = b.map("div", b.reduce("sum", x32, dims, True), float(n))
    off = b.map("sub", x32, mean.expand(x.spec.shape))
    total = b.reduce("sum", b.map("square", off), dims, keepdim)
    return b.cast(b.map("div", total, float(max(n - correction, 0))), x.spec.dtype)


def _var_backward(node, grad):
    from .reductions import restore
    dims, keepdim, correction = node.attrs
    x = node.saved(0)
    n = max(_count(node.specs[0], dims) - correction, 0)
    off = x - x.mean(dims, keepdim=True)
    return [restore(grad, dims, keepdim) * off * (2.0 / n if n else float("nan"))]


composite("var", _var, _var_backward, saves=(0,))


# ── softmax ───────────────────────────────────────────────────────────────────────────────────
def _softmax(b, x, dim, dtype):
    x = b.cast(x, dtype.compute)
    top = b.reduce("amax", x, (dim,), True)
    e = b.map("exp", b.map("sub", x, top.expand(x.spec.shape)))
    total = b.reduce("sum", e, (dim,), True)
    return b.cast(b.map("div", e, total.expand(x.spec.shape)), dtype)


def _softmax_backward(node, grad):
    return [grad._softmax_grad(node.result(), node.attrs[0])]


composite("softmax", _softmax, _softmax_backward, saves=("result",))


def _safe_softmax(b, x, dim, dtype):
    x = b.cast(x, dtype.compute)
    top = b.reduce("amax", x, (dim,), True)
    # A row of nothing but -inf has no shares to give: zeros, not nan.
    held = b.map("where", b.map("eq", top, float("-inf")), 0.0, top)
    e = b.map("exp", b.map("sub", x, held.expand(x.spec.shape)))
    total = b.reduce("sum", e, (dim,), True)
    total = b.map("where", b.map("eq", total, 0.0), 1.0, total)
    return b.cast(b.map("div", e, total.expand(x.spec.shape)), dtype)


composite("_safe_softmax", _safe_softmax, _softmax_backward, saves=("result",),
          grad_name="SafeSoftmaxBackward0")


def _softmax_grad(b, grad, y, dim):
    product = b.map("mul", grad, y)
    total = b.reduce("sum", product, (dim,), True)
    return b.map("mul", y, b.map("sub", grad, total.expand(y.spec.shape)))


def _softmax_grad_backward(node, grad):
    g, y = node.saved(0), node.saved(1)
    dim = node.attrs[0]
    inner = (grad * y).sum(dim, keepdim=True)
    return [grad._softmax_grad(y, dim),
            grad * (g - (g * y).sum(dim, keepdim=True)) - inner * g]


composite("_softmax_grad", _softmax_grad, _softmax_grad_backward, saves=(0, 1),
          grad_name="SoftmaxBackwardDataBackward0")


def _log_softmax(b, x, dim, dtype):
    x = b.cast(x, dtype.compute)
    top = b.reduce("amax", x, (dim,), True)
    off = b.map("sub", x, top.expand(x.spec.shape))
    total = b.reduce("sum", b.map("exp", off), (dim,), True)
    return b.cast(b.map("sub", off, b.map("log", total).expand(x.spec.shape)), dtype)


def _log_softmax_backward(node, grad):
    return [grad._log_softmax_grad(node.result(), node.attrs[0])]


composite("log_softmax", _log_softmax, _log_softmax_backward, saves=("result",))


def _log_softmax_grad(b, grad, y, dim):
    total = b.reduce("sum", grad, (dim,), True)
    return b.map("sub", grad, b.map("mul", b.map("exp", y), total.expand(y.spec.shape)))


def _log_softmax_grad_backward(node, grad):
    g, y = node.saved(0), node.saved(1)
    dim = node.attrs[0]
    p = y.exp()
    return [grad - (grad * p).sum(dim, keepdim=True),
            -(grad * p) * g.sum(dim, keepdim=True)]


composite("_log_softmax_grad", _log_softmax_grad, _log_softmax_grad_backward, saves=(0, 1),
          grad_name="LogSoftmaxBackwardDataBackward0")


def _logsumexp(b, x, dims, keepdim):
    top = b.reduce("amax", x, dims, True)
    finite = b.map("where", b.map("isfinite", top), top, 0.0)
    total = b.reduce("sum", b.map("exp", b.map("sub", x, finite.expand(x.spec.shape))), dims, True)
    out = b.map("add", b.map("log", total), finite)
    if keepdim:
        return out
    shape = [n for d, n in enumerate(x.spec.shape) if d not in dims]
    strides = [s for d, s in enumerate(out.spec.strides) if d not in dims]
    return out.view(shape, strides)


def _logsumexp_backward(node, grad):
    from .reductions import restore
    dims, keepdim = node.attrs
    top = restore(node.result(), dims, keepdim)
    return [restore(grad, dims, keepdim) * (node.saved(0) - top).exp()]


composite("logsumexp", _logsumexp, _logsumexp_backward, saves=(0, "result"))


# ── normalisation over the last dims ──────────────────────────────────────────────────────────
def _layer_norm(b, x, *rest):
    (*affine, dims, eps, which) = rest
    x32 = b.cast(x, x.spec.dtype.compute)
    shape, n = x.spec.shape, float(_count(x.spec, dims))
    mean = b.map("div", b.reduce("sum", x32, dims, True), n)
    off = b.map("sub", x32, mean.expand(shape))
    var = b.map("div", b.reduce("sum", b.map("square", off), dims, True), n)
    out = b.map("mul", off, b.map("rsqrt", b.map("add", var, eps)).expand(shape))
    for value, name in zip(affine, which, strict=True):
        out = b.map("mul" if name == "w" else "add", out, value.expand(shape))
    return b.cast(out, x.spec.dtype)


def _layer_norm_backward(node, grad):
    dims, eps, which = node.attrs
    x = node.saved(0)
    weight = node.saved(1) if "w" in which else None
    outs = [None] * len(node.specs)
    if node.edges[0] is not None:
        inputs = (grad, x) if weight is None else (grad, x, weight)
        outs[0] = grad._layer_norm_grad(inputs, dims, eps)
    for k, name in enumerate(which, 1):
        if node.edges[k] is not None:
            lead = tuple(range(x.ndim - len(dims)))
            value = grad * x._layer_normed(dims, eps) if name == "w" else grad
            outs[k] = value.sum(lead) if lead else value
    return outs


composite("layer_norm", _layer_norm, _layer_norm_backward, saves=(0, 1),
          grad_name="NativeLayerNormBackward0")


def _layer_normed(b, x, dims, eps):
    return _layer_norm(b, x, dims, eps, "")


def _layer_normed_backward(node, grad):
    dims, eps = node.attrs
    x = node.saved(0)
    return [grad._layer_norm_grad((grad, x), dims, eps)]


composite("_layer_normed", _layer_normed, _layer_normed_backward, saves=(0,))


def _layer_norm_grad(b, grad, x, *rest):
    (*weight, dims, eps) = rest
    shape, n = x.spec.shape, float(_count(x.spec, dims))
    compute = x.spec.dtype.compute
    x32, g = b.cast(x, compute), b.cast(grad, compute)
    if weight:
        g = b.map("mul", g, weight[0].expand(shape))
    mean = b.map("div", b.reduce("sum", x32, dims, True), n)
    off = b.map("sub", x32, mean.expand(shape))
    var = b.map("div", b.reduce("sum", b.map("square", off), dims, True), n)
    scale = b.map("rsqrt", b.map("add", var, eps))
    xhat = b.map("mul", off, scale.expand(shape))
    mean_g = b.map("div", b.reduce("sum", g, dims, True), n)
    mean_gx = b.map("div", b.reduce("sum", b.map("mul", g, xhat), dims, True), n)
    inner = b.map("sub", b.map("sub", g, mean_g.expand(shape)),
                  b.map("mul", xhat, mean_gx.expand(shape)))
    return b.cast(b.map("mul", inner, scale.expand(shape)), x.spec.dtype)


def _layer_norm_grad_backward(node, grad):
    """Second derivatives go through the formula written in tensor operations."""
    from ..autograd.engine import grad as gradient
    from ..autograd.modes import enable_grad
    dims, eps = node.attrs
    values = [node.saved(k).detach().requires_grad_(True) for k in range(len(node.specs))]
    originals = [node.saved(k) for k in range(len(node.specs))]
    with enable_grad():
        g, x = originals[0], originals[1]
        y = g * originals[2] if len(originals) == 3 else g
        mean = x.mean(dims, keepdim=True)
        off = x - mean
        scale = (off.square().mean(dims, keepdim=True) + eps).rsqrt()
        xhat = off * scale
        out = (y - y.mean(dims, keepdim=True) - xhat * (y * xhat).mean(dims, keepdim=True)) * scale
        wanted = [v for v, e in zip(originals, node.edges, strict=True) if e is not None]
        found = iter(gradient(out, wanted, grad, create_graph=True, allow_unused=True))
    del values
    return [next(found) if e is not None else None for e in node.edges]


composite("_layer_norm_grad", _layer_norm_grad, _layer_norm_grad_backward, saves=(0, 1, 2),
          grad_name="NativeLayerNormBackwardBackward0")


# ── negative log-likelihood: one element a row ────────────────────────────────────────────────
def _chosen(b, target, places, shape):
    """Where the last dim's place is the row's target."""
    column = target.view((*target.spec.shape, 1), (*target.spec.strides, 1))
    return b.map("eq", places.expand(shape), column.expand(shape))


def _counted(b, target, ignore, dtype):
    """How many targets count, in the losses' dtype."""
    valid = b.cast(b.map("ne", target, ignore), dtype)
    return b.reduce("sum", valid, tuple(range(len(target.spec.shape))), False)


def _nll_loss(b, x, target, places, reduction, ignore):
    shape, dtype = x.spec.shape, x.spec.dtype
    picked = b.reduce("sum", b.map("_where_grad", x, _chosen(b, target, places, shape)),
                      (len(shape) - 1,), False)
    losses = b.map("_where_grad", b.map("neg", picked), b.map("ne", target, ignore))
    if reduction == "none":
        return losses
    total = b.reduce("sum", losses, tuple(range(len(losses.spec.shape))), False)
    if reduction == "sum":
        return total
    return b.map("div", total, _counted(b, target, ignore, dtype))


def _nll_loss_backward(node, grad):
    return [grad._nll_loss_grad(node.saved(1), node.saved(2), node.specs[0], *node.attrs), None,
            None]


composite("nll_loss", _nll_loss, _nll_loss_backward, saves=(1, 2), grad_name="NllLossBackward0")


def _nll_loss_grad(b, grad, target, places, reduction, ignore, shape):
    dtype = grad.spec.dtype
    scale = b.map("neg", grad)
    if reduction == "mean":
        scale = b.map("div", scale, _counted(b, target, ignore, dtype))
    rows = b.map("_where_grad", scale.expand(target.spec.shape), b.map("ne", target, ignore))
    rows = rows.view((*rows.spec.shape, 1), (*rows.spec.strides, 1))
    return b.map("_where_grad", rows.expand(shape), _chosen(b, target, places, shape))


def _nll_loss_grad_backward(node, grad):
    reduction, ignore, shape = node.attrs
    target = node.saved(1)
    return [grad._nll_picked(target, node.saved(2), reduction, ignore), None, None]


composite("_nll_loss_grad", _nll_loss_grad, _nll_loss_grad_backward, saves=(1, 2),
          grad_name="NllLossBackwardBackward0")
