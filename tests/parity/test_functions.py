"""Functions agree with PyTorch in values, dtypes, shapes, strides, gradients and errors."""

import numpy as np
import pytest

import jittensor
from tests.parity.function_cases import (
    BINARY,
    FAMILIES,
    LAYOUTS,
    NO_GRADIENT,
    UNARY,
    array,
    flat,
    laid_out,
)

torch = pytest.importorskip("torch")
TOLERANCE = {
    "float64": (1e-9, 1e-10),
    "complex128": (1e-9, 1e-10),
    "float32": (3e-5, 3e-6),
    "complex64": (3e-5, 3e-6),
    "float16": (4e-3, 4e-3),
}


def outcome(lib, call):
    """The results of a call, or the error it raised."""
    try:
        return flat(call(lib))
    except Exception as error:  # noqa: BLE001  (whatever PyTorch raises is what we should raise)
        return error


def check(call, strides=True):
    """The call does the same with both libraries."""
    got, want = outcome(jittensor, call), outcome(torch, call)
    if isinstance(want, Exception):
        assert type(got) is type(want), f"{got!r} for {want!r}"
        return
    if isinstance(got, Exception):
        raise got
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        same(g, w, strides)


def same(got, want, strides=True):
    """Two results are alike."""
    if not isinstance(want, torch.Tensor):
        assert got == want
        return
    assert str(got.dtype) == str(want.dtype)
    assert tuple(got.shape) == tuple(want.shape)
    a, b = got.detach().numpy(), want.detach().resolve_conj().numpy()
    rtol, atol = TOLERANCE.get(str(b.dtype), (0, 0))
    np.testing.assert_allclose(a, b, rtol, atol)
    if strides and want.numel():
        assert got.stride() == want.stride()


@pytest.mark.parametrize("name", UNARY)
def test_elementwise_of_one_tensor(name):
    for dtype in ("float32", "int64", "bool"):
        for shape in ((), (0,), (3, 5)):
            check(lambda t, d=dtype, s=shape: getattr(t, name)(laid_out(t, array(s, d), "sliced")))
    check(lambda t: getattr(t, name)(laid_out(t, array((2, 3, 4), "float64"), "transposed")))


@pytest.mark.parametrize("name", BINARY)
def test_elementwise_of_two_tensors(name):
    for a, b in (
        ("float32", "float32"),
        ("int64", "int32"),
        ("float32", "int64"),
        ("bool", "bool"),
    ):
        check(
            lambda t, a=a, b=b: getattr(t, name)(
                laid_out(t, array((3, 4), a), "transposed"),
                laid_out(
                    t, np.abs(array((4,), b, 1).astype(float)).astype(b) + np.array(1, b), "sliced"
                ),
            )
        )
    check(lambda t: getattr(t, name)(t.tensor(3), t.tensor([2, 5])))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FAMILIES)
def test_families(name, layout):
    check(lambda t: FAMILIES[name](t, laid_out(t, array((3, 4, 5)), layout)))


@pytest.mark.parametrize("name", [n for n in FAMILIES if n not in NO_GRADIENT])
def test_gradients(name):
    """The gradient of every differentiable result, weighed with given numbers."""

    def gradient(t):
        x = laid_out(t, array((3, 4, 5)), "contiguous").requires_grad_(True)
        outs = [y for y in flat(FAMILIES[name](t, x)) if y.requires_grad]
        total = sum(
            (y * t.from_numpy(array(tuple(y.shape), seed=k))).sum() for k, y in enumerate(outs)
        )
        return t.autograd.grad(total, x)

    check(gradient, strides=False)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in FAMILIES
        if n
        not in NO_GRADIENT
        | {
            "quantile",
            "cdist",
            "sort",
            "topk",
            "kthvalue",
            "median",
            "median_dim",
            "norm_half",
            "meshgrid",
        }
    ],
)
def test_gradients_of_gradients(name):
    """The gradient of the sum of squares of the gradient."""

    def second(t):
        x = laid_out(t, array((3, 4, 5)), "contiguous").requires_grad_(True)
        outs = [y for y in flat(FAMILIES[name](t, x)) if y.requires_grad]
        total = sum(
            (y * y * t.from_numpy(array(tuple(y.shape), seed=k))).sum() for k, y in enumerate(outs)
        )
        (first,) = t.autograd.grad(total, x, create_graph=True)
        return t.autograd.grad((first * first).sum(), x)

    check(second, strides=False)


