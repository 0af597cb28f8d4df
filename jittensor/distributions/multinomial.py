"""The multinomial distribution: trials and weights in, how often each category came out."""

from __future__ import annotations

from typing import Any

from ..autograd.modes import no_grad
from ..creation import arange, ones_like, tensor, zeros
from ..graph.shapes import Size
from ..tensor import Tensor
from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .distribution import Distribution
from .parameters import broadcast_all


class Multinomial(Distribution):
    """Counts of `total_count` draws from the categories of `probs` (normalised) or `logits`."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(self, total_count: int = 1, probs: Tensor | None = None,
                 logits: Tensor | None = None, validate_args: bool | None = None):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        self._binomial = Binomial(total_count=total_count, probs=self.probs)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:],
                         validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Multinomial:
        new = super().expand(batch_shape, _instance)
        new.total_count = self.total_count
        new._binomial = self._binomial.expand(Size(batch_shape) + self._event_shape)
        return new

    def _expanded(self) -> tuple:
        return ("_categorical",)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Counts that sum to the number of draws."""
        return constraints.multinomial(self.total_count)

    _param = property(lambda self: self._categorical._param)
    probs = property(lambda self: self._categorical.probs)
    logits = property(lambda self: self._categorical.logits)
    param_shape = property(lambda self: self._categorical.param_shape)
    mean = property(lambda self: self.probs * self.total_count)
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = Size(sample_shape)
        with no_grad():
            drawn = self._categorical.sample(Size((self.total_count,)) + shape)
            drawn = drawn.permute(*range(1, drawn.ndim), 0)
            counts = zeros(self._extended_shape(shape), dtype=drawn.dtype)
            counts.scatter_add_(-1, drawn, ones_like(drawn))
            return counts.type_as(self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        logits = logits.masked_fill((value == 0) & (logits == -float("inf")), 0)
        return ((value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
                + (logits * value).sum(-1))

    def entropy(self) -> Tensor:
        n = tensor(self.total_count)
        values = arange(1, self.total_count + 1).to(self.probs.dtype).view(
            (-1,) + (1,) * (self.probs.ndim))
        chances = self._binomial.log_prob(values).exp()
        return (n * self._categorical.entropy() - (n + 1).lgamma()
                + (chances * (values + 1).lgamma()).sum((0, -1)))
