"""What will be run: a recorded list of nodes in, a plan of kernel launches out.

Under the same name programs find PyTorch's `torch.compiler`, whose functions come from
`capture.names` when they are first looked at.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """The names of `torch.compiler`."""
    if not name.startswith("__"):
        from importlib import import_module

        names = import_module(__name__.rpartition(".")[0] + ".capture.names")
        if name in names.__all__:
            return getattr(names, name)
    raise AttributeError(f"module 'torch.compiler' has no attribute '{name}'")
