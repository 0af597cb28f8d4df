"""The driver: compiles `native` once per machine, keeps it on disk, and hands out its functions."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
import time
from pathlib import Path

from ..kernels.compile import (
    apart,
    cache_directory,
    exclusive,
    fingerprint,
    interrupts_held,
    stats,
    write_whole,
)

ENTRIES = ("run", "start", "join", "serve")       # functions that Python calls
_native = None


def native():
    """The compiled driver's module, compiled or loaded on first use."""
    global _native
    if _native is None:
        _native = _load()
    return _native


def _load():
    source = (Path(__file__).parent / "native.py").read_bytes()
    folder = cache_directory()
    stem = "driver_" + hashlib.sha256(fingerprint() + source).hexdigest()[:24]
    path = folder / f"{stem}.py"
    with interrupts_held(), exclusive(folder / f"{stem}.lock"):
        if not path.exists():
            write_whole(path, source)
        started = time.perf_counter()
        try:
            module = apart(_import, stem, path)
        except Exception:              # a damaged cache: start over
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
            write_whole(path, source)
            module = apart(_import, stem, path)
        if not module.run._cache_hits:
            stats.compile_seconds += time.perf_counter() - started
    return _direct(module)


def _direct(module):
    """The module with its functions as what Numba's dispatchers would call for their one
    signature: nothing is left to choose at a call."""
    module.dispatchers = [getattr(module, name) for name in ENTRIES]     # they own the code
    for name, dispatcher in zip(ENTRIES, module.dispatchers, strict=True):
        setattr(module, name, dispatcher.overloads[dispatcher.signatures[0]].entry_point)
    return module


def _import(stem: str, path):
    spec = importlib.util.spec_from_file_location(stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[stem] = module
    spec.loader.exec_module(module)
    return module
