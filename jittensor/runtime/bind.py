"""Binding a plan: a Plan in, tables that the driver walks; addresses and scalars in, one run."""

from __future__ import annotations

import atexit
import threading
from array import array

import numpy as np

from ..compiler.nest import Launch, LoopNest
from ..compiler.plan import Plan
from ..config import config
from ..kernels.ahead import prepare
from ..kernels.compile import kernel_address, stats
from ..kernels.emit import emit
from ..kernels.matmul import all_blas_threads, one_blas_thread
from . import blocks
from .driver import native
from .workers import workers

SLICE = 1 << 28          # bytes moved (or eightfold operations) between two looks at Ctrl-C
_sources: dict[LoopNest, str] = {}
interrupted: list[Run] = []      # runs that have begun: more than the present one after a Ctrl-C
lock = threading.RLock()    # held by whoever runs plans


class Bound:
    """The tables of a plan, and all that a run needs of it. Addresses handed to a run stand in
    this order: the slots, the storages' own blocks, the output blocks, the arena.

    `outputs` are the plan's; `parts` say of each launch (label, bytes moved, origin).
    """

    def __init__(self, plan: Plan, slots: int):
        words: list[int] = []
        moves: list[int] = []
        float_moves: list[int] = []
        steps: list[int] = []
        every = [*plan.launches, *[la.tail for la in plan.launches if la.tail is not None]]
        self.storages = max((w[1][1] + 1 for launch in every for w in launch.words
                             if isinstance(w, tuple) and w[0] == "address"
                             and w[1][0] == "storage"), default=0)
        start = {"slot": 0, "storage": slots, "out": slots + self.storages,
                 "arena": slots + self.storages + len(plan.outputs)}

        prepare([source_of(launch.kernel) for launch in every
                 if not isinstance(launch.kernel, int)])

        def lay(launch: Launch) -> tuple[int, int]:
            """The launch's code, and where its words begin."""
            base = len(words)
            for word in launch.words:
                at = len(words)
                if isinstance(word, (int, np.integer)):
                    words.append(int(word))
                    continue
                words.append(0)
                if word[0] == "address":
                    memory = word[1]
                    moves.extend((at, start[memory[0]] + (
                        memory[1] if memory[0] != "arena" else 0), word[2]))
                elif word[0] == "const":
                    words[at] = _bits(word[1], word[2])
                elif word[1] == "i":
                    moves.extend((at, word[2], 0))
                else:
                    float_moves.extend((at, word[2]))
            return address_of(launch.kernel), base

        self.slices: list[int] = []
        moved = 0
        for number, launch in enumerate(plan.launches):
            kernel, base = lay(launch)
            tail = launch.tail
            steps += [kernel, launch.total, launch.grain, base, int(launch.finish), launch.after,
                      *((0, 0, 0, 0) if tail is None else (*lay(tail), launch.run, tail.total))]
            moved += launch.moved + launch.work // 8
            if moved > SLICE:
                self.slices.append(number + 1)
                moved = 0
        n = len(plan.launches)
        if not self.slices or self.slices[-1] != n:
            self.slices.append(n)
        self.words = np.array(words or [0], np.int64)
        self.moves = np.array(moves or [0], np.int64)
        self.float_moves = np.array(float_moves or [0], np.int64)
        self.steps = np.array(steps or [0], np.int64)
        table = np.array([self.words.ctypes.data, self.moves.ctypes.data, len(moves) // 3,
                               self.float_moves.ctypes.data, len(float_moves) // 2,
                               self.steps.ctypes.data, 0], np.int64)   # the last: launches done
        self.table, self.address = memoryview(table), table.ctypes.data
        self.outputs, self.arena = plan.outputs, plan.arena
        self.parts = [(launch.label, launch.moved, launch.origin) for launch in plan.launches]
        self.launches = n
        self.native = native()
        self.large = any(launch.total > launch.grain for launch in plan.launches)
        self.blas = any(launch.blas for launch in plan.launches)


class Run:
    """A run of a plan that is noted, in flight or interrupted; until it has ended it holds its
    output blocks, its arena and all else whose memory it uses (`held`)."""

    __slots__ = ("bound", "addresses", "floats", "outputs", "arena", "held", "done", "crew",
                 "states")

    def __init__(self, bound: Bound, addresses: array, floats: array, outputs: list, arena, held,
                 done):
        self.bound, self.addresses, self.floats, self.outputs = bound, addresses, floats, outputs
        self.arena, self.held, self.done = arena, held, done


