"""The gamma and chi-squared distributions: shape and rate in, draws and log-probabilities out."""

from __future__ import annotations

from typing import Any

from .. import functions as F
from ..autograd.modes import no_grad
from ..numeric import finfo
from ..sampling import _standard_gamma
from ..tensor import Tensor
from . import constraints
from .distribution import ExponentialFamily
from .parameters import broadcast_all


class Gamma(ExponentialFamily):
    """Gamma of shape `concentration` and `rate`."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None):
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    mean = property(lambda self: self.concentration / self.rate)
    mode = property(lambda self: ((self.concentration - 1) / self.rate).clamp(min=0))
    variance = property(lambda self: self.concentration / self.rate.pow(2))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        value = _standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        with no_grad():              # a draw of 0 has no logarithm; the gradient stays
            value.detach().clamp_(min=finfo(value.dtype).tiny)
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return (F.xlogy(a, self.rate) + F.xlogy(a - 1, value) - self.rate * value - a.lgamma())

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return F.igamma(self.concentration, self.rate * value)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()


class Chi2(Gamma):
    """Sums of squares of `df` standard normals."""

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None):
        df, = broadcast_all(df)
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def _expanded(self) -> tuple:
        return ("concentration", "rate")

    @property
    def df(self) -> Tensor:
        """Degrees of freedom."""
        return self.concentration * 2
