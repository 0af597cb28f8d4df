"""In: parameters with gradients. Out: the parameters after a step of resilient propagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import creation, functions
from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, as_real, check_not_negative, zeros_as

__all__ = ["Rprop"]


class Rprop(PerParameter):
    """Resilient propagation (Riedmiller, Braun 1993): every element has a step size of its own,
    which grows by `etas[1]` while the sign of its gradient stays and shrinks by `etas[0]` where the
    sign turned; there the element is not moved.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: the first step size, a number or a tensor with one element.
        etas: the factors, below and above 1.
        step_sizes: the smallest and the largest step size.
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, capturable: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = torch.optim.Rprop([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([ 0.5000, -1.5000])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_not_negative(lr=lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        lr = as_number(group["lr"])
        first = complex(lr, lr) if param.is_complex() else lr
        return {
            "step": self._new_step(),
            "prev": zeros_as(param),
            "step_size": creation.full_like(param.grad.detach(), first),
        }

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        self._check_dense(param)
        state = self._state_of(param, group)
        self._next_step(param)
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]
        grad = self._gradient(param, group)
        param, grad, previous, size = as_real(param, grad, state["prev"], state["step_size"])
        agreement = grad * previous
        turned = agreement < 0
        factor = functions.where(agreement > 0, grow, agreement.sign())
        factor = functions.where(turned, shrink, functions.where(factor == 0, 1.0, factor))
        size.mul_(factor).clamp_(smallest, largest)
        grad = functions.where(turned, 0.0, grad)
        param.addcmul_(grad.sign(), size, value=-1)
        previous.copy_(grad)
