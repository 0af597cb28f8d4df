"""`torch.fft`: signals in, spectra out, and the other way, with gradients, by SciPy's pocketfft.

Three host operators do all: complex to complex, real to half a complex spectrum, and back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .creation import _finish
from .functions.outputs import with_outs
from .functions.rearranging import constant_pad_nd, roll
from .functions.rows import into, title
from .graph import dtypes as dt
from .graph.dtypes import Default
from .graph.shapes import wrap_dim
from .host import host_operator
from .tensor import Tensor, from_array
from .views import narrow


# ── the transforms (SciPy is imported when it is first needed) ──────────────────────────────────
def _scaled(values: np.ndarray, scale: float) -> np.ndarray:
    return values if scale == 1 else values * values.real.dtype.type(scale)


def _c2c_compute(a: np.ndarray, dims: tuple, scale: float, forward: bool):
    from scipy import fft as _fft
    if not a.size:
        return np.array(a)
    found = _fft.fftn(a, axes=dims) if forward else _fft.ifftn(a, axes=dims, norm="forward")
    return _scaled(found, scale)


def _c2c_backward(node, grad):
    dims, scale, forward = (node.attrs[k] for k in ("dims", "scale", "forward"))
    return [_c2c(grad, dims=dims, scale=scale, forward=not forward)]


_c2c = host_operator("FftC2CBackward0", _c2c_compute, _c2c_backward)


def _r2c_compute(a: np.ndarray, dims: tuple, scale: float):
    from scipy import fft as _fft
    if not a.size:
        shape = list(a.shape)
        shape[dims[-1]] = shape[dims[-1]] // 2 + 1
        return np.zeros(shape, np.result_type(a.dtype, np.complex64))
    return _scaled(_fft.rfftn(a, axes=dims), scale)


def _r2c_backward(node, grad):
    dims, scale = node.attrs["dims"], node.attrs["scale"]
    whole = _fitted(grad, dims[-1], node.specs[0].shape[dims[-1]])
    return [_c2c(whole, dims=dims, scale=scale, forward=False).real]


_r2c = host_operator("FftR2CBackward0", _r2c_compute, _r2c_backward)


def _c2r_compute(a: np.ndarray, dims: tuple, scale: float, size: int):
    from scipy import fft as _fft
    sizes = [a.shape[d] for d in dims[:-1]] + [size]
    if not a.size:
        shape = list(a.shape)
        shape[dims[-1]] = size
        return np.zeros(shape, a.real.dtype)
    return _scaled(_fft.irfftn(a, sizes, axes=dims, norm="forward"), scale)


def _c2r_backward(node, grad):
    dims, scale, size = (node.attrs[k] for k in ("dims", "scale", "size"))
    d = dims[-1]
    found = _r2c(grad, dims=dims, scale=scale)
    # each frequency but 0 and the highest of an even size stands for two
    weights = np.full(size // 2 + 1, 2.0, grad.dtype.numpy)
    weights[0] = 1
    if size % 2 == 0:
        weights[-1] = 1
    shape = [1] * found.ndim
    shape[d] = -1
    found = found * from_array(weights).reshape(shape)
    return [_fitted(found, d, node.specs[0].shape[d])]


_c2r = host_operator("FftC2RBackward0", _c2r_compute, _c2r_backward)


# ── arguments ─────────────────────────────────────────────────────────────────────────────────
def _promoted(x: Tensor, to_complex: bool) -> Tensor:
    """The input in the dtype that the transform works in."""
    if not isinstance(x, Tensor):
        raise TypeError(f"argument 'input' must be Tensor, not {type(x).__name__}")
    dtype = x.dtype if x.dtype.category >= dt.FLOAT else Default.float_
    if dtype in (dt.float16, dt.bfloat16):
        raise RuntimeError(f"Unsupported dtype {title(x)}")
    return x.to(dtype.to_complex() if to_complex else dtype)


def _real_input(name: str, x: Tensor) -> Tensor:
    if isinstance(x, Tensor) and x.is_complex():
        raise RuntimeError(f"{name} expects a real input tensor, but got {title(x)}")
    return _promoted(x, False)


def _fitted(x: Tensor, dim: int, size: int) -> Tensor:
    """x cut or padded with zeros to a size of a dim."""
    have = x.shape[dim]
    if have == size:
        return x
    if have > size:
        return narrow(x, dim, 0, size)
    return constant_pad_nd(x, [0, 0] * (x.ndim - 1 - dim) + [0, size - have])


def _scale(norm: str | None, count: int, forward: bool) -> float:
    if norm not in (None, "backward", "ortho", "forward"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "forward") == forward else 1.0


def _check_size(size: int) -> None:
    if size < 1:
        raise RuntimeError(f"Invalid number of data points ({size}) specified")


def _axes(x: Tensor, s, dim) -> tuple[tuple[int, ...], list[int]]:
    """(dims, sizes) to transform; a size of -1 is the input's."""
    if isinstance(dim, int):
        dim = (dim,)
    if isinstance(s, int):
        s = (s,)
    if dim is not None:
        dims = tuple(wrap_dim(d, x.ndim, scalar_ok=False) for d in dim)
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
    if s is not None:
        if dim is not None and len(dim) != len(s):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
        if len(s) > x.ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has "
                               f"{x.ndim} dimensions.")
        if dim is None:
            dims = tuple(range(x.ndim - len(s), x.ndim))
        return dims, [x.shape[d] if n == -1 else int(n) for d, n in zip(dims, s, strict=True)]
    if dim is None:
        dims = tuple(range(x.ndim))
    return dims, [x.shape[d] for d in dims]


