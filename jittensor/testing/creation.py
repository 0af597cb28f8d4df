"""In: a shape, a dtype and bounds. Out: a tensor of random values to test with."""

from __future__ import annotations

from typing import Any

from .. import creation, functions, random
from ..graph.dtypes import BY_NAME
from ..numeric import finfo, iinfo
from ..tensor import Tensor

__all__ = ["make_tensor"]


def _bounds(dtype: Any, low: Any, high: Any) -> tuple[Any, Any]:
    """The bounds of the values, within what the dtype holds."""
    if dtype is BY_NAME["bool"]:
        least, most, default = 0, 2, (0, 2)
    elif dtype.is_floating_point or dtype.is_complex:
        limits = finfo(dtype)
        least, most, default = limits.min, limits.max, (-9, 9)
    else:
        limits = iinfo(dtype)
        least, most = limits.min, limits.max
        default = (0, 10) if least == 0 else (-9, 10)
    low, high = (d if given is None else given
                 for given, d in zip((low, high), default, strict=True))
    if low != low or high != high:
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low!r} and high={high!r}")
    if low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    return max(low, least), min(high, most)


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor of values that are uniform in [low, high).

    Args:
        shape: sizes, or one sequence of them.
        low, high: by default [-9, 9); [-9, 10) for integers, [0, 10) for unsigned ones.
        noncontiguous: every other element of a larger tensor's last dim.
        exclude_zero: zeros become the smallest positive number, or 1.
        memory_format: of the result; not together with noncontiguous.

    Raises:
        ValueError: bounds that are NaN or not in order, both of noncontiguous and memory_format, or
            a gradient for integers.

    >>> import jittensor as torch
    >>> torch.testing.make_tensor(2, 3, dtype=torch.int64, device="cpu", low=4, high=5)
    tensor([[4, 4, 4],
            [4, 4, 4]])
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if noncontiguous and memory_format is not None:
        raise ValueError("The parameters `noncontiguous` and `memory_format` are mutually "
                         f"exclusive, but got {noncontiguous=} and {memory_format=}")
    exact = not (dtype.is_floating_point or dtype.is_complex)
    if requires_grad and exact:
        raise ValueError("`requires_grad=True` is not supported for boolean and integral dtypes, "
                         f"but got dtype={dtype}")
    low, high = _bounds(dtype, low, high)
    count = sizes if not (noncontiguous and sizes) else (*sizes[:-1], sizes[-1] * 2)
    if exact:
        out = random.randint(int(low), int(high), count, dtype=dtype, device=device)
    elif dtype.is_complex:
        part = BY_NAME["float64" if dtype is BY_NAME["complex128"] else "float32"]
        out = creation.empty((*count, 2), dtype=part, device=device).uniform_(low, high)
        out = functions.view_as_complex(out)
    else:
        out = creation.empty(count, dtype=dtype, device=device).uniform_(low, high)
    if noncontiguous and sizes:
        out = out[..., ::2]
    elif memory_format is not None:
        out = out.clone(memory_format=memory_format)
    if exclude_zero:
        out.masked_fill_(out == 0, 1 if exact else finfo(dtype).tiny)
    return out.requires_grad_(requires_grad)
