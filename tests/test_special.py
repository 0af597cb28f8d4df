"""torch.special by identities of its functions, and second derivatives."""

import math

import numpy as np
import pytest

import jittensor as torch
from jittensor import special
from jittensor.autograd import gradcheck, gradgradcheck

X = torch.linspace(0.1, 4, 30, dtype=torch.float64)


def close(a, b, size=1e-12):
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=size, atol=size)


IDENTITIES = {
    "erf and erfc": lambda x: (special.erf(x) + special.erfc(x), x * 0 + 1),
    "erfinv": lambda x: (special.erf(special.erfinv(x / 5)), x / 5),
    "ndtri": lambda x: (special.ndtri(special.ndtr(x)), x),
    "log_ndtr": lambda x: (special.log_ndtr(x), special.ndtr(x).log()),
    "gammaln": lambda x: (special.gammaln(x + 1), special.gammaln(x) + x.log()),
    "digamma": lambda x: (special.digamma(x + 1), special.digamma(x) + 1 / x),
    "polygamma": lambda x: (special.polygamma(1, x), special.zeta(2.0, x)),
    "gammainc": lambda x: (special.gammainc(x, x) + special.gammaincc(x, x), x * 0 + 1),
    "scaled i": lambda x: (special.i1e(x) * x.exp(), special.i1(x)),
    "wronskian": lambda x: (special.bessel_j1(x) * special.bessel_y0(x)
                            - special.bessel_j0(x) * special.bessel_y1(x), 2 / (math.pi * x)),
    "k wronskian": lambda x: (special.i0(x) * special.modified_bessel_k1(x)
                              + special.i1(x) * special.modified_bessel_k0(x), 1 / x),
    "chebyshev": lambda x: (special.chebyshev_polynomial_t(x.cos(), 5), (5 * x).cos()),
    "logit": lambda x: (special.logit(special.expit(x)), x),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities(name):
    close(*IDENTITIES[name](X), size=1e-10)


@pytest.mark.parametrize("name", ["erfcx", "entr", "gammaln", "i0e", "i1e", "log_ndtr", "ndtri"])
def test_second_derivatives(name):
    x = torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64, requires_grad=True)
    assert gradcheck(getattr(special, name), (x,))
    assert gradgradcheck(getattr(special, name), (x,))


def test_poles_and_edges():
    inf, nan = math.inf, math.nan
    x = torch.tensor([0.0, -1.0, -inf, inf, nan], dtype=torch.float64)
    assert special.gammaln(x).tolist()[:4] == [inf] * 4
    assert special.erf(x).tolist()[2:4] == [-1, 1]
    assert special.ndtri(torch.tensor([0.0, 1.0])).tolist() == [-inf, inf]
    assert special.entr(torch.tensor([0.0, -1.0])).tolist() == [0, -inf]
    assert special.gammaln(x).isnan().tolist() == [False] * 4 + [True]
