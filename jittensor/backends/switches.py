"""Settings of a backend: a module's variables or an object's attributes in, contexts that put them
back out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def checked(name: str, value: Any) -> bool:
    """A switch's new value; RuntimeError for anything but a bool, as in PyTorch."""
    if not isinstance(value, bool):
        raise RuntimeError(f"set_{name} expects a bool, but got {type(value).__name__}")
    return value


class Switches(ModuleType):
    """The class of a module whose variables named in `_switches` take bools only."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_switches", ()):
            checked(f"{name}_{self.__name__.rpartition('.')[2]}", value)
        super().__setattr__(name, value)


def assign(module: ModuleType, values: Mapping[str, Any]) -> None:
    """Sets those of a module's variables whose value is not None."""
    for name, value in values.items():
        if value is not None:
            setattr(module, name, value)


@contextmanager
def restored(module: ModuleType, values: Mapping[str, Any]) -> Iterator[None]:
    """Sets a module's variables for a while."""
    before = {name: getattr(module, name) for name in values}
    assign(module, values)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
