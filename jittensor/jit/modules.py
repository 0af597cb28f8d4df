"""In: modules. Out: what `torch.jit.script` and `trace` make of them: compiled modules with the
names and the state of the first ones."""

from __future__ import annotations

from typing import Any

from ..capture.modules import OptimizedModule
from ..nn import Module

__all__ = ["RecursiveScriptModule", "ScriptModule", "TopLevelTracedModule"]


class ScriptModule(Module):
    """A module in PyTorch's older style, whose methods are `script_method`s."""


class RecursiveScriptModule(OptimizedModule, ScriptModule):
    """A module that is compiled when it is called, with the entries of its own `state_dict`."""

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The module's."""
        return self._orig_mod.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Into the module."""
        return self._orig_mod.load_state_dict(*args, **kwargs)

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        """The module's."""
        return self._orig_mod.named_parameters(*args, **kwargs)

    def named_buffers(self, *args: Any, **kwargs: Any) -> Any:
        """The module's."""
        return self._orig_mod.named_buffers(*args, **kwargs)

    def named_children(self) -> Any:
        """The module's."""
        return self._orig_mod.named_children()

    @property
    def original_name(self) -> str:
        """The name of the module's class."""
        return type(self._orig_mod).__name__

    def save(self, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
        """As `torch.jit.save`."""
        from . import save

        save(self, f, _extra_files)

    def __reduce__(self) -> tuple:
        from . import script

        return script, (self._orig_mod,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(original_name={self.original_name})"


class TopLevelTracedModule(RecursiveScriptModule):
    """What `torch.jit.trace` makes of a module."""
