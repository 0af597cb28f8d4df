"""In: numbers on both sides of every kink. Out: NumPy's activations, gradients, in-place forms."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor import nn
from jittensor.nn import functional as F

X = np.array([-7.0, -2.5, -0.75, -0.1, 0.2, 0.9, 2.0, 6.5], dtype="float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


CASES = {
    "ReLU": (nn.ReLU, lambda x: np.maximum(x, 0)),
    "ReLU6": (nn.ReLU6, lambda x: np.clip(x, 0, 6)),
    "LeakyReLU": (lambda **k: nn.LeakyReLU(0.2, **k), lambda x: np.where(x > 0, x, 0.2 * x)),
    "ELU": (lambda **k: nn.ELU(0.7, **k), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    "CELU": (lambda **k: nn.CELU(2.0, **k), lambda x: np.where(x > 0, x, 2 * np.expm1(x / 2))),
    "SiLU": (nn.SiLU, lambda x: x * sigmoid(x)),
    "Mish": (nn.Mish, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "Hardsigmoid": (nn.Hardsigmoid, lambda x: np.clip(x + 3, 0, 6) / 6),
    "Hardswish": (nn.Hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "Hardtanh": (lambda **k: nn.Hardtanh(-2, 1, **k), lambda x: np.clip(x, -2, 1)),
    "Threshold": (lambda **k: nn.Threshold(0.5, -3, **k), lambda x: np.where(x > 0.5, x, -3)),
    "Softplus": (nn.Softplus, lambda x: np.log1p(np.exp(x))),
    "Softsign": (nn.Softsign, lambda x: x / (1 + np.abs(x))),
    "Tanhshrink": (nn.Tanhshrink, lambda x: x - np.tanh(x)),
    "LogSigmoid": (nn.LogSigmoid, lambda x: np.log(sigmoid(x))),
    "Softshrink": (nn.Softshrink, lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    "Hardshrink": (nn.Hardshrink, lambda x: np.where(np.abs(x) > 0.5, x, 0)),
    "PReLU": (lambda: nn.PReLU(init=0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
    "Softmax": (lambda: nn.Softmax(0), lambda x: np.exp(x) / np.exp(x).sum()),
    "Softmin": (lambda: nn.Softmin(0), lambda x: np.exp(-x) / np.exp(-x).sum()),
    "GLU": (nn.GLU, lambda x: x[:4] * sigmoid(x[4:])),
}
INPLACE = ["ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SiLU", "Mish", "Hardsigmoid"]
INPLACE += ["Hardswish", "Hardtanh", "Threshold"]


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradient(name):
    make, reference = CASES[name]
    x = jt.tensor(X, requires_grad=True)
    y = make()(x)
    np.testing.assert_allclose(y.detach().numpy(), reference(X), rtol=2e-5, atol=1e-6)
    y.sum().backward()
    wide, step = X.astype("float64"), 1e-6
    for i in range(len(X)):
        up, down = wide.copy(), wide.copy()
        up[i] += step
        down[i] -= step
        slope = (reference(up).sum() - reference(down).sum()) / (2 * step)
        assert x.grad[i].item() == pytest.approx(slope, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", INPLACE)
def test_inplace_writes_the_input_and_keeps_the_gradient(name):
    make, reference = CASES[name]
    plain = jt.tensor(X, requires_grad=True)
    make()(plain * 1).sum().backward()
    x = jt.tensor(X, requires_grad=True)
    y = x * 1
    z = make(inplace=True)(y)
    assert z is y
    np.testing.assert_allclose(y.detach().numpy(), reference(X), rtol=2e-5, atol=1e-6)
    z.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), plain.grad.numpy())


def test_inplace_on_a_leaf_is_refused():
    with pytest.raises(RuntimeError, match="leaf"):
        F.silu(jt.ones(2, requires_grad=True), inplace=True)


def test_rrelu_draws_what_pytorch_draws():
    jt.manual_seed(0)
    slopes = nn.RReLU()(jt.tensor([-1.0, 1.0, -1.0])).tolist()
    assert slopes == [-0.3270943760871887, 1.0, -0.27246248722076416]


def test_bad_arguments():
    with pytest.raises(RuntimeError, match="Halving dimension must be even"):
        F.glu(jt.ones(3))
    with pytest.raises(RuntimeError, match="parameter numbers = 2 and channel size = 3"):
        F.prelu(jt.ones(2, 3), jt.ones(2))
    with pytest.raises(ValueError, match="min_val cannot be greater"):
        F.hardtanh(jt.ones(2), 2.0, 1.0)
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        F.softmax(jt.ones(2, 3))


def test_gumbel_softmax_hard_is_one_hot():
    y = F.gumbel_softmax(jt.zeros(5, 4), hard=True).numpy()
    assert (np.sort(y, 1) == [0, 0, 0, 1]).all()
