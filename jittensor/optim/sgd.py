"""In: parameters with gradients. Out: the parameters, moved against their gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, check_fused
from .sparse_rows import SparseRows

__all__ = ["SGD"]


class SGD(PerParameter):
    """Stochastic gradient descent, with momentum as PyTorch has it: `b = momentum * b +
    (1 - dampening) * g` (the first time `b = g`), then `p = p - lr * b`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        nesterov: step with `g + momentum * b` instead (Sutskever et al. 2013).
        weight_decay: what of the parameter is added to its gradient.
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, fused: accepted, without effect: the engine fuses the updates by itself.

    Raises:
        ValueError: an option out of range.
        RuntimeError: `fused` together with `differentiable` or `foreach`.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.SGD([p], lr=0.25)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.5000, 1.0000])
    """

    older_options = {
        "nesterov": False, "maximize": False, "foreach": None, "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        momentum, grad = group["momentum"], self._gradient(param, group)
        if grad.is_sparse and momentum == 0:
            rows = SparseRows(grad)
            rows.add(param, rows.values * -as_number(group["lr"]))
            return
        if momentum != 0:
            grad = grad.to_dense() if grad.is_sparse else grad
            state = self._state[param]
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = grad.detach().clone()
            else:
                buffer.mul_(momentum).add_(grad, alpha=1 - group["dampening"])
            grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        param.add_(grad, alpha=-as_number(group["lr"]))
