"""What a worker process of a DataLoader runs: tasks in, batches out, until the pipe ends."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

import numpy as np

from ...config import config
from ...random import manual_seed
from . import information
from .failures import Failure
from .fetch import fetcher
from .transport import Channel

__all__ = ["ENDED", "Setup", "work"]

_LOOK = 2.0            # seconds after which a worker looks whether its parent is still there


@dataclass(frozen=True)
class Setup:
    """What a worker is told when it starts."""

    dataset: Any
    iterable: bool
    batched: bool
    collate: Callable
    drop_last: bool
    base_seed: int
    init: Callable[[int], None] | None
    count: int
    parent: int


class _Ended:
    """In place of a batch: the worker's part of an iterable dataset is at its end."""

    def __reduce__(self) -> tuple:
        return _ended, ()


def _ended() -> _Ended:
    return ENDED


ENDED = _Ended()


def work(setup: Setup, number: int, pipe: connection.Connection,
         inherited: tuple[connection.Connection, ...]) -> None:
    """Answers tasks (pass, task, indices) with (pass, task, batch) until it is told to stop."""
    for other in inherited:       # a fork has the loader's ends too: its death would go unseen
        other.close()
    channel = Channel(pipe)
    try:
        _answer(setup, number, channel)
    except (EOFError, OSError, KeyboardInterrupt):
        pass                      # the loader is gone, or has the interrupt itself
    finally:
        channel.close()


def _answer(setup: Setup, number: int, channel: Channel) -> None:
    _seed(setup, number)
    where = f"in DataLoader worker process {number}"
    fetch, problem, current = None, None, None
    try:
        if setup.init is not None:
            setup.init(number)
    except Exception as error:
        problem = Failure(error, where)
    while (task := _next_task(channel, setup.parent)) is not None:
        this_pass, place, indices = task
        answer: Any
        try:
            if problem is None and this_pass != current:
                current = this_pass
                fetch = fetcher(setup.dataset, setup.iterable, setup.batched, setup.collate,
                                setup.drop_last)
            answer = problem or fetch.fetch(indices)
        except StopIteration as error:
            answer = ENDED if setup.iterable else Failure(error, where)
        except Exception as error:
            answer = Failure(error, where)
        try:
            channel.send((this_pass, place, answer))
        except OSError:
            return
        except Exception as error:           # the batch (or an exception's class) cannot be sent
            answer = (answer.without_class() if isinstance(answer, Failure)
                      else Failure(error, where))
            channel.send((this_pass, place, answer))
        del answer


def _seed(setup: Setup, number: int) -> None:
    """One thread, and generators seeded as PyTorch seeds them."""
    config.threads = 1
    seed = setup.base_seed + number
    random.seed(seed)
    manual_seed(seed)
    words = [number, setup.base_seed & 0xFFFF_FFFF, setup.base_seed >> 32]
    np.random.seed(np.random.SeedSequence(words).generate_state(4))
    information.become(information.WorkerInfo(number, setup.count, seed, setup.dataset))


def _next_task(channel: Channel, parent: int) -> Any:
    """The next task, or None to stop."""
    while not channel.poll(_LOOK):
        if os.getppid() != parent:
            return None
    return channel.receive()
