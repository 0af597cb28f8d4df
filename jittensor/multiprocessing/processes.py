"""A function and a number of processes in; running them, with their errors, out."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing import connection
from typing import Any

__all__ = ["ProcessContext", "ProcessException", "ProcessExitedException",
           "ProcessRaisedException", "SpawnContext", "spawn", "start_processes"]


class ProcessException(Exception):
    """A process failed: its number and process id."""

    __slots__ = ("error_index", "error_pid", "msg")

    def __init__(self, msg: str, error_index: int, pid: int):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """A process ended by an exception; the message holds its traceback."""

    def __init__(self, msg: str, error_index: int, error_pid: int):
        super().__init__(msg, error_index, error_pid)
        self.error_pid = error_pid


class ProcessExitedException(ProcessException):
    """A process ended by a signal, or by an exit status that is not 0."""

    __slots__ = ("exit_code", "signal_name")

    def __init__(self, msg: str, error_index: int, error_pid: int, exit_code: int,
                 signal_name: str | None = None):
        super().__init__(msg, error_index, error_pid)
        self.error_pid, self.exit_code, self.signal_name = error_pid, exit_code, signal_name

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _run(function: Callable, number: int, args: tuple, error_file: str) -> None:
    try:
        function(number, *args)
    except KeyboardInterrupt:
        pass                           # the parent has it too
    except Exception:
        with open(error_file, "w") as file:
            file.write(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """Processes that were started together."""

    def __init__(self, processes: list, error_files: list[str]):
        self.processes, self.error_files = processes, error_files
        self.sentinels = {process.sentinel: k for k, process in enumerate(processes)}

    def pids(self) -> list[int]:
        """The process ids."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits for some process to end; True when all have.

        Args:
            timeout: seconds to wait at most.
            grace_period: seconds that the others get to end before they are killed, when one
                failed.

        Raises:
            ProcessRaisedException: a process raised; the others are stopped.
            ProcessExitedException: a process ended by a signal or another status; likewise.
        """
        ready = connection.wait(list(self.sentinels), timeout) if self.sentinels else []
        failed = None
        for sentinel in ready:
            k = self.sentinels.pop(sentinel)
            self.processes[k].join()
            if self.processes[k].exitcode and failed is None:
                failed = k
        if failed is None:
            if not self.sentinels:
                self._forget()
            return not self.sentinels
        self._stop(grace_period)
        error = self._error(failed)
        self._forget()
        raise error

    def _stop(self, grace_period: float | None) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        end = time.monotonic() + (30 if grace_period is None else grace_period)
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _error(self, k: int) -> ProcessException:
        process, path = self.processes[k], self.error_files[k]
        if os.path.exists(path) and os.path.getsize(path):
            with open(path) as file:
                text = file.read()
            return ProcessRaisedException(
                f"\n\n-- Process {k} terminated with the following error:\n{text}", k,
                process.pid)
        code = process.exitcode
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"<Unknown signal {-code}>"
            return ProcessExitedException(f"process {k} terminated with signal {name}", k,
                                          process.pid, code, name)
        return ProcessExitedException(f"process {k} terminated with exit code {code}", k,
                                      process.pid, code)

    def _forget(self) -> None:
        for path in self.error_files:
            if os.path.exists(path):
                os.unlink(path)


SpawnContext = ProcessContext


def start_processes(fn: Callable, args: tuple = (), nprocs: int = 1, join: bool = True,
                    daemon: bool = False, start_method: str = "spawn",
                    **options: Any) -> ProcessContext | None:
    """Starts `nprocs` processes that run `fn(number, *args)`.

    Args:
        join: wait for all of them (and raise the first error), or return their `ProcessContext`.
        daemon: whether they end with this process.
        start_method: "spawn", "fork" or "forkserver".
    """
    context = multiprocessing.get_context(start_method)
    processes, error_files = [], []
    for number in range(nprocs):
        handle, path = tempfile.mkstemp(prefix="jittensor-error-")
        os.close(handle)
        process = context.Process(target=_run, args=(fn, number, args, path), daemon=daemon)
        process.start()
        processes.append(process)
        error_files.append(path)
    started = ProcessContext(processes, error_files)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(fn: Callable, args: tuple = (), nprocs: int = 1, join: bool = True,
          daemon: bool = False, start_method: str = "spawn") -> ProcessContext | None:
    """`start_processes` with fresh interpreters: `fn(number, *args)` in each, importable by name.

    Raises:
        ProcessRaisedException, ProcessExitedException: a process failed (with join=True).
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)
