"""In: modules that get their sizes from their first input. Out: ordinary modules afterwards."""

from __future__ import annotations

import pytest

import jittensor as jt
from jittensor import nn


@pytest.mark.parametrize(("lazy", "shape", "becomes", "weight"), [
    (lambda: nn.LazyLinear(3), (2, 5), nn.Linear, (3, 5)),
    (lambda: nn.LazyConv2d(4, 3), (2, 6, 5, 5), nn.Conv2d, (4, 6, 3, 3)),
    (lambda: nn.LazyConvTranspose1d(4, 3, groups=2), (2, 6, 5), nn.ConvTranspose1d, (6, 2, 3)),
    (lambda: nn.LazyBatchNorm1d(), (2, 6), nn.BatchNorm1d, (6,)),
    (lambda: nn.LazyInstanceNorm1d(), (2, 6, 5), nn.InstanceNorm1d, (6,)),
])
def test_first_input(lazy, shape, becomes, weight):
    made = lazy()
    assert made.has_uninitialized_params()
    held = made.weight
    assert nn.parameter.is_lazy(held) and held.requires_grad
    out = made(jt.ones(shape))
    assert type(made) is becomes and made.weight is held and tuple(held.shape) == weight
    assert out.shape == becomes.forward(made, jt.ones(shape)).shape
    assert type(held) is nn.Parameter


def test_values_before_and_after():
    made = nn.LazyLinear(2, dtype=jt.float64)
    with pytest.raises(ValueError, match="uninitialized parameter in"):
        made.weight.sum()
    with pytest.raises(RuntimeError, match="access the shape"):
        made.weight.shape  # noqa: B018
    assert repr(made.weight) == "<UninitializedParameter>" and made.weight.dtype is jt.float64
    made.weight.materialize((2, 3))
    assert made.weight.shape == (2, 3) and made.weight.dtype is jt.float64


def test_load_gives_shapes():
    full = nn.LazyLinear(2)
    full(jt.ones(1, 4))
    made = nn.LazyLinear(2)
    made.load_state_dict(full.state_dict())
    assert made.weight.shape == (2, 4)
    made(jt.ones(1, 4))
    assert made.in_features == 4
    other = nn.LazyLinear(2)
    other.load_state_dict(full.state_dict())
    with pytest.raises(AssertionError, match="inferred from input: 3"):
        other(jt.ones(1, 3))
