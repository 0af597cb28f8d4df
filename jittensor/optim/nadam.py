"""In: parameters with gradients. Out: the parameters after a step of NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import (
    PerParameter,
    as_real,
    check_betas,
    check_not_negative,
    scalar_state,
    zeros_as,
)

__all__ = ["NAdam"]


class NAdam(PerParameter):
    """NAdam (Dozat 2016): Adam with Nesterov's momentum. With
    `mu(t) = b1 * (1 - 0.96 ** (t * momentum_decay) / 2)` and `M(t)` the product of all up to it,
    `p = p - lr * ((1 - mu(t)) / (1 - M(t)) * g + mu(t+1) / (1 - M(t+1)) * m) / (sqrt(v / (1 - b2 **
    t)) + eps)`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        betas: the decay of the means of the gradient `m` and of its square `v`.
        eps: keeps the divisor away from zero.
        weight_decay: what of the parameter is added to its gradient.
        momentum_decay: how fast `mu` grows to `b1`.
        decoupled_weight_decay: decay the parameter itself instead, as `AdamW`.
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, capturable: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.NAdam([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.4718, 1.4718])
    """

    older_options = {**PerParameter.older_options, "decoupled_weight_decay": False}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self._new_step(),
            "mu_product": scalar_state(1.0),
            "exp_avg": zeros_as(param),
            "exp_avg_sq": zeros_as(param),
        }

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        self._check_dense(param)
        state = self._state_of(param, group)
        (beta1, beta2), decay = group["betas"], group["momentum_decay"]
        lr, step = as_number(group["lr"]), self._next_step(param)
        grad = self._gradient(param, group)
        param, grad, mean, square = as_real(param, grad, state["exp_avg"], state["exp_avg_sq"])

        momentum = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        momentum_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        # The product is kept in float32; what is made of it is computed in float64, as in PyTorch.
        product = state["mu_product"].mul_(momentum).double()
        of_grad = -lr * (1.0 - momentum) / (1.0 - product)
        of_mean = -lr * momentum_next / (1.0 - product * momentum_next)

        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        divisor = square.div(1 - beta2**step).sqrt().add(group["eps"])
        param.addcdiv_(grad * of_grad, divisor).addcdiv_(mean * of_mean, divisor)
