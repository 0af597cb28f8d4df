"""A choice among distributions of one family: weights and components in, draws out."""

from __future__ import annotations

from typing import Any

from .. import functions as F
from ..autograd.modes import no_grad
from ..graph.shapes import Size
from ..tensor import Tensor
from .categorical import Categorical
from .distribution import Distribution


class MixtureSameFamily(Distribution):
    """Draws of the component that a Categorical picks; components lie along the last batch dim."""

    arg_constraints: dict = {}

    def __init__(self, mixture_distribution: Categorical, component_distribution: Distribution,
                 validate_args: bool | None = None):
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of "
                             "torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an instance of "
                             "torch.distributions.Distribution")
        batch = component_distribution.batch_shape
        count = mixture_distribution._param.shape[-1]
        if len(batch) and batch[-1] != count:
            raise ValueError(f"`mixture_distribution` component ({count}) does not equal to "
                             f"`component_distribution.batch_shape[-1]` ({batch[-1]})")
        self._num_component = count
        self._events = len(component_distribution.event_shape)
        super().__init__(batch[:-1], component_distribution.event_shape,
                         validate_args=validate_args)

    mixture_distribution = property(lambda self: self._mixture_distribution)
    component_distribution = property(lambda self: self._component_distribution)
    support = property(lambda self: self._component_distribution.support)

    def _weights(self) -> Tensor:
        probs = self._mixture_distribution.probs
        return probs.reshape(probs.shape + (1,) * self._events)

    @property
    def mean(self) -> Tensor:
        """The weighted mean."""
        return (self._weights() * self._component_distribution.mean).sum(-1 - self._events)

    @property
    def variance(self) -> Tensor:
        """The mean variance and the variance of the means."""
        dim, weights = -1 - self._events, self._weights()
        within = (weights * self._component_distribution.variance).sum(dim)
        away = self._component_distribution.mean - self.mean.unsqueeze(dim)
        return within + (weights * away.pow(2.0)).sum(dim)

    def cdf(self, value: Tensor) -> Tensor:
        below = self._component_distribution.cdf(value.unsqueeze(-1 - self._events))
        return (below * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        each = self._component_distribution.log_prob(value.unsqueeze(-1 - self._events))
        return (each + F.log_softmax(self._mixture_distribution.logits, -1)).logsumexp(-1)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = Size(sample_shape)
        with no_grad():
            picked = self._mixture_distribution.sample(shape)
            drawn = self._component_distribution.sample(shape)
            dim = len(shape) + len(self._batch_shape)
            index = picked.reshape(picked.shape + (1,) * (self._events + 1))
            index = index.expand(tuple(picked.shape) + (1,) + tuple(self._event_shape))
            return drawn.gather(dim, index).squeeze(dim)

    def __repr__(self) -> str:
        return (f"MixtureSameFamily(\n  {self._mixture_distribution!r},\n  "
                f"{self._component_distribution!r})")
