"""Student's t-distribution: degrees of freedom, centre and scale in, draws out."""

from __future__ import annotations

import math
from typing import Any

from .. import functions as F
from ..random import randn
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .gamma import Chi2
from .parameters import broadcast_all


class StudentT(Distribution):
    """Student's t of `df` degrees of freedom, moved by `loc` and stretched by `scale`."""

    arg_constraints = {"df": constraints.positive, "loc": constraints.real,
                       "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0,
                 validate_args: bool | None = None):
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, validate_args=validate_args)

    def _expanded(self) -> tuple:
        return ("df", "loc", "scale", "_chi2")

    mode = property(lambda self: self.loc)
    mean = property(lambda self: self.loc.masked_fill(self.df <= 1, math.nan))

    @property
    def variance(self) -> Tensor:
        """Infinite up to 2 degrees of freedom, undefined up to 1."""
        finite = self.scale.pow(2) * self.df / (self.df - 2)
        return finite.masked_fill(self.df <= 2, math.inf).masked_fill(self.df <= 1, math.nan)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        normals = randn(self._extended_shape(sample_shape), dtype=self.df.dtype)
        squares = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (normals * (squares / self.df).rsqrt())

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        norm = (self.scale.log() + 0.5 * self.df.log() + 0.5 * math.log(math.pi)
                + (0.5 * self.df).lgamma() - (0.5 * (self.df + 1.0)).lgamma())
        return -0.5 * (self.df + 1.0) * (y ** 2.0 / self.df).log1p() - norm

    def entropy(self) -> Tensor:
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        beta = half.lgamma() + math.lgamma(0.5) - more.lgamma()
        return (self.scale.log() + more * (F.digamma(more) - F.digamma(half))
                + 0.5 * self.df.log() + beta)
