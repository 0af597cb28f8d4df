"""Being torch: `as_torch()` in, `import torch` that reaches jittensor's own modules out.

Every module keeps its one object: `torch.nn` and `jittensor.nn` are the same. `torch.__version__`
is jittensor's.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType

__all__ = ["TorchFinder", "as_torch", "counterpart"]

ROOT = __name__.rpartition(".")[0]
_C_EXTENSION = "torch._C"


class TorchFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers every import of `torch` and below with the jittensor module of that name."""

    def find_spec(self, fullname: str, path=None, target=None):
        """The spec of a torch module; ModuleNotFoundError where jittensor has none of that name
        (no other finder is asked: it would load jittensor's files a second time)."""
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        if fullname == _C_EXTENSION or fullname.startswith(_C_EXTENSION + "."):
            raise ImportError(
                f"{fullname} is PyTorch's C extension; here `torch` is jittensor, which has none. "
                "A library that needs it needs PyTorch itself.", name=fullname)
        module = counterpart(fullname)
        if module is None:
            raise ModuleNotFoundError(f"No module named '{fullname}' (`torch` is jittensor here, "
                                      "which has no such module)", name=fullname)
        spec = importlib.machinery.ModuleSpec(fullname, self,
                                              is_package=hasattr(module, "__path__"))
        spec.loader_state = module, module.__spec__
        return spec

    def create_module(self, spec) -> ModuleType:
        """jittensor's own module."""
        return spec.loader_state[0]

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run again; the import machinery's mark is taken off the module."""
        module.__spec__ = module.__spec__.loader_state[1]


def counterpart(fullname: str) -> ModuleType | None:
    """The jittensor module that a torch name stands for, or None."""
    name = ROOT + fullname[len("torch"):]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
    found = sys.modules[ROOT]
    for part in fullname.split(".")[1:]:       # a module under another name of its own
        found = getattr(found, part, None)
    return found if isinstance(found, ModuleType) else None


_finder = TorchFinder()


def _called(torch: bool) -> None:
    """Classes of values that programs print the type of are called as PyTorch's, or as they are."""
    ours = sys.modules[ROOT]
    names = {ours.Tensor: ("torch", "Tensor"), ours.Size: ("torch", "Size"),
             ours.device: ("torch", "device"), ours.dtype: ("torch", "dtype"),
             ours.nn.Parameter: ("torch.nn.parameter", "Parameter")}
    for kind, called in names.items():
        if kind not in _OWN_NAMES:
            _OWN_NAMES[kind] = kind.__module__, kind.__qualname__
        kind.__module__, kind.__qualname__ = called if torch else _OWN_NAMES[kind]


_OWN_NAMES: dict[type, tuple[str, str]] = {}


def as_torch(enable: bool = True) -> None:
    """From now on `import torch`, `import torch.nn as nn`, `from torch.utils.data import …` in this
    process reach jittensor. `as_torch(False)` takes the aliases off.

    Raises:
        RuntimeError: PyTorch itself has been imported already.

    Example: `jittensor.as_torch(); import torch.nn.functional as F` makes F
    `jittensor.nn.functional` itself.
    """
    ours = sys.modules[ROOT]
    if not enable:
        if _finder in sys.meta_path:
            sys.meta_path.remove(_finder)
        for name in [n for n in sys.modules if n == "torch" or n.startswith("torch.")]:
            if sys.modules[name].__name__.split(".")[0] == ROOT:
                del sys.modules[name]
        _called(torch=False)
        return
    if sys.modules.get("torch", ours) is not ours:
        raise RuntimeError("as_torch(): PyTorch has been imported already; call as_torch() before "
                           "anything imports torch")
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    sys.modules["torch"] = ours
    _called(torch=True)

