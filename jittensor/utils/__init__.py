"""What PyTorch keeps under `torch.utils`: `checkpoint`, hooks' handles, …"""

from . import checkpoint, hooks

__all__ = ["checkpoint", "hooks"]
