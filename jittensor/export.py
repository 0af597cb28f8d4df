"""`torch.export`: a model in, an error out: programs are not written to files here."""

from __future__ import annotations

from typing import Any

__all__ = ["export", "load", "save"]


def export(mod: Any, args: tuple = (), kwargs: dict[str, Any] | None = None, **options: Any
           ) -> Any:
    """NotImplementedError: there is no exported form; `compile` speeds a model up."""
    raise NotImplementedError(
        f"export.export: jittensor has no exported form of a {type(mod).__name__}; save its "
        "state_dict() with torch.save, and use torch.compile for speed")


def save(ep: Any, f: Any, **options: Any) -> None:
    """NotImplementedError: there are no exported programs."""
    raise NotImplementedError("export.save: jittensor has no exported programs; save a "
                              "state_dict() with torch.save")


def load(f: Any, **options: Any) -> Any:
    """NotImplementedError: PyTorch's exported programs are not read."""
    raise NotImplementedError("export.load: jittensor does not read exported programs; load a "
                              "state_dict with torch.load")
