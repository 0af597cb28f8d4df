"""Two distributions in, their Kullback-Leibler divergence out; pairs of families are registered."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from .. import functions as F
from ..creation import full_like
from ..tensor import Tensor
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .dirichlet import Dirichlet
from .distribution import Distribution, ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import EULER, Gumbel, Pareto
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal
from .multivariate_normal import MultivariateNormal, half_log_det, squared_distance
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .parameters import softplus, sum_rightmost
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform

_REGISTRY: dict[tuple[type, type], Callable] = {}
_FOUND: dict[tuple[type, type], Callable] = {}


def register_kl(type_p: type, type_q: type) -> Callable:
    """Decorates the function of the divergence for a pair of classes; TypeError for others."""
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def decorator(function: Callable) -> Callable:
        _REGISTRY[type_p, type_q] = function
        _FOUND.clear()
        return function

    return decorator


def _dispatch(type_p: type, type_q: type) -> Callable:
    """The function registered for the nearest classes of a pair."""
    matches = [(type_p.__mro__.index(p), type_q.__mro__.index(q), p, q) for p, q in _REGISTRY
               if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type_p.__name__} and q type "
            f"{type_q.__name__}")
    left = min(matches, key=lambda m: (m[0], m[1]))
    right = min(matches, key=lambda m: (m[1], m[0]))
    if left[2:] != right[2:]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({left[2].__name__}, {right[3].__name__})", RuntimeWarning, stacklevel=3)
    return _REGISTRY[left[2:]]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The divergence of q from p in nats, in their batch shape.

    NotImplementedError where the pair is not registered.

    >>> from jittensor.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    pair = type(p), type(q)
    function = _FOUND.get(pair)
    if function is None:
        function = _FOUND[pair] = _dispatch(*pair)
    return function(p, q)


def _infinite(x: Tensor) -> Tensor:
    return full_like(x, math.inf)


# ── two of one family ─────────────────────────────────────────────────────────────────────────
@register_kl(Bernoulli, Bernoulli)
def _bernoulli_bernoulli(p, q):
    one = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    one = F.where(q.probs == 0, math.inf, one).masked_fill(p.probs == 0, 0)
    zero = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    return one + F.where(q.probs == 1, math.inf, zero).masked_fill(p.probs == 1, 0)


@register_kl(Binomial, Binomial)
def _binomial_binomial(p, q):
    if bool((q.total_count < p.total_count).any()):
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented")
    kl = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (
        -q.probs).log1p())
    return F.where(p.total_count > q.total_count, math.inf, kl)


@register_kl(Categorical, Categorical)
def _categorical_categorical(p, q):
    terms = p.probs * (p.logits - q.logits)
    terms = F.where((q.probs == 0).expand(terms.shape), math.inf, terms)
    return F.where((p.probs == 0).expand(terms.shape), 0.0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_one_hot(p, q):
    return _categorical_categorical(p._categorical, q._categorical)


@register_kl(Beta, Beta)
def _beta_beta(p, q):
    pa, pb, qa, qb = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    ps, qs = pa + pb, qa + qb
    return (qa.lgamma() + qb.lgamma() + ps.lgamma() - qs.lgamma() - pa.lgamma() - pb.lgamma()
            + (pa - qa) * pa.digamma() + (pb - qb) * pb.digamma() + (qs - ps) * ps.digamma())


@register_kl(Dirichlet, Dirichlet)
def _dirichlet_dirichlet(p, q):
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    slope = a.digamma() - total.digamma().unsqueeze(-1)
    return (total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
            + ((a - b) * slope).sum(-1))


@register_kl(Exponential, Exponential)
def _exponential_exponential(p, q):
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Gamma, Gamma)
def _gamma_gamma(p, q):
    a, b = p.concentration, q.concentration
    return (b * (p.rate / q.rate).log() + b.lgamma() - a.lgamma() + (a - b) * a.digamma()
            + (q.rate - p.rate) * (a / p.rate))


@register_kl(Gumbel, Gumbel)
def _gumbel_gumbel(p, q):
    ratio, shift = p.scale / q.scale, q.loc / q.scale
    centre = p.loc / q.scale
    return (-ratio.log() - shift + centre + ratio * EULER
            + (shift + (1 + ratio).lgamma() - centre).exp() - (1 + EULER))


@register_kl(Geometric, Geometric)
def _geometric_geometric(p, q):
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_half(p, q):
    return _normal_normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace_laplace(p, q):
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _normal_normal(p, q):
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(MultivariateNormal, MultivariateNormal)
def _vectors_vectors(p, q):
    if p.event_shape != q.event_shape:
        raise ValueError("KL-divergence between two Multivariate Normals with"
                         + " " * 26 + "different event shapes cannot be computed")
    from .. import linalg
    lower, other = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    n = p.event_shape[0]
    batch = F.broadcast_tensors(lower[..., 0, 0], other[..., 0, 0])[0].shape
    shape = tuple(batch) + (n, n)
    spread = linalg.solve_triangular(other.expand(shape), lower.expand(shape), upper=False)
    spread = spread.pow(2).sum((-2, -1))
    distance = squared_distance(other, q.loc - p.loc)
    return half_log_det(other) - half_log_det(lower) + 0.5 * (spread + distance - n)


def _of_one_size(p, q) -> int:
    """The event's length."""
    if p.event_shape != q.event_shape:
        raise ValueError("KL-divergence between two (Low Rank) Multivariate Normals with"
                         " different event shapes cannot be computed")
    return p.event_shape[0]


