"""Numba's compiler with the passes that kernels need: generated code in, machine code out.

Kernels are straight code of loops, scalars and calls of intrinsics. They have no closures, arrays,
literals to unroll, overloads to inline, raises or dead branches, and nobody reads their types: the
passes for these would find nothing in a seventh of the time.
"""

from __future__ import annotations

from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager
from numba.core.typed_passes import (
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NopythonTypeInference,
    PreLowerStripPhis,
)
from numba.core.untyped_passes import (
    FixupArgs,
    IRProcessing,
    ReconstructSSA,
    TranslateByteCode,
)


class KernelCompiler(CompilerBase):
    """The compiler of kernels, a `pipeline_class` for Numba."""

    def define_pipelines(self) -> list[PassManager]:
        """The one pipeline there is."""
        manager = PassManager("kernel")
        for step in (TranslateByteCode, FixupArgs, IRProcessing, ReconstructSSA,
                     NopythonTypeInference, PreLowerStripPhis, IRLegalization, NativeLowering,
                     NoPythonBackend):
            manager.add_pass(step, step.__name__)
        manager.finalize()
        return [manager]
