"""Functions against NumPy and against their definitions: joining, selecting, scanning, products,
gradients, and writes that fused kernels make in place."""

import numpy as np
import pytest

import jittensor as torch
from jittensor import masked, special
from jittensor.kernels.compile import stats

A = np.random.default_rng(0).standard_normal((3, 4, 5))


def tensor(values=A):
    return torch.tensor(np.asarray(values))


def equal(got, want):
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-10, atol=1e-12)


NUMPY = {
    "cat": (lambda x: torch.cat([x, x[:, :2]], 1), lambda a: np.concatenate([a, a[:, :2]], 1)),
    "stack": (lambda x: torch.stack([x, -x], 2), lambda a: np.stack([a, -a], 2)),
    "flip": (lambda x: x.flip(0, 2), lambda a: np.flip(a, (0, 2))),
    "roll": (lambda x: x.roll((1, 3), (0, 2)), lambda a: np.roll(a, (1, 3), (0, 2))),
    "rot90": (lambda x: torch.rot90(x, 3, (1, 2)), lambda a: np.rot90(a, 3, (1, 2))),
    "tril": (lambda x: x.tril(1), lambda a: np.tril(a, 1)),
    "tile": (lambda x: x.tile((2, 3)), lambda a: np.tile(a, (2, 3))),
    "pad": (
        lambda x: torch.constant_pad_nd(x, (1, 2), 7.0),
        lambda a: np.pad(a, [(0, 0), (0, 0), (1, 2)], constant_values=7.0),
    ),
    "kron": (lambda x: torch.kron(x[0], x[1]), lambda a: np.kron(a[0], a[1])),
    "einsum": (
        lambda x: torch.einsum("bij,bkj->bik", x, x),
        lambda a: np.einsum("bij,bkj->bik", a, a),
    ),
    "tensordot": (
        lambda x: torch.tensordot(x, x, ([0, 2], [0, 2])),
        lambda a: np.tensordot(a, a, ([0, 2], [0, 2])),
    ),
    "cross": (
        lambda x: torch.cross(x, x.roll(1, 0), 0),
        lambda a: np.cross(a, np.roll(a, 1, 0), axis=0),
    ),
    "cumsum": (lambda x: x.cumsum(1), lambda a: np.cumsum(a, 1)),
    "cumprod": (lambda x: x.cumprod(2), lambda a: np.cumprod(a, 2)),
    "logcumsumexp": (lambda x: x.logcumsumexp(0), lambda a: np.log(np.cumsum(np.exp(a), 0))),
    "argmax": (lambda x: x.argmax(1), lambda a: np.argmax(a, 1)),
    "sort": (lambda x: x.sort(1).values, lambda a: np.sort(a, 1)),
    "quantile": (lambda x: x.quantile(0.3, 2), lambda a: np.quantile(a, 0.3, 2)),
    "median": (lambda x: x[..., :5].median(2).values, lambda a: np.median(a, 2)),
    "diff": (lambda x: x.diff(2, 2), lambda a: np.diff(a, 2, 2)),
    "cov": (lambda x: torch.cov(x[0]), lambda a: np.cov(a[0])),
    "norm": (lambda x: x.norm(3, 1), lambda a: (np.abs(a) ** 3).sum(1) ** (1 / 3)),
    "take_along_dim": (
        lambda x: torch.take_along_dim(x, x.argsort(1), 1),
        lambda a: np.take_along_axis(a, np.argsort(a, 1), 1),
    ),
    "unique": (lambda x: torch.unique(x.round()), lambda a: np.unique(np.round(a))),
}


@pytest.mark.parametrize("name", NUMPY)
def test_as_numpy(name):
    ours, theirs = NUMPY[name]
    equal(ours(tensor()), theirs(A))
    equal(ours(tensor(np.ascontiguousarray(A.transpose(2, 1, 0))).permute(2, 1, 0)), theirs(A))


