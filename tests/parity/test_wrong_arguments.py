"""In: calls with an argument of the wrong type, dtype, size or none at all. Out: the class of
PyTorch's error."""

from __future__ import annotations

import pickle

import pytest

import jittensor as jt

torch = pytest.importorskip("torch")

CALLS = {
    "sum of text": lambda t: t.sum("a", 1),
    "mm with None": lambda t: t.mm(t.ones(2, 2), None),
    "dot with a list": lambda t: t.dot(t.ones(2), [1.0, 2.0]),
    "matmul with a number": lambda t: t.matmul(3, t.ones(2)),
    "dim is text": lambda t: t.ones(2, 2).sum("a"),
    "dim is a tensor": lambda t: t.cumsum(t.ones(2, 2), t.ones(3)),
    "dim is a float": lambda t: t.unsqueeze(t.ones(2), 0.5),
    "dim of a softmax is a float": lambda t: [t.softmax(t.ones(2, 2), dim) for dim in (1, 1.0)],
    "dim of a cat is a float": lambda t: [t.cat([t.ones(2, 2)], dim) for dim in (1, 1.0)],
    "dim of a stack is a float": lambda t: [t.stack([t.ones(2, 2)], dim) for dim in (1, 1.0)],
    "dim is too large for 64 bits": lambda t: t.softmax(t.ones(2, 2), 2 ** 70),
    "dtype is text": lambda t: t.zeros(2, dtype="float32"),
    "dtype of a layer is text": lambda t: t.nn.Linear(2, 2, dtype="float32"),
    "dtype of a sum is text": lambda t: t.sum(t.ones(2), dtype="float32"),
    "out is a number": lambda t: t.zeros(2, out=5),
    "einsum of a number": lambda t: t.einsum("i,i", t.ones(2), 3),
    "zeros of no size": lambda t: t.zeros(),
    "randn of no size": lambda t: t.randn(),
    "rand of no size": lambda t: t.rand(),
    "randn of a negative size": lambda t: t.randn(2, -3),
    "multinomial of text": lambda t: t.multinomial("a", 2),
    "linspace from text": lambda t: t.linspace("a", 1, 3),
    "linspace from a vector": lambda t: t.linspace(t.ones(2), 1, 3),
    "full of a vector": lambda t: t.full((2,), t.ones(3)),
    "more memory than there is": lambda t: t.zeros(2 ** 40, 2 ** 40),
    "flatten of a number": lambda t: t.flatten(t.tensor(1.0), 0, 1),
    "flip of no dims": lambda t: t.flip(t.ones(2)),
    "narrow of a number": lambda t: t.narrow(t.tensor(1.0), 0, 0, 1),
    "tril by a float": lambda t: t.tril(t.ones(2, 2), 1.5),
    "unfold by a float": lambda t: t.ones(4).unfold(0, 1.5, 1),
    "fill_ with text": lambda t: t.ones(2).fill_("a"),
    "index_add of None": lambda t: t.ones(2).index_add(0, t.tensor([0]), None),
    "softmax of integers": lambda t: t.softmax(t.tensor([1, 2]), 0),
    "softmax of an integer, dim 1": lambda t: t.softmax(t.tensor([1, 2]), 1),
    "grad of text": lambda t: t.autograd.grad("a", t.ones(2)),
    "grad for text": lambda t: t.autograd.grad(t.ones(1, requires_grad=True).sum(), "a"),
    "conv2d of text": lambda t: t.nn.functional.conv2d("a", t.ones(1, 1, 1, 1)),
    "conv2d by text": lambda t: t.nn.functional.conv2d(t.ones(1, 1, 2, 2), t.ones(1, 1, 1, 1),
                                                       None, "a"),
    "conv2d padded by text": lambda t: t.nn.functional.conv2d(
        t.ones(1, 1, 2, 2), t.ones(1, 1, 1, 1), None, 1, "a"),
    "max_pool2d by text": lambda t: t.nn.functional.max_pool2d(t.ones(1, 1, 2, 2), "a"),
    "pad by text": lambda t: t.nn.functional.pad(t.ones(2), "a"),
    "linear with a number": lambda t: t.nn.functional.linear(t.ones(2, 2), t.ones(2, 2), 3),
    "linear with another dtype": lambda t: t.nn.functional.linear(
        t.ones(2, 2), t.ones(2, 2), t.ones(2, dtype=t.float64)),
    "layer_norm with another dtype": lambda t: t.nn.LayerNorm(2)(t.ones(2, 2, dtype=t.float64)),
    "batch_norm with another dtype": lambda t: t.nn.BatchNorm1d(2)(t.ones(2, 2, dtype=t.float64)),
    "batch_norm with one statistic": lambda t: t.nn.functional.batch_norm(
        t.ones(2, 2), None, t.ones(2), training=True),
    "mse_loss of text": lambda t: t.nn.functional.mse_loss("a", t.ones(2)),
    "cross_entropy with text": lambda t: t.nn.functional.cross_entropy(t.ones(2, 2), "a"),
    "nll_loss of integers": lambda t: t.nn.functional.nll_loss(
        t.ones(2, 2, dtype=t.int64), t.tensor([0, 1])),
    "cosine_similarity with None": lambda t: t.nn.functional.cosine_similarity(t.ones(2), None),
    "one_hot of text": lambda t: t.nn.functional.one_hot("a"),
}


@pytest.mark.parametrize("name", CALLS)
def test_class_of_the_error(name: str) -> None:
    classes = []
    for t in (torch, jt):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            CALLS[name](t)
        classes.append(caught.type.__name__)
    assert classes[0] == classes[1], caught.value


def test_what_torch_takes_after_all() -> None:
    assert jt.ones(2).copy_(3).tolist() == torch.ones(2).copy_(3).tolist()


def test_functions_pickle_by_name() -> None:
    for function in (jt.nn.functional.relu, jt.nn.functional.conv2d, jt.ones, jt.flatten):
        assert pickle.loads(pickle.dumps(function)) is function
