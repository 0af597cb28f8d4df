"""The normal distribution of vectors: a mean and a covariance in, draws out."""

from __future__ import annotations

import math
from typing import Any

from .. import linalg
from ..creation import eye
from ..graph.shapes import Size, broadcast_shapes
from ..random import randn
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .parameters import lazy_property


def squared_distance(lower: Tensor, x: Tensor) -> Tensor:
    """x^T (L L^T)^-1 x, both broadcast; L is [..., n, n], x is [..., n]."""
    shape = broadcast_shapes(tuple(lower.shape[:-1]), tuple(x.shape))
    y = linalg.solve_triangular(lower.expand(tuple(shape) + lower.shape[-1:]),
                                x.expand(shape).unsqueeze(-1), upper=False)
    return y.squeeze(-1).pow(2).sum(-1)


def half_log_det(lower: Tensor) -> Tensor:
    """Half the logarithm of the determinant of L L^T."""
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class MultivariateNormal(Distribution):
    """Normal vectors of mean `loc` and one of covariance, precision, or lower Cholesky factor."""

    arg_constraints = {"loc": constraints.real_vector,
                       "covariance_matrix": constraints.positive_definite,
                       "precision_matrix": constraints.positive_definite,
                       "scale_tril": constraints.lower_cholesky}
    support = constraints.real_vector
    has_rsample = True
    _kept = ("_unbroadcasted_scale_tril",)

    def __init__(self, loc: Tensor, covariance_matrix: Tensor | None = None,
                 precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None,
                 validate_args: bool | None = None):
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {"covariance_matrix": covariance_matrix, "scale_tril": scale_tril,
                 "precision_matrix": precision_matrix}
        given = {name: m for name, m in given.items() if m is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril "
                             "may be specified.")
        (name, matrix), = given.items()
        if matrix.ndim < 2:
            raise ValueError(f"{name} {'matrix ' if name == 'scale_tril' else ''}must be at "
                             "least two-dimensional, with optional leading batch dimensions")
        batch = Size(broadcast_shapes(tuple(matrix.shape[:-2]), tuple(loc.shape[:-1])))
        self.__dict__[name] = matrix.expand(batch + matrix.shape[-2:])
        self.loc = loc.expand(batch + loc.shape[-1:])
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        if covariance_matrix is not None:
            self._unbroadcasted_scale_tril = linalg.cholesky(covariance_matrix)
        elif scale_tril is not None:
            self._unbroadcasted_scale_tril = scale_tril
        else:
            self._unbroadcasted_scale_tril = _cholesky_of_inverse(precision_matrix)

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        lower = self._unbroadcasted_scale_tril
        return self._whole(lower @ lower.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        lower = self._unbroadcasted_scale_tril
        inverse = linalg.solve_triangular(lower, eye(lower.shape[-1], dtype=lower.dtype).expand(
            lower.shape), upper=False)
        return self._whole(inverse.mT @ inverse)

    mean = mode = property(lambda self: self.loc)

    @property
    def variance(self) -> Tensor:
        """The covariance's diagonal."""
        rows = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return rows.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        eps = randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self._unbroadcasted_scale_tril @ eps.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        lower = self._unbroadcasted_scale_tril
        distance = squared_distance(lower, value - self.loc)
        n = self._event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + distance) - half_log_det(lower)

    def entropy(self) -> Tensor:
        value = (0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
                 + half_log_det(self._unbroadcasted_scale_tril))
        return value if not len(self._batch_shape) else value.expand(self._batch_shape)


def _cholesky_of_inverse(precision: Tensor) -> Tensor:
    """The lower Cholesky factor of a matrix's inverse, through the matrix turned by 180 degrees."""
    turned = linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1).mT
    one = eye(precision.shape[-1], dtype=precision.dtype).expand(precision.shape)
    return linalg.solve_triangular(turned, one, upper=False)
