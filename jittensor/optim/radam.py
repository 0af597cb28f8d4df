"""In: parameters with gradients. Out: the parameters after a step of RAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, as_real, check_betas, check_not_negative, zeros_as

__all__ = ["RAdam"]


def _rectification(step: float, beta2: float) -> float | None:
    """How far the variance of the adaptive rate can be trusted: `r(t)` of Liu et al. 2020, or None
    while too few steps were taken (their `rho(t)` is at most 5)."""
    limit = 2 / (1 - beta2) - 1
    length = limit - 2 * step * beta2**step / (1 - beta2**step)
    if not length > 5.0:
        return None
    return (
        (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
    ) ** 0.5


class RAdam(PerParameter):
    """RAdam (Liu et al. 2020): Adam whose adaptive rate is rectified by `r(t)`; in the first steps,
    where its variance is too high, `p = p - lr * m / (1 - b1 ** t)`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        betas: the decay of the means of the gradient `m` and of its square `v`.
        eps: keeps the divisor away from zero.
        weight_decay: what of the parameter is added to its gradient.
        decoupled_weight_decay: decay the parameter itself instead, as `AdamW`.
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, capturable: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.RAdam([p], lr=0.25)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.5000, 1.0000])
    """

    older_options = {**PerParameter.older_options, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self._new_step(),
            "exp_avg": zeros_as(param),
            "exp_avg_sq": zeros_as(param),
        }

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        self._check_dense(param)
        state = self._state_of(param, group)
        beta1, beta2 = group["betas"]
        lr, step = as_number(group["lr"]), self._next_step(param)
        grad = self._gradient(param, group)
        param, grad, mean, square = as_real(param, grad, state["exp_avg"], state["exp_avg_sq"])
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        update = mean / (1 - beta1**step) * lr
        trust = _rectification(step, beta2)
        if trust is not None:
            root = (1 - beta2**step) ** 0.5
            update = update * (root / square.sqrt().add(group["eps"])) * trust
        param.add_(update, alpha=-1.0)
