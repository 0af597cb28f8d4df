"""In: parameters with gradients. Out: the parameters after a step of averaged SGD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import functions
from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, as_real, check_not_negative, scalar_state, zeros_as

__all__ = ["ASGD"]


class ASGD(PerParameter):
    """Averaged stochastic gradient descent (Polyak, Juditsky 1992):
    `p = p * (1 - lambd * eta) - eta * g` with `eta = lr / (1 + lambd * lr * t) ** alpha`; the state
    'ax' is the mean of the parameter from step `t0` on.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        lambd: decay of the parameter, and of the rate.
        alpha: the power with which the rate falls.
        t0: the step from which on the parameter is averaged.
        weight_decay: what of the parameter is added to its gradient.
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, capturable: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.ASGD([p], lr=0.25, lambd=0.0)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.5000, 1.0000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self._new_step(),
            "eta": scalar_state(as_number(group["lr"])),
            "mu": scalar_state(1.0),
            "ax": zeros_as(param),
        }

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        self._check_dense(param)
        state = self._state_of(param, group)
        lr, lambd, step = as_number(group["lr"]), group["lambd"], self._next_step(param)
        grad = self._gradient(param, group)
        param, grad, mean = as_real(param, grad, state["ax"])
        # Kept in float32, used in float64, as in PyTorch.
        eta, weight = state["eta"].double(), state["mu"]
        param.mul_(1 - lambd * eta)
        param.sub_(grad * eta)
        mean.copy_(functions.where(weight == 1, param, mean + (param - mean) * weight))
        state["eta"].fill_(lr / (1 + lambd * lr * step) ** group["alpha"])
        state["mu"].fill_(1 / max(1, step - group["t0"]))
