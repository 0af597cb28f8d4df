"""Distributions beside PyTorch's: draws of one seed, log-probabilities, moments, gradients."""

import math

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")

A = [0.5, 1.5, 4.0]
B = [2.0, 0.3, 1.0]
P = [0.2, 0.5, 0.9]
W = [[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]]
COV = [[2.0, 0.5], [0.5, 1.0]]

CASES = {
    "Normal": ("Normal", {"loc": B, "scale": A}, {}),
    "Bernoulli": ("Bernoulli", {"probs": P}, {}),
    "Bernoulli_logits": ("Bernoulli", {"logits": B}, {}),
    "Categorical": ("Categorical", {"probs": W}, {}),
    "Categorical_logits": ("Categorical", {"logits": W}, {}),
    "OneHotCategorical": ("OneHotCategorical", {"probs": W}, {}),
    "Multinomial": ("Multinomial", {"probs": W}, {"total_count": 7}),
    "Multinomial_logits": ("Multinomial", {"logits": W}, {"total_count": 7}),
    "Uniform": ("Uniform", {"low": [0.0, 1.0], "high": [2.0, 1.5]}, {}),
    "Beta": ("Beta", {"concentration1": A, "concentration0": B}, {}),
    "Gamma": ("Gamma", {"concentration": A, "rate": B}, {}),
    "Chi2": ("Chi2", {"df": A}, {}),
    "Dirichlet": ("Dirichlet", {"concentration": [A, B]}, {}),
    "Exponential": ("Exponential", {"rate": A}, {}),
    "Poisson": ("Poisson", {"rate": [0.5, 4.0, 30.0]}, {}),
    "Binomial": ("Binomial", {"probs": P}, {"total_count": 40}),
    "Binomial_logits": ("Binomial", {"logits": B}, {"total_count": 9}),
    "Laplace": ("Laplace", {"loc": B, "scale": A}, {}),
    "MultivariateNormal": (
        "MultivariateNormal", {"loc": [[1.0, 2.0]] * 3, "covariance_matrix": COV}, {}),
    "MultivariateNormal_tril": (
        "MultivariateNormal", {"loc": [1.0, 2.0], "scale_tril": [[1.5, 0.0], [0.3, 0.7]]}, {}),
    "MultivariateNormal_precision": (
        "MultivariateNormal", {"loc": [1.0, 2.0], "precision_matrix": COV}, {}),
    "LogNormal": ("LogNormal", {"loc": B, "scale": P}, {}),
    "HalfNormal": ("HalfNormal", {"scale": A}, {}),
    "HalfCauchy": ("HalfCauchy", {"scale": A}, {}),
    "Geometric": ("Geometric", {"probs": P}, {}),
    "Geometric_logits": ("Geometric", {"logits": B}, {}),
    "Cauchy": ("Cauchy", {"loc": B, "scale": A}, {}),
    "StudentT": ("StudentT", {"df": [0.7, 1.5, 5.0], "loc": B, "scale": A}, {}),
    "Gumbel": ("Gumbel", {"loc": B, "scale": A}, {}),
    "Pareto": ("Pareto", {"scale": A, "alpha": [0.5, 1.5, 3.0]}, {}),
    "Weibull": ("Weibull", {"scale": A, "concentration": [0.7, 1.5, 3.0]}, {}),
    "NegativeBinomial": ("NegativeBinomial", {"total_count": A, "probs": P}, {}),
    "RelaxedBernoulli": ("RelaxedBernoulli", {"temperature": 0.7, "probs": P}, {}),
    "RelaxedBernoulli_logits": ("RelaxedBernoulli", {"temperature": A, "logits": B}, {}),
    "RelaxedOneHotCategorical": (
        "RelaxedOneHotCategorical", {"temperature": 0.7, "probs": W}, {}),
    "RelaxedOneHotCategorical_logits": (
        "RelaxedOneHotCategorical", {"temperature": 1.5, "logits": W}, {}),
    "OneHotCategoricalStraightThrough": (
        "OneHotCategoricalStraightThrough", {"probs": W}, {}),
    "LogisticNormal": ("LogisticNormal", {"loc": B, "scale": P}, {}),
    "LogisticNormal_batch": ("LogisticNormal", {"loc": W, "scale": [P, P]}, {}),
    "Kumaraswamy": ("Kumaraswamy", {"concentration1": A, "concentration0": B}, {}),
    "VonMises": ("VonMises", {"loc": [0.0, 1.0, -2.0], "concentration": [0.5, 4.0, 20.0]}, {}),
    "InverseGamma": ("InverseGamma", {"concentration": A, "rate": B}, {}),
    "FisherSnedecor": ("FisherSnedecor", {"df1": [1.0, 3.0, 6.0], "df2": [1.5, 5.0, 9.0]}, {}),
    "LowRankMultivariateNormal": (
        "LowRankMultivariateNormal",
        {"loc": [1.0, 2.0, 3.0], "cov_factor": [[1.0, 0.3], [0.2, 0.5], [0.1, 2.0]],
         "cov_diag": P}, {}),
}
KINDS = ("float32", "float64")


