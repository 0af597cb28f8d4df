"""Checks and dtypes of matrix functions: arguments in, PyTorch's errors or promoted tensors out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..functions.rows import into, title
from ..graph import dtypes as dt
from ..graph.shapes import broadcast_shapes
from ..tensor import Tensor, from_array


class LinAlgError(RuntimeError):
    """Raised when a matrix has no answer: singular, not positive-definite, not converging."""


def check_tensor(name: str, *values: Any) -> None:
    """Raises TypeError for what is not a tensor."""
    for place, x in enumerate(values, 1):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): argument (position {place}) must be Tensor, not "
                            f"{type(x).__name__}")


def check_floating(name: str, x: Tensor, low: bool = False) -> None:
    """Raises unless x is float32, float64 or complex."""
    check_tensor(name, x)
    if x.dtype.category < dt.FLOAT:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got "
                           f"{title(x)}")
    if not low and x.dtype in (dt.float16, dt.bfloat16):
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {title(x)}")


def check_matrix(name: str, x: Tensor, argument: str = "A") -> None:
    """Raises unless x has two dims or more."""
    check_tensor(name, x)
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def check_square(name: str, x: Tensor, argument: str = "A") -> None:
    """Raises unless x is a batch of square matrices of floating dtype."""
    check_matrix(name, x, argument)
    if x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"{name}: {argument} must be batches of square matrices, but they are "
                           f"{x.shape[-2]} by {x.shape[-1]} matrices")
    check_floating(name, x)


def check_same_dtype(name: str, a: Tensor, b: Tensor) -> None:
    """Raises unless two tensors have one dtype."""
    check_tensor(name, a, b)
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{name}: Expected A and B to have the same dtype, but found A of type "
                           f"{title(a)} and B of type {title(b)} instead")


def check_rows(name: str, a: Tensor, b: Tensor, left: bool = True) -> None:
    """Raises unless b's matrices have the size that a's need on that side."""
    k = -2 if left else -1
    if a.shape[k] != b.shape[k]:
        form = "AX = B" if left else "XA = B"
        raise RuntimeError(f"{name}: Incompatible shapes of A and B for the equation {form} "
                           f"({a.shape[-2]}x{a.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})")


def broadcast_batches(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both with the same leading dims."""
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return a.expand(*lead, *a.shape[-2:]), b.expand(*lead, *b.shape[-2:])


def check_info(name: str, info: Tensor, message: str) -> None:
    """Raises LinAlgError where a factorization's info is not zero; {info} stands for it."""
    values = info._array()
    if not values.any():
        return
    place = tuple(int(k[0]) for k in np.nonzero(values)) if values.ndim else ()
    which = f"(Batch element {np.ravel_multi_index(place, values.shape)}): " if place else ""
    raise LinAlgError(f"{name}: {which}" + message.format(info=int(values[place])))


def into_all(out: Any, results: tuple) -> tuple:
    """The results, written to the tensors of `out` if there are any."""
    if out is None:
        return results
    if len(out) != len(results):
        raise TypeError(f"out: expected {len(results)} tensors, got {len(out)}")
    return tuple(into(o, r) for o, r in zip(out, results, strict=True))


def matrices(x: np.ndarray):
    """(index, matrix) of each matrix of a batch."""
    for place in np.ndindex(x.shape[:-2]):
        yield place, x[place]


def indices(values: np.ndarray) -> Tensor:
    """A tensor of int32."""
    return from_array(np.asarray(values, np.int32))
