"""In: parameters with sparse gradients. Out: the parameters after a step of Adam on the elements
that the gradients name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..tensor import Tensor
from .optimizer import as_number
from .per_parameter import PerParameter, check_betas, zeros_as
from .sparse_rows import SparseRows

__all__ = ["SparseAdam"]


class SparseAdam(PerParameter):
    """Adam (Kingma, Ba 2015) for gradients in the sparse layout, as of an embedding: the means and
    the parameter change only where the gradient has values.

    Args:
        params: dense, real tensors, (name, tensor) pairs, or dicts with options of their own.
        lr: learning rate, a number or a tensor with one element; above 0.
        betas: the decay of the means of the gradient and of its square.
        eps: keeps the divisor away from zero; above 0.
        maximize: move along the gradient.

    Raises:
        ValueError: an option out of range, a sparse or a complex parameter.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.zeros(3))
    >>> p.grad = torch.sparse_coo_tensor([[1]], [2.0], (3,))
    >>> torch.optim.SparseAdam([p], lr=0.5).step()
    >>> p.detach()
    tensor([ 0.0000, -0.5000,  0.0000])
    """

    older_options: dict[str, Any] = {}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 < lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        places = [
            ([i, k], param)
            for i, group in enumerate(self.param_groups)
            for k, param in enumerate(group["params"])
        ]
        sparse = [place for place, param in places if param.is_sparse]
        if sparse:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors"
            )
        imaginary = [place for place, param in places if param.is_complex()]
        if imaginary:
            raise ValueError(
                f"Complex params at indices {imaginary}: SparseAdam does not support complex "
                "parameters"
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super(PerParameter, self).__setstate__(state)     # its counts are numbers in PyTorch too

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"step": 0, "exp_avg": zeros_as(param), "exp_avg_sq": zeros_as(param)}

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        if not param.grad.is_sparse:
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        state = self._state_of(param, group)
        step, (beta1, beta2) = self._next_step(param), group["betas"]
        rows = SparseRows(self._gradient(param, group))
        grad = rows.values
        if grad.numel() == 0:
            return
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        means = rows.add(mean, (grad - rows.read(mean)) * (1 - beta1))
        squares = rows.add(square, (grad * grad - rows.read(square)) * (1 - beta2))
        size = as_number(group["lr"]) * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
        rows.add(param, means / squares.sqrt().add(group["eps"]) * -size)
