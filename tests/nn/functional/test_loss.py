"""In: predictions and targets. Out: losses by their formulas in NumPy, reductions, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor import nn
from jittensor.nn import functional as F

rng = np.random.default_rng(0)
X = rng.normal(size=(4, 3)).astype("float32")
Y = rng.normal(size=(4, 3)).astype("float32")
P = rng.uniform(0.1, 0.9, size=(4, 3)).astype("float32")
Q = rng.uniform(0.1, 0.9, size=(4, 3)).astype("float32")
SIGN = np.where(Y > 0, 1, -1).astype("float32")
D = np.abs(X - Y)

CASES = {
    "l1": (lambda r: nn.L1Loss(reduction=r), (X, Y), D),
    "mse": (lambda r: nn.MSELoss(reduction=r), (X, Y), D**2),
    "smooth_l1": (
        lambda r: nn.SmoothL1Loss(reduction=r, beta=0.5),
        (X, Y),
        np.where(D < 0.5, D**2, D - 0.25),
    ),
    "huber": (
        lambda r: nn.HuberLoss(reduction=r, delta=0.5),
        (X, Y),
        np.where(D < 0.5, D**2 / 2, 0.5 * (D - 0.25)),
    ),
    "bce": (lambda r: nn.BCELoss(reduction=r), (P, Q), -Q * np.log(P) - (1 - Q) * np.log(1 - P)),
    "bce_logits": (
        lambda r: nn.BCEWithLogitsLoss(reduction=r),
        (X, Q),
        (1 - Q) * X + np.log1p(np.exp(-X)),
    ),
    "kl": (lambda r: nn.KLDivLoss(reduction=r), (X, Q), Q * (np.log(Q) - X)),
    "poisson": (lambda r: nn.PoissonNLLLoss(reduction=r), (X, Q), np.exp(X) - Q * X),
    "gaussian": (
        lambda r: nn.GaussianNLLLoss(reduction=r),
        (X, Y, P),
        0.5 * (np.log(P) + (X - Y) ** 2 / P),
    ),
    "hinge": (
        lambda r: nn.HingeEmbeddingLoss(reduction=r),
        (X, SIGN),
        np.where(SIGN == 1, X, np.maximum(0, 1 - X)),
    ),
    "ranking": (
        lambda r: nn.MarginRankingLoss(0.1, reduction=r),
        (X, Y, SIGN),
        np.maximum(0, -SIGN * (X - Y) + 0.1),
    ),
    "soft_margin": (
        lambda r: nn.SoftMarginLoss(reduction=r),
        (X, SIGN),
        np.log1p(np.exp(-SIGN * X)),
    ),
}


@pytest.mark.filterwarnings("ignore:reduction. 'mean'")
@pytest.mark.parametrize("name", CASES)
def test_formula_and_reductions(name):
    make, arguments, loss = CASES[name]
    arguments = [jt.from_numpy(a.copy()) for a in arguments]
    for reduction, want in (("none", loss), ("sum", loss.sum()), ("mean", loss.mean())):
        got = make(reduction)(*arguments).numpy()
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-6)


def log_softmax(x):
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def test_cross_entropy_of_classes():
    classes = np.array([0, 2, -100, 1])
    weight = np.array([0.5, 1.0, 2.0], dtype="float32")
    logp, kept = log_softmax(X), classes != -100
    picked, w = -logp[kept, classes[kept]], weight[classes[kept]]
    x, target = jt.from_numpy(X), jt.from_numpy(classes)
    got = F.cross_entropy(x, target).item()
    assert got == pytest.approx(picked.mean(), rel=1e-5)
    got = F.cross_entropy(x, target, jt.from_numpy(weight)).item()
    assert got == pytest.approx((picked * w).sum() / w.sum(), rel=1e-5)
    smooth = -(logp * weight).sum(1)[kept].sum() / w.sum()
    want = 0.7 * (picked * w).sum() / w.sum() + 0.3 / 3 * smooth
    got = F.cross_entropy(x, target, jt.from_numpy(weight), label_smoothing=0.3).item()
    assert got == pytest.approx(want, rel=1e-5)


def test_cross_entropy_of_probabilities():
    target = P / P.sum(1, keepdims=True)
    want = -(log_softmax(X) * target).sum(1)
    got = F.cross_entropy(jt.from_numpy(X), jt.from_numpy(target), reduction="none").numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5)
    with pytest.raises(RuntimeError, match="label_smoothing must be between"):
        F.cross_entropy(jt.from_numpy(X), jt.from_numpy(target), label_smoothing=1.5)


def test_cross_entropy_gradient_is_softmax_minus_target():
    x = jt.tensor(X, requires_grad=True)
    F.cross_entropy(x, jt.tensor([0, 2, 1, 1]), reduction="sum").backward()
    want = np.exp(log_softmax(X)) - np.eye(3)[[0, 2, 1, 1]]
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-4, atol=1e-6)


def test_bce_stays_finite_at_zero_and_one():
    x = jt.tensor([0.0, 1.0, 0.0], requires_grad=True)
    loss = F.binary_cross_entropy(x, jt.tensor([0.0, 1.0, 1.0]), reduction="none")
    assert loss.tolist() == [0.0, 0.0, 100.0]
    loss.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, pytest.approx(-1e12)]
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(jt.tensor([1.5]), jt.tensor([1.0]))


def test_cosine_embedding():
    dot = (X * Y).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1)
    target = np.array([1, -1, 1, -1], dtype="float32")
    want = np.where(target == 1, 1 - dot, np.maximum(0, dot - 0.1))
    loss = nn.CosineEmbeddingLoss(0.1, reduction="none")
    got = loss(jt.from_numpy(X), jt.from_numpy(Y), jt.from_numpy(target)).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_old_arguments_and_bad_names():
    with pytest.warns(UserWarning, match="reduction='sum'"):
        assert nn.MSELoss(size_average=False).reduction == "sum"
    with pytest.raises(ValueError, match="avg is not a valid value"):
        F.mse_loss(jt.ones(2), jt.ones(2), reduction="avg")
    with pytest.warns(UserWarning, match="different to the input size"):
        F.l1_loss(jt.ones(2), jt.ones(1))
    with pytest.raises(ValueError, match="different to the input size"):
        F.binary_cross_entropy(jt.ones(2), jt.ones(1))
