"""Cases for comparing functions with PyTorch: calls by family, tensors in several layouts."""

import numpy as np

LAYOUTS = ("contiguous", "transposed", "sliced", "expanded")


def array(shape, dtype="float64", seed=0):
    """Values of a dtype, the same each time."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if "int" in dtype:
        return rng.integers(0 if dtype[0] == "u" else -5, 9, shape).astype(dtype)
    if "complex" in dtype:
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def laid_out(lib, values, layout):
    """A tensor with the values' shape, whose strides are those of the layout."""
    values = np.array(values)
    if layout == "transposed" and values.ndim > 1:
        base = np.ascontiguousarray(np.swapaxes(values, 0, -1))
        return lib.from_numpy(base).transpose(0, values.ndim - 1)
    if layout == "sliced" and values.ndim:
        wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1] + 1), values.dtype)
        wide[..., 1::2] = values
        return lib.from_numpy(wide)[..., 1::2]
    if layout == "expanded" and values.ndim > 1 and values.shape[0]:
        row = np.ascontiguousarray(values[:1])
        return lib.from_numpy(row).expand(*values.shape)
    return lib.from_numpy(values)


def flat(value):
    """The tensors (and numbers) of a result."""
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in flat(v)]
    return [value]


UNARY = """abs acos acosh angle asin asinh atan atanh ceil conj_physical cos cosh deg2rad digamma
    erf erfc erfinv exp exp2 expm1 fix floor frac i0 isfinite isinf isnan isneginf isposinf isreal
    lgamma log log10 log1p log2 logical_not nan_to_num neg positive rad2deg reciprocal relu round
    rsqrt sgn sigmoid sign signbit sin sinc sinh sqrt square tan tanh trunc""".split()
BINARY = """add atan2 copysign div eq float_power floor_divide fmax fmin fmod ge gt heaviside hypot
    ldexp le logaddexp logical_and logical_or logical_xor lt maximum minimum mul ne nextafter
    remainder sub xlogy bitwise_and bitwise_or bitwise_xor bitwise_left_shift gcd lcm""".split()
