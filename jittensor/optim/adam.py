"""In: parameters with gradients. Out: the parameters after a step of Adam or AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import functions
from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import (
    PerParameter,
    as_real,
    check_betas,
    check_fused,
    check_not_negative,
    zeros_as,
)

__all__ = ["Adam", "AdamW"]


def _check_one_element(name: str, value: Any, foreach: bool | None, capturable: bool) -> None:
    if not isinstance(value, Tensor):
        return
    if foreach and not capturable:
        raise ValueError(
            f"{name} as a Tensor is not supported for capturable=False and foreach=True"
        )
    if value.numel() != 1:
        raise ValueError(f"Tensor {name} must be 1-element")


class Adam(PerParameter):
    """Adam (Kingma, Ba 2015): `m` and `v` are running means of the gradient and of its square;
    `p = p - lr * m / (1 - b1 ** t) / (sqrt(v / (1 - b2 ** t)) + eps)`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element.
        betas: the decay of `m` and of `v`.
        eps: keeps the divisor away from zero.
        weight_decay: what of the parameter is added to its gradient.
        amsgrad: divide by the largest `v` so far (Reddi et al. 2018).
        maximize: move along the gradient.
        differentiable: record the steps for gradients.
        decoupled_weight_decay: decay the parameter itself instead, as `AdamW`.
        foreach, capturable, fused: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.
        RuntimeError: `fused` together with `differentiable` or `foreach`.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    >>> optimizer = torch.optim.Adam([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([0.5000, 1.5000])
    """

    older_options = {
        **PerParameter.older_options, "amsgrad": False, "decoupled_weight_decay": False,
        "fused": None,
    }
    sparse_hint = ", please consider SparseAdam instead"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _check_one_element("lr", lr, foreach, capturable)
        check_not_negative(lr=lr, eps=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        kinds = {float if isinstance(b, float) else Tensor for b in betas[:2]}
        if len(kinds) != 1 or not all(isinstance(b, (float, Tensor)) for b in betas[:2]):
            raise ValueError("betas must be either both floats or both Tensors")
        for i in (0, 1):
            _check_one_element(f"betas[{i}]", betas[i], foreach, capturable)
        defaults = {
            "lr": lr,
            "betas": tuple(as_number(b) for b in betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = {
            "step": self._new_step(),
            "exp_avg": zeros_as(param),
            "exp_avg_sq": zeros_as(param),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_as(param)
        return state

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        self._check_dense(param)
        beta1, beta2 = (as_number(beta) for beta in group["betas"])
        state, lr = self._state_of(param, group), group["lr"]
        step = self._next_step(param)
        grad = self._gradient(param, group)
        param, grad, mean, square = as_real(param, grad, state["exp_avg"], state["exp_avg_sq"])
        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        correction1 = 1 - beta1**step
        correction2_root = (1 - beta2**step) ** 0.5
        if group["amsgrad"]:
            (largest,) = as_real(state["max_exp_avg_sq"])
            largest.copy_(functions.maximum(largest, square))
            square = largest
        divisor = (square.sqrt() / correction2_root).add_(group["eps"])
        # A rate that is a tensor is divided in its own dtype, as PyTorch does.
        param.addcdiv_(mean, divisor, value=-as_number(lr / correction1))


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov, Hutter 2019): each step first multiplies the
    parameter by `1 - lr * weight_decay`.

    The arguments are those of `Adam`; `weight_decay` is 0.01 by default.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
