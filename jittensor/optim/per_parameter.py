"""In: groups of parameters with gradients. Out: `PerParameter`, the loop that updates each of them
by its optimizer's own formula, and the checks of options that the formulas share.

A formula only records: the numbers of a step are Python numbers or tensors without dimensions, so
that an update is one kernel and no value is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import creation, functions
from ..graph.dtypes import float32
from ..tensor import Tensor
from .optimizer import Optimizer, as_number

__all__ = ["PerParameter", "as_real", "check_betas", "check_fused", "check_not_negative",
           "scalar_state", "zeros_as"]

_TITLES = {"lr": "learning rate", "eps": "epsilon value"}


def check_not_negative(**options: Any) -> None:
    """Options that must be 0 or more.

    Raises:
        ValueError: the name and the value of the first that is not, or a rate with several
            elements.
    """
    for name, value in options.items():
        if name == "lr" and isinstance(value, Tensor) and value.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= value:
            raise ValueError(f"Invalid {_TITLES.get(name, name + ' value')}: {value}")


def check_betas(betas: tuple[Any, ...]) -> None:
    """Decays of two running means: ValueError unless both are in [0, 1)."""
    for i in (0, 1):
        if not 0.0 <= betas[i] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")


def check_fused(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """RuntimeError where `fused` is asked for together with what PyTorch has no fused form of."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def as_real(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors of one dtype as they are; complex ones as views whose last dim has the real and
    imaginary part, which are updated as two independent parameters."""
    if not tensors[0].is_complex():
        return tensors
    return tuple(functions.view_as_real(t) for t in tensors)


class PerParameter(Optimizer):
    """Base of the optimizers that update one parameter at a time; a subclass gives `_update`,
    and `_new_state` if it remembers anything.

    Class attributes:
        older_options: options that saved groups of older PyTorch versions lack, with the values
            that they then have.
        sparse_hint: what the error about a sparse gradient says at its end.
    """

    older_options: dict[str, Any] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }
    sparse_hint = ""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self.older_options.items():
                group.setdefault(name, value)
            for param in group["params"]:
                kept = self._state.get(param)
                # Files from before PyTorch 1.12 have counts and the like as numbers.
                for name in ("step", "mu_product", "eta", "mu"):
                    if kept and name in kept and not isinstance(kept[name], Tensor):
                        kept[name] = creation.tensor(float(kept[name]), dtype=float32)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss and the gradients anew; called with gradients enabled.

        Returns:
            What the closure returned, or None.

        Raises:
            RuntimeError: a gradient that the optimizer cannot use, such as a sparse one.
        """
        with self._recording():
            loss = self._run_closure(closure)
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self._update(param, group)
        return loss

    def _update(self, param: Tensor, group: dict[str, Any]) -> None:
        """Record the update of one parameter that has a gradient."""
        raise NotImplementedError(f"{type(self).__name__} does not define _update()")

    def _new_state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """What is remembered of a parameter before its first step, in PyTorch's order."""
        return {"step": self._new_step()}

    def _state_of(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """What is remembered of a parameter."""
        state = self._state[param]
        if not state:
            state.update(self._new_state(param, group))
        return state

    def _check_dense(self, param: Tensor) -> None:
        if param.grad.is_sparse:
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients{self.sparse_hint}"
            )

    def _gradient(self, param: Tensor, group: dict[str, Any]) -> Tensor:
        """The direction to step against: the gradient, turned if the loss is maximized, with the
        weight decay; a decoupled decay shrinks the parameter itself (Loshchilov, Hutter 2019)."""
        grad = -param.grad if group["maximize"] else param.grad
        decay = as_number(group.get("weight_decay", 0))
        if decay == 0:
            return grad
        if group.get("decoupled_weight_decay"):
            param.mul_(as_number(1 - group["lr"] * decay))
            return grad
        return grad.add(param, alpha=decay)


def zeros_as(param: Tensor) -> Tensor:
    """Zeros of a parameter's shape, dtype and strides."""
    return creation.zeros_like(param.detach())


def scalar_state(value: float) -> Tensor:
    """A number of the optimizer's state: float32, without dimensions."""
    return creation.tensor(float(value), dtype=float32)
