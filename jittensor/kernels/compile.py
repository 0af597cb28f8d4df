"""Compilation: a LoopNest (or kernel source) in, the address of machine code out.

Each kernel is looked for in this process, then on disk, then compiled by Numba. The disk holds
two files a kernel, named by the hash of everything that shapes the code: `<hash>.py`, the
generated source, and `<hash>.obj`, its machine code behind a checksum. Files appear whole (they
are renamed into place) and a bad one is compiled anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FORMAT = 4             # raised whenever the file layout or Numba's passes (`pipeline`) change
LIMIT = 512 << 20      # bytes that the cache may take


@dataclass
class Stats:
    """Counters of this process."""

    kernels_compiled: int = 0
    kernels_loaded: int = 0
    kernels_launched: int = 0
    realizes: int = 0
    plans_built: int = 0
    compile_seconds: float = 0.0


stats = Stats()
_lock = threading.RLock()
_addresses: dict[str, int] = {}
handed: set[str] = set()     # sources that helpers were asked to compile (see `ahead`)
_engine = None
_alive: list = []
_salt = b""


def cache_directory() -> Path:
    """Where kernels are kept: JITTENSOR_CACHE_DIR, the user's cache, or a temporary place."""
    global _directory
    if _directory is None:
        _directory = _find_directory()
    return _directory


_directory: Path | None = None


def _find_directory() -> Path:
    named = os.environ.get("JITTENSOR_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    for candidate in filter(None, (named, os.path.join(home, "jittensor"))):
        try:
            path = Path(candidate)
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                return path
        except OSError:
            continue
    return Path(tempfile.mkdtemp(prefix="jittensor-"))


def kernel_address(source: str) -> int:
    """The address of the kernel `void kernel(int64 begin, int64 end, int64 args)` of a source."""
    address = _addresses.get(source)
    if address is None:
        with _lock:
            address = _addresses.get(source)
            if address is None:
                address = _addresses[source] = _find(source)
    return address


def is_known(source: str) -> bool:
    """Whether a source's machine code is in this process."""
    return source in _addresses


def kernel_file(source: str) -> Path:
    """Where the machine code of a source is kept."""
    stem = hashlib.sha256(fingerprint() + source.encode()).hexdigest()[:32]
    return cache_directory() / f"{stem}.obj"


def _find(source: str) -> int:
    path = kernel_file(source)
    started = time.perf_counter()
    found = _load(path)
    if found is None:
        with exclusive(path.with_suffix(".lock")):
            found = _load(path)          # another process may have been first
            if found is None:
                with interrupts_held():
                    address = apart(_compile, source, path)
                return _compiled(address, started)
    if source in handed:                 # compiled for this process, if not in it
        return _compiled(found, started)
    stats.kernels_loaded += 1
    return found


def _compiled(address: int, started: float) -> int:
    stats.compile_seconds += time.perf_counter() - started
    stats.kernels_compiled += 1
    return address


def compile_unless_held(source: str) -> bool:
    """Compiles a source to the disk, unless it is there or another process is about it. Whether it
    was compiled here."""
    path = kernel_file(source)
    if path.exists():
        return False
    with exclusive(path.with_suffix(".lock"), wait=False) as mine:
        if not mine or path.exists():
            return False
        _compile(source, path)
    return True


def fingerprint() -> bytes:
    """Everything besides the source that shapes the code."""
    global _salt
    if not _salt:
        import llvmlite
        import llvmlite.binding as llvm
        import numba
        features = ",".join(sorted(f for f, on in llvm.get_host_cpu_features().items() if on))
        _salt = repr((FORMAT, sys.version_info[:3], numba.__version__, llvmlite.__version__,
                      llvm.get_host_cpu_name(), features, _package_hash())).encode()
    return _salt


def _package_hash() -> str:
    """A hash of the sources that generated kernels import."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "cpu").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def apart(function: Callable, *args):
    """What a function returns, which runs in a thread of its own: Numba leaves tracebacks in
    reference cycles, and they would hold on to the caller's frames and so to their tensors."""
    outcome: list = []

    def work() -> None:
        try:
            outcome.append((function(*args), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work)
    try:
        thread.start()
    except RuntimeError:             # the interpreter is shutting down
        return function(*args)
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


@contextlib.contextmanager
def interrupts_held():
    """Keeps a Ctrl-C until the block ends: LLVM's callbacks would swallow it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):
        yield
        return
    signal.signal(signal.SIGINT, lambda *args: caught.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if caught:
            before(*caught[0])


@contextlib.contextmanager
def exclusive(path: Path, wait: bool = True):
    """Holds a file lock, so that processes do not compile one kernel twice. Without `wait` gives
    False where another process holds it."""
    try:
        import fcntl
        file = open(path, "w")
    except (ImportError, OSError):
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


# ── machine code ──────────────────────────────────────────────────────────────────────────────
def _load(path: Path) -> int | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        return None
    return _link(*pickle.loads(data[32:]))


def _link(symbol: str, code: bytes) -> int:
    """Loads an object file into this process."""
    global _engine
    import llvmlite.binding as llvm
    if _engine is None:
        import numba.core.registry
        _ = numba.core.registry.cpu_target.target_context  # registers Numba's runtime symbols
        machine = llvm.Target.from_default_triple().create_target_machine(
            reloc="pic", codemodel="jitdefault", jit=True)
        _engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    # a symbol that is not known would leave the whole object unlinked
    if b"jittensor_special_" in code:
        from .cpu.special_math import register
        register()
    if b"NRT_" in code:
        from numba.core.registry import cpu_target
        from numba.core.runtime import rtsys
        rtsys.initialize(cpu_target.target_context)
    module = llvm.object_file.ObjectFileRef.from_data(code)
    _engine.add_object_file(module)
    _engine.finalize_object()
    _alive.append(module)
    return _engine.get_function_address(symbol)


def _compile(source: str, path: Path) -> int:
    from numba import cfunc, types

    from .pipeline import KernelCompiler

    file = path.with_suffix(".py")
    write_whole(file, source.encode())
    namespace: dict = {"__name__": "jittensor_kernel_" + path.stem}
    exec(compile(source, str(file), "exec"), namespace)
    signature = types.void(types.int64, types.int64, types.int64)
    compiled = cfunc(signature, error_model="numpy", pipeline_class=KernelCompiler)(
        namespace["kernel"])
    library = compiled._library
    code = library._get_compiled_object() if library._object_caching_enabled else None
    if code is None:
        _alive.append(compiled)
        return compiled.address
    payload = pickle.dumps((compiled._wrapper_name, code))
    write_whole(path, hashlib.sha256(payload).digest() + payload)
    _alive.append(compiled)
    return compiled.address


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; a cache that cannot be written is no error."""
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
        _evict(path.parent)


_written = 0


def _evict(directory: Path) -> None:
    """Every 256 writes, drops the files least recently made until the limit holds."""
    global _written
    _written += 1
    if _written % 256:
        return
    files = sorted(directory.glob("*.*"), key=lambda f: f.stat().st_mtime)
    total = sum(f.stat().st_size for f in files)
    for f in files:
        if total <= LIMIT:
            break
        total -= f.stat().st_size
        f.unlink()
