"""In: every differentiable row of the elementwise table. Out: first and second derivatives agree
with central differences."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.autograd import gradcheck, gradgradcheck
from jittensor.config import config
from jittensor.graph.ops import ELEMENTWISE, OPS
from jittensor.record import elementwise

# operands of which a scalar is meant, not a tensor
SCALARS = {"alpha": 0.7, "value": 0.7, "min_val": -1.0, "max_val": 1.0, "negative_slope": 0.1,
           "threshold": 0.3, "beta": 1.3, "scale": 1.1, "input_scale": 1.2, "lambd": 0.4,
           "order": 1, "nan": 0.0, "posinf": 9.0, "neginf": -9.0, "min": -0.6, "max": 0.8}
MASKS = {"condition", "mask"}
# second operands whose domain is not the first one's
DOMAINS = {"other": (0.3, 2.5), "exponent": (0.5, 2.5), "weight": (0.1, 0.45)}
ROWS = [op for op in OPS.values() if op.kind == ELEMENTWISE
        and any(g is not None for g in op.grads.values()) and op.name != "fill"]


def operand(op, k, arg, draws):
    """A float64 tensor (or a scalar, or a mask) for an argument of a row."""
    if arg in MASKS:
        return torch.tensor(draws.random(5) > 0.5)
    if k and arg in SCALARS:
        return SCALARS[arg]
    low, high = op.domain if not k else DOMAINS.get(arg, op.domain)
    values = low + (high - low) * draws.random(5)
    return torch.tensor(values, dtype=torch.float64, requires_grad=op.grads.get(arg) is not None)


@pytest.mark.parametrize("op", ROWS, ids=lambda op: op.name)
def test_row(op, monkeypatch):
    draws = np.random.default_rng(3)
    values = [operand(op, k, arg, draws) for k, arg in enumerate(op.args)]
    wanted = tuple(v for v in values if isinstance(v, torch.Tensor) and v.requires_grad)
    assert wanted, op.name

    def call(*tensors):
        given = iter(tensors)
        return elementwise(op, *[next(given) if isinstance(v, torch.Tensor) and v.requires_grad
                                 else v for v in values])

    assert gradcheck(call, wanted, atol=1e-6, rtol=1e-4)
    if op.name == "_gelu_tanh_curve":       # many kernels, none of them for anyone else
        monkeypatch.setattr(config, "backend", "reference")
    assert gradgradcheck(call, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("op", [op for op in ROWS if op.complex_ok], ids=lambda op: op.name)
def test_row_of_complex_numbers(op):
    draws = np.random.default_rng(4)
    values = []
    for k, arg in enumerate(op.args):
        if arg in MASKS or (k and arg in SCALARS):
            values.append(operand(op, k, arg, draws))
        else:
            numbers = draws.normal(size=5) + 1j * draws.normal(size=5)
            values.append(torch.tensor(numbers, requires_grad=op.grads.get(arg) is not None))
    wanted = tuple(v for v in values if isinstance(v, torch.Tensor) and v.requires_grad)

    def call(*tensors):
        given = iter(tensors)
        return elementwise(op, *[next(given) if isinstance(v, torch.Tensor) and v.requires_grad
                                 else v for v in values])

    assert gradcheck(call, wanted)


F = torch.nn.functional
COMPOSITES = {
    "softmax": lambda x: torch.softmax(x, -1),
    "softmax_columns": lambda x: torch.softmax(x, 0),
    "log_softmax": lambda x: torch.log_softmax(x, -1),
    "logsumexp": lambda x: torch.logsumexp(x, 1),
    "mean": lambda x: x.mean(1),
    "var": lambda x: x.var(1),
    "std": lambda x: x.std(0, unbiased=False),
    "sum": lambda x: x.sum(0),
    "prod": lambda x: x.prod(1),
    "amax": lambda x: x.amax(1),
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "rms_norm": lambda x: F.rms_norm(x, (4,)),
    "matmul_self": lambda x: x @ x.t(),
    "cumsum": lambda x: x.cumsum(1),
    "norm": lambda x: x.norm(2, 1),
    "gather": lambda x: x.gather(1, torch.tensor([[0, 0], [1, 3], [2, 2]])),
    "index": lambda x: x[torch.tensor([0, 2, 2])],
    "slices": lambda x: x[1:, ::2] * x[:2, 1::2],
    "stack": lambda x: torch.stack([x, x * x]),
    "cat": lambda x: torch.cat([x, x.sin()], 1),
    "flip": lambda x: x.flip(0) * x,
    "diagonal": lambda x: x.diagonal(),
    "unfold": lambda x: x.unfold(1, 2, 1),
    "as_strided": lambda x: x.as_strided((2, 2), (1, 2)),
    "expand": lambda x: x.unsqueeze(0).expand(2, 3, 4) * 2,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "cross_entropy": lambda x: F.cross_entropy(x, torch.tensor([1, 0, 3])),
    "cross_entropy_ignoring": lambda x: F.cross_entropy(x, torch.tensor([1, -100, 3]),
                                                        label_smoothing=0.1),
    "cross_entropy_soft": lambda x: F.cross_entropy(x, torch.full((3, 4), 0.25,
                                                                  dtype=torch.float64)),
    "mse": lambda x: F.mse_loss(x, x.sin()),
    "bce_logits": lambda x: F.binary_cross_entropy_with_logits(x, x.sigmoid()),
    "where": lambda x: torch.where(x > 0, x * x, x.exp()),
    "complex_parts": lambda x: (torch.view_as_complex(x.reshape(3, 2, 2)) ** 2).real
    if hasattr(torch, "view_as_complex") else x,
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_composite(name):
    values = np.random.default_rng(1).normal(size=(3, 4))
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    assert gradcheck(COMPOSITES[name], x, atol=1e-6, rtol=1e-4)
    assert gradgradcheck(COMPOSITES[name], x, atol=1e-5, rtol=1e-4)


# reductions, views and opaque operators; what they compute is tested elsewhere, so their kernels
# are not compiled for this
RULES = {
    "prod of all": lambda x: x.prod(),
    "nansum": lambda x: x.nansum(0),
    "amin of two dims": lambda x: x.amin((0, 1)),
    "max": lambda x: x.max(1)[0],
    "logsumexp of all": lambda x: torch.logsumexp(x, (0, 1)),
    "norm of order 3": lambda x: x.norm(3, 0),
    "norm of order 1": lambda x: torch.linalg.vector_norm(x, 1),
    "nuclear norm": lambda x: torch.linalg.matrix_norm(x, "nuc"),
    "softmin": lambda x: F.softmin(x, 1),
    "nll_loss": lambda x: F.nll_loss(x * x, torch.tensor([1, 0, 3])),
    "cumprod": lambda x: x.cumprod(1),
    "logcumsumexp": lambda x: x.logcumsumexp(0),
    "cummax": lambda x: x.cummax(1)[0],
    "cummin": lambda x: x.cummin(0)[0],
    "sort": lambda x: x.sort(1, descending=True)[0] * x,
    "topk": lambda x: x.topk(2, 1)[0] ** 2,
    "kthvalue": lambda x: x.kthvalue(2, 0)[0] ** 2,
    "median": lambda x: x.median(1)[0] ** 2,
    "mode": lambda x: x.mode(1)[0] ** 2,
    "scatter": lambda x: (x * x).scatter(1, torch.tensor([[0], [3], [1]]), x[:, :1].sin()),
    "scatter_add": lambda x: (x * x).scatter_add(1, torch.tensor([[0, 0], [3, 1], [1, 1]]),
                                                 x[:, :2].sin()),
    "scatter_reduce of products": lambda x: (x * x).scatter_reduce(
        1, torch.tensor([[0, 2], [3, 1], [1, 0]]), x[:, :2].sin(), "prod"),
    "index_copy": lambda x: (x * x).index_copy(0, torch.tensor([2, 0]), x[:2].sin()),
    "index_select": lambda x: x.index_select(1, torch.tensor([3, 3, 0])) ** 2,
    "index_put": lambda x: (x * x).index_put((torch.tensor([0, 2]),), x[:2].sin()),
    "masked_scatter": lambda x: (x * x).masked_scatter(x > 0, x.sin()),
    "take_along_dim": lambda x: x.take_along_dim(torch.tensor([[1], [0], [3]]), 1) ** 2,
    "roll": lambda x: x.roll((1, -1), (0, 1)) * x,
    "pad": lambda x: F.pad(x, (1, 2), value=0.5) ** 2,
    "reflect": lambda x: F.pad(x[None], (2, 1), mode="reflect") ** 2,
    "diag_embed": lambda x: torch.diag_embed(x * x),
    "tril": lambda x: (x * x).tril(),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 0) ** 2,
    "movedim": lambda x: x.movedim(0, 1) * x.sin().t(),
    "select and unbind": lambda x: x.select(0, 1) * x.unbind(0)[2],
    "split": lambda x: x.split([1, 3], 1)[1] ** 2,
    "max_pool": lambda x: F.max_pool1d(x[None], 2) ** 2,
    "avg_pool": lambda x: F.avg_pool1d(x[None], 3, 1, 1) ** 2,
    "conv1d": lambda x: F.conv1d(x[None], x[:, :3].reshape(1, 3, 3)),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None].sin(), x[None]),
    "fft": lambda x: torch.fft.rfft(x).abs(),
    "inverse": lambda x: torch.linalg.inv(x @ x.t() + torch.eye(3, dtype=x.dtype)),
    "det": lambda x: torch.linalg.det(x[:, :3]),
    "cholesky": lambda x: torch.linalg.cholesky(x @ x.t() + torch.eye(3, dtype=x.dtype)),
    "gelu_tanh once more": lambda x: torch.autograd.grad(
        F.gelu(x, approximate="tanh").sum(), x, create_graph=True)[0],
}


@pytest.mark.parametrize("name", RULES)
def test_gradient_rule(name, monkeypatch):
    monkeypatch.setattr(config, "backend", "reference")
    values = np.random.default_rng(1).normal(size=(3, 4))
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    assert gradcheck(RULES[name], x, atol=1e-6, rtol=1e-4)
    assert gradgradcheck(RULES[name], x, atol=1e-5, rtol=1e-4)


TWO = {
    "matmul": lambda a, b: a @ b.t(),
    "batched": lambda a, b: a.view(3, 1, 4) @ b.view(3, 4, 1),
    "linear": lambda a, b: F.linear(a, b, b[:, 0]),
    "layer_norm_affine": lambda a, b: F.layer_norm(a, (4,), b[0], b[1]),
    "rms_norm_weight": lambda a, b: F.rms_norm(a, (4,), b[0]),
    "mse": F.mse_loss,
    "l1": F.smooth_l1_loss,
    "cosine": lambda a, b: F.cosine_similarity(a, b),
    "cross_entropy_probabilities": lambda a, b: F.cross_entropy(a, torch.softmax(b, 1)),
    "kl": lambda a, b: F.kl_div(a, torch.softmax(b, 1), reduction="batchmean"),
    "embedding": lambda a, b: F.embedding(torch.tensor([1, 2, 2]), a, padding_idx=0) * b,
    "index_add": lambda a, b: a.index_add(0, torch.tensor([0, 0, 2]), b),
    "in_place": lambda a, b: (a * 1).mul_(b).sin_().add_(a),
    "in_place_view": lambda a, b: _written(a, b),
}


def _written(a, b):
    c = a * 1
    c[1:].mul_(b[:2])
    c.t()[0] = b[:, 1] * a[:, 0]
    return c * c


@pytest.mark.parametrize("name", TWO)
def test_two_operands(name):
    draws = np.random.default_rng(2)
    a, b = (torch.tensor(draws.normal(size=(3, 4)), dtype=torch.float64, requires_grad=True)
            for _ in range(2))
    assert gradcheck(TWO[name], (a, b), atol=1e-6, rtol=1e-4)
    assert gradgradcheck(TWO[name], (a, b), atol=1e-5, rtol=1e-4)
