"""torch.special against PyTorch: values over each function's domain, gradients, integers."""

import numpy as np
import pytest

import jittensor

torch = pytest.importorskip("torch")
REALS = np.array([-30.0, -3.5, -1.25, -1e-3, 0.0, 1e-3, 0.4, 1.0, 2.75, 9.0, 40.0])
POSITIVE, UNIT = REALS[REALS > 0], np.linspace(0.01, 0.99, 9)

# functions whose gradient PyTorch has
SMOOTH = {
    "digamma": POSITIVE, "entr": POSITIVE, "erf": REALS, "erfc": REALS, "erfcx": REALS[2:],
    "erfinv": 2 * UNIT - 1, "exp2": REALS, "expit": REALS, "expm1": REALS[:-1],
    "gammaln": POSITIVE, "i0": REALS[:-1], "i0e": REALS, "i1": REALS[:-1], "i1e": REALS,
    "log1p": POSITIVE, "log_ndtr": REALS, "logit": UNIT, "ndtr": REALS, "ndtri": UNIT,
    "psi": POSITIVE, "sinc": REALS,
}
# functions with values only
VALUES = {
    "airy_ai": REALS, "bessel_j0": REALS, "bessel_j1": REALS, "bessel_y0": POSITIVE,
    "bessel_y1": POSITIVE, "modified_bessel_i0": REALS, "modified_bessel_i1": REALS,
    "modified_bessel_k0": POSITIVE, "modified_bessel_k1": POSITIVE, "round": REALS,
    "scaled_modified_bessel_k0": POSITIVE, "scaled_modified_bessel_k1": POSITIVE,
    "spherical_bessel_j0": REALS,
}
POLYNOMIALS = [("shifted_" if s else "") + "chebyshev_polynomial_" + k
               for s in (0, 1) for k in "tuvw"] + [
    "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l",
    "legendre_polynomial_p"]


def check(have, want):
    assert have.dtype == want.dtype and have.shape == want.shape
    # PyTorch's Bessel functions are good to 1e-8
    np.testing.assert_allclose(have, want, rtol=5e-8, atol=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
def test_values_and_gradients(name):
    found = []
    for t in (jittensor, torch):
        x = t.from_numpy(SMOOTH[name].copy()).requires_grad_()
        y = getattr(t.special, name)(x)
        found.append((y.detach().numpy(), t.autograd.grad(y.sum(), x)[0].numpy()))
    for have, want in zip(*found, strict=True):
        check(have, want)


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    check(*[getattr(t.special, name)(t.from_numpy(VALUES[name])).numpy()
            for t in (jittensor, torch)])


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name):
    x = np.linspace(0.05, 0.95, 5) if name.startswith("shifted") else np.linspace(-0.9, 0.9, 5)
    degree = np.arange(-1.0, 9.0).reshape(-1, 1)
    check(*[getattr(t.special, name)(t.from_numpy(x), t.from_numpy(degree)).numpy()
            for t in (jittensor, torch)])
    check(*[getattr(t.special, name)(t.from_numpy(x), 3).numpy() for t in (jittensor, torch)])


PAIRS = {
    "xlogy": (REALS[4:].reshape(-1, 1), POSITIVE), "xlog1py": (REALS.reshape(-1, 1), POSITIVE),
    "zeta": (1 + POSITIVE.reshape(-1, 1), POSITIVE),
    "gammainc": (POSITIVE.reshape(-1, 1), POSITIVE),
    "gammaincc": (POSITIVE.reshape(-1, 1), POSITIVE),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs(name):
    found = []
    for t in (jittensor, torch):
        a, b = (t.from_numpy(v.copy()) for v in PAIRS[name])
        b.requires_grad_()
        y = getattr(t.special, name)(a, b)
        found.append((y.detach().numpy(), t.autograd.grad(y.sum(), b)[0].numpy()))
    for have, want in zip(*found, strict=True):
        check(have, want)


def test_orders_and_dims():
    for f in (lambda t, x: t.special.polygamma(2, x), lambda t, x: t.special.multigammaln(x + 1, 3),
              lambda t, x: t.special.logsumexp(x, 0), lambda t, x: t.special.softmax(x, 0),
              lambda t, x: t.special.log_softmax(x, 0)):
        check(*[f(t, t.from_numpy(POSITIVE)).numpy() for t in (jittensor, torch)])


def test_integers_become_the_default_dtype():
    for name in ("i1e", "ndtr", "erfcx", "bessel_j0", "gammaln"):
        have, want = (getattr(t.special, name)(t.arange(1, 4)).numpy() for t in (jittensor, torch))
        assert have.dtype == want.dtype
        np.testing.assert_allclose(have, want, rtol=1e-5)


@pytest.mark.parametrize("name", ["bessel_j0", "airy_ai", "chebyshev_polynomial_t"])
def test_no_gradient_is_an_error(name):
    for t in (torch, jittensor):
        x = t.ones(2, requires_grad=True)
        with pytest.raises(RuntimeError):
            getattr(t.special, name)(*([x] if "_t" not in name else [x, 2])).sum().backward()
