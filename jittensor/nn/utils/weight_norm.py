"""In: a module with a weight. Out: the weight as a direction times a length, each learned."""

from __future__ import annotations

import warnings
from typing import Any

from ... import functions
from ...autograd.graph import relabel
from ...tensor import Tensor
from ..modules.module import Module
from ..parameter import Parameter, UninitializedParameter

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dims but one, which are kept with size 1; of all of v for -1."""
    if dim == -1:
        return functions.norm(v, pow)
    rest = tuple(d for d in range(v.ndim) if d != dim)
    return functions.norm(v, pow, rest, keepdim=True) if rest else v.abs()


def weight_from(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """`g * v / |v|`, the norm over all dims but one (Salimans & Kingma 2016)."""
    fused = dim in (0, v.ndim - 1)
    return relabel(v * (g / norm_except_dim(v, 2, dim)),
                   "WeightNormInterfaceBackward0" if fused else "MulBackward0")


class WeightNorm:
    """The hook that computes the weight before each call."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight by its direction `name_v` and length `name_g`."""
        return weight_from(getattr(module, self.name + "_v"), getattr(module, self.name + "_g"),
                           self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        """Put the hook on a module.

        Raises:
            RuntimeError: there is one. ValueError: the weight has no shape yet.
        """
        warnings.warn("`torch.nn.utils.weight_norm` is deprecated in favor of "
                      "`torch.nn.utils.parametrizations.weight_norm`.", FutureWarning,
                      stacklevel=3)
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError("Cannot register two weight_norm hooks on the same parameter "
                                   f"{name}")
        made = WeightNorm(name, dim)
        weight = getattr(module, name)
        if isinstance(weight, UninitializedParameter):
            raise ValueError("The module passed to `WeightNorm` can't have uninitialized "
                             "parameters. Make sure to run the dummy forward before applying "
                             "weight normalization")
        del module._parameters[name]
        length = norm_except_dim(weight.detach(), 2, made.dim)
        module.register_parameter(name + "_g", Parameter(length))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, made.compute_weight(module))
        module.register_forward_pre_hook(made)
        return made

    def remove(self, module: Module) -> None:
        """Make the weight a parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        for part in ("_g", "_v"):
            del module._parameters[self.name + part]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn a weight's length and direction (Salimans & Kingma 2016), by a hook before each call.

    `nn.utils.parametrizations.weight_norm` is the newer form.

    Args:
        dim: the dim that has a length for each index; None for one length.
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Take `weight_norm` off.

    Raises:
        ValueError: it is not there.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
