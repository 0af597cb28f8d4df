"""Copies, types: tensors in, copies or dtypes out."""

from __future__ import annotations

from .. import views
from ..graph import dtypes as dt
from ..graph.dtypes import DType
from ..runtime import realize
from ..tensor import Tensor


def result_type(a, b) -> DType:
    """The dtype that arithmetic on two operands has."""
    groups: tuple[list, list, list] = ([], [], [])
    for x in (a, b):
        if isinstance(x, Tensor):
            groups[0 if x.ndim else 1].append(x.dtype)
        else:
            groups[2].append(type(x))
    return dt.result_type(*groups)


def unsqueeze_copy(input, dim: int) -> Tensor:
    """A copy with a dim of size 1 put in."""
    return views.unsqueeze(input, dim).clone()


def clone(input, *, memory_format=None) -> Tensor:
    """A copy."""
    return input.clone()


def realize_step(tensors=()) -> None:
    """Runs what is pending; optimizers call it at the end of a step."""
    if realize.capturing is None:
        realize.realize_all()