# calls on one float tensor of shape (3, 4, 5)
SHAPES = {
    "parts": lambda t, x: (
        x[1], x[:, -1], x[..., 1:], x[None, 0, ..., ::2], x[1:1], x[-100:2, :, 99:], x[..., None],
        x[()] * 1, x[...] * 1, x[:, None, 1:], x[0, 1, 2], x[2:-1, 0, None]),
    "cat": lambda t, x: t.cat([x, x * 2, x[:, :1]], 1),
    "cat_dtypes": lambda t, x: t.cat([x, (x * 3).to(t.int32)], 0),
    "stack": lambda t, x: t.stack([x, x + 1], -1),
    "hstack": lambda t, x: t.hstack([x, x]),
    "vstack": lambda t, x: t.vstack((x, x)),
    "dstack": lambda t, x: t.dstack((x[0], x[1])),
    "column_stack": lambda t, x: t.column_stack((x[0, 0], x[0, 1])),
    "split": lambda t, x: x.split(3, 1),
    "split_sizes": lambda t, x: x.split([1, 3], 1),
    "chunk": lambda t, x: x.chunk(3, 2),
    "tensor_split": lambda t, x: t.tensor_split(x, (1, 3), 2),
    "tensor_split_n": lambda t, x: t.tensor_split(x, 3, 2),
    "hsplit": lambda t, x: t.hsplit(x, 2),
    "vsplit": lambda t, x: t.vsplit(x, [1]),
    "dsplit": lambda t, x: t.dsplit(x, (2,)),
    "unbind": lambda t, x: x.unbind(1),
    "flip": lambda t, x: x.flip(0, 2),
    "fliplr": lambda t, x: t.fliplr(x),
    "flipud": lambda t, x: t.flipud(x),
    "roll": lambda t, x: x.roll((1, -2), (0, 2)),
    "roll_flat": lambda t, x: x.roll(7),
    "rot90": lambda t, x: t.rot90(x, 1, (0, 2)),
    "rot90_back": lambda t, x: t.rot90(x, -1, (1, 2)),
    "tril": lambda t, x: x.tril(1),
    "triu": lambda t, x: x.triu(-1),
    "diag_embed": lambda t, x: t.diag_embed(x, 1, 0, 2),
    "diag": lambda t, x: t.diag(x[0], 1),
    "diagflat": lambda t, x: t.diagflat(x[0, :2, :2]),
    "trace": lambda t, x: x[0].trace(),
    "repeat": lambda t, x: x.repeat(2, 1, 2, 3),
    "tile": lambda t, x: t.tile(x, (2, 1)),
    "repeat_interleave": lambda t, x: x.repeat_interleave(2, 1),
    "repeat_interleave_counts": lambda t, x: x.repeat_interleave(t.tensor([1, 0, 2]), 0),
    "meshgrid": lambda t, x: t.meshgrid(x[0, 0], x[0, :, 0], indexing="xy"),
    "cartesian_prod": lambda t, x: t.cartesian_prod(x[0, 0], x[0, 1]),
    "combinations": lambda t, x: t.combinations(x[0, 0], 3),
    "block_diag": lambda t, x: t.block_diag(x[0], x[1, 0]),
    "broadcast_tensors": lambda t, x: t.broadcast_tensors(x, x[0, :, :1]),
    "pad": lambda t, x: t.constant_pad_nd(x, (1, 2, -1, 1), 2.5),
    "select_scatter": lambda t, x: t.select_scatter(x, x[:, 0] * 2, 1, 2),
    "slice_scatter": lambda t, x: t.slice_scatter(x, x[:, :2] * 2, 1, 1, 4, 2),
    "diagonal_scatter": lambda t, x: t.diagonal_scatter(x[0], x[1, 0, :4] * 2),
    "movedim": lambda t, x: t.movedim(x, 0, 2),
    "swapaxes": lambda t, x: t.swapaxes(x, 0, 1),
    "ravel": lambda t, x: x.ravel(),
    "unflatten": lambda t, x: x.unflatten(1, (2, 2)),
    "atleast_3d": lambda t, x: t.atleast_3d(x[0]),
    "unfold": lambda t, x: x.unfold(2, 3, 2),
}
REDUCTIONS = {
    "sum": lambda t, x: x.sum((0, 2)),
    "sum_keep": lambda t, x: x.sum(1, keepdim=True),
    "mean": lambda t, x: x.mean(-1),
    "prod": lambda t, x: x.prod(1),
    "prod_all": lambda t, x: x.prod(),
    "amax": lambda t, x: x.amax((0, 1)),
    "amin": lambda t, x: x.amin(2, keepdim=True),
    "max": lambda t, x: x.max(),
    "max_dim": lambda t, x: x.max(1),
    "min_dim": lambda t, x: x.min(2),
    "max_keep": lambda t, x: x.max(0, keepdim=True),
    "argmax": lambda t, x: x.argmax(),
    "argmax_dim": lambda t, x: x.argmax(1),
    "argmin": lambda t, x: x.argmin(2, keepdim=True),
    "aminmax": lambda t, x: t.aminmax(x, dim=1),
    "all": lambda t, x: (x > 0).all(1),
    "any": lambda t, x: (x > 1).any(),
    "count_nonzero": lambda t, x: t.count_nonzero(x > 0, 1),
    "var": lambda t, x: x.var(1),
    "std": lambda t, x: x.std((0, 2), correction=0),
    "var_mean": lambda t, x: t.var_mean(x, 2),
    "logsumexp": lambda t, x: x.logsumexp((0, 1)),
    "norm": lambda t, x: x.norm(),
    "norm1": lambda t, x: x.norm(1, 1),
    "norm3": lambda t, x: x.norm(3, (0, 2)),
    "norm_inf": lambda t, x: x.norm(float("inf"), 1),
    "norm_half": lambda t, x: x.norm(0.5, 2),
    "norm_nuc": lambda t, x: x[0].norm("nuc"),
    "dist": lambda t, x: t.dist(x, x * 2, 3),
    "renorm": lambda t, x: x.renorm(2, 1, 1.5),
    "nansum": lambda t, x: (x.log()).nansum(1),
    "nanmean": lambda t, x: x.log().nanmean(1),
    "median": lambda t, x: x.median(),
    "median_dim": lambda t, x: x.median(1),
    "quantile": lambda t, x: x.quantile(0.3, 1),
    "cov": lambda t, x: t.cov(x[0]),
    "corrcoef": lambda t, x: t.corrcoef(x[0]),
    "cdist": lambda t, x: t.cdist(x, x[:, :2] + 1),
    "cumsum": lambda t, x: x.cumsum(1),
    "cumprod": lambda t, x: x.cumprod(2),
    "logcumsumexp": lambda t, x: x.logcumsumexp(0),
    "cummax": lambda t, x: x.cummax(1),
    "cummin": lambda t, x: x.cummin(2),
    "diff": lambda t, x: x.diff(2, 1),
    "trapezoid": lambda t, x: t.trapezoid(x, dx=0.5, dim=1),
    "trapezoid over points": lambda t, x: t.trapezoid(x, x[0, 0].sort().values),
    "trapezoid of nothing": lambda t, x: t.trapezoid(x[:, :0].int(), dim=1),
    "cumulative_trapezoid": lambda t, x: t.cumulative_trapezoid(x, x[0, 0].sort().values),
    "gradient": lambda t, x: t.gradient(x, spacing=0.5, dim=(1, 2), edge_order=2),
    "softmax": lambda t, x: x.softmax(1),
    "log_softmax": lambda t, x: x.log_softmax(2),
    "sort": lambda t, x: x.sort(1, descending=True),
    "argsort": lambda t, x: x.argsort(2),
    "msort": lambda t, x: t.msort(x),
    "topk": lambda t, x: x.topk(2, 1),
    "kthvalue": lambda t, x: x.kthvalue(2, 1),
    "mode": lambda t, x: x.round().mode(1)[0],
    "unique": lambda t, x: t.unique(x.round(), return_inverse=True, return_counts=True),
    "histc": lambda t, x: t.histc(x, 5, -1, 1),
    "isin": lambda t, x: t.isin(x.round(), x[0].round()),
}
PRODUCTS = {
    "matmul": lambda t, x: x @ x.mT,
    "bmm": lambda t, x: t.bmm(x, x.mT),
    "mm": lambda t, x: x[0] @ x[1].t(),
    "mv": lambda t, x: t.mv(x[0], x[1, 0]),
    "dot": lambda t, x: t.dot(x[0, 0], x[1, 0]),
    "outer": lambda t, x: t.outer(x[0, 0], x[1, 1]),
    "inner": lambda t, x: t.inner(x, x[0]),
    "addmm": lambda t, x: t.addmm(x[0, :, :1], x[0], x[1].t(), beta=0.5, alpha=2),
    "addmv": lambda t, x: t.addmv(x[0, :, 0], x[0], x[1, 0], beta=2),
    "addbmm": lambda t, x: t.addbmm(x[0, :, :1], x, x.mT),
    "baddbmm": lambda t, x: t.baddbmm(x[:, :, :1], x, x.mT, alpha=3),
    "addr": lambda t, x: t.addr(x[0], x[1, :, 0], x[2, 0]),
    "kron": lambda t, x: t.kron(x[0], x[1, :2]),
    "tensordot": lambda t, x: t.tensordot(x, x, ([0, 2], [0, 2])),
    "cross": lambda t, x: t.cross(x, x.flip(0) + 1, 0),
    "einsum": lambda t, x: t.einsum("bij,bkj->bik", x, x),
    "einsum_chain": lambda t, x: t.einsum("bij,cij,c->b", x, x, x[0, :3, 0]),
    "einsum_diagonal": lambda t, x: t.einsum("ii->i", x[0, :, :4]),
    "einsum_dots": lambda t, x: t.einsum("...ij,jk", x, x[0].t()),
    "vander": lambda t, x: t.vander(x[0, 0]),
}


