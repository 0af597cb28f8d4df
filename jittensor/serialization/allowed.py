"""What files may name under `weights_only=True`: a full name in, the object it stands for out."""

from __future__ import annotations

import codecs
import collections
from collections.abc import Iterator
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any

from ..random import Generator
from ..tensor import Tensor
from . import rebuild
from .names import ALIASES, name_of

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "is_allowed", "refusal",
           "safe_globals"]

_added: dict[str, Any] = {}        # full name -> what the user allows


def _latin1(text: str, encoding: str) -> bytes:
    """How old pickles hold bytes: the text of a latin-1 decoding, nothing else."""
    if encoding != "latin1" or not isinstance(text, str):
        raise UnpicklingError(f"_codecs.encode is allowed with 'latin1' only, not {encoding!r}")
    return codecs.encode(text, "latin1")


def _from_type(function: Any, new_type: type, args: tuple, state: Any) -> Any:
    """`_rebuild_from_type_v2`, which may call nothing but the other functions that rebuild."""
    if not any(function is f for f in rebuild.FUNCTIONS.values()):
        raise UnpicklingError("_rebuild_from_type_v2 is allowed to call functions that rebuild "
                              f"tensors, not {function!r}")
    if new_type is not Tensor and not any(new_type is f for f in _added.values()):
        raise UnpicklingError(f"_rebuild_from_type_v2 is not allowed to make a {new_type!r}")
    return rebuild._rebuild_from_type_v2(function, new_type, args, state)


_CALLS = {collections.OrderedDict, collections.Counter, set, complex, bytearray,
          ALIASES["torch", "Size"], ALIASES["torch", "device"]}    # classes that may be called
_MAKES = {collections.OrderedDict, collections.Counter, set, complex}
_FUNCTIONS = {**{f"torch._utils.{name}": f for name, f in rebuild.FUNCTIONS.items()},
              "torch.serialization._get_layout": rebuild._get_layout,
              "torch._tensor._rebuild_from_type_v2": _from_type, "_codecs.encode": _latin1}
_ALLOWED: dict[str, Any] = {
    **{".".join(name): value for name, value in ALIASES.items() if value is not Generator},
    "collections.OrderedDict": collections.OrderedDict, "collections.Counter": collections.Counter,
    "builtins.set": set, "builtins.complex": complex, "builtins.bytearray": bytearray,
    **_FUNCTIONS,
}


def add_safe_globals(safe_globals: list) -> None:
    """Allows more classes and functions in files loaded with `weights_only=True`.

    Args:
        safe_globals: classes or functions, or pairs of one and the full name it has in the file.

    >>> class Settings: pass
    >>> add_safe_globals([Settings]); clear_safe_globals()
    """
    _added.update(_named(safe_globals))


def get_safe_globals() -> list:
    """What `add_safe_globals` has allowed."""
    return list(_added.values())


def clear_safe_globals() -> None:
    """Takes back everything that `add_safe_globals` allowed."""
    _added.clear()


@contextmanager
def safe_globals(safe_globals: list) -> Iterator[None]:
    """`add_safe_globals` for the length of a `with` block."""
    before = dict(_added)
    _added.update(_named(safe_globals))
    try:
        yield
    finally:
        _added.clear()
        _added.update(before)


def _named(entries: list) -> dict[str, Any]:
    named = {}
    for entry in entries:
        if isinstance(entry, tuple):
            obj, name = entry
            if not isinstance(name, str) or not callable(obj):
                raise ValueError("safe globals are callables or (callable, full name), not "
                                 f"{entry!r}")
        else:
            obj, name = entry, name_of(entry)
        if not callable(obj):
            raise ValueError(f"safe globals are classes and functions, not {obj!r}")
        named[name] = obj
    return named


def refusal(name: str) -> UnpicklingError:
    """The error for a global that is not allowed; it says how to allow it."""
    module, _, last = name.rpartition(".")
    if module.split(".")[0] in _DANGEROUS:
        return UnpicklingError(
            f"Unsupported global: GLOBAL {name} cannot be allowed: files that name it can run any "
            "program. Do not load this file unless you know where it comes from.")
    return UnpicklingError(
        f"Unsupported global: GLOBAL {name} was not an allowed global by default. If you trust "
        f"it, allow it with `torch.serialization.add_safe_globals([{last}])` or with "
        f"`torch.serialization.safe_globals([{last}])` around the load. weights_only=False loads "
        "everything, and runs whatever code the file holds: only for files you trust.")


_DANGEROUS = {"os", "posix", "nt", "sys", "subprocess", "shutil", "socket", "pty", "runpy",
              "importlib", "ctypes", "code", "webbrowser", "multiprocessing"}


def is_allowed(name: str) -> bool:
    """Whether a full name is allowed in files loaded with `weights_only=True`."""
    return name in _added or name in _ALLOWED
