"""Hook handles under PyTorch's name."""

from ..nn.modules.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
