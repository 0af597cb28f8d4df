"""Compilation for CUDA without a GPU: the source of `kernels.cuda.emit` in, cubins out.

numba-cuda compiles to NVVM's link-time form and nvJitLink to machine code, with fused
multiply-add contraction off, so that a fused kernel rounds as its operators do one by one. Needs
the extra `jittensor[cuda-compile]`; no driver is asked for anything.
"""

from __future__ import annotations

import linecache
import re
from dataclasses import dataclass

from .emit import EntryPoint, Source

OPTIONS = ("-lto", "-fma=0", "-ftz=0", "-prec-div=1", "-prec-sqrt=1")
PTX_CODES = {"b8": "uint8", "f16": "float16", "bf16": "uint16", "f32": "float32", "f64": "float64",
             "i64": "int64", "i32": "int32", "i16": "int16", "i8": "int8", "u8": "uint8",
             "c64": "complex64", "c128": "complex128"}


class CompileError(RuntimeError):
    """nvJitLink refused a kernel; the message is its log."""


@dataclass(frozen=True, slots=True)
class Cubin:
    """Machine code of one kernel for one architecture, and what its threads and blocks take."""

    entry: EntryPoint
    symbol: str            # the kernel's name in the cubin
    code: bytes            # an ELF file
    ptx: str
    registers: int         # of a thread
    stack: int             # bytes of a thread's local memory
    spills: int            # bytes of register spill stores and loads
    shared: int            # bytes of a block's shared memory


def compile_source(source: Source, capability: tuple[int, int] = (9, 0)) -> list[Cubin]:
    """The cubins of a source's kernels, in order.

    ModuleNotFoundError where numba-cuda or nvJitLink is missing, CompileError where a kernel does
    not link.
    """
    import numba.cuda

    if getattr(numba.cuda, "implementation", "") != "NVIDIA":
        raise ModuleNotFoundError("compiling for CUDA needs numba-cuda: pip install "
                                  "'jittensor[cuda-compile]'")
    functions = load(source)
    return [_compile(functions[entry.name], entry, source.threads, capability)
            for entry in source.entries]


def load(source: Source) -> dict:
    """The module of a source, as a namespace; its lines are known to tracebacks."""
    file = f"<jittensor cuda {abs(hash(source.text)):x}>"
    linecache.cache[file] = (len(source.text), None, source.text.splitlines(True), file)
    namespace: dict = {"__name__": "jittensor_cuda_kernel"}
    exec(compile(source.text, file, "exec"), namespace)
    return namespace


def signature(entry: EntryPoint):
    """The Numba signature of a kernel: void of its parameters."""
    from numba import types

    def kind(code: str):
        found = getattr(types, PTX_CODES[code.lstrip("*")])
        return types.CPointer(found) if code[0] == "*" else found

    return types.void(*(kind(p.code) for p in entry.parameters))


def _compile(function, entry: EntryPoint, threads: int, capability: tuple[int, int]) -> Cubin:
    from numba import cuda

    form, _ = cuda.compile(function, signature(entry), cc=capability, device=False, abi="numba",
                           output="ltoir", launch_bounds=threads)
    options = [f"-arch=sm_{capability[0]}{capability[1]}", *OPTIONS]
    code, log = _link(form, [*options, "-verbose", "-Xptxas=-v"], "cubin")
    ptx, _ = _link(form, [*options, "-ptx"], "ptx")
    return Cubin(entry, re.search(r"entry function '([^']+)'", log)[1], code,
                 ptx.rstrip(b"\0").decode(), _number(r"Used (\d+) registers", log),
                 _number(r"(\d+) bytes stack frame", log),
                 _number(r"(\d+) bytes spill stores", log) + _number(
                     r"(\d+) bytes spill loads", log), _number(r"(\d+) bytes smem", log))


def _number(pattern: str, log: str) -> int:
    found = re.search(pattern, log)
    return int(found[1]) if found else 0


def _link(form: bytes, options: list[str], what: str) -> tuple[bytes, str]:
    """nvJitLink's output ('cubin' or 'ptx') for one kernel, and its log."""
    from cuda.bindings import nvjitlink as link

    handle = link.create(len(options), options)
    try:
        try:
            link.add_data(handle, link.InputType.LTOIR, form, len(form), "kernel")
            link.complete(handle)
        except link.nvJitLinkError as error:
            log = bytearray(link.get_error_log_size(handle))
            link.get_error_log(handle, log)
            raise CompileError(log.decode(errors="replace").rstrip("\0")) from error
        out = bytearray(getattr(link, f"get_linked_{what}_size")(handle))
        getattr(link, f"get_linked_{what}")(handle, out)
        log = bytearray(link.get_info_log_size(handle))
        link.get_info_log(handle, log)
        return bytes(out), log.decode(errors="replace")
    finally:
        link.destroy(handle)
