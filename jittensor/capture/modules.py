"""In: a module and its compiled form. Out: a module that calls the compiled form and is the first
one in all else, as PyTorch's `OptimizedModule`."""

from __future__ import annotations

from typing import Any

from ..nn import Module
from .step import Compiled

__all__ = ["OptimizedModule"]

_OWN = {"_orig_mod", "_compiled"}


class OptimizedModule(Module):
    """What `compile(module)` gives: `_orig_mod` is the module, whose attributes it has.

    Its `state_dict()` has the module's entries under '_orig_mod.'.
    """

    _orig_mod: Module

    def __init__(self, module: Module, compiled: Compiled) -> None:
        super().__init__()
        super().__setattr__("_orig_mod", module)
        self.__dict__["_compiled"] = compiled
        self.__dict__.pop("training", None)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self.__dict__["_compiled"](*args, **kwargs)

    @property
    def training(self) -> bool:
        """The module's mode."""
        return self._modules["_orig_mod"].training

    @training.setter
    def training(self, mode: bool) -> None:
        modules = self.__dict__.get("_modules") or {}
        if "_orig_mod" in modules:
            modules["_orig_mod"].training = mode

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules") or {}
        if name == "_orig_mod":
            return modules[name]
        return getattr(modules["_orig_mod"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_orig_mod" in (self.__dict__.get("_modules") or {}) and name not in _OWN:
            setattr(self._orig_mod, name, value)
        else:
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple:
        from .forms import compile

        return compile, (self._orig_mod,)
