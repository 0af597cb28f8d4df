"""Code generation for CUDA: a LoopNest in, the numba.cuda source of its kernels out.

The source names each kernel's parameters; an `EntryPoint` says which word of the launch each one
is, so that the CPU's launch words serve both targets. Loops are skeletons over threads:

- map: an element a thread, in steps of the grid; neighbours read neighbouring addresses;
- row: a row a block; threads stride over the row, then join in a tree in shared memory;
- split: a chunk of a row a block, partial results in scratch memory, a second kernel to join them;
- col: 32 columns a block, its other threads share the rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...compiler.blocking import LONG_ROW
from ...compiler.nest import LoopNest
from ..formula import BY_CODE
from .kernel import EntryPoint, MapKernel, Parameter
from .reductions import WARP, ChunkKernel, ColumnKernel, JoinKernel, RowKernel

THREADS = 256          # of a block
SKELETONS = {"map": (MapKernel,), "tiled": (MapKernel,), "row": (RowKernel,),
             "turned": (RowKernel,),
             "split": (ChunkKernel, JoinKernel),
             "col": (ColumnKernel,), "wide": (ColumnKernel,)}


@dataclass(frozen=True, slots=True)
class Source:
    """A module's text and its kernels, in launch order, for blocks of `threads`."""

    text: str
    entries: tuple[EntryPoint, ...]
    threads: int


def emit(nest: LoopNest, threads: int = THREADS) -> Source:
    """The source of a nest's kernels; `threads` is a power of two, 32 or more."""
    if threads < WARP or threads & (threads - 1):
        raise ValueError(f"threads of a block: a power of two from {WARP}, not {threads}")
    kernels = [skeleton(nest, threads) for skeleton in SKELETONS[nest.kind]]
    imports, constants = kernels[0].imports, kernels[0].constants
    for kernel in kernels:                     # one file, so one set of names
        kernel.imports, kernel.constants = imports, constants
    parts = [kernel.function() for kernel in kernels]
    head = ["import numpy as np", "from numba import cuda"]
    body = "\n\n\n".join(parts)
    kinds = sorted(k for k in {*BY_CODE.values(), "uint64"} if re.search(rf"\b{k}[()]", body))
    own = sorted(imports - {"int64"})
    head += [f"from numba.types import {', '.join(kinds)}"] if kinds else []
    head += [f"from jittensor.kernels.cuda.functions import {', '.join(own)}"] if own else []
    head += [f"{name} = np.{text}" for text, name in constants.items()]
    entries = tuple(kernel.entry() for kernel in kernels)
    return Source("\n".join(head) + "\n\n\n" + body + "\n", entries, threads)


def blocks_of(entry: EntryPoint, nest: LoopNest, sizes: list[int], threads: int) -> int:
    """Blocks of a launch over loops of these sizes; a kernel is right for any number of them."""
    outer, inner = sizes[:nest.n_outer], sizes[nest.n_outer:]
    rows, cols = _product(outer), _product(inner)
    if entry.work == "elements":
        return -(-rows // threads)
    if entry.work == "rows":
        return rows
    if entry.work == "chunks":
        return rows * max(1, -(-cols // LONG_ROW))
    return _product(outer[:-1]) * -(-outer[-1] // WARP)


def _product(sizes) -> int:
    out = 1
    for n in sizes:
        out *= n
    return out


__all__ = ["EntryPoint", "Parameter", "Source", "blocks_of", "emit"]
