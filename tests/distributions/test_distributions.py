"""Distributions by themselves: moments of many draws, densities that integrate to one, gradients of
draws against SciPy's quantiles, seeds and registered divergences."""

import math

import numpy as np
import pytest
from scipy import stats

import jittensor as torch
from jittensor import distributions as D
from jittensor.kernels import rejection_draws
from jittensor.kernels.random_draws import MersenneTwister

FAMILIES = [
    D.Normal(1.0, 2.0), D.Bernoulli(0.3), D.Uniform(-1.0, 3.0), D.Beta(2.0, 3.0),
    D.Gamma(0.4, 2.0), D.Gamma(7.0, 0.5), D.Exponential(1.5), D.Poisson(3.0), D.Poisson(40.0),
    D.Binomial(9, 0.7), D.Binomial(300, 0.4), D.Laplace(1.0, 0.5), D.LogNormal(0.0, 0.4),
    D.HalfNormal(2.0), D.Geometric(0.4), D.StudentT(9.0), D.Gumbel(1.0, 2.0), D.Weibull(1.0, 2.0),
    D.NegativeBinomial(4.0, 0.4), D.Pareto(1.0, 6.0), D.Chi2(3.0),
]


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_draws_have_the_moments(family):
    torch.manual_seed(11)
    x = family.sample((40000,)).numpy().astype(np.float64)
    mean, deviation = float(family.mean), float(family.stddev)
    assert abs(x.mean() - mean) < 5 * deviation / 200
    assert abs(x.std() / deviation - 1) < 0.1


@pytest.mark.parametrize("family", [f for f in FAMILIES if not f.support.is_discrete], ids=repr)
def test_densities_integrate_to_one_and_give_the_entropy(family):
    torch.manual_seed(0)
    x = np.sort(family.sample((20000,)).numpy().astype(np.float64))
    edges = np.geomspace(1e-9, x[-1] * 50, 200000) if x[0] > 0 else np.linspace(
        float(family.mean) - 60, float(family.mean) + 60, 400001)
    middle = torch.tensor((edges[1:] + edges[:-1]) / 2)
    there = family.support.check(middle)
    log_prob = family.log_prob(middle[there]).numpy()
    weight = np.exp(log_prob) * np.diff(edges)[there.numpy()]
    assert abs(weight.sum() - 1) < 2e-3
    inside = weight > 0
    assert abs(-(weight[inside] * log_prob[inside]).sum() - float(family.entropy())) < 2e-2


def test_gamma_and_beta_draws_move_as_their_quantiles():
    random = np.random.default_rng(0)
    a = np.exp(random.uniform(-1, 6, 300))
    x = random.gamma(a)
    step = 1e-5 * a
    want = -(stats.gamma.cdf(x, a + step) - stats.gamma.cdf(x, a - step)) / (
        2 * step) / stats.gamma.pdf(x, a)
    got = torch._standard_gamma_grad(torch.tensor(a), torch.tensor(x)).numpy()
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-9)
    b = np.exp(random.uniform(-1, 4, 300))
    x = np.clip(random.beta(a, b), 1e-3, 1 - 1e-3)
    want = -(stats.beta.cdf(x, a + step, b) - stats.beta.cdf(x, a - step, b)) / (
        2 * step) / stats.beta.pdf(x, a, b) / (1 - x)
    got = torch._dirichlet_grad(*map(torch.tensor, (x, a, a + b))).numpy()
    usual = np.isfinite(want) & (stats.beta.pdf(x, a, b) > 1e-4)
    assert usual.sum() > 150
    np.testing.assert_allclose(got[usual], want[usual], rtol=2e-5, atol=1e-9)


def test_an_interrupted_buffer_gives_the_same_draws():
    rates = np.random.default_rng(0).uniform(0, 60, 3000)
    whole, pieces = MersenneTwister(5), MersenneTwister(5)
    want = rejection_draws.poisson(whole, rates)
    got = np.concatenate([rejection_draws.poisson(pieces, part) for part in np.split(rates, 30)])
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(whole.get_state(), pieces.get_state())
    alpha = np.full(999, 0.3)
    a, b = MersenneTwister(5), MersenneTwister(5)
    want = rejection_draws.standard_gamma(a, alpha)
    got = rejection_draws._draw(b, rejection_draws._GAMMA, alpha, words=1)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(a.get_state(), b.get_state())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_odd_parameters_end(value):
    x = torch.tensor([value])
    for got in (torch.poisson(x), torch._standard_gamma(x), torch.binomial(x, torch.tensor([0.5])),
                torch.binomial(torch.tensor([5.0]), torch.tensor([math.nan]))):
        assert not math.isfinite(got.item())


def test_registering_a_divergence():
    class Mine(D.Normal):
        pass

    one, two = Mine(0.0, 1.0), D.Normal(1.0, 1.0)
    assert float(D.kl_divergence(one, two)) == 0.5

    @D.register_kl(Mine, D.Normal)
    def mine(p, q):
        return torch.tensor(7.0)

    assert float(D.kl_divergence(one, two)) == 7.0
    with pytest.raises(TypeError):
        D.register_kl(int, D.Normal)
    with pytest.raises(NotImplementedError):
        D.kl_divergence(D.Cauchy(0.0, 1.0), D.StudentT(3.0))


def test_a_subclass_with_an_init_of_its_own_has_to_expand():
    class Mine(D.Normal):
        def __init__(self):
            super().__init__(0.0, 1.0)

    with pytest.raises(NotImplementedError):
        Mine().expand((2,))


def test_validation_can_be_switched_off():
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    D.Distribution.set_default_validate_args(False)
    try:
        assert D.Uniform(0.0, 1.0).log_prob(torch.tensor(3.0)).item() == -math.inf
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        D.Distribution.set_default_validate_args("no")


def test_indices_whose_bounds_are_known_are_checked_without_a_run():
    categories, value = D.Categorical(torch.ones(3)), torch.tensor([0, 2])
    before = torch.stats().realizes
    categories.log_prob(value)
    assert torch.stats().realizes == before
    with pytest.raises(ValueError, match="within the support"):
        categories.log_prob(torch.tensor([0, 3]))
