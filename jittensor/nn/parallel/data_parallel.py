"""In: a module and devices. Out: the module, its batches spread over the devices."""

from __future__ import annotations

from typing import Any

from ..modules.module import Module

__all__ = ["DataParallel", "data_parallel"]


class DataParallel(Module):
    """Runs `module` with its batches spread over GPUs; where there is none, runs it as it is.

    Args:
        module: kept as the attribute `module`, under which its parameters are named.
        device_ids, output_device, dim: without effect where there is no GPU.

    >>> import jittensor as torch
    >>> torch.nn.DataParallel(torch.nn.Linear(2, 1))(torch.ones(3, 2)).shape
    torch.Size([3, 1])
    """

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None,
                 dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[int] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        return self.module(*inputs, **kwargs)


def data_parallel(module: Module, inputs: Any, device_ids: Any = None, output_device: Any = None,
                  dim: int = 0, module_kwargs: Any = None) -> Any:
    """`DataParallel` as a function, which needs a GPU.

    Raises:
        RuntimeError: there is none.
    """
    raise RuntimeError("device type could not be determined")
