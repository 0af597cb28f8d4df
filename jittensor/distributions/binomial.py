"""The binomial distribution: trials and probabilities in, numbers of successes out."""

from __future__ import annotations

from typing import Any

from ..autograd.modes import no_grad
from ..creation import arange
from ..sampling import binomial
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .parameters import ProbsOrLogits, broadcast_all, check_either, softplus


class Binomial(ProbsOrLogits, Distribution):
    """Successes among `total_count` trials of probability `probs` (or sigmoid of `logits`)."""

    arg_constraints = {"total_count": constraints.nonnegative_integer,
                       "probs": constraints.unit_interval, "logits": constraints.real}
    has_enumerate_support = True

    def __init__(self, total_count: Any = 1, probs: Any = None, logits: Any = None,
                 validate_args: bool | None = None):
        check_either(probs, logits)
        name, given = ("probs", probs) if probs is not None else ("logits", logits)
        count, given = broadcast_all(total_count, given)
        self.__dict__[name], self.total_count = given, count.type_as(given)
        super().__init__(self._param.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """0 to the number of trials."""
        return constraints.integer_interval(0, self.total_count)

    param_shape = property(lambda self: self._param.shape)
    mean = property(lambda self: self.total_count * self.probs)
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))

    @property
    def mode(self) -> Tensor:
        """The likeliest number."""
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self.total_count
        choices = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return choices + value * self.logits - n * softplus(self.logits)

    def entropy(self) -> Tensor:
        if not bool((self.total_count == self.total_count.max()).all()):
            raise NotImplementedError(
                "Inhomogeneous total count not supported by `entropy`.")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        top = int(self.total_count.max())
        if not bool((self.total_count == top).all()):
            raise NotImplementedError(
                "Inhomogeneous total count not supported by `enumerate_support`.")
        values = arange(1 + top, dtype=self._param.dtype)
        values = values.view((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1,) + tuple(self._batch_shape)) if expand else values
