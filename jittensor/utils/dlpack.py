"""`torch.utils.dlpack`: tensors over other libraries' memory, and capsules over tensors' memory."""

from ..methods.dlpack import DLDeviceType, from_dlpack, to_dlpack

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]
