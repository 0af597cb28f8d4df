"""Worker threads: a wish for threads in, workers that take part in the driver's jobs.

A worker spins for two milliseconds after a job, so that the next one of a loop finds it awake, and
then sleeps on a lock. A job never waits for a worker that has not come. After a fork the child
starts workers of its own; at exit they are told to end before the machine code goes.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import ctypes
import os
import time

import numpy as np

from .driver import native

LINE = 8                 # words of a cache line
POOL_WORDS = 48
_getcpu = getattr(ctypes.CDLL(None), "sched_getcpu", None) if os.name == "posix" else None
PATIENCE = 2e-3          # seconds that a worker spins without work


def aligned(words: int) -> tuple[np.ndarray, int]:
    """Zeroed words from a cache line's beginning, and their address."""
    array = np.zeros(words + LINE, np.int64)
    skip = -(array.ctypes.data // 8) % LINE
    return array[skip:skip + words], array.ctypes.data + 8 * skip


class Workers:
    """The workers of this process, the pool through which they get jobs, and the states of a
    job's steps."""

    def __init__(self):
        self.native = native()
        words, self.pool = aligned(POOL_WORDS)
        self.words = memoryview(words)
        self.beds: list = []             # the lock that each worker sleeps on
        self.tids: list[int] = []
        self.avoided = -1                # the core that workers are kept off
        self.states, self.state = aligned(LINE)
        self.words[self.native.PATIENCE] = self._patience()

    def _patience(self) -> int:
        """PATIENCE in looks for a job; how long one takes differs tenfold between processors."""
        looks = 2000
        self.words[self.native.PATIENCE] = looks
        started = time.perf_counter()
        self.native.serve(self.pool, 0, 0)
        return round(looks * PATIENCE / (time.perf_counter() - started))

    def muster(self, threads: int, steps: int) -> None:
        """Gets ready for a job of so many threads, the caller among them, and steps."""
        if len(self.beds) < threads - 1:
            self._hire(threads - 1)
        wanted = steps * (threads + 1) * LINE
        if wanted > len(self.states):
            self.states, self.state = aligned(2 * wanted)
        if self.words[self.native.ASLEEP]:
            self._make_room()
            for bed in self.beds:
                if bed.locked():
                    bed.release()

    def _make_room(self) -> None:
        """Keeps workers off the caller's core: a scheduler that wakes one there, behind a caller
        that is about to compute, leaves it waiting for milliseconds."""
        here = _getcpu() if _getcpu is not None else -1
        if here == self.avoided or here < 0:
            return
        cores = os.sched_getaffinity(0) - {here}
        if cores:
            for tid in self.tids:
                with contextlib.suppress(OSError):       # a thread that has not begun, or ended
                    os.sched_setaffinity(tid, cores)
            self.avoided = here

    def _hire(self, count: int) -> None:
        """Starts workers until there are `count`, or as many as the system allows."""
        asleep = self.native.ASLEEP
        while len(self.beds) < count:
            bed = _thread.allocate_lock()
            self.words[asleep] += 1
            try:
                _thread.start_new_thread(self._live, (len(self.beds) + 1, bed))
            except RuntimeError:         # out of threads, or the interpreter is ending
                self.words[asleep] -= 1
                return
            self.beds.append(bed)

    def _live(self, me: int, bed) -> None:
        joined = 0
        self.tids.append(_thread.get_native_id())
        self.avoided = -1
        while joined >= 0:
            bed.acquire()
            joined = self.native.serve(self.pool, me, joined)

    def dismiss(self) -> None:
        """Tells every worker to end, and waits until none can be in machine code."""
        self.words[self.native.QUIT] = 1
        deadline = time.monotonic() + 1.0
        while (self.words[self.native.ASLEEP] < len(self.beds)
               and time.monotonic() < deadline):
            time.sleep(0.0002)


_workers: Workers | None = None


def workers() -> Workers:
    """The workers of this process."""
    global _workers
    if _workers is None:
        _workers = Workers()
    return _workers


def _dismiss() -> None:
    if _workers is not None:
        _workers.dismiss()


def _forget() -> None:
    global _workers
    _workers = None


atexit.register(_dismiss)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
