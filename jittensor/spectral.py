"""Short-time spectra of the top level: signals in, frames' spectra out (`stft`), and back
(`istft`); the windows that go with them (`hann_window`, …)."""

from __future__ import annotations

import warnings

import numpy as np

from . import fft as _fft
from .functions.complexes import view_as_real
from .functions.rearranging import constant_pad_nd
from .functions.rows import title
from .graph.arguments import taking_dtype
from .indexing import index_add, index_select
from .signal.windows import general_hamming, kaiser_weights, window
from .tensor import Tensor, from_array
from .views import unfold


# ── windows ───────────────────────────────────────────────────────────────────────────────────
def _check_length(name: str, length: int) -> None:
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got "
                           f"window_length={length}")


def hann_window(window_length: int, periodic: bool = True, *, dtype=None, layout=None,
                device=None, pin_memory=False, requires_grad: bool = False) -> Tensor:
    """sin^2(pi k / N) of the periodic window, N - 1 in place of N without."""
    _check_length("hann_window", window_length)
    return general_hamming(window_length, alpha=0.5, sym=not periodic, dtype=dtype, device=device,
                           requires_grad=requires_grad)


def hamming_window(window_length: int, periodic: bool = True, alpha: float = 0.54,
                   beta: float = 0.46, *, dtype=None, layout=None, device=None,
                   pin_memory=False, requires_grad: bool = False) -> Tensor:
    """alpha - beta cos(2 pi k / N)."""
    _check_length("hamming_window", window_length)
    return window("hamming_window", window_length, not periodic,
                  lambda k, last: alpha - beta * np.cos(2 * np.pi * k / last), dtype, device,
                  requires_grad)


def bartlett_window(window_length: int, periodic: bool = True, *, dtype=None, layout=None,
                    device=None, pin_memory=False, requires_grad: bool = False) -> Tensor:
    """A triangle."""
    _check_length("bartlett_window", window_length)
    return window("bartlett_window", window_length, not periodic,
                  lambda k, last: 1 - np.abs(2 * k / last - 1), dtype, device, requires_grad)


def blackman_window(window_length: int, periodic: bool = True, *, dtype=None, layout=None,
                    device=None, pin_memory=False, requires_grad: bool = False) -> Tensor:
    """0.42 - 0.5 cos(2 pi k / N) + 0.08 cos(4 pi k / N)."""
    _check_length("blackman_window", window_length)
    return window("blackman_window", window_length, not periodic,
                  lambda k, last: 0.42 - 0.5 * np.cos(2 * np.pi * k / last)
                  + 0.08 * np.cos(4 * np.pi * k / last), dtype, device, requires_grad)


def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype=None,
                  layout=None, device=None, pin_memory=False,
                  requires_grad: bool = False) -> Tensor:
    """Kaiser's window of shape beta."""
    _check_length("kaiser_window", window_length)
    return window("kaiser_window", window_length, not periodic,
                  lambda k, last: kaiser_weights(k, last, beta), dtype, device, requires_grad)


# ── short-time Fourier transforms ─────────────────────────────────────────────────────────────
def _padded(x: Tensor, by: int, mode: str) -> Tensor:
    """x [..., n] with `by` elements more at both ends."""
    if mode == "constant":
        return constant_pad_nd(x, [by, by])
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if mode not in names:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    size = x.shape[-1]
    if mode == "reflect" and by >= size:
        raise RuntimeError("Argument #4: Padding size should be less than the corresponding input "
                           f"dimension, but got: padding ({by}, {by}) at dimension 2 of input "
                           f"{[1, *x.shape]}")
    return index_select(x, -1, from_array(np.pad(np.arange(size), by, mode=names[mode])))


def _window(name: str, given: Tensor | None, length: int, size: int, x: Tensor) -> Tensor | None:
    """The window in the middle of `size` zeros; None for ones throughout."""
    if given is None:
        if length == size:
            return None
        given = from_array(np.ones(length, x.dtype.to_real().numpy))
    if given.ndim != 1 or given.shape[0] != length:
        raise RuntimeError(f"{name}: expected a 1D window tensor of size equal to "
                           f"win_length={length}, but got window with size {list(given.shape)}")
    left = (size - length) // 2
    return constant_pad_nd(given, [left, size - length - left])


def _sizes(name: str, n_fft: int, hop, length) -> tuple[int, int]:
    hop = n_fft // 4 if hop is None else hop
    length = n_fft if length is None else length
    if hop <= 0:
        raise RuntimeError(f"{name}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got "
                           f"win_length={length}")
    return hop, length


