"""In: parameters with gradients. Out: the parameters after a step of RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, as_real, check_not_negative, zeros_as

__all__ = ["RMSprop"]


class RMSprop(PerParameter):
    """RMSprop (Tieleman, Hinton 2012): `v` is the running mean of the squared gradient;
    `p = p - lr * g / (sqrt(v) + eps)`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        alpha: the decay of `v`.
        eps: keeps the divisor away from zero.
        weight_decay: what of the parameter is added to its gradient.
        momentum: `b = momentum * b + g / (sqrt(v) + eps)`, and the step is `lr * b`.
        centered: divide by the root of the variance `v - mean(g) ** 2` instead (Graves 2013).
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, capturable: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.RMSprop([p], lr=0.05)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.5000, 1.5000])
    """

    older_options = {**PerParameter.older_options, "momentum": 0, "centered": False}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(
            lr=lr, eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha
        )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = {"step": self._new_step(), "square_avg": zeros_as(param)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_as(param)
        if group["centered"]:
            state["grad_avg"] = zeros_as(param)
        return state

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        self._check_dense(param)
        state = self._state_of(param, group)
        self._next_step(param)
        lr, alpha, momentum = as_number(group["lr"]), group["alpha"], group["momentum"]
        grad = self._gradient(param, group)
        param, grad, square = as_real(param, grad, state["square_avg"])
        square.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        spread = square
        if group["centered"]:
            (mean,) = as_real(state["grad_avg"])
            mean.lerp_(grad, 1 - alpha)
            spread = square.addcmul(mean, mean, value=-1)
        divisor = spread.sqrt().add(group["eps"])
        if momentum > 0:
            (buffer,) = as_real(state["momentum_buffer"])
            buffer.mul_(momentum).addcdiv_(grad, divisor)
            param.add_(buffer, alpha=-lr)
        else:
            param.addcdiv_(grad, divisor, value=-lr)
