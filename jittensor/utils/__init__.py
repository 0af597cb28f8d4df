"""What PyTorch keeps under `torch.utils`: `checkpoint`, `data`, hooks' handles, …"""

from . import checkpoint, data, dlpack, hooks

__all__ = ["checkpoint", "data", "dlpack", "hooks"]
