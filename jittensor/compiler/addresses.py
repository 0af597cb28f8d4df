"""Where entries read and write: an entry and its loops in, strides and byte spans out."""

from __future__ import annotations

from ..graph.node import Spec
from ..graph.ops import REDUCE
from ..graph.shapes import span
from .graph import Entry
from .loops import Loop, Member, address


def out_index(entry: Entry, member: Member):
    """The loops of the result's dims (a reduction's result has only the kept dims)."""
    if entry.op.kind != REDUCE:
        return member.index
    dims, keepdim, _ = entry.attrs
    return [[] if d in dims else part for d, part in enumerate(member.index)
            if keepdim or d not in dims]


def start(entry: Entry) -> int:
    """The element offset in its storage at which an entry's result begins."""
    return entry.out_offset if entry.writes is not None else 0


def read_address(entry: Entry, member: Member, k: int) -> dict[Loop, int]:
    return address(member.index, entry.reads[k].strides)


def overlaps(entry: Entry, k: int, update: Entry) -> bool:
    low, high = byte_span(entry.reads[k], entry.offsets[k])
    low2, high2 = byte_span(update.writes, update.out_offset)
    return low < high2 and low2 < high


def byte_span(spec: Spec, offset: int) -> tuple[int, int]:
    """The first byte that a view touches and the one after its last."""
    low, high = span(spec.shape, spec.strides)
    return (offset + low) * spec.dtype.itemsize, (offset + high + 1) * spec.dtype.itemsize