def _index(t):
    return t.tensor([[[0, 2, 1, 0, 2]], [[1, 1, 0, 2, 0]]])


SELECTION = {
    "gather": lambda t, x: x.gather(0, _index(t)),
    "take_along_dim": lambda t, x: t.take_along_dim(x, x.argsort(1), 1),
    "scatter": lambda t, x: x.scatter(0, _index(t), x[:2, :1] * 2),
    "scatter_value": lambda t, x: x.scatter(0, _index(t), 7.0),
    "scatter_add": lambda t, x: x.scatter_add(0, _index(t), x[:2, :1] * 2),
    **{
        f"scatter_reduce_{how}_{own}": lambda t, x, how=how, own=own: x.scatter_reduce(
            0, _index(t), x[:2, :1] * 2, how, include_self=own
        )
        for how in ("sum", "prod", "mean", "amax", "amin")
        for own in (True, False)
    },
    "index_reduce": lambda t, x: x.index_reduce(1, t.tensor([0, 2]), x[:, :2] * 3, "prod"),
    "index_fill": lambda t, x: x.index_fill(1, t.tensor([0, 3]), 2.5),
    "index_add": lambda t, x: x.index_add(1, t.tensor([0, 3]), x[:, :2], alpha=2),
    "index_put": lambda t, x: x.index_put((t.tensor([0, 2]),), x[:1] * 2),
    "index_put_add": lambda t, x: x.index_put((t.tensor([0, 0]),), x[:1] * 2, accumulate=True),
    "masked_select": lambda t, x: x.masked_select(x > 0),
    "masked_fill": lambda t, x: x.masked_fill(x > 0, 1.5),
    "masked_scatter": lambda t, x: x.masked_scatter(x > 0, x * 3),
    "nonzero": lambda t, x: (x > 0).nonzero(),
    "argwhere": lambda t, x: t.argwhere(x > 1),
    "where": lambda t, x: t.where(x > 0, x, x * 2),
    "where_index": lambda t, x: t.where(x > 0),
    "take": lambda t, x: x.take(t.tensor([[0, 7], [-1, 3]])),
    "put": lambda t, x: x.put(t.tensor([0, 7]), x[0, 0, :2] * 2, accumulate=True),
    "searchsorted": lambda t, x: t.searchsorted(x[0].sort(1).values, x[1]),
    "bucketize": lambda t, x: t.bucketize(x, x[0, 0].sort().values, right=True),
}
FAMILIES = {**SHAPES, **REDUCTIONS, **PRODUCTS, **SELECTION}
# no values to differentiate, or values that jump
NO_GRADIENT = {
    "argmax",
    "argmax_dim",
    "argmin",
    "all",
    "any",
    "count_nonzero",
    "argsort",
    "unique",
    "histc",
    "isin",
    "nonzero",
    "argwhere",
    "where_index",
    "searchsorted",
    "bucketize",
    "cat_dtypes",
    "mode",
    "norm_nuc",
    "vander",
    "nansum",
    "nanmean",
}
