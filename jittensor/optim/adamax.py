"""In: parameters with gradients. Out: the parameters after a step of Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import functions
from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, as_real, check_betas, check_not_negative, zeros_as

__all__ = ["Adamax"]


class Adamax(PerParameter):
    """Adamax (Kingma, Ba 2015, section 7.1): Adam with the largest decayed gradient in place of
    the root of the mean square: `u = max(b2 * u, |g| + eps)`, `p = p - lr / (1 - b1 ** t) * m / u`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        betas: the decay of the mean `m` and of the maximum `u`.
        eps: keeps the divisor away from zero.
        weight_decay: what of the parameter is added to its gradient.
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, capturable: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.Adamax([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.5000, 1.5000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": self._new_step(), "exp_avg": zeros_as(param), "exp_inf": zeros_as(param)}

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        self._check_dense(param)
        state = self._state_of(param, group)
        beta1, beta2 = group["betas"]
        rate = as_number(group["lr"]) / (1 - beta1 ** self._next_step(param))
        grad = self._gradient(param, group)
        param, grad, mean, largest = as_real(param, grad, state["exp_avg"], state["exp_inf"])
        mean.lerp_(grad, 1 - beta1)
        largest.copy_(functions.maximum(largest * beta2, grad.abs() + group["eps"]))
        param.addcdiv_(mean, largest, value=-rate)
