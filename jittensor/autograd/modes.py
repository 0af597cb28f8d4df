"""Grad modes: whether operations are recorded for backward. Per thread, as context managers and
decorators."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable

from ..graph.node import INFERENCE


class _Modes(threading.local):
    grad = True
    inference = False
    pack = None             # (pack hook, unpack hook) of saved tensors
    whole = True            # a backward that is running goes to all leaves
    pack_disabled = None    # the message when such hooks are forbidden
    autocast = None         # the dtype of an autocast context that is on (see `amp`)


class _Anomaly:
    enabled = False         # every node keeps its traceback
    check_nan = True        # and a NaN in a gradient is an error


modes = _Modes()
anomaly = _Anomaly()


def is_grad_enabled() -> bool:
    """Whether operations are recorded for backward in this thread."""
    return modes.grad


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on in this thread."""
    return modes.inference


class _Mode:
    """A context manager that is also a decorator."""

    def __call__(self, function: Callable):
        import inspect

        if inspect.isclass(function):
            return function
        if inspect.isgeneratorfunction(function):
            @functools.wraps(function)
            def generator(*args, **kwargs):
                with self.clone():
                    inner = function(*args, **kwargs)
                    value = next(inner, _DONE)
                while value is not _DONE:
                    sent = yield value
                    with self.clone():
                        try:
                            value = inner.send(sent)
                        except StopIteration as stop:
                            return stop.value
                return None

            return generator

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with self.clone():
                return function(*args, **kwargs)

        return wrapped

    def clone(self):
        """A fresh context of the same kind."""
        return self.__class__()

    def __exit__(self, *exc) -> None:
        modes.grad = self.before


_DONE = object()


class no_grad(_Mode):  # noqa: N801
    """Operations inside are not recorded for backward.

    >>> import jittensor as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __new__(cls, function=None):
        self = super().__new__(cls)
        return self if function is None else self(function)

    def __enter__(self) -> None:
        self.before, modes.grad = modes.grad, False


class enable_grad(_Mode):  # noqa: N801
    """Operations inside are recorded for backward."""

    def __new__(cls, function=None):
        self = super().__new__(cls)
        return self if function is None else self(function)

    def __enter__(self) -> None:
        self.before, modes.grad = modes.grad, True


class set_grad_enabled(_Mode):  # noqa: N801
    """Turns recording on or off, at once and (as a context) until the end of the block."""

    def __init__(self, mode: bool):
        self.before, self.mode = modes.grad, bool(mode)
        modes.grad = self.mode

    def __call__(self, function: Callable):
        modes.grad = self.before
        return super().__call__(function)

    def clone(self):
        return set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        modes.grad = self.mode


class inference_mode(_Mode):  # noqa: N801
    """Like `no_grad`; tensors made inside can never be recorded later."""

    def __init__(self, mode: bool = True):
        self.mode = mode

    def __new__(cls, mode=True):
        self = super().__new__(cls)
        if callable(mode):
            self.mode = True
            return self(mode)
        return self

    def clone(self):
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self.before, self.before_inference = modes.grad, modes.inference
        modes.grad, modes.inference = (False, True) if self.mode else (True, False)
        _note_inference()

    def __exit__(self, *exc) -> None:
        modes.grad, modes.inference = self.before, self.before_inference
        _note_inference()


def _note_inference() -> None:
    """Tells storages whether this thread's writes are counted."""
    if modes.inference:
        INFERENCE[threading.get_ident()] = 1
    else:
        INFERENCE.pop(threading.get_ident(), None)