def _bits(kind: str, value) -> int:
    return int(value) if kind == "i" else int(np.array(value, np.float64).view(np.int64))


def source_of(kernel: LoopNest | str) -> str:
    """The source text of a kernel."""
    if isinstance(kernel, str):
        return kernel
    source = _sources.get(kernel)
    if source is None:
        source = _sources[kernel] = emit(kernel)
    return source


def address_of(kernel: LoopNest | str | int) -> int:
    """The machine code of a LoopNest, of a source text, or of an address itself."""
    return kernel if isinstance(kernel, int) else kernel_address(source_of(kernel))


def begin(bound: Bound, binding, outputs: list, done) -> Run:
    """Notes a run: what it is bound to, and `done()` to be called after it."""
    addresses = array("q", binding.addresses)
    if bound.storages:
        addresses.extend([s.block.address for s in binding.storages[:bound.storages]])
    addresses.extend([b.address for b in outputs])
    return begin_bound(bound, addresses, array("d", binding.floats), outputs, binding, done)


def begin_bound(bound: Bound, addresses: array, floats: array, outputs: list, held, done) -> Run:
    """Notes a run whose addresses (but the arena's) and scalars are known."""
    arena = None
    if bound.arena:
        before = in_flight(bound)
        arena = before.arena if before is not None else blocks.take(bound.arena)
        addresses.append(arena.address)
    stats.kernels_launched += bound.launches
    if len(bound.slices) > 1:
        bound.table[6] = 0
    run = Run(bound, addresses, floats, outputs, arena, held, done)
    interrupted.append(run)
    return run


def in_flight(bound: Bound) -> Run | None:
    """The run of `bound` that is in flight; another one may use its blocks again."""
    return _in_flight if _in_flight is not None and _in_flight.bound is bound else None


def proceed(run: Run, wait: bool = True) -> None:
    """Runs what is left of a noted run. Without `wait` the workers begin it and `settle` ends it.
    After a Ctrl-C between two slices the rest runs at the next realize; the tables are this run's
    until then."""
    bound = run.bound
    given = bound.address, run.addresses.buffer_info()[0], run.floats.buffer_info()[0]
    slices = bound.slices
    first = 0
    if len(slices) > 1:
        settle()
        first = bound.table[6]
    if not bound.large or config.threads == 1:
        settle()
        if bound.blas:
            one_blas_thread()
        try:
            _run_slices(bound, given, first)
        finally:
            all_blas_threads()
    elif wait or len(slices) > 1:
        for last in slices:
            if last > first:
                _open(run, given, first, last)
                settle()
                first = last
    else:
        _open(run, given, 0, bound.launches)
    run.done()
    interrupted.remove(run)


def _run_slices(bound: Bound, given: tuple, first: int) -> None:
    """Runs what follows launch `first` on the caller's thread."""
    for last in bound.slices:
        if last > first:
            bound.native.run(*given, first, last)
            first = last


def _open(run: Run, given: tuple, first: int, last: int) -> None:
    """Hands launches first..last of a run to the workers as soon as the run in flight has ended;
    as little as can be is done between the two."""
    global _in_flight
    bound, crew, threads = run.bound, workers(), config.threads
    crew.muster(threads, bound.launches)
    ended = _in_flight               # what it held is let go when this one has started
    if ended is not None:
        _join(ended)
    if bound.blas:
        one_blas_thread()
    else:
        all_blas_threads()
    bound.table[6] = first
    run.crew, run.states = crew, crew.states
    _in_flight = run
    bound.native.start(*given, first, last, threads, crew.state, crew.pool)


def settle() -> None:
    """Returns when no work is in flight; the caller's thread does its part of it. Called before
    anybody looks at memory."""
    if _in_flight is None:
        return
    with lock:
        run = _in_flight
        if run is None:
            return
        _join(run)
        all_blas_threads()


def _join(run: Run) -> None:
    """Ends the run in flight."""
    global _in_flight
    if run.bound.table[6] == run.crew.native.OPENED:
        run.bound.native.join(run.bound.address, run.crew.pool)
    _in_flight = None


_in_flight: Run | None = None
blocks.settle = settle
atexit.register(settle)


def finish_interrupted() -> None:
    """Runs what a Ctrl-C left of earlier runs."""
    while interrupted:
        proceed(interrupted[0])
