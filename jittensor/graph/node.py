"""Nodes of the lazy graph: a recorded operation in, an immutable record of it out.

A `Spec` says how a tensor lies in its storage; specs are interned, so that equal specs are the
same object. A `Rule` is all of an operation that does not change from call to call (operator,
specs, attributes); rules are made once per combination and looked up afterwards. A `Node` is a
rule applied to sources. A `Storage` is one block of memory, or the node that will fill it.
"""

from __future__ import annotations

import itertools
import math
import sys
from threading import get_ident
from typing import Any

from .dtypes import DType
from .shapes import Ints, Size, contiguous_strides, is_contiguous, is_dense


class Spec:
    """dtype, shape, strides (in elements) and device of a view; interned by `spec_of`. `sizes` is
    the shape as a plain tuple, whose items are looked at faster."""

    __slots__ = ("dtype", "shape", "sizes", "strides", "device", "numel", "nbytes", "ndim",
                 "contiguous", "dense", "views")

    def __init__(self, dtype: DType, shape: Size, strides: Ints, device: str):
        self.dtype, self.shape, self.strides, self.device = dtype, shape, strides, device
        self.sizes = tuple(shape)
        self.numel = shape.numel()
        self.nbytes = self.numel * dtype.itemsize     # of the elements, were they dense
        self.ndim = len(shape)
        self.contiguous = is_contiguous(shape, strides)
        self.dense = is_dense(shape, strides)
        self.views: dict = {}  # what view operations make of this spec, filled by tensor.py

    def __repr__(self) -> str:
        return f"{self.dtype.name}{list(self.shape)}:{list(self.strides)}"


_SPECS: dict[tuple, Spec] = {}      # row-major ones also with None for their strides


MOST_BYTES = 1 << 47       # what a process can address


def spec_of(dtype: DType, shape: Ints, strides: Ints | None = None, device: str = "cpu") -> Spec:
    """The one Spec with these values (row-major strides unless given).

    Raises:
        RuntimeError: no memory could hold row-major elements of that shape.
    """
    shape = tuple(shape)
    spec = _SPECS.get((dtype, shape, strides, device))
    if spec is not None:
        return spec
    if strides is None:
        if math.prod(shape) * dtype.itemsize > MOST_BYTES:
            raise RuntimeError(f"Storage size calculation overflowed with sizes={list(shape)}")
        spec = spec_of(dtype, shape, contiguous_strides(shape), device)
        return _SPECS.setdefault((dtype, shape, None, device), spec)
    return _SPECS.setdefault((dtype, shape, strides, device),
                             Spec(dtype, Size(shape), tuple(strides), device))


class Rule:
    """An operator with everything fixed but its sources, offsets and scalars.

    `reads` are the specs in which each source is read (elementwise: broadcast to the output's
    shape); `scalars` holds 'f' or 'i' for each scalar slot; `writes` is the spec of the region
    written when the node updates a storage in place, else None.
    """

    __slots__ = ("op", "reads", "spec", "attrs", "scalars", "writes", "id", "grad")
    _ids = itertools.count(1)

    def __init__(self, op: Any, reads: tuple[Spec, ...], spec: Spec, attrs: tuple = (),
                 scalars: str = "", writes: Spec | None = None):
        self.op, self.reads, self.spec, self.attrs = op, reads, spec, attrs
        self.scalars, self.writes = scalars, writes
        self.id = next(Rule._ids)
        self.grad = None

    def __repr__(self) -> str:
        return f"{self.op.name}{self.attrs or ''} -> {self.spec}"


class Node:
    """A recorded operation that has not run.

    `srcs` are what it reads: Nodes, or Storages whose present bytes are meant. `offsets` are
    element offsets of the reads (None: all 0). With `base` (a source) the node writes
    `rule.writes` at `out_offset` into the storage that the base occupies.
    """

    __slots__ = ("rule", "srcs", "offsets", "scalars", "storage", "origin", "index", "base",
                 "out_offset", "__weakref__")


class _Untracked:
    """The version of a storage made in inference mode: its writes are not counted."""

    def __add__(self, other: int):
        return self

    def __repr__(self) -> str:
        return "untracked"


UNTRACKED: Any = _Untracked()
INFERENCE: dict[int, int] = {}    # the threads that are in inference mode


class Storage:
    """Bytes on a device: a realized `block`, or the pending `node` that will fill it.

    Both may be set: then the block holds the last realized version and the node's write is
    pending on it. `version` counts in-place writes as PyTorch's `_version` does. `bounds` is what
    is known of its values (see `bounds`); writes forget it.
    """

    __slots__ = ("block", "node", "nbytes", "version", "external", "device", "bounds", "error",
                 "__weakref__")

    def __init__(self, block: Any = None, nbytes: int = 0, device: str = "cpu"):
        self.block = block
        self.node: Node | None = None
        self.nbytes = nbytes
        self.version = 0 if not INFERENCE or get_ident() not in INFERENCE else UNTRACKED
        self.external = None  # callable that says whether memory is seen from outside
        self.bounds = None
        self.device = device


_PACKAGE = __file__.rsplit("graph", 1)[0]
_INSIDE: dict[str, bool] = {}


class _Blame:
    """The origin that new nodes get while a gradient is recorded: the forward operation's."""

    origin: tuple[Any, int] | None = None


blame = _Blame()


def user_frame(depth: int = 2) -> tuple[Any, int]:
    """(code, instruction) of the nearest frame outside this package; `where` makes it text."""
    if blame.origin is not None:
        return blame.origin
    frame = sys._getframe(depth)
    inside = _INSIDE
    while True:
        code = frame.f_code
        name = code.co_filename
        known = inside.get(name)
        if known is None:
            known = inside[name] = name.startswith(_PACKAGE)
        if not known or frame.f_back is None:
            return code, frame.f_lasti
        frame = frame.f_back


def where(origin: tuple[Any, int] | None) -> tuple[str, int]:
    """File and line of an origin."""
    if origin is None:
        return "<unknown>", 0
    code, lasti = origin
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= lasti < end and number is not None:
            line = number
    return code.co_filename, line
