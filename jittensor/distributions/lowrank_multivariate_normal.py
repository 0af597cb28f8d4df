"""The normal distribution of vectors whose covariance is a diagonal and a matrix of low rank."""

from __future__ import annotations

import math
from typing import Any

from .. import functions as F
from .. import linalg
from ..creation import eye
from ..random import randn
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .multivariate_normal import half_log_det, squared_distance
from .parameters import lazy_property


class LowRankMultivariateNormal(Distribution):
    """Normal vectors of covariance W W^T + diag(d), W being `cov_factor` and d `cov_diag`.

    Raises:
        ValueError: shapes that do not fit.
    """

    arg_constraints = {"loc": constraints.real_vector,
                       "cov_factor": constraints.independent(constraints.real, 2),
                       "cov_diag": constraints.independent(constraints.positive, 1)}
    support = constraints.real_vector
    has_rsample = True
    _kept = ("_factor", "_diag", "_weighed", "_lower")

    def __init__(self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor,
                 validate_args: bool | None = None):
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        n = loc.shape[-1:]
        if cov_factor.ndim < 2:
            raise ValueError("cov_factor must be at least two-dimensional, "
                             "with optional leading batch dimensions")
        if cov_factor.shape[-2:-1] != n:
            raise ValueError("cov_factor must be a batch of matrices with shape "
                             f"{n[0]} x m")
        if cov_diag.shape[-1:] != n:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {n}")
        self._factor, self._diag = cov_factor, cov_diag
        wide, self.cov_factor, spread = F.broadcast_tensors(
            loc.unsqueeze(-1), cov_factor, cov_diag.unsqueeze(-1))
        self.loc, self.cov_diag = wide[..., 0], spread[..., 0]
        self._weighed = cov_factor.mT / cov_diag.unsqueeze(-2)
        inner = self._weighed @ cov_factor
        self._lower = linalg.cholesky(inner + eye(inner.shape[-1], dtype=inner.dtype))
        super().__init__(self.loc.shape[:-1], n, validate_args=validate_args)

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    mean = mode = property(lambda self: self.loc)

    @lazy_property
    def variance(self) -> Tensor:
        """The covariance's diagonal."""
        rows = self._factor.pow(2).sum(-1) + self._diag
        return rows.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        root = self._diag.sqrt().unsqueeze(-1)
        scaled = self._factor / root
        n = self._event_shape[0]
        return self._whole(root * linalg.cholesky(
            scaled @ scaled.mT + eye(n, dtype=scaled.dtype)))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        return self._whole(self._factor @ self._factor.mT + F.diag_embed(self._diag))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance, by Woodbury's identity."""
        part = linalg.solve_triangular(self._lower, self._weighed, upper=False)
        return self._whole(F.diag_embed(self._diag.reciprocal()) - part.mT @ part)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        few = randn((*shape[:-1], self._factor.shape[-1]), dtype=self.loc.dtype)
        each = randn(shape, dtype=self.loc.dtype)
        return (self.loc + (self._factor @ few.unsqueeze(-1)).squeeze(-1)
                + self._diag.sqrt() * each)

    def _log_det(self) -> Tensor:
        return 2 * half_log_det(self._lower) + self._diag.log().sum(-1)

    def _distance(self, away: Tensor) -> Tensor:
        """away^T precision away."""
        along = (self._weighed @ away.unsqueeze(-1)).squeeze(-1)
        return (away.pow(2) / self._diag).sum(-1) - squared_distance(self._lower, along)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self._event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + self._log_det()
                       + self._distance(value - self.loc))

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        value = 0.5 * (n * (1.0 + math.log(2 * math.pi)) + self._log_det())
        return value if not len(self._batch_shape) else value.expand(self._batch_shape)
