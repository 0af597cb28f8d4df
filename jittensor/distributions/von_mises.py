"""The von Mises distribution: a direction and a concentration in, angles out."""

from __future__ import annotations

import math
from typing import Any

from .. import functions as F
from ..autograd.modes import no_grad
from ..creation import empty, zeros
from ..graph.dtypes import bool_
from ..random import rand
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .parameters import broadcast_all, lazy_property

# polynomials of the modified Bessel functions of orders 0 and 1: Abramowitz and Stegun, 9.8.1-4
SMALL = ((1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
         (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3))
LARGE = ((0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2, -0.2057706e-1,
          0.2635537e-1, -0.1647633e-1, 0.392377e-2),
         (0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1, 0.2282967e-1,
          -0.2895312e-1, 0.1787654e-1, -0.420059e-2))


def _polynomial(x: Tensor, factors: tuple) -> Tensor:
    value: Any = factors[-1]
    for factor in factors[-2::-1]:
        value = factor + x * value
    return value


def log_bessel(x: Tensor, order: int) -> Tensor:
    """The logarithm of the modified Bessel function of order 0 or 1 for positive x."""
    small = _polynomial((x / 3.75).pow(2), SMALL[order])
    small = (x.abs() * small if order else small).log()
    large = x - 0.5 * x.log() + _polynomial(3.75 / x, LARGE[order]).log()
    return F.where(x < 3.75, small, large)


class VonMises(Distribution):
    """Angles around `loc`, closer the larger the `concentration` (Best and Fisher 1979)."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None):
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = mode = property(lambda self: self.loc)

    @lazy_property
    def variance(self) -> Tensor:
        """The circular variance."""
        k = self.concentration
        return 1 - (log_bessel(k, 1) - log_bessel(k, 0)).exp()

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        k = self.concentration
        return k * (value - self.loc).cos() - math.log(2 * math.pi) - log_bessel(k, 0)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws by rejection from a wrapped Cauchy distribution, in float64."""
        with no_grad():
            k = self.concentration.double()
            t = 1 + (1 + 4 * k ** 2).sqrt()
            rho = (t - (2 * t).sqrt()) / (2 * k)
            r = F.where(k < 1e-5, 1 / k + k, (1 + rho ** 2) / (2 * rho))
            shape = self._extended_shape(sample_shape)
            x, done = empty(shape, dtype=k.dtype), zeros(shape, dtype=bool_)
            while not done.all():
                u1, u2, u3 = rand((3, *shape), dtype=k.dtype).unbind()
                z = (math.pi * u1).cos()
                f = (1 + r * z) / (r + z)
                c = k * (r - f)
                accept = ((c * (2 - c) - u2) > 0) | ((c / u2).log() + 1 - c >= 0)
                x = F.where(accept, (u3 - 0.5).sign() * f.acos(), x)
                done = done | accept
            turned = (x + math.pi + self.loc.double()) % (2 * math.pi) - math.pi
            return turned.to(self.loc.dtype)
