"""Code generation for the CPU: a LoopNest in, the Python source of its kernel out.

The kernel is `kernel(begin, end, args)`: `args` is the address of 64-bit words (loop sizes, then
for each operand its pointer and strides, then scalars), begin..end the work items of this call.
"""

from __future__ import annotations

from ..compiler.nest import LoopNest
from .skeletons.column import ColumnKernel, WideColumnKernel
from .skeletons.map import MapKernel, TiledKernel
from .skeletons.row import RowKernel
from .skeletons.split import SplitKernel
from .skeletons.turned import TurnedRowKernel

SKELETONS = {"map": MapKernel, "tiled": TiledKernel, "row": RowKernel, "turned": TurnedRowKernel,
             "split": SplitKernel, "col": ColumnKernel, "wide": WideColumnKernel}


def emit(nest: LoopNest) -> str:
    """The source of a module that defines `kernel`."""
    return SKELETONS[nest.kind](nest).source()
