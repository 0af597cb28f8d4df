"""Compiling ahead: the sources that a plan needs in, other processes that compile some of them out.

Numba compiles one kernel at a time in a process. So the kernels of a plan that nobody has compiled
yet are named to helper processes too: this process compiles from the first on, a helper from a
later one on, and each leaves out what lies on disk already or is being compiled by somebody. What
a helper compiled is then loaded from the disk.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path

from ..config import thread_budget
from .compile import (
    cache_directory,
    compile_unless_held,
    handed,
    is_known,
    kernel_file,
    write_whole,
)

FEW = 4              # kernels to be compiled for which a helper is not worth its start
MOST = 3             # helpers
IDLE = 60.0          # seconds without work after which a helper ends
LIFE = 200           # kernels after which it does: Numba keeps what it has compiled
COMMAND = "import sys; sys.path.insert(0, {!r}); from {} import help; help()"

_helpers: list[subprocess.Popen] = []
_lock = threading.Lock()


def prepare(sources: list[str]) -> None:
    """Names those sources to helpers that have not been compiled yet, unless they are few."""
    missing = [s for s in dict.fromkeys(sources) if not is_known(s) and s not in handed]
    if len(missing) < FEW:
        return
    missing = [s for s in missing if not kernel_file(s).exists()]
    wanted = min(MOST, thread_budget() - 1, len(missing) // FEW)
    if wanted > 0:
        handed.update(missing)
        threading.Thread(target=_share, args=(missing, wanted), daemon=True).start()


def _share(sources: list[str], wanted: int) -> None:
    """Names sources to so many helpers or more, to each in another order. In a thread of its own:
    starting a process takes long, and what it leaves behind would hold on to the caller's frames
    and so to their tensors."""
    with _lock:
        _hire(wanted)
        _name(sources)


def _name(sources: list[str]) -> None:
    stems = []
    for source in sources:
        file = kernel_file(source)
        write_whole(file.with_suffix(".py"), source.encode())
        stems.append(file.stem)
    parts = len(_helpers) + 1
    for k, helper in enumerate(list(_helpers), 1):
        first = len(stems) * k // parts
        order = stems[::-1] if parts == 2 else stems[first:] + stems[:first]
        try:
            helper.stdin.write(" ".join(order).encode() + b"\n")
            helper.stdin.flush()
        except OSError:              # it has ended
            _helpers.remove(helper)


def _hire(count: int) -> None:
    """Starts helpers until there are so many, where processes can be started."""
    _helpers[:] = [helper for helper in _helpers if helper.poll() is None]
    command = COMMAND.format(str(Path(__file__).parents[2]), __name__)
    env = {**os.environ, "JITTENSOR_CACHE_DIR": str(cache_directory())}
    with contextlib.suppress(OSError):
        while len(_helpers) < count and sys.executable:
            _helpers.append(subprocess.Popen(
                [sys.executable, "-P", "-c", command], env=env, stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))


@atexit.register
def dismiss() -> None:
    """Ends the helpers."""
    while _helpers:
        helper = _helpers.pop()
        helper.kill()
        helper.wait()
        with contextlib.suppress(OSError):
            helper.stdin.close()


os.register_at_fork(after_in_child=_helpers.clear)      # they are the parent's


# ── a helper ──────────────────────────────────────────────────────────────────────────────────
def help() -> None:
    """What a helper process does: compiles the kernels whose names it reads, a list a line, those
    of the last list first. Ends with its input, when nothing is asked of it for long, or when it
    has compiled many."""
    compiled = 0
    lists: list[list[str]] = []
    arrived = threading.Condition()

    def read() -> None:
        for line in sys.stdin:
            with arrived:
                lists.append(line.split())
                arrived.notify()
        os._exit(0)              # whoever asked has ended: nobody waits for the rest

    threading.Thread(target=read, daemon=True).start()
    while True:
        with arrived:
            if compiled >= LIFE or not arrived.wait_for(lambda: lists, IDLE):
                os._exit(0)
            stems = lists.pop()
        for stem in stems:
            with contextlib.suppress(OSError):
                source = (cache_directory() / f"{stem}.py").read_text()
                compiled += compile_unless_held(source)
