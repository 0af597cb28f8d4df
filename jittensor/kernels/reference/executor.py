"""Running a graph in NumPy: a recorded graph and the memory that it reads in, new memory out.

Entries run one by one in program order; composites are spelled out first, as for the compiled
kernels. Nothing is fused, no memory is shared between values and nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ...compiler.graph import Entry, Graph
from ...compiler.rewrite import rewrite
from ...graph import dtypes as dt
from ...graph.node import Spec
from ...graph.ops import ELEMENTWISE, REDUCE
from .formulas import apply_operator, convert
from .opaque import OPAQUE

REDUCTIONS = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum,
              "any": np.logical_or, "all": np.logical_and}


@dataclass(slots=True, eq=False)
class Memory:
    """The memory of a run: words bound to address slots, float scalars, the base address of each
    external storage, and the address of each entry's own block."""

    words: list[int]
    floats: list[float]
    externals: list[int]
    blocks: dict[int, int] = field(default_factory=dict)


def run(recorded: Graph, words: list[int], floats: list[float], externals: list[int],
        take: Callable) -> dict[int, object]:
    """Runs a graph. `take(nbytes)` gives a block that has an `address`.

    Returns the blocks of the recorded entries that are kept; writes to external storages are
    done in place.
    """
    graph, moved = rewrite(recorded)
    memory = Memory(words, floats, externals)
    owned = {}
    for i, entry in enumerate(graph.entries):
        if entry.base is None:
            owned[i] = take(entry.spec.numel * entry.spec.dtype.itemsize)
            memory.blocks[i] = owned[i].address
        step(graph, i, entry, memory)
    out = {}
    for old, new in moved.items():
        root = graph.root(new)
        if recorded.entries[old].kept and root >= 0:
            out[old] = owned[root]
    return out


def step(graph: Graph, i: int, entry: Entry, memory: Memory) -> None:
    """Runs one entry."""
    reads = [look(memory, graph, source, spec, offset, slot) for source, spec, offset, slot in
             zip(entry.srcs, entry.reads, entry.offsets, entry.slots, strict=True)]
    out = look(memory, graph, i, entry.region, entry.out_offset, entry.out_slot)
    if entry.op.kind == ELEMENTWISE:
        value = _elementwise(entry, reads, memory)
    elif entry.op.kind == REDUCE:
        value = _reduced(entry, reads[0])
    else:
        if entry.op.name not in OPAQUE:
            raise NotImplementedError(f"the reference backend has no {entry.op.name!r}")
        value = OPAQUE[entry.op.name](entry, *reads)
    out[...] = convert(np.asarray(value), entry.region.dtype)


def look(memory: Memory, graph: Graph, source: int, spec: Spec, offset: int,
         slot: int) -> np.ndarray:
    """The elements of a source in a spec, as an array over the run's memory."""
    step_ = spec.dtype.itemsize
    if slot >= 0:
        address = memory.words[slot]
    else:
        root = graph.root(source)
        base = memory.blocks[root] if root >= 0 else memory.externals[-1 - root]
        address = base + offset * step_
    return array_at(address, spec)


class _Window:
    def __init__(self, address: int, kind: str, spec: Spec):
        self.__array_interface__ = {
            "data": (address, False), "typestr": kind, "shape": tuple(spec.shape), "version": 3,
            "strides": tuple(s * spec.dtype.itemsize for s in spec.strides)}


def array_at(address: int, spec: Spec) -> np.ndarray:
    """An array over bare memory; whoever asks keeps the memory alive."""
    if not spec.numel:
        return np.empty(spec.shape, spec.dtype.numpy)
    plain = np.dtype(np.uint16) if spec.dtype is dt.bfloat16 else spec.dtype.numpy
    array = np.asarray(_Window(int(address), plain.str, spec))
    return array.view(spec.dtype.numpy) if spec.dtype is dt.bfloat16 else array


def _elementwise(entry: Entry, reads: list, memory: Memory) -> np.ndarray:
    pattern, compute = entry.attrs
    tensors, scalars = iter(reads), iter(entry.scalars)
    operands = [next(tensors) if letter == "t" else _scalar(next(scalars), memory)
                for letter in pattern]
    result = entry.spec.dtype
    return apply_operator(entry.op, compute, result, operands)


def _scalar(scalar: tuple, memory: Memory):
    kind, slot = scalar
    if kind == "const":
        return slot
    if kind == "c":
        return complex(memory.floats[slot], memory.floats[slot + 1])
    return memory.words[slot] if kind == "i" else memory.floats[slot]


def _reduced(entry: Entry, x: np.ndarray) -> np.ndarray:
    dims, keepdim, compute = entry.attrs
    values = convert(x, compute)
    if not dims:
        return values
    with np.errstate(all="ignore"):
        function = REDUCTIONS[entry.op.name]
        return function.reduce(values, axis=tuple(dims), dtype=compute.numpy, keepdims=keepdim)