DIFFERENTIABLE = {
    "cat": lambda x: torch.cat([x, x * x], 0),
    "flip": lambda x: x.flip(1),
    "roll": lambda x: x.roll(2, 2),
    "prod": lambda x: x.prod(1),
    "cumprod": lambda x: x.cumprod(2),
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "norm": lambda x: x.norm(3, 0),
    "max": lambda x: x.max(2).values,
    "sort": lambda x: x.sort(0).values,
    "gather": lambda x: x.gather(1, torch.zeros(3, 2, 5, dtype=torch.int64)),
    "scatter_add": lambda x: x.scatter_add(0, torch.tensor([[[0, 1, 1]]]), x[1:2, :1, :3] * 2),
    "scatter_prod": lambda x: x.scatter_reduce(0, torch.tensor([[[0, 1]]]), x[1:2, :1, :2], "prod"),
    "masked_select": lambda x: x.masked_select(x > 0),
    "tril": lambda x: x.tril(),
    "diag_embed": lambda x: torch.diag_embed(x),
    "einsum": lambda x: torch.einsum("aij,akj->ik", x, x),
    "baddbmm": lambda x: torch.baddbmm(x[:, :, :1], x, x.mT, beta=2),
    "quantile": lambda x: x.quantile(0.4, 1),
    "trapezoid": lambda x: torch.trapezoid(x, dim=1),
    "erfcx": lambda x: special.erfcx(x),
    "log_ndtr": lambda x: special.log_ndtr(x),
    "xlog1py": lambda x: special.xlog1py(x, x * x),
    "masked_mean": lambda x: masked.mean(x, mask=x > 0),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient_is_the_slope(name):
    """The gradient along a direction is the central difference along it."""
    function, step = DIFFERENTIABLE[name], 1e-6
    direction = np.random.default_rng(1).standard_normal(A.shape)

    def weighed(values):
        y = function(values)
        return (y * torch.arange(y.numel(), dtype=y.dtype).reshape(y.shape)).sum()

    x = tensor().requires_grad_(True)
    (grad,) = torch.autograd.grad(weighed(x), x)
    slope = (weighed(tensor(A + step * direction)) - weighed(tensor(A - step * direction))).item()
    assert (grad.numpy() * direction).sum() == pytest.approx(slope / (2 * step), rel=1e-5, abs=1e-6)


def test_store_follows_every_load_of_a_dying_input():
    """A fused kernel may write over an input that dies in it only after all its reads: the second
    gradient of y * y * w stores a product where y was and then reads y."""
    x = tensor().requires_grad_(True)

    def second(keep):
        y = x.cumsum(1)
        total = (y * y * tensor(A + 1)).sum()
        (first,) = torch.autograd.grad(total, x, create_graph=True)
        (out,) = torch.autograd.grad((first * first).sum(), x)
        keep.append(y if keep else None)
        return out

    equal(second([]), second([None]).numpy())
    y = np.cumsum(A, 1)
    first = np.flip(np.cumsum(np.flip(2 * y * (A + 1), 1), 1), 1)
    equal(second([]), np.flip(np.cumsum(np.flip(2 * (A + 1) * np.cumsum(2 * first, 1), 1), 1), 1))


def test_named_results():
    got = tensor().max(1)
    assert got._fields == ("values", "indices") and got[0] is got.values
    assert repr(torch.tensor([1, 3]).max(0)) == (
        "torch.return_types.max(\nvalues=tensor(3),\nindices=tensor(1))"
    )


def test_reduction_of_nothing_to_reduce():
    """0-d tensors take part in fused kernels as they are."""
    x = torch.tensor(2.0)
    assert ((x - 1).abs() <= 1).all().item() is True
    assert (x + x.sum() + x.mean() + x.amax() + x.prod()).item() == 10.0


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_empty(shape):
    x = torch.ones(shape)
    assert torch.cat([x, x]).shape == (2 * shape[0], *shape[1:])
    assert x.flip(0).shape == x.cumsum(0).shape == x.softmax(-1).shape == shape
    assert x.sum().item() == 0 and x.prod().item() == 1
    assert [p.shape[0] for p in x.split_with_sizes([0, shape[0]])] == [0, shape[0]]


def test_out_of_range_index_raises_when_recorded():
    x = torch.ones(3)
    with pytest.raises(RuntimeError, match="index 3 is out of bounds for dimension 0 with size 3"):
        x.gather(0, torch.tensor([3]))
    with pytest.raises(RuntimeError, match="out of bounds"):
        x.scatter_(0, torch.tensor([-1]), 1.0)
    assert x.tolist() == [1, 1, 1]


def test_an_index_that_was_written_to_is_looked_at_again():
    x, index = torch.ones(3), torch.tensor([0, 1])
    assert x[index].tolist() == [1, 1]
    index[0] = 3
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        x[index]


def test_polynomials():
    """Each family at its known values."""
    x, n = torch.tensor([0.3, -0.7], dtype=torch.float64), torch.tensor([5.0, 2.0])
    n = n.double()
    theta = np.arccos(x.numpy())
    equal(special.chebyshev_polynomial_t(x, n), np.cos(n.numpy() * theta))
    equal(special.chebyshev_polynomial_u(x, n), np.sin((n.numpy() + 1) * theta) / np.sin(theta))
    equal(
        special.legendre_polynomial_p(x, torch.full((2,), 2.0).double()),
        (3 * x.numpy() ** 2 - 1) / 2,
    )
    equal(special.hermite_polynomial_h(x, torch.full((2,), 2.0).double()), 4 * x.numpy() ** 2 - 2)
    equal(special.laguerre_polynomial_l(x, torch.full((2,), 1.0).double()), 1 - x.numpy())
    assert special.chebyshev_polynomial_t(x, torch.tensor(-1.0).double()).tolist() == [0, 0]


def test_same_bits_for_any_number_of_threads():
    """Scatters and scans do not depend on how their work is shared."""
    big = torch.tensor(np.random.default_rng(2).standard_normal((64, 512)).astype(np.float32))
    index = torch.tensor(np.random.default_rng(3).integers(0, 64, (64, 512)))
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(
                [
                    f(big).numpy().tobytes()
                    for f in (
                        lambda x: x.scatter_add(0, index, x),
                        lambda x: x.cumsum(1),
                        lambda x: x.logcumsumexp(0),
                    )
                ]
            )
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]


def test_a_number_at_a_mask_needs_no_places():
    x = torch.arange(12.0).reshape(3, 4) + 0
    rows = torch.tensor([True, False, False])
    torch.realize()
    before = stats.realizes
    x[x > 6] = 0
    x[rows] = -1
    assert stats.realizes == before
    assert x.tolist() == [[-1.0] * 4, [4.0, 5.0, 6.0, 0.0], [0.0] * 4]
    whole = torch.arange(4)
    whole[whole > 1] = 0.75               # truncated, as a tensor of the number would be
    assert whole.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("call", [
    lambda x, one: x.view(16 * one), lambda x, one: x.reshape(16 * one),
    lambda x, one: x.transpose(0, one), lambda x, one: x.sum(one), lambda x, one: x.unsqueeze(one),
    lambda x, one: x.permute(one, 0), lambda x, one: x.expand(4 * one, 4),
    lambda x, one: x.softmax(one), lambda x, one: x.select(0, one), lambda x, one: x[one:one],
    lambda x, one: x.squeeze(one), lambda x, one: x.split(one)])
def test_what_is_remembered_of_ints_does_not_answer_for_floats(call) -> None:
    x = torch.ones(4, 4)
    call(x, 1)
    with pytest.raises(TypeError):
        call(x, 1.0)
