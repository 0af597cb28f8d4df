"""Bounds of values: a tensor in, a range that its elements lie in out, without running it.

An index that is still pending can be checked when it is recorded, where its elements are picked
from realized ones: `labels[batch]` lies in the range of `labels`.
"""

from __future__ import annotations

from .graph.node import Storage
from .runtime import blocks
from .tensor import Tensor

PICKING = {"index_select", "cast", "clone"}


def value_range(x: Tensor) -> tuple[int, int] | None:
    """(least, greatest) bounds of an integer tensor's values, or None where only running tells."""
    storage = x.storage
    if storage.node is None:
        return _stored_range(storage, x.dtype)
    node = storage.node
    while node.rule.op.name in PICKING and node.base is None and (
            node.rule.reads[0].dtype is x.dtype):
        source = node.srcs[0]
        if source.__class__ is Storage:
            return _stored_range(source, x.dtype)
        if source.index < 0:
            return _stored_range(source.storage, x.dtype)
        node = source
    return None


def _stored_range(storage: Storage, dtype) -> tuple[int, int] | None:
    if storage.node is not None or storage.block is None:
        return None
    shared = storage.external is not None
    found = storage.bounds
    if not shared and found is not None and found[0] is dtype:
        return found[1]
    count = storage.nbytes // dtype.itemsize
    if not count or count > 1 << 20:
        return None
    values = blocks.as_array(storage.block, 0, dtype.numpy, (count,), (1,))
    bounds = int(values.min()), int(values.max())
    if not shared:
        storage.bounds = dtype, bounds
    return bounds


