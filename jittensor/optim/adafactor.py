"""In: parameters with gradients. Out: the parameters after a step of Adafactor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import creation
from ..numeric import finfo
from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter

__all__ = ["Adafactor"]


def _mean_square(grad: Tensor, dim: int) -> Tensor:
    """The mean of the squares along one dim, which is kept."""
    return grad.norm(dim=dim, keepdim=True).square() / grad.shape[dim]


class Adafactor(PerParameter):
    """Adafactor (Shazeer, Stern 2018): the running mean of the squared gradient of a matrix is kept
    as one row and one column, steps are clipped by their root mean square and scale with that of
    the parameter.

    Args:
        params: real tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: the largest relative step, a number or a tensor with one element; it is
            `min(lr, 1 / sqrt(t))` in step t.
        beta2_decay: the mean decays by `1 - t ** beta2_decay`.
        eps: what the mean square is at least (its root; None: the dtype's precision), and what the
            root mean square of the parameter is at least.
        d: steps with a larger root mean square are scaled down to it.
        weight_decay: each step multiplies the parameter by `1 - lr * weight_decay` first.
        maximize: move along the gradient.
        foreach: accepted, without effect: the engine fuses by itself.

    Raises:
        ValueError: an option out of range.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> optimizer = torch.optim.Adafactor([p], lr=0.5)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p.detach()
    tensor([[-0.0607,  0.5000],
            [ 1.5770,  2.6584]])
    """

    older_options = {"foreach": None}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        for k, least in enumerate(eps, start=1):
            if not (k == 1 and least is None) and not 0.0 <= least:
                raise ValueError(f"epsilon{k} should be >= 0 but is: {least}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state, grad = {"step": self._new_step()}, param.grad
        if grad.dim() > 1:
            *batch, rows, columns = grad.shape
            state["row_var"] = grad.new_zeros((*batch, rows, 1))
            state["col_var"] = grad.new_zeros((*batch, 1, columns))
        else:
            state["variance"] = creation.zeros_like(grad)
        return state

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        self._check_dense(param)
        state = self._state_of(param, group)
        lr, step = as_number(group["lr"]), self._next_step(param)
        least, smallest_scale = group["eps"]
        if least is None:
            least = finfo(param.dtype).eps
        grad = -param.grad if group["maximize"] else param.grad
        # The norms stay tensors: a step looks at no value.
        scale = (param.norm(2).double() / param.numel() ** 0.5).clamp(min=smallest_scale)
        scale = scale * min(lr, 1 / step**0.5)
        if group["weight_decay"] != 0:
            param.mul_(1 - lr * group["weight_decay"])
        estimate = self._mean_of_squares(grad, state, step ** group["beta2_decay"], least)
        update = estimate.clamp(min=least * least).rsqrt() * grad
        excess = update.norm(2).double() / (update.numel() ** 0.5 * group["d"])
        param.sub_(update * (scale / excess.clamp(min=1.0)))

    @staticmethod
    def _mean_of_squares(
        grad: Tensor, state: dict[str, Any], share: float, least: float
    ) -> Tensor:
        """The running mean of the squared gradient, of its shape; `share` is the new one's."""
        if grad.dim() <= 1:
            return state["variance"].lerp_(grad * grad, share)
        rows, columns = state["row_var"], state["col_var"]
        rows.lerp_(_mean_square(grad, -1), share)
        columns.lerp_(_mean_square(grad, -2), share)
        return (rows @ columns) / rows.mean(dim=-2, keepdim=True).clamp(min=least)
