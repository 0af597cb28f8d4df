"""In: empty weights. Out: each initial distribution within its bounds, and PyTorch's draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jittensor as jt
from jittensor.nn import init


def test_uniform_forms_draw_what_pytorch_draws():
    jt.manual_seed(0)
    assert init.xavier_uniform_(jt.empty(2, 2)).tolist() == [
        [-0.009169445373117924, 0.657006561756134],
        [-1.0080204010009766, -0.9013375639915466],
    ]


def test_bounds_and_deviations():
    weight = jt.empty(200, 50)
    assert np.abs(init.kaiming_uniform_(weight, nonlinearity="relu").numpy()).max() == (
        pytest.approx(math.sqrt(6 / 50), rel=1e-3)
    )
    std = init.kaiming_normal_(weight, mode="fan_out").numpy().std()
    assert std == pytest.approx(math.sqrt(2 / 200), rel=0.05)
    draws = init.trunc_normal_(weight, 0.0, 1.0, -1.0, 0.5).numpy()
    assert draws.min() >= -1 and draws.max() <= 0.5 and len(np.unique(draws)) > 1000
    far = init.trunc_normal_(weight, 0.0, 1.0, 2.0, 3.0).numpy()
    assert far.min() >= 2 and far.max() <= 3 and far.mean() < 2.45


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 2)])
def test_orthogonal(shape):
    w = init.orthogonal_(jt.empty(*shape), gain=2.0).numpy().reshape(shape[0], -1)
    square = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(square, 4 * np.eye(len(square)), atol=1e-5)


def test_eye_dirac_sparse():
    assert init.eye_(jt.ones(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    w = init.dirac_(jt.ones(4, 2, 3), groups=2).numpy()
    assert w.sum() == 4 and (w[[0, 1, 2, 3], [0, 1, 0, 1], 1] == 1).all()
    zeros = (init.sparse_(jt.empty(10, 4), 0.3).numpy() == 0).sum(0)
    assert zeros.tolist() == [3, 3, 3, 3]


def test_no_gradient_is_recorded_and_bad_arguments():
    weight = jt.ones(2, 2, requires_grad=True)
    assert init.normal_(weight) is weight and weight.grad_fn is None
    assert init.calculate_gain("leaky_relu", 1) == 1.0
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        init.xavier_normal_(jt.ones(2))
    with pytest.raises(ValueError, match="Mode sideways not supported"):
        init.kaiming_normal_(jt.ones(2, 2), mode="sideways")
    with pytest.warns(FutureWarning, match="nn.init.uniform_"):
        init.uniform(jt.ones(2))
