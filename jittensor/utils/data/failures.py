"""An exception in a worker in, the same exception in the loader's process out."""

from __future__ import annotations

import traceback

__all__ = ["Failure"]


class _Lines(str):
    """A message whose repr is itself: KeyError prints the repr of its argument."""

    def __repr__(self) -> str:
        return str(self)


class Failure:
    """An exception that happened elsewhere: its class, where that was, and its traceback."""

    def __init__(self, error: BaseException, where: str):
        self.kind, self.name, self.where = type(error), type(error).__name__, where
        self.text = "".join(traceback.format_exception(error))

    def without_class(self) -> Failure:
        """The same for a class that cannot be sent: a RuntimeError will stand for it."""
        self.kind = RuntimeError
        return self

    def exception(self) -> Exception:
        """An exception of the same class (RuntimeError where that cannot be made from a message)
        whose message holds the worker's traceback."""
        message: str = (f"Caught {self.name} {self.where}.\n"
                        f"Original {self.text}")
        if self.kind is KeyError:
            message = _Lines(message)
        try:
            if getattr(self.kind, "message", None):
                return self.kind(message=message)
            return self.kind(message)
        except Exception:
            return RuntimeError(message)
