"""In: gradients. Out: gradients of a limited norm or of limited values."""

from __future__ import annotations

import math

import pytest

import jittensor as jt
from jittensor.nn import Parameter
from jittensor.nn.utils import clip_grad_norm_, clip_grad_value_


def parameters():
    made = [Parameter(jt.zeros(2)), Parameter(jt.zeros(1)), Parameter(jt.zeros(3))]
    made[0].grad, made[1].grad = jt.tensor([3.0, 0.0]), jt.tensor([-4.0])
    return made


@pytest.mark.parametrize(("p", "total"), [(2.0, 5.0), (1.0, 7.0), (math.inf, 4.0)])
def test_norm_is_limited(p, total):
    params = parameters()
    assert clip_grad_norm_(params, 1.0, p).item() == pytest.approx(total)
    assert params[0].grad[0].item() == pytest.approx(3 / total, rel=1e-5)
    assert params[1].grad.item() == pytest.approx(-4 / total, rel=1e-5)
    assert params[2].grad is None


def test_small_gradients_stay():
    params = parameters()
    clip_grad_norm_(params, 100.0)
    assert params[0].grad.tolist() == [3.0, 0.0]


def test_values_are_limited():
    params = parameters()
    clip_grad_value_(params, 3.5)
    assert (params[0].grad.tolist(), params[1].grad.tolist()) == ([3.0, 0.0], [-3.5])


def test_nonfinite_norm_is_refused_on_request():
    params = parameters()
    params[1].grad = jt.tensor([math.inf])
    with pytest.raises(RuntimeError, match="non-finite"):
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[0].grad.tolist() == [3.0, 0.0]
