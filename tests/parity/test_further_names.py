"""In: names that older programs call. Out: PyTorch's answers, or the class of its error."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")

X = [[0.5, -1.0, 2.0], [0.0, 3.0, -0.25]]
CASES = {
    "is_nonzero": lambda t, x: (t.is_nonzero(x[0, 0]), x[1, 0].is_nonzero(), x.is_same_size(x.t()),
                                t.is_same_size(x, x), t.is_signed(x), t.is_conj(x), t.is_neg(x),
                                t.is_inference(x), t.is_distributed(x), t.get_device(x)),
    "is_nonzero of many": lambda t, x: t.is_nonzero(x),
    "dense_dim": lambda t, x: (x.dense_dim(), x.sparse_dim(), x.is_xla, x.is_mtia),
    "map2_": lambda t, x: x.clone().map2_(x * 2, x.exp(), lambda a, b, c: a + b * c),
    "new": lambda t, x: (x.new([1, 2]), x.new(2, 3).shape, x.double().new([1]).dtype),
    "resize": lambda t, x: (x.resize(3, 2), x.resize_as(x.t())),
    "resize to fewer": lambda t, x: x.resize(2, 2),
    "as_subclass of a number": lambda t, x: x.as_subclass(int),
    "eig": lambda t, x: t.eig(x), "lstsq": lambda t, x: x.lstsq(x),
    "matrix_rank": lambda t, x: t.matrix_rank(x), "symeig": lambda t, x: x.symeig(),
    "solve": lambda t, x: t.solve(x, x),
    "celu_": lambda t, x: (t.celu_(x.clone()), t.selu_(x.clone()), t.rrelu_(x.clone())),
    "kl_div": lambda t, x: (t.kl_div(x, x.exp()), t.kl_div(x, x, 0, log_target=True),
                            t.kl_div(x, x.exp(), 2)),
    "cosine_similarity": lambda t, x: (t.cosine_similarity(x, x.exp(), 1),
                                       t.pairwise_distance(x, x.exp())),
    "with_logits": lambda t, x: (t.binary_cross_entropy_with_logits(x, x.sigmoid()),
                                 t.binary_cross_entropy_with_logits(x, x, None, None, 2)),
    "bilinear": lambda t, x: t.bilinear(x, x, t.ones(2, 3, 3), t.ones(2)),
    "embedding_bag": lambda t, x: t.embedding_bag(x, t.tensor([0, 1, 1]), t.tensor([0, 1]))[0],
    "channels": lambda t, x: t.native_channel_shuffle(x.repeat(1, 2).view(1, 4, 3, 1), 2),
    "dropout_": lambda t, x: (t.dropout_(x.clone(), 0.5, False), t.feature_dropout(
        x.view(1, 2, 3, 1), 0.5, False), t.alpha_dropout_(x.clone(), 0.5, False)),
    "anomaly": lambda t, x: (t.is_anomaly_enabled(), t.is_anomaly_check_nan_enabled()),
    "int32 sums": lambda t, x: (t.einsum("ij->i", x.int()), x.int()[0, 0].sum_to_size(()),
                                t.unravel_index(t.tensor([3], dtype=t.int32), (2, 2))[0]),
    "gradient in another dtype": lambda t, x: _gradient(t),
    **{f"segment_reduce {kind}": lambda t, x, kind=kind: _segments(t, kind)
       for kind in ("sum", "mean", "max", "min", "prod")},
    "segments of rows": lambda t, x: t.segment_reduce(
        x, "sum", lengths=t.tensor([[1, 2], [3, 0]]), axis=1),
    "segments by offsets": lambda t, x: t.segment_reduce(
        x.flatten(), "max", offsets=t.tensor([0, 2, 2, 5])),
    "segments of too few": lambda t, x: t.segment_reduce(x, "sum", lengths=t.tensor([1])),
    "segments of integers": lambda t, x: t.segment_reduce(x.int(), "sum", lengths=t.tensor([2])),
    "segments without lengths": lambda t, x: t.segment_reduce(x, "sum"),
    "an unknown reduction": lambda t, x: t.segment_reduce(x, "any", lengths=t.tensor([2])),
}


def _segments(t, kind):
    data = t.arange(1.0, 9.0, dtype=t.float64).view(4, 2).requires_grad_()
    out = t.segment_reduce(data, kind, lengths=t.tensor([2, 0, 2]))
    first = t.segment_reduce(data, kind, lengths=t.tensor([1, 3]), initial=3.0)
    (out[::2].square().sum() + first.square().sum()).backward()
    return out.nan_to_num(-1.0), first, data.grad


def _gradient(t):
    x = t.tensor([1.0, 2.0], dtype=t.float64, requires_grad=True)
    return t.autograd.grad(x.half(), x, t.tensor([0.1, 0.2], dtype=t.float64))[0]


def plain(value):
    """An answer as numbers and names."""
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, (torch.Tensor, jt.Tensor)):
        return [str(value.dtype), np.asarray(value.detach().numpy(), np.float64).round(5).tolist()]
    return str(value)


def answer(t, name: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return plain(CASES[name](t, t.tensor(X)))
        except Exception as error:
            return type(error).__name__


@pytest.mark.parametrize("name", CASES)
def test_answer(name: str, monkeypatch) -> None:
    monkeypatch.setattr(jt.config, "backend", "reference")
    assert answer(jt, name) == answer(torch, name)


def test_a_subclass_keeps_its_gradient() -> None:
    class Named(jt.Tensor):
        pass

    x = jt.tensor([1.0, 2.0], requires_grad=True)
    y = x.as_subclass(Named)
    assert type(y) is Named and type(x) is jt.Tensor
    (y * y).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
