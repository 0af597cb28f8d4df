"""In: parameters and a closure that computes the loss. Out: the parameters after iterations of
L-BFGS. How many depends on the values, which are looked at after each evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import creation, functions
from ..autograd import enable_grad, no_grad
from ..graph.dtypes import float64
from ..tensor import Tensor
from .line_search import Point, strong_wolfe
from .optimizer import Optimizer, as_number
from .per_parameter import as_real, check_not_negative

__all__ = ["LBFGS"]

_LEAST_CURVATURE = 1e-10        # pairs of step and gradient change below it are not remembered


def _looked_at(x: Any) -> Any:
    """A tensor's number as a NumPy scalar that rounds as the tensor's dtype; a number as it is."""
    if not isinstance(x, Tensor):
        return x
    return (np.float64 if x.dtype is float64 else np.float32)(x.item())


class LBFGS(Optimizer):
    """L-BFGS (Liu, Nocedal 1989), optionally with a line search for the strong Wolfe conditions.
    One group of parameters only.

    Args:
        params: tensors, (name, tensor) pairs, or one dict.
        lr: the step length, or the first one that the line search tries.
        max_iter: iterations of a step.
        max_eval: evaluations of the closure in a step; a quarter more than `max_iter` unless given.
        tolerance_grad: the step ends when no element of the gradient is larger.
        tolerance_change: the step ends when loss or parameters change by less.
        history_size: how many pairs of step and gradient change are remembered.
        line_search_fn: None or 'strong_wolfe'.

    Raises:
        ValueError: an option out of range, or several groups.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    >>> optimizer = torch.optim.LBFGS([p], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((p - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)
    tensor(13., grad_fn=<SumBackward0>)
    >>> p.detach().round(decimals=3)
    tensor([1., 1.])
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_not_negative(lr=lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def step(self, closure: Callable[[], Any]) -> Any:
        """Iterate until the loss is flat, changes little, or the limits are reached.

        Args:
            closure: computes the loss and the gradients anew; called with gradients enabled.

        Returns:
            The first loss.

        Raises:
            RuntimeError: an unknown `line_search_fn`.
        """
        if len(self.param_groups) != 1:
            raise AssertionError(
                f"Expected exactly one param_group, but got {len(self.param_groups)}"
            )
        with no_grad(), np.errstate(all="ignore"):
            return _Step(self, closure).run()


class _Step:
    """One call of `LBFGS.step`: what it remembers is in the state of the first parameter."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Any]) -> None:
        self.params, self.closure = optimizer._params, closure
        self.group = optimizer.param_groups[0]
        self.lr = as_number(self.group["lr"])
        self.state = optimizer.state[self.params[0]]
        self.state.setdefault("func_evals", 0)
        self.state.setdefault("n_iter", 0)
        self.evaluations = 0
        self.shares: list[Any] = []      # of the last direction, see `_direction`

    def run(self) -> Any:
        """Iterate; the first loss."""
        first = self._closed()
        loss, grad = float(first), self._flat_grad()
        if self._is_flat(grad):
            return first
        state, group = self.state, self.group
        direction, length = state.get("d"), _looked_at(state.get("t"))
        history = [state.get(name) for name in ("old_dirs", "old_stps", "ro", "H_diag")]
        before_grad, before_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                direction, history = -grad, [[], [], [], 1]
                total = _looked_at(grad.abs().sum())
                first_length = min(1.0, 1.0 / total) * self.lr
            else:
                self._remember(history, grad - before_grad, direction * float(length))
                direction, first_length = self._direction(history, grad), self.lr
            length = first_length
            before_grad, before_loss = grad, loss
            slope = _looked_at(grad.dot(direction))
            if slope > -group["tolerance_change"]:
                break
            here = Point(0, loss, grad, slope)
            there, flat = self._move(here, direction, length, iteration)
            loss, grad, length = there.loss, there.grad, there.length
            if self._is_done(iteration, flat, direction, length, abs(loss - before_loss)):
                break
        for i, share in enumerate(self.shares):
            state["al"][i] = creation.tensor(float(share), dtype=grad.dtype)
        state["d"] = direction
        state["t"] = (
            creation.tensor(float(length), dtype=grad.dtype)
            if isinstance(length, np.floating) else length
        )
        for name, value in zip(("old_dirs", "old_stps", "ro", "H_diag"), history, strict=True):
            state[name] = value
        state["prev_flat_grad"], state["prev_loss"] = before_grad, before_loss
        return first

    # ── evaluating ───────────────────────────────────────────────────────────────────────────────

    def _closed(self) -> Any:
        self.evaluations += 1
        self.state["func_evals"] += 1
        with enable_grad():
            return self.closure()

    def _flat_grad(self) -> Tensor:
        """All gradients in one row; zeros where there is none."""
        rows = []
        for param in self.params:
            grad = creation.zeros_like(param) if param.grad is None else param.grad
            (row,) = as_real(grad.to_dense() if grad.is_sparse else grad)
            rows.append(row.reshape(-1))
        return functions.cat(rows)

    def _is_flat(self, grad: Tensor) -> bool:
        return bool(_looked_at(grad.abs().max()) <= self.group["tolerance_grad"])

    def _add(self, length: Any, direction: Tensor) -> None:
        start = 0
        for (param,) in map(as_real, self.params):
            part = direction[start : start + param.numel()].view(param.shape)
            param.add_(part, alpha=float(length))
            start += param.numel()

    # ── one iteration ────────────────────────────────────────────────────────────────────────────

    def _remember(self, history: list[Any], change: Tensor, step: Tensor) -> None:
        """Add a pair of gradient change and step to the history, if the curvature is positive."""
        changes, steps, inverses, _ = history
        curvature = change.dot(step)
        if not _looked_at(curvature) > _LEAST_CURVATURE:
            return
        if len(changes) == self.group["history_size"]:
            for kept in (changes, steps, inverses):
                kept.pop(0)
        changes.append(change)
        steps.append(step)
        inverses.append(1.0 / curvature)
        history[3] = curvature / change.dot(change)

    def _direction(self, history: list[Any], grad: Tensor) -> Tensor:
        """The inverse Hessian's approximation times the negative gradient, by the two-loop
        recursion (Nocedal, Wright 2006, algorithm 7.4). Looking at every product keeps the work
        the same few kernels however long the history is."""
        changes, steps, inverses, scale = history
        self.state.setdefault("al", [None] * self.group["history_size"])
        inverses = [_looked_at(inverse) for inverse in inverses]
        self.shares = [0.0] * len(changes)
        row = -grad
        for i in reversed(range(len(changes))):
            self.shares[i] = share = _looked_at(steps[i].dot(row)) * inverses[i]
            row.add_(changes[i], alpha=-float(share))
        row.mul_(scale)
        for i in range(len(changes)):
            back = _looked_at(changes[i].dot(row)) * inverses[i]
            row.add_(steps[i], alpha=float(self.shares[i] - back))
        return row

    def _move(
        self, here: Point, direction: Tensor, length: Any, iteration: int
    ) -> tuple[Point, bool]:
        """Step along the direction; the new point, and whether the gradient vanishes there."""
        search, group = self.group["line_search_fn"], self.group
        if search is None:
            self._add(length, direction)
            if iteration == group["max_iter"]:
                return Point(length, here.loss, here.grad, None), False
            loss = float(self._closed())
            there = Point(length, loss, self._flat_grad(), None)
            return there, self._is_flat(there.grad)
        if search != "strong_wolfe":
            raise RuntimeError("only 'strong_wolfe' is supported")
        origin = [param.clone() for param in self.params]

        def at(length: Any) -> Point:
            self._add(length, direction)
            loss, grad = float(self._closed()), self._flat_grad()
            for param, old in zip(self.params, origin, strict=True):
                param.copy_(old)
            return Point(length, loss, grad, _looked_at(grad.dot(direction)))

        largest = _looked_at(direction.abs().max())
        limit = group["max_eval"] - self.evaluations
        there, _ = strong_wolfe(at, here, length, largest, limit)
        self._add(there.length, direction)
        return there, self._is_flat(there.grad)

    def _is_done(
        self, iteration: int, flat: bool, direction: Tensor, length: Any, change: float
    ) -> bool:
        least = self.group["tolerance_change"]
        return (
            iteration == self.group["max_iter"]
            or self.evaluations >= self.group["max_eval"]
            or flat
            or bool(_looked_at((direction * float(length)).abs().max()) <= least)
            or change < least
        )
