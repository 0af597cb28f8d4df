"""The driver: tables of launches in, one native call that runs them.

Compiled once per machine and kept on disk. A launch's range is split over threads when it is
larger than its grain; a launch that asks for it is finished by a call with begin = -1.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import importlib.util
import os
import shutil
import sys
import time

from ..config import config
from ..kernels.compile import (
    cache_directory,
    exclusive,
    fingerprint,
    interrupts_held,
    stats,
    write_whole,
)

SOURCE = '''"""Driver of jittensor plans."""
import llvmlite.ir as ir
from numba import njit, prange, types
from numba.extending import intrinsic


@intrinsic
def at(typingctx, base, k):
    def codegen(ctx, b, sig, a):
        i64 = ir.IntType(64)
        return b.load(b.gep(b.inttoptr(a[0], i64.as_pointer()), [a[1]]))
    return types.int64(types.int64, types.int64), codegen


@intrinsic
def put(typingctx, base, k, value):
    def codegen(ctx, b, sig, a):
        i64 = ir.IntType(64)
        b.store(a[2], b.gep(b.inttoptr(a[0], i64.as_pointer()), [a[1]]))
        return ctx.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def call(typingctx, address, begin, end, args):
    def codegen(ctx, b, sig, a):
        i64 = ir.IntType(64)
        fn = ir.FunctionType(ir.VoidType(), [i64, i64, i64])
        b.call(b.inttoptr(a[0], fn.as_pointer()), [a[1], a[2], a[3]])
        return ctx.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


def bind(table, addresses, floats):
    words = at(table, 0)
    moves = at(table, 1)
    for k in range(at(table, 2)):
        put(words, at(moves, 3 * k), at(addresses, at(moves, 3 * k + 1)) + at(moves, 3 * k + 2))
    moves = at(table, 3)
    for k in range(at(table, 4)):
        put(words, at(moves, 2 * k), at(floats, at(moves, 2 * k + 1)))


bind = njit(bind)


def spread(address, total, grain, args, threads):
    least = (total + 4 * threads - 1) // (4 * threads)
    step = max(grain, least)
    chunks = (total + step - 1) // step
    for c in prange(chunks):
        call(address, c * step, min(total, c * step + step), args)


spread = njit("void(int64, int64, int64, int64, int64)", parallel=True, nogil=True,
              cache=True)(spread)


def run(table, addresses, floats, first, last, threads):
    if first == 0:
        bind(table, addresses, floats)
        put(table, 6, 0)
    words = at(table, 0)
    steps = at(table, 5)
    for s in range(first, last):
        address = at(steps, 5 * s)
        total = at(steps, 5 * s + 1)
        grain = at(steps, 5 * s + 2)
        args = words + 8 * at(steps, 5 * s + 3)
        if threads == 1 or total <= grain:
            if total > 0:
                call(address, 0, total, args)
        else:
            spread(address, total, grain, args, threads)
        if at(steps, 5 * s + 4):
            call(address, -1, 0, args)
        put(table, 6, s + 1)


run = njit("void(int64, int64, int64, int64, int64, int64)", nogil=True, cache=True)(run)
'''

_run = None


def runner():
    """The compiled driver, compiled or loaded on first use."""
    global _run
    if _run is None:
        _load_thread_layer()
        _run = _load()
    return _run


def _load_thread_layer() -> None:
    """Loads TBB so that Numba finds it; leaves Numba's settings alone if it is in use already."""
    fresh = "numba" not in sys.modules
    library = None
    for folder in (os.path.join(sys.prefix, "lib"), os.path.join(sys.base_prefix, "lib")):
        for path in sorted(glob.glob(os.path.join(folder, "libtbb.so.1*"))):
            with contextlib.suppress(OSError):
                library = library or ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
    import numba
    if fresh and library is not None and "NUMBA_THREADING_LAYER" not in os.environ:
        numba.config.THREADING_LAYER = "tbb"
    numba.set_num_threads(max(1, min(config.threads, numba.config.NUMBA_NUM_THREADS)))


def _load():
    import hashlib

    folder = cache_directory()
    stem = "driver_" + hashlib.sha256(fingerprint() + SOURCE.encode()).hexdigest()[:24]
    path = folder / f"{stem}.py"
    with interrupts_held(), exclusive(folder / f"{stem}.lock"):
        if not path.exists():
            write_whole(path, SOURCE.encode())
        started = time.perf_counter()
        try:
            module = _import(stem, path)
        except Exception:              # a damaged cache: start over
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
            write_whole(path, SOURCE.encode())
            module = _import(stem, path)
        if not module.run._cache_hits:
            stats.compile_seconds += time.perf_counter() - started
    return module.run


def _import(stem: str, path):
    spec = importlib.util.spec_from_file_location(stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    spec.loader.exec_module(module)
    return module