def build(library, case, dtype, grad=False):
    family, parameters, others = CASES[case]
    given = {name: library.tensor(value, dtype=getattr(library, dtype), requires_grad=grad)
             for name, value in parameters.items()}
    return getattr(library.distributions, family)(**given, **others), given


def number(x):
    return x.detach().numpy()


def near(ours, theirs, dtype="float32", scale=1.0):
    ours, theirs = number(ours), number(theirs)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    bound = {"float32": 3e-5, "float64": 3e-9}[dtype] * scale
    np.testing.assert_allclose(ours, theirs, rtol=bound, atol=bound)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_draws_and_log_probabilities(case, dtype):
    ours, _ = build(jt, case, dtype)
    theirs, _ = build(torch, case, dtype)
    assert repr(ours) == repr(theirs)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert repr(ours.support) == repr(theirs.support) and ours.has_rsample == theirs.has_rsample
    jt.manual_seed(3)
    torch.manual_seed(3)
    for shape in ((), (2,), (5, 4)):
        drawn, expected = ours.sample(shape), theirs.sample(shape)
        near(drawn, expected, dtype)
        near(ours.log_prob(jt.tensor(expected.numpy())), theirs.log_prob(expected), dtype, 10)
    np.testing.assert_array_equal(jt.get_rng_state().numpy(), torch.get_rng_state().numpy())


@pytest.mark.parametrize("case", CASES)
def test_moments(case):
    ours, _ = build(jt, case, "float64")
    theirs, _ = build(torch, case, "float64")
    for name in ("mean", "mode", "variance", "stddev", "entropy", "enumerate_support"):
        def get(d, name=name):
            value = getattr(d, name)
            return value() if callable(value) else value
        try:
            expected = get(theirs)
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                get(ours)
            continue
        if name == "entropy" and case == "Poisson":
            continue
        np.testing.assert_allclose(number(get(ours)), number(expected), rtol=1e-9, atol=1e-12,
                                   err_msg=name)
    x = theirs.sample()
    for name, value in (("cdf", x), ("icdf", torch.full(x.shape, 0.3, dtype=torch.float64))):
        try:
            expected = getattr(theirs, name)(value)
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                getattr(ours, name)(jt.tensor(value.numpy()))
            continue
        near(getattr(ours, name)(jt.tensor(value.numpy())), expected, "float64", 100)


@pytest.mark.parametrize("case", CASES)
def test_gradients(case):
    ours, mine = build(jt, case, "float64", True)
    theirs, others = build(torch, case, "float64", True)
    jt.manual_seed(5)
    torch.manual_seed(5)
    x = theirs.rsample((6,)) if theirs.has_rsample else theirs.sample((6,))
    y = ours.rsample((6,)) if ours.has_rsample else ours.sample((6,))
    assert y.requires_grad == x.requires_grad
    sampled = (y.sin() if y.requires_grad else y).sum()
    expected = (x.sin() if x.requires_grad else x).sum()
    fixed = x.detach()
    total = ours.log_prob(jt.tensor(fixed.numpy())).sum() + sampled
    wanted = theirs.log_prob(fixed).sum() + expected
    if case != "Poisson":
        total, wanted = total + ours.entropy().sum() if has_entropy(theirs) else total, (
            wanted + theirs.entropy().sum() if has_entropy(theirs) else wanted)
    total.backward()
    wanted.backward()
    # PyTorch's implicit gradients are approximations good to three digits
    bound = 3e-3 if case in ("Gamma", "Beta", "Chi2", "Dirichlet", "StudentT", "InverseGamma",
                             "FisherSnedecor") else 1e-8
    for name, parameter in others.items():
        if parameter.grad is None:
            assert mine[name].grad is None
        else:
            np.testing.assert_allclose(number(mine[name].grad), number(parameter.grad),
                                       rtol=bound, atol=bound, err_msg=name)


def has_entropy(distribution):
    try:
        distribution.entropy()
    except NotImplementedError:
        return False
    return True