ERRORS = {
    "cat_empty": lambda t: t.cat([]),
    "cat_scalar": lambda t: t.cat([t.tensor(1.0)]),
    "cat_sizes": lambda t: t.cat([t.ones(2, 3), t.ones(3, 2)]),
    "cat_tensor": lambda t: t.cat(t.ones(2)),
    "stack_sizes": lambda t: t.stack([t.ones(2), t.ones(3)]),
    "split_sum": lambda t: t.ones(4).split([1, 2]),
    "split_negative": lambda t: t.ones(4).split(-1),
    "chunk_zero": lambda t: t.ones(4).chunk(0),
    "hsplit": lambda t: t.hsplit(t.ones(5), 2),
    "flip_twice": lambda t: t.ones(2, 2).flip(0, 0),
    "roll": lambda t: t.ones(3).roll((1, 2), (0,)),
    "repeat": lambda t: t.ones(2, 2).repeat(2),
    "tril": lambda t: t.ones(3).tril(),
    "trace": lambda t: t.ones(3).trace(),
    "diag": lambda t: t.diag(t.ones(2, 2, 2)),
    "gather_index": lambda t: t.ones(3).gather(0, t.tensor([3])),
    "gather_dtype": lambda t: t.ones(3).gather(0, t.tensor([1.0])),
    "gather_rank": lambda t: t.ones(3, 3).gather(0, t.tensor([1])),
    "scatter_dtype": lambda t: t.ones(3).scatter(0, t.tensor([1]), t.ones(1, dtype=t.float64)),
    "scatter_mode": lambda t: t.ones(3).scatter_reduce(0, t.tensor([1]), t.ones(1), "most"),
    "masked_select": lambda t: t.ones(3).masked_select(t.tensor([1, 0, 1])),
    "take": lambda t: t.ones(3).take(t.tensor([3])),
    "max_empty": lambda t: t.ones(0).max(),
    "max_empty_dim": lambda t: t.ones(2, 0).max(1),
    "argmax_empty": lambda t: t.ones(0).argmax(),
    "dim": lambda t: t.ones(2).cumsum(1),
    "dot": lambda t: t.dot(t.ones(2), t.ones(3)),
    "dot_2d": lambda t: t.dot(t.ones(2, 2), t.ones(2)),
    "mm": lambda t: t.mm(t.ones(2, 3), t.ones(2, 3)),
    "bmm": lambda t: t.bmm(t.ones(2, 3, 4), t.ones(3, 4, 5)),
    "mv": lambda t: t.mv(t.ones(2, 3), t.ones(2)),
    "outer": lambda t: t.outer(t.ones(2, 2), t.ones(2)),
    "cross": lambda t: t.cross(t.ones(2), t.ones(2)),
    "einsum": lambda t: t.einsum("ij,jk", t.ones(2, 3), t.ones(2, 3)),
    "einsum_count": lambda t: t.einsum("ij,jk", t.ones(2, 3)),
    "quantile": lambda t: t.ones(3).quantile(1.5),
    "topk": lambda t: t.ones(3).topk(4),
    "kthvalue": lambda t: t.ones(3).kthvalue(0),
    "clamp": lambda t: t.ones(3).clamp(),
    "mean_int": lambda t: t.ones(3, dtype=t.int64).mean(),
    "remainder": lambda t: t.tensor([1]) % 0,
    "bitwise": lambda t: t.bitwise_and(t.ones(2), t.ones(2)),
    "pow": lambda t: t.tensor([2]) ** -1,
    "out_dtype": lambda t: t.add(t.ones(2), t.ones(2), out=t.ones(2, dtype=t.int64)),
    "inplace_dtype": lambda t: t.ones(2, dtype=t.int64).add_(1.5),
    "inplace_shape": lambda t: t.ones(2).add_(t.ones(3, 2)),
    "leaf": lambda t: t.ones(2, requires_grad=True).mul_(2),
    "bool_minus": lambda t: t.tensor(True) - t.tensor(False),
    "unflatten": lambda t: t.ones(6).unflatten(0, (4, 2)),
    "view": lambda t: t.ones(2, 3).t().view(6),
    "pad": lambda t: t.constant_pad_nd(t.ones(3), (-2, -2)),
    "bincount": lambda t: t.bincount(t.tensor([-1])),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    assert isinstance(outcome(torch, ERRORS[name]), Exception)
    check(ERRORS[name])


OUT = [
    "exp",
    "abs",
    "cumsum",
    "cumprod",
    "argmax",
    "amax",
    "sum",
    "mean",
    "tril",
    "logsumexp",
    "softmax",
    "nansum",
    "norm",
]


@pytest.mark.parametrize("name", OUT)
def test_out(name):
    """`out=` is written, resized where it is empty, and returned."""

    def call(t):
        x = laid_out(t, array((3, 4)), "sliced")
        out = t.empty(0, dtype=t.int64 if name == "argmax" else t.float64)
        args = () if name in ("exp", "abs", "tril") else (1,)
        got = getattr(t, name)(x, *args, out=out)
        assert got is out
        return out

    check(call)


INPLACE = {
    "scatter_": lambda t, x: x.scatter_(0, t.tensor([[0, 1, 2, 0]]), 5.0),
    "scatter_add_": lambda t, x: x.scatter_add_(0, t.tensor([[0, 1, 2, 0]]), x * 2),
    "index_fill_": lambda t, x: x.index_fill_(1, t.tensor([1]), 3.0),
    "masked_scatter_": lambda t, x: x.masked_scatter_(x > 0, x * 2),
    "cumsum_": lambda t, x: x.cumsum_(1),
    "tril_": lambda t, x: x.tril_(),
    "addmm_": lambda t, x: x.addmm_(x, t.eye(4, dtype=t.float64)),
    "clamp_": lambda t, x: x.clamp_(-0.5, 0.5),
    "t_": lambda t, x: x.t_(),
    "unsqueeze_": lambda t, x: x.unsqueeze_(1),
    "squeeze_": lambda t, x: x.unsqueeze_(1).squeeze_(1),
    "swapaxes_": lambda t, x: x.swapaxes_(0, 1),
    "fill_diagonal_": lambda t, x: x.fill_diagonal_(9),
    "put_": lambda t, x: x.put_(t.tensor([2]), x[0, :1] * 3),
    "index_put_": lambda t, x: x.index_put_((t.tensor([0]),), t.zeros((), dtype=t.float64)),
    "resize_as_": lambda t, x: x.clone().resize_as_(t.ones(2, 2)),
    "renorm_": lambda t, x: x.renorm_(2, 0, 1.0),
    "apply_": lambda t, x: x.apply_(lambda v: v + 1),
    "exp_": lambda t, x: t.exp_(x),
}


@pytest.mark.parametrize("name", INPLACE)
def test_in_place(name):
    """The result, and what the tensor became."""

    def call(t):
        x = laid_out(t, array((3, 4)), "contiguous").clone()
        return INPLACE[name](t, x), x

    check(call)