def _squares(matrix):
    """The sum of a matrix' squares, batch by batch."""
    return matrix.pow(2).sum((-2, -1))


def _to_low_rank(p, q, roots, n: int, log_det):
    """The divergence of a low-rank q, where p's covariance is the sum of A A^T over its `roots`:
    tr(q's precision times A A^T), by Woodbury's identity for the precision."""
    from .. import linalg
    part = linalg.solve_triangular(q._lower, q._weighed, upper=False)
    spread = sum(_squares(root * q._diag.rsqrt().unsqueeze(-1)) - _squares(part @ root)
                 for root in roots)
    return 0.5 * (q._log_det() - log_det + spread + q._distance(q.loc - p.loc) - n)


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank_low_rank(p, q):
    n = _of_one_size(p, q)
    roots = p._factor, F.diag_embed(p._diag.sqrt())
    return _to_low_rank(p, q, roots, n, p._log_det())


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _vectors_low_rank(p, q):
    n = _of_one_size(p, q)
    root = p._unbroadcasted_scale_tril
    return _to_low_rank(p, q, (root,), n, 2 * half_log_det(root))


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_rank_vectors(p, q):
    from .. import linalg
    n = _of_one_size(p, q)
    lower = q._unbroadcasted_scale_tril
    batch = F.broadcast_tensors(p._diag[..., 0], lower[..., 0, 0])[0].shape
    lower = lower.expand((*batch, n, n))
    roots = p._factor, F.diag_embed(p._diag.sqrt())
    spread = sum(_squares(linalg.solve_triangular(
        lower, root.expand((*batch, n, root.shape[-1])), upper=False)) for root in roots)
    distance = squared_distance(q._unbroadcasted_scale_tril, q.loc - p.loc)
    return 0.5 * (2 * half_log_det(lower) - p._log_det() + spread + distance - n)


@register_kl(Pareto, Pareto)
def _pareto_pareto(p, q):
    ratio = q.alpha / p.alpha
    kl = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return F.where(p.scale < q.scale, math.inf, kl)


@register_kl(Poisson, Poisson)
def _poisson_poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform_uniform(p, q):
    kl = ((q.high - q.low) / (p.high - p.low)).log()
    return F.where((q.low > p.low) | (q.high < p.high), math.inf, kl)


@register_kl(Cauchy, Cauchy)
def _cauchy_cauchy(p, q):
    spread = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return spread.log() - (4 * p.scale * q.scale).log()


@register_kl(ExponentialFamily, ExponentialFamily)
def _families(p, q):
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot                "
            "             be computed using Bregman divergences")
    raise NotImplementedError(f"No KL(p || q) is implemented for {type(p).__name__}")


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p, q):
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    extra = len(p.event_shape) - len(p.base_dist.event_shape)
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), extra)


@register_kl(Independent, Independent)
def _independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


# ── across families: the expectation of log q under p ─────────────────────────────────────────
def _cross(p: Distribution, q: Any, m1: Tensor, m2: Tensor) -> Tensor:
    """-entropy(p) - E[log q] for a normal q, with p's mean m1 and mean square m2."""
    square = m2 - 2 * m1 * q.loc + q.loc.pow(2)
    return (-p.entropy() + square / (2 * q.scale.pow(2)) + q.scale.log()
            + 0.5 * math.log(2 * math.pi))


