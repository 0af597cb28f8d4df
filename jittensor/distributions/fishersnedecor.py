"""The F distribution: two degrees of freedom in, ratios of chi-squared draws out."""

from __future__ import annotations

from typing import Any

from ..numeric import finfo
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .gamma import Gamma
from .parameters import broadcast_all


class FisherSnedecor(Distribution):
    """(x1 / df1) / (x2 / df2) for chi-squared x1 and x2."""

    arg_constraints = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, df1: Any, df2: Any, validate_args: bool | None = None):
        self.df1, self.df2 = broadcast_all(df1, df2)
        self._gamma1 = Gamma(self.df1 * 0.5, self.df1)
        self._gamma2 = Gamma(self.df2 * 0.5, self.df2)
        super().__init__(self._gamma1._batch_shape, validate_args=validate_args)

    def _expanded(self) -> tuple:
        return ("df1", "df2", "_gamma1", "_gamma2")

    @property
    def mean(self) -> Tensor:
        """NaN up to a df2 of 2."""
        b = self.df2.masked_fill(self.df2 <= 2, float("nan"))
        return b / (b - 2)

    @property
    def mode(self) -> Tensor:
        """The likeliest value, NaN up to a df1 of 2."""
        top = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return top.masked_fill(self.df1 <= 2, float("nan"))

    @property
    def variance(self) -> Tensor:
        """NaN up to a df2 of 4."""
        a, b = self.df1, self.df2.masked_fill(self.df2 <= 4, float("nan"))
        return 2 * b.pow(2) * (a + b - 2) / (a * (b - 2).pow(2) * (b - 4))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        upper = self._gamma1.rsample(sample_shape).view(shape)
        lower = self._gamma2.rsample(sample_shape).view(shape)
        tiny = finfo(lower.dtype).tiny
        return (upper / lower.clamp(min=tiny)).clamp(min=tiny)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a, b, ratio = self.df1 * 0.5, self.df2 * 0.5, self.df1 / self.df2
        whole = (a + b).lgamma() - a.lgamma() - b.lgamma()
        return (whole + a * ratio.log() + (a - 1) * value.log()
                - (a + b) * (ratio * value).log1p())
