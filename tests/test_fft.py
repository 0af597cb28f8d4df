"""torch.fft by its own laws: round trips, Parseval, second derivatives, padding, out=."""

import warnings

import numpy as np
import pytest

import jittensor as torch
from jittensor.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(6)


def signal(*shape, kind=np.float64):
    values = RNG.standard_normal(shape)
    if np.dtype(kind).kind == "c":
        values = values + 1j * RNG.standard_normal(shape)
    return torch.from_numpy(values.astype(kind))


def close(a, b, size=1e-12):
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=size, atol=size)


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
def test_round_trips(norm):
    x, z = signal(3, 4, 5), signal(3, 4, 5, kind=np.complex128)
    f = torch.fft
    close(f.ifft(f.fft(z, norm=norm), norm=norm), z)
    close(f.ifftn(f.fftn(z, norm=norm), norm=norm), z)
    close(f.irfft(f.rfft(x, norm=norm), 5, norm=norm), x)
    close(f.irfft2(f.rfft2(x, norm=norm), (4, 5), norm=norm), x)
    close(f.hfft(f.ihfft(x, norm=norm), 5, norm=norm), x)
    close(f.hfftn(f.ihfftn(x, norm=norm), x.shape, norm=norm), x)
    close(f.ifftshift(f.fftshift(x)), x)


def test_parseval():
    z = signal(6, kind=np.complex128)
    close((torch.fft.fft(z, norm="ortho").abs() ** 2).sum(), (z.abs() ** 2).sum())


def test_a_size_cuts_or_pads():
    x = signal(4)
    close(torch.fft.fft(x, 2), torch.fft.fft(x[:2]))
    close(torch.fft.fft(x, 6), torch.fft.fft(torch.cat((x, torch.zeros(2, dtype=x.dtype)))))


SECOND = {
    "fft": lambda x: torch.view_as_real(torch.fft.fft(x, 3)),
    "rfft": lambda x: torch.view_as_real(torch.fft.rfft2(x.real, norm="ortho")),
    "irfft": lambda x: torch.fft.irfftn(x, (2, 4)), "hfft": lambda x: torch.fft.hfft(x, 3),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives(name):
    x = signal(2, 3, kind=np.complex128).requires_grad_()
    assert gradcheck(SECOND[name], (x,)) and gradgradcheck(SECOND[name], (x,))


def test_an_empty_batch():
    assert torch.fft.rfft(torch.zeros(0, 4)).shape == (0, 3)
    assert torch.fft.irfft(torch.zeros(0, 3, dtype=torch.complex64)).shape == (0, 4)


def test_out_is_written():
    out = torch.empty(0, dtype=torch.complex128)
    x = signal(4)
    assert torch.fft.fft(x, out=out) is out
    close(out, torch.fft.fft(x))


def test_istft_inverts_stft():
    x = signal(2, 50)
    window = torch.hann_window(16, dtype=torch.float64)
    frames = torch.stft(x, 16, 4, window=window, return_complex=True)
    close(torch.istft(frames, 16, 4, window=window, length=50), x)
    with pytest.warns(UserWarning, match="window was not provided"):
        plain = torch.stft(x, 16, return_complex=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.istft(plain, 16).shape == (2, 48)