# ── complex to complex ────────────────────────────────────────────────────────────────────────
def _complex(input, s, dim, norm, forward: bool, out) -> Tensor:
    x = _promoted(input, True)
    dims, sizes = _axes(x, s, dim)
    for d, n in zip(dims, sizes, strict=True):
        _check_size(n)
        x = _fitted(x, d, n)
    if not dims:
        return into(out, x.clone())
    scale = _scale(norm, math.prod(sizes), forward)
    return into(out, _c2c(x, dims=dims, scale=scale, forward=forward))


def _one(n: int | None) -> tuple | None:
    return None if n is None else (n,)


def _not_default(n: int | None) -> None:
    if n is not None:
        _check_size(n)


def fft(input, n: int | None = None, dim: int = -1, norm: str | None = None, *,
        out: Tensor | None = None) -> Tensor:
    """The discrete Fourier transform along a dim, of n elements (cut or padded with zeros).

    >>> import jittensor as torch
    >>> torch.fft.fft(torch.tensor([1.0, 2.0])).real
    tensor([ 3., -1.])
    """
    _not_default(n)
    return _complex(input, _one(n), (dim,), norm, True, out)


def ifft(input, n: int | None = None, dim: int = -1, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:
    """The inverse of `fft`."""
    _not_default(n)
    return _complex(input, _one(n), (dim,), norm, False, out)


def fftn(input, s=None, dim=None, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:
    """The Fourier transform along several dims (all if none is named)."""
    return _complex(input, s, dim, norm, True, out)


def ifftn(input, s=None, dim=None, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _complex(input, s, dim, norm, False, out)


# ── real to half a spectrum, and back ─────────────────────────────────────────────────────────
def _halved(name: str, input, s, dim, norm, forward: bool) -> Tensor:
    x = _real_input(name, input)
    dims, sizes = _axes(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    for d, n in zip(dims, sizes, strict=True):
        _check_size(n)
        x = _fitted(x, d, n)
    found = _r2c(x, dims=dims, scale=_scale(norm, math.prod(sizes), forward))
    return found if forward else found.conj()


def _doubled(name: str, input, s, dim, norm, forward: bool) -> Tensor:
    x = _promoted(input, True)
    dims, sizes = _axes(x, s, dim)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    if s is None or (s if isinstance(s, int) else tuple(s)[-1]) == -1:
        sizes[-1] = 2 * (x.shape[dims[-1]] - 1)
    for d, n in zip(dims, sizes, strict=True):
        _check_size(n)
        x = _fitted(x, d, n // 2 + 1 if d == dims[-1] else n)
    if forward:
        x = x.conj()
    return _c2r(x, dims=dims, scale=_scale(norm, math.prod(sizes), forward), size=sizes[-1])


def rfft(input, n: int | None = None, dim: int = -1, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:
    """The first n // 2 + 1 frequencies of a real signal."""
    _not_default(n)
    return into(out, _halved("rfft", input, _one(n), (dim,), norm, True))


def irfft(input, n: int | None = None, dim: int = -1, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """The inverse of `rfft`: a real signal of n elements (2 (m - 1) for m frequencies)."""
    _not_default(n)
    return into(out, _doubled("irfft", input, _one(n), (dim,), norm, False))


def hfft(input, n: int | None = None, dim: int = -1, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:
    """The real spectrum of a signal that is Hermitian in time, given by half."""
    _not_default(n)
    return into(out, _doubled("hfft", input, _one(n), (dim,), norm, True))


def ihfft(input, n: int | None = None, dim: int = -1, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """The inverse of `hfft`."""
    _not_default(n)
    return into(out, _halved("ihfft", input, _one(n), (dim,), norm, False))


def rfftn(input, s=None, dim=None, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """The spectrum of a real signal along several dims, the last of them halved."""
    return into(out, _halved("rfftn", input, s, dim, norm, True))


def irfftn(input, s=None, dim=None, norm: str | None = None, *,
           out: Tensor | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    return into(out, _doubled("irfftn", input, s, dim, norm, False))


def hfftn(input, s=None, dim=None, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """`hfft` along the last of several dims, `fft` along the others."""
    return into(out, _doubled("hfftn", input, s, dim, norm, True))


def ihfftn(input, s=None, dim=None, norm: str | None = None, *,
           out: Tensor | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    return into(out, _halved("ihfftn", input, s, dim, norm, False))


def _two_dims(function, name: str):
    def two(input, s=None, dim=(-2, -1), norm: str | None = None, *,
            out: Tensor | None = None) -> Tensor:
        return function(input, s, dim, norm, out=out)

    two.__name__ = two.__qualname__ = name
    two.__doc__ = f"`{function.__name__}` along the last two dims."
    return two


fft2, ifft2 = _two_dims(fftn, "fft2"), _two_dims(ifftn, "ifft2")
rfft2, irfft2 = _two_dims(rfftn, "rfft2"), _two_dims(irfftn, "irfft2")
hfft2, ihfft2 = _two_dims(hfftn, "hfft2"), _two_dims(ihfftn, "ihfft2")


# ── frequencies ───────────────────────────────────────────────────────────────────────────────
def _frequencies(values: np.ndarray, n: int, d: float, dtype, requires_grad: bool, out):
    dtype = dtype or Default.float_
    if dtype.category < dt.FLOAT:
        raise RuntimeError("fftfreq requires a floating point or complex dtype")
    made = from_array((values / (n * d)).astype(dtype.numpy), dtype)
    return into(out, _finish(made, requires_grad))


def fftfreq(n: int, d: float = 1.0, *, out: Tensor | None = None, dtype=None, layout=None,
            device=None, requires_grad: bool = False) -> Tensor:
    """The frequencies of `fft` of n elements a time d apart."""
    values = np.arange(n)
    return _frequencies(np.where(values > (n - 1) // 2, values - n, values), n, d, dtype,
                        requires_grad, out)


def rfftfreq(n: int, d: float = 1.0, *, out: Tensor | None = None, dtype=None, layout=None,
             device=None, requires_grad: bool = False) -> Tensor:
    """The frequencies of `rfft` of n elements a time d apart."""
    return _frequencies(np.arange(n // 2 + 1), n, d, dtype, requires_grad, out)


def _shifted(x: Tensor, dim, half) -> Tensor:
    dims = range(x.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    dims = [wrap_dim(d, x.ndim) for d in dims] if x.ndim else []
    return roll(x, [half(x.shape[d]) for d in dims], dims) if dims else x.clone()


def fftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Frequency 0 moved to the middle."""
    return _shifted(input, dim, lambda n: n // 2)


def ifftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted(input, dim, lambda n: (n + 1) // 2)


__all__ = ["fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2",
           "ifftn", "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft",
           "rfft2", "rfftfreq", "rfftn"]
globals().update(with_outs(globals(), __all__, "fft."))