def stft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
         window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect",
         normalized: bool = False, onesided: bool | None = None,
         return_complex: bool | None = None, align_to_window: bool | None = None) -> Tensor:
    """The spectra [..., frequencies, frames] of frames of n_fft elements, hop_length apart."""
    if window is None:
        warnings.warn("A window was not provided. A rectangular window will be applied,which is "
                      "known to cause spectral leakage. Other windows such as torch.hann_window "
                      "or torch.hamming_window are recommended to reduce spectral leakage.To "
                      "suppress this warning and use a rectangular window, explicitly set "
                      "`window=torch.ones(n_fft, device=<device>)`.", stacklevel=2)
    if center and align_to_window:
        raise RuntimeError("stft: align_to_window should only be set when center = false.")
    if return_complex is None:
        if not input.is_complex() and not (window is not None and window.is_complex()):
            raise RuntimeError("stft requires the return_complex parameter be given for real "
                               "inputs, and will further require that return_complex=True in a "
                               "future PyTorch release.")
        return_complex = True
    if input.dtype.category < 2:
        raise RuntimeError(f"stft: expected a tensor of floating point or complex values, got "
                           f"{title(input)}")
    if input.ndim not in (1, 2):
        raise RuntimeError("stft: expected a 1D or 2D tensor")
    x = input.unsqueeze(0) if input.ndim == 1 else input
    if center:
        x = _padded(x, n_fft // 2, pad_mode)
    hop, length = _sizes("stft", n_fft, hop_length, win_length)
    if not 0 < n_fft <= x.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft < {x.shape[-1]}, but got n_fft={n_fft}")
    weights = _window("stft", window, length, n_fft, x)
    frames = unfold(x, -1, n_fft, hop)
    if weights is not None:
        frames = frames * weights
    norm = "ortho" if normalized else None
    if onesided and frames.is_complex():
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    half = not frames.is_complex() if onesided is None else onesided
    found = (_fft.rfft if half else _fft.fft)(frames, norm=norm).transpose(1, 2)
    found = found.squeeze(0) if input.ndim == 1 else found
    return found if return_complex else view_as_real(found.contiguous())


def istft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
          window: Tensor | None = None, center: bool = True, normalized: bool = False,
          onesided: bool | None = None, length: int | None = None,
          return_complex: bool = False) -> Tensor:
    """The signal whose `stft` is nearest to the spectra [..., frequencies, frames] (Griffin and
    Lim, 1984)."""
    if window is None:
        warnings.warn("A window was not provided. A rectangular window will be applied.Please "
                      "provide the same window used by stft to make the inversion lossless.To "
                      "suppress this warning and use a rectangular window, explicitly set "
                      "`window=torch.ones(n_fft, device=<device>)`.", stacklevel=2)
    if not input.is_complex():
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from "
                           "stft with return_complex=True.")
    if input.ndim not in (2, 3) or not input.numel():
        raise RuntimeError("istft: expected a tensor with 2 or 3 dimensions and elements, but got "
                           f"{list(input.shape)}")
    hop, size = _sizes("istft", n_fft, hop_length, win_length)
    half = onesided if onesided is not None else input.shape[-2] != n_fft
    want = n_fft // 2 + 1 if half else n_fft
    if input.shape[-2] != want:
        raise RuntimeError("istft: expected the frequency dimension (3rd to the last) of the input "
                           f"tensor to match {'n_fft / 2 + 1' if half else 'n_fft'} when "
                           f"onesided={half}, but got {input.shape[-2]}")
    if return_complex and half:
        raise RuntimeError("cannot have onesided output if window or input is complex")
    if not return_complex and window is not None and window.is_complex():
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    weights = _window("istft", window, size, n_fft, input)
    x = (input if input.ndim == 3 else input.unsqueeze(0)).transpose(1, 2)
    norm = "ortho" if normalized else None
    frames = (_fft.irfft(x, n_fft, norm=norm) if half else _fft.ifft(x, norm=norm) if
              return_complex else _fft.ifft(x, norm=norm).real)
    found = _overlapped(frames, weights, hop, n_fft, center, length)
    return found.squeeze(0) if input.ndim == 2 else found


def _overlapped(frames: Tensor, weights: Tensor | None, hop: int, n_fft: int, center: bool,
                length: int | None) -> Tensor:
    """The weighted sum of frames [batch, frames, n_fft] where they overlap."""
    batch, count = frames.shape[:2]
    total = n_fft + hop * (count - 1)
    if weights is None:
        weights = from_array(np.ones(n_fft, frames.dtype.to_real().numpy))
    at = from_array((np.arange(count)[:, None] * hop + np.arange(n_fft)).reshape(-1))
    signal = index_add(frames.new_zeros((batch, total)), 1, at,
                       (frames * weights).reshape(batch, -1))
    squares = (weights * weights.conj() if weights.is_complex() else weights * weights)
    envelope = index_add(squares.new_zeros((total,)), 0, at,
                         squares.expand(count, n_fft).reshape(-1))
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - (n_fft // 2 if center else 0)
    signal, envelope = signal[:, start:end], envelope[start:end]
    if not (envelope.detach().abs() > 1e-11).all().item():
        raise RuntimeError("istft: window overlap add min: 1")
    found = signal / envelope
    if end > total:
        warnings.warn("The length of signal is shorter than the length parameter. Result is being "
                      "padded with zeros in the tail. Please check your center and hop_length "
                      "settings.", stacklevel=3)
        found = constant_pad_nd(found, [0, end - total])
    return found


FUNCTIONS = {f.__name__: f for f in (bartlett_window, blackman_window, hamming_window, hann_window,
                                     istft, kaiser_window, stft)}
FUNCTIONS.update(taking_dtype(FUNCTIONS, FUNCTIONS))
Tensor.stft, Tensor.istft = stft, istft
