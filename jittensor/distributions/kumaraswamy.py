"""The Kumaraswamy distribution: two concentrations in, draws from the unit interval out."""

from __future__ import annotations

from typing import Any

from ..creation import full_like
from ..tensor import Tensor
from . import constraints
from .gumbel import EULER
from .parameters import broadcast_all
from .transformed_distribution import TransformedDistribution
from .transforms import AffineTransform, PowerTransform
from .uniform import Uniform


class Kumaraswamy(TransformedDistribution):
    """(1 - u ** (1 / concentration0)) ** (1 / concentration1) for uniform u."""

    arg_constraints = {"concentration1": constraints.positive,
                       "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any,
                 validate_args: bool | None = None):
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        base = Uniform(full_like(self.concentration0, 0), full_like(self.concentration0, 1),
                       validate_args=validate_args)
        super().__init__(base, [PowerTransform(exponent=self.concentration0.reciprocal()),
                                AffineTransform(loc=1.0, scale=-1.0),
                                PowerTransform(exponent=self.concentration1.reciprocal())],
                         validate_args=validate_args)

    def _moment(self, n: int) -> Tensor:
        a, b = self.concentration1, self.concentration0
        at = 1 + n / a
        return b * (at.lgamma() + b.lgamma() - (at + b).lgamma()).exp()

    mean = property(lambda self: self._moment(1))
    variance = property(lambda self: self._moment(2) - self.mean.pow(2))

    @property
    def mode(self) -> Tensor:
        """The likeliest value, NaN where a concentration is below 1."""
        a, b = self.concentration1, self.concentration0
        top = b.reciprocal() * (-b).log1p() - (-b * a).log1p()
        return top.masked_fill((a < 1) | (b < 1), float("nan")).exp()

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return ((1 - b.reciprocal()) + (1 - a.reciprocal()) * ((b + 1).digamma() + EULER)
                - a.log() - b.log())
