"""In: a sparse gradient and dense tensors of its shape. Out: the dense tensors' elements that the
gradient names, read and changed in place."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor

__all__ = ["SparseRows"]


class SparseRows:
    """The elements that a sparse tensor has values for, each once.

    Attributes:
        values: the gradient there, [n, *dense dims].
    """

    def __init__(self, grad: Any) -> None:
        grad = grad.coalesce()      # the updates are not linear: equal coordinates add up first
        self.values: Tensor = grad.values()
        self._at = tuple(grad.indices().unbind(0))

    def read(self, dense: Tensor) -> Tensor:
        """A dense tensor's elements there, in the form of `values`."""
        return dense[self._at]

    def add(self, dense: Tensor, change: Tensor) -> Tensor:
        """Add to a dense tensor there, in place; what its elements there are then."""
        after = self.read(dense) + change
        dense[self._at] = after
        return after