@pytest.mark.parametrize("case", CASES)
def test_expand(case):
    ours, _ = build(jt, case, "float32")
    theirs, _ = build(torch, case, "float32")
    shape = (4, *theirs.batch_shape)
    wide, expected = ours.expand(shape), theirs.expand(shape)
    assert repr(wide) == repr(expected) and tuple(wide.batch_shape) == shape
    jt.manual_seed(1)
    torch.manual_seed(1)
    near(wide.sample((2,)), expected.sample((2,)))
    x = expected.sample()
    near(wide.log_prob(jt.tensor(x.numpy())), expected.log_prob(x), scale=10)


PAIRS = [(p, p) for p in CASES if not p.startswith(("Multinomial", "StudentT", "Neg", "HalfC",
                                                    "Pareto"))]
PAIRS = [(p, q) for p, q in PAIRS if p not in ("Chi2", "Weibull", "LogNormal")]
PAIRS += [(p, q) for p in ("Beta", "Exponential", "Gamma", "Gumbel", "Laplace", "Normal", "Uniform")
          for q in ("Beta", "Exponential", "Gamma", "Gumbel", "Laplace", "Normal", "Uniform")
          if p != q]


def spread(case, library, other):
    """A distribution of a case; `other` moves its parameters a little."""
    family, parameters, others = CASES[case]
    given = {}
    for name, value in parameters.items():
        x = np.array(value)
        if family == "Uniform":
            x = np.array({"low": [0.1, 0.2, 0.3], "high": [0.8, 0.7, 0.9]}[name])
        if other and name not in ("covariance_matrix", "precision_matrix", "scale_tril"):
            x = x * 0.9 if family != "Uniform" else x + np.array([-0.05, 0.01, 0.0])
        given[name] = library.tensor(x)
    return getattr(library.distributions, family)(**given, **others)


@pytest.mark.parametrize("p, q", PAIRS)
def test_divergences(p, q):
    try:
        expected = torch.distributions.kl_divergence(spread(p, torch, False),
                                                     spread(q, torch, True))
    except NotImplementedError:
        with pytest.raises(NotImplementedError):
            jt.distributions.kl_divergence(spread(p, jt, False), spread(q, jt, True))
        return
    got = jt.distributions.kl_divergence(spread(p, jt, False), spread(q, jt, True))
    np.testing.assert_allclose(number(got), number(expected), rtol=1e-9, atol=1e-12)


