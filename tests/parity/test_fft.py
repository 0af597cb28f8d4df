"""torch.fft, stft and torch.signal.windows against PyTorch: values, dtypes, gradients, errors."""

import warnings

import numpy as np
import pytest

import jittensor

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(4)
REAL, CUBE = RNG.standard_normal((3, 5)), RNG.standard_normal((2, 3, 4))
COMPLEX = REAL + 1j * RNG.standard_normal((3, 5))
SIGNAL = RNG.standard_normal((2, 40))

CASES = {
    "fft": (lambda t, x: t.fft.fft(x), COMPLEX),
    "fft of reals": (lambda t, x: t.fft.fft(x, n=7, dim=0, norm="ortho"), REAL),
    "ifft cut": (lambda t, x: t.fft.ifft(x, 3, norm="forward"), COMPLEX),
    "fft2": (lambda t, x: t.fft.fft2(x), CUBE),
    "fftn": (lambda t, x: t.fft.fftn(x, s=(4, -1), dim=(0, 2)), CUBE),
    "ifftn": (lambda t, x: t.fft.ifftn(x, s=(2, 6)), CUBE),
    "rfft": (lambda t, x: t.fft.rfft(x), REAL),
    "rfft2": (lambda t, x: t.fft.rfft2(x, norm="forward"), CUBE),
    "rfftn": (lambda t, x: t.fft.rfftn(x, (3, 4), dim=(1, 0)), REAL),
    "irfft": (lambda t, x: t.fft.irfft(x), COMPLEX),
    "irfft odd": (lambda t, x: t.fft.irfft(x, 7), COMPLEX),
    "irfftn": (lambda t, x: t.fft.irfftn(x, norm="ortho"), COMPLEX),
    "hfft": (lambda t, x: t.fft.hfft(x, norm="forward"), COMPLEX),
    "hfftn": (lambda t, x: t.fft.hfftn(x, (4, 5)), COMPLEX),
    "ihfft": (lambda t, x: t.fft.ihfft(x), REAL),
    "ihfft2": (lambda t, x: t.fft.ihfft2(x, norm="ortho"), CUBE),
    "fftshift": (lambda t, x: t.fft.fftshift(x), REAL),
    "ifftshift": (lambda t, x: t.fft.ifftshift(x, dim=1), REAL),
    "stft": (lambda t, x: t.stft(x, 8, 3, 6, t.hann_window(6, dtype=t.float64),
                                 return_complex=True), SIGNAL),
    "stft parts": (lambda t, x: t.stft(x[0], 8, center=False, normalized=True, onesided=False,
                                       return_complex=False), SIGNAL),
    "istft": (lambda t, x: t.istft(t.stft(x, 8, 2, return_complex=True) * 2, 8, 2, length=38),
              SIGNAL),
}


def run(t, function, array):
    x = t.from_numpy(array.copy()).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = function(t, x)
    weights = np.cos(np.arange(y.numel())).reshape(tuple(y.shape))
    weights = t.from_numpy(weights.astype(y.detach().resolve_conj().numpy().dtype))
    grad = t.autograd.grad(y, x, weights)[0]
    return y.detach().resolve_conj().numpy(), grad.resolve_conj().numpy()


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    have, want = run(jittensor, *CASES[name]), run(torch, *CASES[name])
    for got, expected in zip(have, want, strict=True):
        assert got.dtype == expected.dtype and got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", [np.int64, np.bool_, np.float32, np.complex64])
def test_dtypes(kind):
    x = REAL.astype(kind)
    have, want = (t.fft.fft(t.from_numpy(x)).numpy() for t in (jittensor, torch))
    assert have.dtype == want.dtype
    np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-5)


WINDOWS = {
    "hann": {}, "hamming": {}, "bartlett": {}, "blackman": {}, "cosine": {}, "nuttall": {},
    "exponential": {"tau": 2.5}, "gaussian": {"std": 1.5}, "kaiser": {"beta": 7.0},
    "general_cosine": {"a": [0.5, 0.3, 0.2]}, "general_hamming": {"alpha": 0.6},
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name):
    for length in (0, 1, 2, 7):
        for sym in (True, False):
            have, want = (getattr(t.signal.windows, name)(length, sym=sym, **WINDOWS[name]).numpy()
                          for t in (jittensor, torch))
            assert have.dtype == want.dtype
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=2e-6)
    top = name + "_window"
    if hasattr(torch, top):
        for periodic in (True, False):
            np.testing.assert_allclose(getattr(jittensor, top)(6, periodic).numpy(),
                                       getattr(torch, top)(6, periodic).numpy(), atol=1e-6)


def test_frequencies():
    for n in (1, 4, 5):
        for name in ("fftfreq", "rfftfreq"):
            have, want = (getattr(t.fft, name)(n, d=0.25).numpy() for t in (jittensor, torch))
            assert have.dtype == want.dtype and have.tolist() == want.tolist()


ERRORS = {
    "empty": lambda t: t.fft.fft(t.zeros(0)), "size": lambda t: t.fft.fft(t.zeros(3), n=-2),
    "norm": lambda t: t.fft.fft(t.zeros(3), norm="x"),
    "half": lambda t: t.fft.fft(t.zeros(3, dtype=t.float16)),
    "0-d": lambda t: t.fft.fft(t.tensor(1.0)), "one frequency": lambda t: t.fft.irfft(t.zeros(1)),
    "complex": lambda t: t.fft.rfft(t.zeros(3, dtype=t.complex64)),
    "repeated": lambda t: t.fft.fftn(t.zeros(3, 3), dim=(0, 0)),
    "too many": lambda t: t.fft.fftn(t.zeros(3, 3), s=(1, 2, 3)),
    "lengths": lambda t: t.fft.fftn(t.zeros(3, 3), s=(1,), dim=(0, 1)),
    "no dims": lambda t: t.fft.rfftn(t.zeros(3), dim=()), "fft2": lambda t: t.fft.fft2(t.zeros(3)),
    "stft": lambda t: t.stft(t.zeros(9), 4, window=t.ones(4)),
    "hop": lambda t: t.stft(t.zeros(9), 4, 0, window=t.ones(4), return_complex=True),
    "window": lambda t: t.stft(t.zeros(9), 4, window=t.ones(3), return_complex=True),
    "istft": lambda t: t.istft(t.zeros(5, 4), 8, window=t.ones(8)),
    "no overlap": lambda t: t.istft(t.zeros(5, 4, dtype=t.complex64), 8, window=t.zeros(8)),
    "hann": lambda t: t.signal.windows.hann(-1), "hann_window": lambda t: t.hann_window(-1),
    "std": lambda t: t.signal.windows.gaussian(3, std=0), "a": lambda t: (
        t.signal.windows.general_cosine(3, a=[])),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    with pytest.raises(Exception) as theirs:
        ERRORS[name](torch)
    with pytest.raises(type(theirs.value)):
        ERRORS[name](jittensor)
