"""Complex numbers: parts in, complex tensors out, and the other way."""

from __future__ import annotations

from ..graph import dtypes as dt
from ..graph.node import spec_of
from ..graph.ops import OPS
from ..record import elementwise as record
from ..tensor import Tensor, new_tensor
from .rows import into, must_be_tensor, title


def complex(real, imag, *, out: Tensor | None = None) -> Tensor:
    """real + i imag."""
    _check_parts("complex", {"real": real, "imag": imag})
    return into(out, record(OPS["_complex"], real, imag))


def _check_parts(name: str, parts: dict) -> None:
    """PyTorch's errors for parts of complex numbers."""
    for position, (arg, value) in enumerate(parts.items(), 1):
        must_be_tensor(name, arg, value, position)
    a, b = parts.values()
    floats = (dt.float16, dt.float32, dt.float64)
    if a.dtype not in floats or b.dtype not in floats:
        raise RuntimeError("Expected both inputs to be Half, Float or Double tensors but got "
                           f"{title(a)} and {title(b)}")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"Expected object of scalar type {title(a)} but got scalar type "
                           f"{title(b)} for second argument")


def polar(abs, angle, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers of a size and an angle (in radians)."""
    _check_parts("polar", {"abs": abs, "angle": angle})
    return into(out, complex(abs * angle.cos(), abs * angle.sin()))


def real(input) -> Tensor:
    """The real part, a view."""
    return input.real


def imag(input) -> Tensor:
    """The imaginary part, a view."""
    return input.imag


def conj(input) -> Tensor:
    """The conjugate."""
    return input.conj()


def conj_physical(input, *, out: Tensor | None = None) -> Tensor:
    """The conjugate, a copy."""
    return into(out, record(OPS["_conj"], input) if input.dtype.is_complex else input)


def resolve_conj(input) -> Tensor:
    """The tensor itself: conjugation is never put off."""
    return input


def resolve_neg(input) -> Tensor:
    """The tensor itself: negation is never put off."""
    return input


def view_as_real(input) -> Tensor:
    """Complex numbers as pairs [..., 2] of reals, a view."""
    if not input.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return _reread(input, input.dtype.to_real(), (*input.shape, 2),
                   (*(2 * s for s in input.spec.strides), 1), 2 * input.offset,
                   "ViewAsRealBackward0", view_as_complex)


def view_as_complex(input) -> Tensor:
    """Pairs [..., 2] of reals as complex numbers, a view."""
    if input.dtype.category != 2 or input.dtype.itemsize < 4:
        raise RuntimeError("view_as_complex is only supported for half, float and double tensors, "
                           f"but got a tensor of scalar type: {title(input)}")
    if not input.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if input.spec.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if input.offset % 2 or any(s % 2 for s in input.spec.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    return _reread(input, input.dtype.to_complex(), input.shape[:-1],
                   tuple(s // 2 for s in input.spec.strides[:-1]), input.offset // 2,
                   "ViewAsComplexBackward0", lambda g: view_as_real(g.contiguous()))


def _reread(x: Tensor, dtype, shape, strides, offset: int, label: str, back) -> Tensor:
    """The same bytes as another dtype; they are read from memory, so x is realized."""
    from ..autograd.graph import attach_view
    from ..autograd.modes import modes
    x.realize()
    out = new_tensor(x.storage, spec_of(dtype, tuple(shape), tuple(strides)), offset)
    out._base = x if x._base is None else x._base
    if modes.grad and x.requires_grad:
        attach_view(out, x, label, lambda g: back(g.contiguous()))
    return out