def test_divergences_between_covariances_of_two_kinds():
    rng = np.random.default_rng(3)
    factor, diagonal, root = rng.normal(size=(4, 2)), rng.random(4) + 0.5, rng.random((4, 4))
    places = rng.normal(size=(2, 4))

    def divergences(library):
        few = library.distributions.LowRankMultivariateNormal(*map(
            library.tensor, (places[1], factor, diagonal)))
        full = library.distributions.MultivariateNormal(
            library.tensor(places[0]), library.tensor(root @ root.T + np.eye(4)))
        kl = library.distributions.kl_divergence
        return [number(x) for x in (kl(few, full), kl(full, few), kl(few, few))]

    for got, expected in zip(divergences(jt), divergences(torch), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def outcome(function, library):
    try:
        return repr(function(library, library.distributions))
    except Exception as error:
        return type(error).__name__, str(error).replace("jittensor", "torch")


ANSWERS = [
    lambda t, d: d.Normal(0.0, -1.0),
    lambda t, d: d.Normal(t.tensor([0.0, math.nan]), 1.0),
    lambda t, d: d.Normal(0.0, "a"),
    lambda t, d: d.Bernoulli(1.5),
    lambda t, d: d.Bernoulli(),
    lambda t, d: d.Bernoulli(0.5, 0.3),
    lambda t, d: d.Categorical(t.tensor(1.0)),
    lambda t, d: d.Categorical(t.tensor([-1.0, 2.0])),
    lambda t, d: d.Multinomial(t.tensor([3]), t.tensor([0.3, 0.7])),
    lambda t, d: d.Multinomial(-3, t.tensor([0.3, 0.7])),
    lambda t, d: d.Uniform(1.0, 0.0),
    lambda t, d: d.Beta(0.0, 1.0),
    lambda t, d: d.Gamma(-1.0, 1.0),
    lambda t, d: d.Dirichlet(t.tensor(1.0)),
    lambda t, d: d.Poisson(-1.0),
    lambda t, d: d.Binomial(-1, 0.5),
    lambda t, d: d.MultivariateNormal(t.tensor(0.0), t.eye(2)),
    lambda t, d: d.MultivariateNormal(t.zeros(2)),
    lambda t, d: d.MultivariateNormal(t.zeros(2), t.ones(2)),
    lambda t, d: d.MultivariateNormal(t.zeros(2), t.eye(2) - 2),
    lambda t, d: d.Independent(d.Normal(0.0, 1.0), 1),
    lambda t, d: d.Normal(t.zeros(2), 1.0).log_prob(t.zeros(3)),
    lambda t, d: d.Normal(0.0, 1.0).log_prob(1.0),
    lambda t, d: d.Normal(0.0, 1.0).log_prob(t.tensor(math.nan)),
    lambda t, d: d.Bernoulli(0.5).log_prob(t.tensor(0.3)),
    lambda t, d: d.Categorical(t.ones(3)).log_prob(t.tensor(3)),
    lambda t, d: d.Dirichlet(t.ones(2)).log_prob(t.tensor([1.0, 1.0])),
    lambda t, d: d.Binomial(3, 0.5).log_prob(t.tensor(4.0)),
    lambda t, d: d.Poisson(3.0).log_prob(t.tensor(-1.0)),
    lambda t, d: d.Uniform(0.0, 1.0).log_prob(t.tensor(2.0)),
    lambda t, d: d.Geometric(0.0),
    lambda t, d: d.Bernoulli(0.5).rsample(),
    lambda t, d: d.Normal(0.0, 1.0).sample(3),
    lambda t, d: d.Normal(0.0, 1.0).enumerate_support(),
    lambda t, d: d.Multinomial(3, t.ones(2)).mode,
    lambda t, d: d.Normal(0.0, 1.0, validate_args=False).log_prob(t.tensor(math.nan)),
    lambda t, d: d.Independent(d.Normal(t.zeros(3), 1.0), 1),
    lambda t, d: d.Multinomial(3, t.ones(2)),
    lambda t, d: d.Categorical(t.ones(2, 3)).mode,
    lambda t, d: d.constraints.interval(0, 1),
    lambda t, d: d.constraints.real_vector,
    lambda t, d: t.poisson(t.tensor([-1.0])),
    lambda t, d: t.poisson(t.tensor([1])),
    lambda t, d: t.binomial(t.tensor([1]), t.tensor([0.5])),
    lambda t, d: t.binomial(t.tensor([1.0]), t.tensor([0.5], dtype=t.float64)),
]


@pytest.mark.parametrize("number_of", range(len(ANSWERS)))
def test_errors_and_printed_forms(number_of):
    function = ANSWERS[number_of]
    assert outcome(function, jt) == outcome(function, torch)


def test_mixtures_and_independent():
    def make(t):
        d = t.distributions
        scales = t.tensor([[0.5, 1.5, 4.0], [1.0, 2.0, 0.3]])
        mix = d.MixtureSameFamily(d.Categorical(t.tensor(W)), d.Normal(scales, scales))
        return mix, d.Independent(d.Normal(scales, scales), 1)

    for ours, theirs in zip(make(jt), make(torch), strict=True):
        jt.manual_seed(0)
        torch.manual_seed(0)
        x = theirs.sample((4,))
        near(ours.sample((4,)), x)
        near(ours.log_prob(jt.tensor(x.numpy())), theirs.log_prob(x))
        near(ours.mean, theirs.mean)
        near(ours.variance, theirs.variance)


@pytest.mark.parametrize("transform", ["ExpTransform", "SigmoidTransform", "TanhTransform",
                                       "SoftplusTransform"])
def test_transformed(transform):
    def make(t):
        d = t.distributions
        t.manual_seed(2)
        steps = [d.AffineTransform(0.5, 2.0), getattr(d.transforms, transform)()]
        family = d.TransformedDistribution(d.Normal(t.zeros(3), 0.3), steps)
        x = family.sample((4,))
        return x, family.log_prob(x), family.cdf(x), family.icdf(family.cdf(x))

    for ours, theirs in zip(make(jt), make(torch), strict=True):
        near(ours, theirs, scale=10)


@pytest.mark.parametrize("text", [
    "StickBreakingTransform()", "LowerCholeskyTransform()", "ReshapeTransform((3, 3), (9,))",
    "ReshapeTransform((3,), (3, 1))", "ReshapeTransform((2,), (3, 1))"])
def test_transforms_of_several_elements(text):
    def answers(t):
        x = t.arange(9.0, dtype=t.float64).view(3, 3) / 9
        try:
            transform = eval(text, vars(t.distributions.transforms))
        except ValueError as error:
            return [str(error)]
        y = transform(x)
        shape = tuple(transform.forward_shape(x.shape))
        given = [number(y), number(transform.inv(y)), shape, transform.bijective]
        if transform.bijective:
            given.append(number(transform.log_abs_det_jacobian(x, y)))
        return given

    for mine, wanted in zip(answers(jt), answers(torch), strict=True):
        if isinstance(wanted, str):
            assert mine == wanted
        else:
            np.testing.assert_allclose(mine, wanted, rtol=1e-12, atol=1e-12)
