"""`torch.onnx`: a model in, an error out: ONNX files are not written here.

Programs import the module at their start and call it only when asked to export.
"""

from __future__ import annotations

from typing import Any

__all__ = ["export", "is_in_onnx_export"]


def is_in_onnx_export() -> bool:
    """Whether a model is being exported: it never is."""
    return False


def export(model: Any, *args: Any, **kwargs: Any) -> None:
    """Would write a model to an ONNX file.

    Raises:
        NotImplementedError: always.

    >>> is_in_onnx_export()
    False
    """
    raise NotImplementedError(
        "onnx.export: jittensor does not write ONNX files. Save model.state_dict(), load it into "
        f"the same {type(model).__name__} in PyTorch, and export that")
