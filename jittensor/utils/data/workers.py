"""A loader in, its batches out, prepared by worker processes."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import time
import weakref
from multiprocessing import connection
from typing import Any

from ...creation import zeros
from ...multiprocessing import spawning  # noqa: F401  (spawned workers have the same torch)
from .dataloader import DataLoader, LoaderIterator
from .failures import Failure
from .transport import Channel
from .worker import ENDED, Setup, work

__all__ = ["WorkersIterator"]

_MOST = 64             # tasks that wait at a worker: more could fill both directions of its pipe
_PATIENCE = 5.0        # seconds that workers get to end by themselves


class Worker:
    """A worker process and the loader's end of its pipe."""

    def __init__(self, context: Any, setup: Setup, number: int, others: list[Worker]):
        ours, theirs = context.Pipe(duplex=True)
        forked = context.get_start_method() == "fork"
        inherited = (*[w.channel.pipe for w in others], ours) if forked else ()
        self.channel, self.waiting, self.active = Channel(ours), 0, True
        self.process = context.Process(target=work, args=(setup, number, theirs, inherited),
                                       daemon=True)
        self.process.start()
        theirs.close()


def _stop(workers: list[Worker], owner: int) -> None:
    """Ends worker processes: asks, waits, then insists."""
    if os.getpid() != owner:              # a fork has a copy of the iterator, not the workers
        return
    for worker in workers:
        with contextlib.suppress(OSError, ValueError):
            worker.channel.send(None)
        worker.channel.close()
    end = time.monotonic() + _PATIENCE
    for worker in workers:
        worker.process.join(max(0.0, end - time.monotonic()))
    for worker in workers:
        if worker.process.is_alive():
            worker.process.terminate()
    for worker in workers:
        worker.process.join(1.0)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
    workers.clear()


class WorkersIterator(LoaderIterator):
    """Hands index lists to workers in turn, a few ahead, and takes their batches in that order (or
    as they come, with in_order=False)."""

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        if not loader.prefetch_factor:
            raise AssertionError("prefetch_factor must be greater than 0 for loading by workers, "
                                 f"got {loader.prefetch_factor}")
        context = loader.multiprocessing_context or multiprocessing.get_context()
        setup = Setup(loader.dataset, loader._iterable, loader._auto_collation, loader.collate_fn,
                      loader.drop_last, self._base_seed, loader.worker_init_fn, loader.num_workers,
                      os.getpid())
        if context.get_start_method() == "fork":
            zeros(1).realize()      # the engine is loaded once here, not once in each fork
        self._crew: list[Worker] = []
        self._close = weakref.finalize(self, _stop, self._crew, os.getpid())
        for number in range(loader.num_workers):
            self._crew.append(Worker(context, setup, number, self._crew))
        self._pass = 0
        self._start()

    @property
    def _workers(self) -> list:
        return [worker.process for worker in self._crew]

    def _reset(self, loader: DataLoader) -> None:
        """Begins another pass with the same workers."""
        self._begin(loader)
        self._pass += 1                       # answers of an unfinished pass are told by it
        self._start()

    def _start(self) -> None:
        self._turns = itertools.cycle(range(len(self._crew)))
        self._placed: dict[int, Worker] = {}  # task -> the worker that has it, in order
        self._ready: dict[int, Any] = {}      # task -> its batch, not yet taken
        self._count, self._exhausted = 0, False
        for worker in self._crew:
            worker.active = True
        for _ in range(min(self._loader.prefetch_factor, _MOST) * len(self._crew)):
            self._hand_out()

    def _hand_out(self) -> None:
        """Gives the next index list to the next worker that is still at it."""
        worker = self._next_worker()
        if worker is None or self._exhausted:
            return
        try:
            indices = next(self._indices)
        except StopIteration:
            self._exhausted = True
            return
        try:
            worker.channel.send((self._pass, self._count, indices))
        except OSError as error:
            self._report_dead(error)
        worker.waiting += 1
        self._placed[self._count] = worker
        self._count += 1

    def _next_worker(self) -> Worker | None:
        for _ in self._crew:
            worker = self._crew[next(self._turns)]
            if worker.active and (self._loader.in_order or worker.waiting < min(
                    self._loader.prefetch_factor, _MOST)):
                return worker
        return None

    def _next_batch(self) -> Any:
        while True:
            task = self._takeable()
            if task is None and not self._placed:
                if not self._loader.persistent_workers:
                    self._close()
                raise StopIteration
            if task is None:
                self._receive()
                continue
            batch = self._ready.pop(task)
            del self._placed[task]
            self._hand_out()
            if isinstance(batch, Failure):
                raise batch.exception() from None
            return batch

    def _takeable(self) -> int | None:
        """The task whose batch comes next, if it is there."""
        if not self._loader.in_order:
            return next(iter(self._ready), None)
        while self._placed:
            first, worker = next(iter(self._placed.items()))
            if first in self._ready:
                return first
            if worker.active:
                return None
            del self._placed[first]          # its worker ended before
        return None

    def _receive(self) -> None:
        """Waits for one answer and puts it where it belongs."""
        timeout = self._loader.timeout or None
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            owners = {w.channel.pipe: w for w in self._crew if w.waiting}
            sentinels = [w.process.sentinel for w in owners.values()]
            found = connection.wait([*owners, *sentinels], left)
            if not found:
                raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
            pipes = [pipe for pipe in found if pipe in owners]
            if not pipes:                    # dead, with nothing left in its pipe
                self._report_dead(None)
            worker = owners[pipes[0]]
            try:
                this_pass, task, batch = worker.channel.receive()
            except (EOFError, OSError) as error:
                self._report_dead(error)
            worker.waiting -= 1
            if this_pass == self._pass:
                break
        if batch is ENDED:
            worker.active = False
            self._placed.pop(task, None)
            self._hand_out()
        else:
            self._ready[task] = batch

    def _report_dead(self, cause: BaseException | None) -> None:
        """Stops all workers and raises for those that died."""
        for worker in self._crew:
            worker.process.join(0.2)         # its end may be just happening
        dead = [w.process for w in self._crew if not w.process.is_alive()]
        pids = ", ".join(str(process.pid) for process in dead)
        ends = {_end_of(process.exitcode) for process in dead}
        self._close()
        self._loader._iterator = None
        self._placed.clear()
        raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly"
                           + "".join(f": {end}" for end in sorted(ends))) from cause


def _end_of(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by signal: {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal: {-code}"