def _to_normal(p, q):
    mean = p.mean
    return _cross(p, q, mean, p.variance + mean.pow(2))


for _family in (Beta, Exponential, Gamma, Gumbel, Laplace, Uniform):
    register_kl(_family, Normal)(_to_normal)


def _to_exponential(p, q):
    return -p.entropy() - q.rate.log() + q.rate * p.mean


for _family in (Beta, Gamma):
    register_kl(_family, Exponential)(_to_exponential)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p, q):
    ratio = q.rate / p.rate
    a = q.concentration
    return -a * ratio.log() + ratio + a.lgamma() + a * EULER - (1 + EULER)


@register_kl(Beta, Gamma)
def _beta_gamma(p, q):
    log_mean = p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    a = q.concentration
    return (-p.entropy() + a.lgamma() - a * q.rate.log() - (a - 1) * log_mean + q.rate * p.mean)


@register_kl(Beta, Uniform)
def _beta_uniform(p, q):
    kl = -p.entropy() + (q.high - q.low).log()
    return F.where((q.low > p.support.lower_bound) | (q.high < p.support.upper_bound), math.inf, kl)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p, q):
    return F.where(p.low < 0, math.inf, _to_exponential(p, q))


@register_kl(Uniform, Gamma)
def _uniform_gamma(p, q):
    width, a = p.high - p.low, q.concentration
    log_mean = (F.xlogy(p.high, p.high) - F.xlogy(p.low, p.low)) / width - 1
    kl = (-width.log() + a.lgamma() - a * q.rate.log() + (1 - a) * log_mean + q.rate * p.mean)
    return F.where(p.low < 0, math.inf, kl)


@register_kl(Uniform, Beta)
def _uniform_beta(p, q):
    width = p.high - p.low
    a, b = q.concentration1, q.concentration0
    one = (F.xlogy(p.high, p.high) - F.xlogy(p.low, p.low) - width) / width
    low, high = 1 - p.high, 1 - p.low
    other = (F.xlogy(high, high) - F.xlogy(low, low) - width) / width
    kl = (-width.log() - (a - 1) * one - (b - 1) * other + a.lgamma() + b.lgamma()
          - (a + b).lgamma())
    return F.where((p.high > 1) | (p.low < 0), math.inf, kl)


@register_kl(Normal, Gumbel)
def _normal_gumbel(p, q):
    centre = (p.loc - q.loc) / q.scale
    spread = (p.scale / q.scale).pow(2)
    return (-p.entropy() + q.scale.log() + centre + (-centre + 0.5 * spread).exp())


@register_kl(Normal, Laplace)
def _normal_laplace(p, q):
    away = p.loc - q.loc
    scaled = away / p.scale
    near = (2 / math.pi) ** 0.5 * p.scale * (-0.5 * scaled.pow(2)).exp()
    return ((2 * q.scale).log() + (near + away * (math.sqrt(0.5) * scaled).erf()) / q.scale
            - p.entropy())


@register_kl(Poisson, Bernoulli)
@register_kl(Poisson, Binomial)
def _poisson_bounded(p, q):
    return _infinite(p.rate)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p, q):
    product = p.rate * q.scale
    shift = q.loc / q.scale
    return (product.log() - 1 + product.reciprocal() - shift
            + (shift).exp() * product / (product + 1))


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p, q):
    product, shift = p.rate * q.scale, q.loc / q.scale
    return (-p.entropy() + q.scale.log() + p.concentration / product - shift
            + shift.exp() * (1 + product.reciprocal()).pow(-p.concentration))


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p, q):
    width = (p.high - p.low) / q.scale
    low, high = (p.low - q.loc) / q.scale, (p.high - q.loc) / q.scale
    return (-p.entropy() + q.scale.log() + 0.5 * (low + high)
            + ((-low).exp() - (-high).exp()) / width)


def _support_exceeds(p, q):
    """The divergence where p has draws that q does not: infinite."""
    return _infinite(p.mean)


for _family, _others in ((Exponential, (Uniform, Beta)), (Gamma, (Uniform, Beta)),
                         (Gumbel, (Uniform, Gamma, Exponential, Beta)),
                         (Laplace, (Uniform, Gamma, Exponential, Beta)),
                         (Normal, (Uniform, Gamma, Exponential, Beta))):
    for _other in _others:
        register_kl(_family, _other)(_support_exceeds)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p, q):
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate
