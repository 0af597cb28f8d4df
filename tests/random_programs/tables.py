"""The tables of operations that random programs draw from, and what the operations share."""

from __future__ import annotations

import numpy as np

from tests.random_programs.memory_model import (
    KIND,
    Rejected,
    Var,
    cast,
    compute_type,
)

READS, WRITES, VIEWS, EVENTS = {}, {}, {}, {}


def entry(table: dict, *names: str):
    """Registers a function under names; it is called with the name where there are several."""
    def add(function):
        for name in names:
            table[name] = function if len(names) == 1 else (
                lambda p, name=name: function(p, name))
        return function

    return add


def scalar(p, dtype: str):
    """A Python number that suits a dtype and that every float dtype holds exactly."""
    if KIND[dtype] >= 2 and p.chance(0.7):
        return p.pick((0.5, -1.25, 2.0, 0.75, -0.5))
    return p.pick((0, 1, 2, 3)) if dtype in ("uint8", "bool") else p.pick((-3, -1, 1, 2, 3))


def broadcast(p, a: Var, b: Var) -> tuple[int, ...]:
    """The common shape, or Rejected."""
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise Rejected from None


def no_negative_zero(*arrays: np.ndarray) -> None:
    """Refuses -0.0, whose sign a maximum or minimum with 0.0 may keep or drop."""
    for a in arrays:
        if a.dtype.kind in "fV" and a.dtype.name != "bfloat16" and np.any((a == 0) & np.signbit(a)):
            raise Rejected


def as_computed(v, dtype: str) -> np.ndarray:
    """A variable's values (or a number) in the dtype that arithmetic is done in."""
    if not isinstance(v, Var):
        return np.asarray(v).astype(compute_type(dtype))
    return cast(cast(v.array, dtype), dtype).astype(compute_type(dtype))


def finish(values: np.ndarray, dtype: str) -> np.ndarray:
    """Computed values rounded to their dtype."""
    return cast(np.asarray(values), dtype)
