"""In: parameters with gradients. Out: the parameters after a step of Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import creation
from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, as_real, check_fused, check_not_negative
from .sparse_rows import SparseRows

__all__ = ["Adagrad"]


class Adagrad(PerParameter):
    """Adagrad (Duchi, Hazan, Singer 2011): `s` is the sum of the squared gradients;
    `p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        lr_decay: how fast the rate falls with the number of steps.
        weight_decay: what of the parameter is added to its gradient; not for sparse gradients.
        initial_accumulator_value: what `s` starts with.
        eps: keeps the divisor away from zero.
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        foreach, fused: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.
        RuntimeError: `fused` together with `differentiable` or `foreach`.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.Adagrad([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.5000, 1.5000])
    """

    older_options = {
        "foreach": None, "maximize": False, "differentiable": False, "fused": None,
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_not_negative(
            lr=lr, lr_decay=lr_decay, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)
        for group in self.param_groups:
            for param in group["params"]:
                # The sums are there before the first step, so that they can be shared.
                self._state[param] = self._new_state(param, group)

    def share_memory(self) -> None:
        """Put the sums of squares into memory that other processes can be given."""
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["sum"].share_memory_()

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        start = self.defaults["initial_accumulator_value"]
        start = complex(start, start) if param.is_complex() else start
        return {"step": self._new_step(), "sum": creation.full_like(param.detach(), start)}

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        if param.grad.is_sparse and group["weight_decay"] != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        total = self._state_of(param, group)["sum"]
        rate = as_number(group["lr"]) / (1 + (self._next_step(param) - 1) * group["lr_decay"])
        grad = self._gradient(param, group)
        if grad.is_sparse:
            rows = SparseRows(grad)
            sums = rows.add(total, rows.values * rows.values)
            rows.add(param, rows.values / sums.sqrt().add(group["eps"]) * -rate)
            return
        param, grad, total = as_real(param, grad, total)
        total.addcmul_(grad, grad, value=1)
        param.addcdiv_(grad, total.sqrt().add(group["eps"]), value=-rate)
