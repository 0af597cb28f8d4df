"""In: modules with computed weights. Out: weights that keep their promise through training."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor import nn
from jittensor.nn.utils import parametrizations, parametrize, prune


def trained(layer, steps=3):
    optimizer = jt.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        layer(jt.ones(2, layer.weight.shape[1])).square().sum().backward()
        optimizer.step()
    return layer


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("sizes", [(4, 4), (3, 5)])
def test_orthogonal_stays_so(how, sizes):
    layer = parametrizations.orthogonal(nn.Linear(*sizes[::-1]), orthogonal_map=how)
    before = layer.weight.detach().numpy().copy()
    weight = trained(layer).weight.detach().numpy()
    np.testing.assert_allclose(weight @ weight.T, np.eye(sizes[0]), atol=2e-5)
    assert np.abs(weight - before).max() > 1e-3


def test_spectral_norm_is_one():
    layer = parametrizations.spectral_norm(nn.Linear(5, 4), n_power_iterations=20)
    trained(layer)
    top = np.linalg.svd(layer.weight.detach().numpy(), compute_uv=False)[0]
    np.testing.assert_allclose(top, 1, rtol=1e-4)


def test_weight_norm_separates_length():
    layer = parametrizations.weight_norm(nn.Linear(5, 4))
    trained(layer)
    lengths = np.linalg.norm(layer.weight.detach().numpy(), axis=1)
    held = layer.parametrizations.weight.original0.detach().numpy()
    np.testing.assert_allclose(lengths, np.abs(held[:, 0]), rtol=1e-5)


def test_remove_leaves_the_value():
    layer = parametrizations.orthogonal(nn.Linear(4, 4))
    value = layer.weight.detach().numpy().copy()
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)
    np.testing.assert_array_equal(layer.weight.detach().numpy(), value)


def test_pruned_elements_stay_zero_and_others_train():
    layer = prune.l1_unstructured(nn.Linear(5, 4), "weight", amount=0.5)
    before = layer.weight.detach().numpy().copy()
    trained(layer)(jt.ones(1, 5))       # a call computes the weight anew
    after = layer.weight.detach().numpy()
    assert (before == 0).sum() == 10 and ((after == 0) == (before == 0)).all()
    assert np.abs(after - before).max() > 1e-3
    prune.remove(layer, "weight")
    np.testing.assert_array_equal(layer.weight.detach().numpy(), after)


def test_prune_failure_changes_nothing():
    layer = nn.Linear(5, 4)
    weight = layer.weight
    with pytest.raises(ValueError, match="should be smaller"):
        prune.l1_unstructured(layer, "weight", amount=100)
    assert layer.weight is weight and not prune.is_pruned(layer)
    assert sorted(layer.state_dict()) == ["bias", "weight"]


def test_vectors():
    vector = jt.nn.utils.parameters_to_vector(nn.Linear(2, 2).parameters())
    layer = nn.Linear(2, 2)
    jt.nn.utils.vector_to_parameters(vector.detach(), layer.parameters())
    np.testing.assert_array_equal(
        jt.nn.utils.parameters_to_vector(layer.parameters()).detach().numpy(),
        vector.detach().numpy())
