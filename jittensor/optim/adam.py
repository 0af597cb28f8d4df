"""In: parameters with gradients. Out: the parameters after a step of Adam or AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .. import creation, functions
from ..graph.dtypes import float32
from ..tensor import Tensor
from .optimizer import Optimizer, as_number

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


class Adam(Optimizer):
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
    """

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
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for i in (0, 1):
            if not 0.0 <= betas[i] < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
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
        if fused and differentiable:
            raise RuntimeError("`fused` does not support `differentiable`")
        if fused and foreach:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            group.setdefault("differentiable", False)
            group.setdefault("decoupled_weight_decay", False)
            group.setdefault("fused", None)
            for param in group["params"]:
                kept = self._state.get(param)
                # Files from before PyTorch 1.12 have the count as a number.
                if kept and not isinstance(kept["step"], Tensor):
                    kept["step"] = creation.tensor(float(kept["step"]), dtype=float32)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss and the gradients anew; called with gradients enabled.

        Returns:
            What the closure returned, or None.

        Raises:
            RuntimeError: a sparse gradient.
        """
        with self._recording():
            loss = self._run_closure(closure)
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self._update(param, group)
        return loss

    def _state_of(self, param: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        if param.grad.is_sparse:
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients, "
                "please consider SparseAdam instead"
            )
        state = self._state[param]
        if not state:
            state["step"] = self._new_step()
            state["exp_avg"] = creation.zeros_like(param.detach())
            state["exp_avg_sq"] = creation.zeros_like(param.detach())
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = creation.zeros_like(param.detach())
        return state

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        beta1, beta2 = (as_number(beta) for beta in group["betas"])
        lr, weight_decay = group["lr"], as_number(group["weight_decay"])
        state = self._state_of(param, group)
        step = self._next_step(param)
        grad = -param.grad if group["maximize"] else param.grad
        if weight_decay != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(as_number(1 - lr * weight_decay))
            else:
                grad = grad.add(param, alpha=weight_decay)
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        largest = state["max_exp_avg_sq"] if group["amsgrad"] else None
        if param.is_complex():
            # The real and the imaginary part are two independent parameters.
            param, grad, mean, square = (
                functions.view_as_real(t) for t in (param, grad, mean, square)
            )
            largest = None if largest is None else functions.view_as_real(largest)

        mean.lerp_(grad, 1 - beta1)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        correction1 = 1 - beta1**step
        correction2_root = (1 - beta2**step) ** 0.5
        if largest is not None:
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
