"""In: parameters with gradients. Out: the parameters after a step of Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import functions
from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, as_real, check_not_negative, zeros_as

__all__ = ["Adadelta"]


class Adadelta(PerParameter):
    """Adadelta (Zeiler 2012): `v` and `u` are running means of the squared gradient and of the
    squared step; `d = sqrt(u + eps) / sqrt(v + eps) * g` and `p = p - lr * d`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        rho: the decay of both means.
        eps: keeps the roots away from zero.
        weight_decay: what of the parameter is added to its gradient.
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, capturable: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = torch.optim.Adadelta([p], lr=100.0)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.6838])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": self._new_step(),
            "square_avg": zeros_as(param),
            "acc_delta": zeros_as(param),
        }

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        self._check_dense(param)
        state = self._state_of(param, group)
        self._next_step(param)
        rho, eps = group["rho"], group["eps"]
        grad = self._gradient(param, group)
        grad, square, moved = as_real(grad, state["square_avg"], state["acc_delta"])
        square.mul_(rho).addcmul_(grad, grad, value=1 - rho)
        delta = moved.add(eps).sqrt() / square.add(eps).sqrt() * grad
        moved.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        if param.is_complex():
            delta = functions.view_as_complex(delta)
        param.add_(delta, alpha=-as_number(group["lr"]))
