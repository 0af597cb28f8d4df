"""Host operators: a NumPy function and its gradient in, a function of tensors out.

Such an operator runs when it is called: it realizes its operands, computes with NumPy or SciPy,
and its results are realized tensors. Its gradient is written in tensor operations, so that it is
recorded and can be differentiated again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .autograd.graph import check_saved, edge_of
from .autograd.modes import modes
from .autograd.nodes import FREED, GradNode, fit, named, own_result
from .autograd.saved import _pack
from .graph.node import user_frame
from .tensor import Tensor, from_array, new_tensor


class HostNode(GradNode):
    """The autograd node of a host operator; `backward(node, *grads)` gets None for a gradient
    that did not arrive."""

    __slots__ = ("backward", "results")

    def output(self, number: int = 0) -> Tensor:
        """Result `number`, attached to this node; RuntimeError if it was changed since."""
        return own_result(*self.results[number], self, number)

    def apply(self, grads: Any) -> list:
        """The gradients of the operands."""
        if self.freed:
            raise RuntimeError(FREED)
        grads = list(grads) if isinstance(grads, (list, tuple)) else [grads]
        if all(g is None for g in grads):
            return [None] * len(self.edges)
        outs = self.backward(self, *grads)
        return [None if g is None or s is None or e is None else fit(g, s)
                for g, s, e in zip(outs, self.specs, self.edges, strict=True)]

    def release(self) -> None:
        """Frees what was saved."""
        super().release()
        if self.results:
            self.freed, self.results = True, {}


def host_operator(grad_name: str, compute: Callable[..., Any], backward: Callable | None = None,
                  inputs: Sequence[int] = (), outputs: Sequence[int] = ()) -> Callable[..., Any]:
    """The function of tensors that runs `compute(*arrays, **attributes)`, an array or a tuple.

    backward(node, *grads) gives one gradient an operand. It reads the operands named in
    `inputs` by node.saved(k), the results named in `outputs` by node.output(k), and the
    attributes in node.attrs. Without it, going backward raises RuntimeError.
    """
    if backward is None:
        def backward(node: HostNode, *grads: Any):
            raise RuntimeError(f"derivative for {grad_name} is not implemented")

    def operator(*operands: Tensor, **attributes: Any):
        found = compute(*[x.detach()._array() for x in operands], **attributes)
        several = isinstance(found, tuple)
        results = [from_array(np.asarray(a)) for a in (found if several else (found,))]
        if modes.grad and any(x._leaf or x._fn is not None for x in operands):
            _record(grad_name, backward, operands, attributes, results, inputs, outputs)
        return tuple(results) if several else results[0]

    return functools.wraps(compute)(operator)


def _record(grad_name: str, backward: Callable, operands: tuple, attributes: dict,
            results: list[Tensor], inputs: Sequence[int], outputs: Sequence[int]) -> None:
    """Attaches the floating results to a node of the operator."""
    node = named(HostNode, grad_name)()
    node.backward, node.attrs, node.origin = backward, attributes, user_frame()
    node.edges = tuple([edge_of(x) for x in operands])
    node.specs = tuple([x.spec for x in operands])
    node.outputs = len(results)
    node.operands = tuple([x if k in inputs else None for k, x in enumerate(operands)])
    node.versions = tuple([x.storage.version for x in operands])
    check_saved(node.operands)
    kept = {k: new_tensor(results[k].storage, results[k].spec, 0) for k in outputs}
    if modes.pack is not None:
        node.operands = tuple([x if x is None else _pack(x, *modes.pack) for x in node.operands])
        kept = {k: _pack(x, *modes.pack) for k, x in kept.items()}
    node.results = {k: (x, results[k].storage.version) for k, x in kept.items()}
    for number, out in enumerate(results):
        if out.dtype.category >= 2:
            out._fn = node
            if len(results) > 1:
                out._output = number
