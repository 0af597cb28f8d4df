"""In: a part of a program. Out: the launches of the engine in it, each with its time.

While a profile is on, plans run launch by launch with a clock around each; what ran otherwise at
once in one call takes a little longer in sum. Work is lazy: a region of `record_function` and the
profile itself run what is pending at their ends, so that times belong to where they were asked for.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from ..config import config
from ..graph.node import where
from ..kernels.compile import stats
from ..kernels.matmul import all_blas_threads, one_blas_thread
from ..runtime import bind, realize
from .report import Event, EventList, averages, chrome_trace

__all__ = ["ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule",
           "supported_activities", "tensorboard_trace_handler"]


class ProfilerActivity(Enum):
    """What is measured: the CPU is all that there is."""

    CPU, CUDA, XPU, MTIA, HPU, PrivateUse1 = range(6)


class ProfilerAction(Enum):
    """What a profile does in a step."""

    NONE, WARMUP, RECORD, RECORD_AND_SAVE = range(4)


def supported_activities() -> set[ProfilerActivity]:
    """What can be measured."""
    return {ProfilerActivity.CPU}


def schedule(*, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
             skip_first_wait: int = 0) -> Callable[[int], ProfilerAction]:
    """A function of the step's number: after `skip_first` steps, cycles of `wait` steps of nothing,
    `warmup` steps and `active` steps that are recorded, `repeat` times (0: on and on).

    >>> import jittensor as torch
    >>> plan = torch.profiler.schedule(wait=1, warmup=0, active=2)
    >>> [plan(step).name for step in range(4)]
    ['NONE', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        cycle = wait + warmup + active
        if skip_first_wait != 0:
            step += wait
        if repeat and step // cycle >= repeat:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == cycle - 1 else ProfilerAction.RECORD

    return action


# ── the engine with a clock ───────────────────────────────────────────────────────────────────
class _Clock:
    """Stands in for the engine's way to run a plan while a profile is on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.kernels = 0                    # ns of all launches
        self.plain: tuple = ()
        self.compiled = 0.0

    def start(self) -> None:
        """Put the clock into the engine."""
        self.compiled = stats.compile_seconds
        self.plain = realize.proceed, bind.proceed
        realize.proceed = bind.proceed = self.proceed

    def stop(self) -> None:
        """Take it out again; the time spent compiling becomes an event."""
        realize.proceed, bind.proceed = self.plain
        spent = int((stats.compile_seconds - self.compiled) * 1e9)
        if spent:
            self.events.append(Event("[compiling kernels]", time.perf_counter_ns() - spent, spent,
                                     "compile"))

    def proceed(self, run: bind.Run, wait: bool = True) -> None:
        """Run a noted run, launch by launch."""
        bound = run.bound
        bind.settle()
        given = bound.address, run.addresses.buffer_info()[0], run.floats.buffer_info()[0]
        alone = not bound.large or config.threads == 1
        for k, part in enumerate(bound.parts):
            start = time.perf_counter_ns()
            if alone:
                if bound.blas:
                    one_blas_thread()
                try:
                    bound.native.run(*given, k, k + 1)
                finally:
                    all_blas_threads()
            else:
                bind._open(run, given, k, k + 1)
                bind.settle()
            self._note(part, start, time.perf_counter_ns() - start)
        run.done()
        bind.interrupted.remove(run)

    def _note(self, part: tuple, start: int, length: int) -> None:
        self.kernels += length
        label, moved, origin = part
        file, line = where(origin)
        self.events.append(Event(label, start, length, "kernel", moved, f"{file}:{line}"))


_clock: _Clock | None = None


class record_function:  # noqa: N801
    """A named region, a context or a decorator: its wall time is a row of the profile."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        self.clock = _clock
        if self.clock is not None:
            realize.realize_all()
            bind.settle()
            self.begun, self.before = time.perf_counter_ns(), self.clock.kernels
        return self

    def __exit__(self, *exc: Any) -> None:
        if self.clock is not None and self.clock is _clock:
            realize.realize_all()
            bind.settle()
            self.clock.events.append(Event(
                self.name, self.begun, time.perf_counter_ns() - self.begun, "region",
                inside=self.clock.kernels - self.before))

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name):
                return function(*args, **kwargs)

        return wrapped


