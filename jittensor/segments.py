"""Segments of a dim: the elements and the segments' lengths or offsets in, a value each out."""

from __future__ import annotations

import math

from . import functions as F
from .creation import arange, full
from .indexing import index_add
from .tensor import Tensor

__all__ = ["segment_reduce"]

# the index_reduce that does it, what an empty segment gives
KINDS = {"sum": ("", 0.0), "mean": ("", 0.0), "prod": ("prod", 1.0), "max": ("amax", -math.inf),
         "amax": ("amax", -math.inf), "min": ("amin", math.inf), "amin": ("amin", math.inf)}


def segment_reduce(data: Tensor, reduce: str, *, lengths: Tensor | None = None,
                   indices: Tensor | None = None, offsets: Tensor | None = None, axis: int = 0,
                   unsafe: bool = False, initial: float | None = None) -> Tensor:
    """The sum, mean, max, min or product of each segment of the dim `axis`.

    `lengths`, or the `offsets` between which the segments lie, may have a row for each element
    of the dims before `axis`. An empty segment gives `initial`, else what the reduction starts
    with, NaN for the mean.

    >>> import jittensor as torch
    >>> torch.segment_reduce(torch.tensor([1.0, 2.0, 4.0]), "sum", lengths=torch.tensor([2, 1]))
    tensor([3., 4.])

    Raises:
        RuntimeError: no lengths, a negative one, lengths that do not add up to the dim's size
            (unless `unsafe`), or an unknown reduction.
        NotImplementedError: the data is not of floating point numbers.
    """
    if reduce not in KINDS:
        raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin, got "
                           f"{reduce}")
    if not data.is_floating_point():
        raise NotImplementedError(f"segment_reduce: not implemented for {data.dtype}")
    starts, lengths = _bounds(data, lengths, offsets, axis, unsafe)
    rows, count = lengths.shape[:-1], lengths.shape[-1]
    rest = data.shape[lengths.ndim:]
    flat, sizes = data.reshape(-1, *rest), lengths.reshape(-1)
    segment = F.repeat_interleave(arange(sizes.numel()), sizes)
    before = (sizes.cumsum(0) - sizes)[segment]
    source = flat[starts.reshape(-1)[segment] + arange(segment.numel()) - before]
    out = _reduced(source, reduce, segment, sizes, initial)
    out = out.reshape(*rows, count, *rest)
    if out._fn is not None:
        out._fn.label = "SegmentReduceBackward0"
    return out


def _bounds(data: Tensor, lengths: Tensor | None, offsets: Tensor | None, axis: int,
            unsafe: bool) -> tuple[Tensor, Tensor]:
    """Where each segment starts among the rows of the flattened data, and its length."""
    given = lengths if lengths is not None else offsets
    if given is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if given.is_floating_point():
        raise NotImplementedError(f"segment_reduce: not implemented for lengths of {given.dtype}")
    axis = axis % data.ndim
    if axis != given.ndim - 1:
        raise RuntimeError("segment_reduce(): Expected axis to be the last dim of lengths or "
                           f"offsets, {given.ndim - 1}, but got {axis}.")
    size = data.shape[axis]
    if lengths is None:
        starts, lengths = offsets[..., :-1], offsets.diff(dim=-1)
    else:
        if not unsafe:
            if bool((lengths < 0).any()):
                raise RuntimeError("lengths contains negative value!")
            if bool((lengths.sum(-1) != size).any()):
                raise RuntimeError("segment_reduce(): Expected all rows of lengths along axis to "
                                   "sum to data.size(lengths.dim()-1) when !unsafe.")
        starts = lengths.cumsum(-1) - lengths
    rows = arange(max(math.prod(given.shape[:-1]), 0)).reshape(*given.shape[:-1], 1)
    return starts + rows * size, lengths


def _reduced(source: Tensor, reduce: str, segment: Tensor, sizes: Tensor,
             initial: float | None) -> Tensor:
    """One row for each segment; `initial` counts as an element before its own."""
    kind, start = KINDS[reduce]
    extreme = kind in ("amax", "amin")
    first = start if initial is None or extreme else initial
    base = full((sizes.numel(), *source.shape[1:]), first, dtype=source.dtype)
    if not kind:
        out = index_add(base, 0, segment, source)
    else:
        out = F.index_reduce(base, 0, segment, source, kind)
    if extreme and initial is not None:
        keeps = out >= initial if kind == "amax" else out <= initial
        return F.where(keeps | out.isnan(), out, initial)
    if reduce == "mean":
        many = sizes.reshape(-1, *[1] * (source.ndim - 1)).to(source.dtype)
        return out / (many if initial is None else many.clamp(min=1))
    return out
