"""In: matrices with gradients. Out: the matrices after a step of Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import functions
from ..graph.dtypes import BY_NAME
from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter

__all__ = ["Muon"]

_ADJUSTMENTS = (None, "original", "match_rms_adamw")


def orthogonalized(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns, in bfloat16: the odd polynomial
    `a * x + b * x ** 3 + c * x ** 5` applied `steps` times to the singular values, which come to
    lie around 1 (Jordan et al. 2024, "Muon"; Newton-Schulz iteration).

    Raises:
        ValueError: not a matrix, 100 steps or more, or not three coefficients.
    """
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if matrix.dim() != 2:
        raise ValueError("Input tensor gradient must be a 2D matrix")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    linear, cubic, quintic = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.to(BY_NAME["bfloat16"])
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        polynomial = functions.addmm(gram, gram, gram, beta=cubic, alpha=quintic)
        x = functions.addmm(x, polynomial, x, beta=linear)
    return x.T if tall else x


class Muon(PerParameter):
    """Muon (Jordan et al. 2024): steps along the orthogonalized running mean of the gradient; for
    matrices only, other parameters are for another optimizer.

    Args:
        params: matrices, (name, matrix) pairs, or dicts with options of their own.
        lr: learning rate.
        weight_decay: each step multiplies the parameter by `1 - lr * weight_decay` first.
        momentum: the decay of the running mean.
        nesterov: step along the mean of the gradient and of the running mean.
        ns_coefficients, ns_steps: the polynomial of the orthogonalization, and how often it is
            applied.
        eps: what the norm of the mean is at least.
        adjust_lr_fn: 'original' (the default) scales the rate of an [a, b] matrix by
            `sqrt(max(1, a / b))`; 'match_rms_adamw' by `0.2 * sqrt(max(a, b))`.

    Raises:
        ValueError: an option out of range, or a parameter that is not a matrix.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.eye(2))
    >>> (p * p).sum().backward()
    >>> torch.optim.Muon([p], lr=0.5, weight_decay=0.0).step()
    >>> p.detach()
    tensor([[0.4375, 0.0000],
            [0.0000, 0.4375]])
    """

    older_options: dict[str, Any] = {}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name, value in (
            ("Learning rate", lr), ("momentum", momentum), ("weight decay", weight_decay)
        ):
            if not 0.0 <= value:
                raise ValueError(f"{name} should be >= 0 but is: {value}")
        if adjust_lr_fn not in _ADJUSTMENTS:
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {param.size()}"
                    )

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum_buffer": param.grad.new_zeros(param.grad.shape)}

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        if param.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        self._check_dense(param)
        grad, momentum, lr = param.grad, group["momentum"], as_number(group["lr"])
        mean = self._state_of(param, group)["momentum_buffer"].lerp_(grad, 1 - momentum)
        direction = grad.lerp(mean, momentum) if group["nesterov"] else mean
        direction = orthogonalized(
            direction, group["ns_coefficients"], group["ns_steps"], group["eps"]
        )
        rows, columns = param.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1, rows / columns))
        param.mul_(1 - lr * group["weight_decay"])
        param.add_(direction, alpha=-lr * ratio)