class profile:  # noqa: N801
    """A context in which the engine's launches are timed.

    Args:
        activities: accepted; the CPU is measured.
        schedule: a function of the step's number (see `schedule`); `step()` ends a step.
        on_trace_ready: called with the profile when recorded steps are complete.
        record_shapes, profile_memory, with_stack, with_flops, with_modules, …: accepted, without
            effect: rows name the operators of each kernel, events the line that recorded it.

    >>> import jittensor as torch
    >>> with torch.profiler.profile() as p:
    ...     _ = (torch.ones(4) * 2).exp().tolist()
    >>> [row.key for row in p.key_averages() if row.key.startswith("map")]
    ['map: fill mul exp']
    """

    def __init__(self, *, activities: Iterable[ProfilerActivity] | None = None,
                 schedule: Callable[[int], ProfilerAction] | None = None,
                 on_trace_ready: Callable[[profile], Any] | None = None,
                 record_shapes: bool = False, profile_memory: bool = False,
                 with_stack: bool = False, with_flops: bool = False, with_modules: bool = False,
                 experimental_config: Any = None, execution_trace_observer: Any = None,
                 acc_events: bool = False, use_cuda: bool | None = None,
                 custom_trace_id_callback: Any = None,
                 post_processing_timeout_s: float | None = None) -> None:
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.step_num = 0
        self._events: list[Event] = []

    def _wanted(self) -> bool:
        if self.schedule is None:
            return True
        return self.schedule(self.step_num) in (ProfilerAction.RECORD,
                                                ProfilerAction.RECORD_AND_SAVE)

    def start(self) -> None:
        """Begin."""
        self._begin()

    def _begin(self) -> None:
        global _clock
        if self._wanted() and _clock is None:
            realize.realize_all()
            bind.settle()
            _clock = _Clock()
            _clock.start()

    def _end(self) -> None:
        global _clock
        if _clock is None:
            return
        realize.realize_all()
        bind.settle()
        clock, _clock = _clock, None
        clock.stop()
        self._events += clock.events

    def stop(self) -> None:
        """End."""
        running = _clock is not None
        self._end()
        if running and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """The next step of the schedule begins."""
        if self.schedule is None:
            self.step_num += 1
            return
        saved = self.schedule(self.step_num) is ProfilerAction.RECORD_AND_SAVE
        self.step_num += 1
        if saved or not self._wanted():
            self._end()
        if saved:
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
            if self._wanted():
                self._events = []
        if _clock is None:
            self._begin()

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    # ── results ───────────────────────────────────────────────────────────────────────────────
    def events(self) -> EventList:
        """Every launch and region, in order."""
        return EventList(sorted(self._events, key=lambda e: e.start))

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0,
                     group_by_overload_name: bool = False) -> EventList:
        """The sums by name."""
        return averages(self.events())

    def export_chrome_trace(self, path: str) -> None:
        """Write the launches to a file for chrome://tracing."""
        with open(path, "w", encoding="utf-8") as file:
            file.write(chrome_trace(self._events))

    def add_metadata(self, key: str, value: str) -> None:
        """Accepted, without effect."""

    add_metadata_json = add_metadata


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None,
                              use_gzip: bool = False) -> Callable[[profile], None]:
    """A function for `on_trace_ready` that writes a Chrome trace into a folder."""

    def write(finished: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        name = f"{worker_name or os.getpid()}.{time.time_ns()}.pt.trace.json"
        finished.export_chrome_trace(os.path.join(dir_name, name))

    return write
