"""In: modules and tensors by name. Out: calls of a module with other parameters; the parameters of
several modules, stacked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import functions
from ..nn import Module
from ..nn.utils import stateless
from ..tensor import Tensor

__all__ = ["functional_call", "stack_module_state"]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with these tensors in the place of its parameters and buffers.

    Args:
        parameter_and_buffer_dicts: tensors by name, or a sequence of such dicts.
        args: a tuple of arguments, or the one argument.

    Raises:
        ValueError: a name is in two dicts.

    >>> import jittensor as torch
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> torch.func.functional_call(layer, {"weight": torch.full((1, 1), 3.0)}, torch.ones(1))
    tensor([3.])
    """
    given = parameter_and_buffer_dicts
    if not isinstance(given, dict):
        together: dict[str, Tensor] = {}
        for part in given:
            repeated = sorted(together.keys() & part.keys())
            if repeated:
                raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of "
                                 "functional call is ambiguous")
            together.update(part)
        given = together
    return stateless.call_with(module, given, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(parameters, buffers) of modules of one class by name, each [number of modules, *shape].

    Raises:
        RuntimeError: no modules, several classes, or not all in one mode.
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval "
                           "mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(kind: str) -> dict[str, Tensor]:
        found = [dict(getattr(m, kind)()) for m in models]
        out = {}
        for name, first in found[0].items():
            x = functions.stack([held[name].detach() for held in found])
            out[name] = x.requires_grad_(first.requires_grad)
        return out

    return stacked("named_parameters"), stacked("named_buffers")
