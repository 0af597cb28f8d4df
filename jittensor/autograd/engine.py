"""Backward: outputs and their gradients in, gradients of leaves (or of chosen inputs) out.

Walks the autograd graph without recursion, newest operation first, and records each gradient as
ordinary lazy operations.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from ..graph.shapes import broadcast_shapes
from ..runtime import realize
from ..tensor import Tensor
from .graph import GradNode, current, edge_of
from .modes import modes


def run_backward(roots: list[tuple], retain_graph: bool, create_graph: bool,
                 inputs: Sequence[Tensor] | None = None, accumulate: bool = True) -> dict:
    """Gradients flow from `roots` ((edge, gradient) pairs). With `inputs`, returns {id: gradient}
    for them; with `accumulate`, leaves' `.grad` are filled."""
    wanted = {}
    if inputs is not None:
        for x in inputs:
            edge = edge_of(x)
            wanted[id(edge)] = x
    waiting = _dependencies([edge for edge, _ in roots])
    buffers: dict[int, list] = {}
    found: dict[int, Tensor] = {}
    ready: list[tuple[int, int, GradNode]] = []
    before = modes.grad
    modes.grad = create_graph
    try:
        for edge, grad in roots:
            _deliver(edge, grad, buffers, found, wanted, accumulate, inputs, create_graph, 0)
        for edge, _ in roots:
            if isinstance(edge, GradNode) and not waiting.get(id(edge), (0,))[0]:
                _push(ready, edge)
        done = set()
        while ready:
            _, key, node = heapq.heappop(ready)
            if key in done:
                continue
            done.add(key)
            grads = buffers.pop(key, None)
            targets = _run(node, grads, found, wanted, retain_graph, accumulate)
            for edge, grad in zip(node.edges, targets, strict=True):
                if edge is None:
                    continue
                if grad is not None:
                    _deliver(edge, grad, buffers, found, wanted, accumulate, inputs,
                             create_graph, 0)
                if isinstance(edge, GradNode):
                    count = waiting[id(edge)]
                    count[0] -= 1
                    if not count[0]:
                        _push(ready, edge)
    finally:
        modes.grad = before
    return found


def _push(ready: list, node: GradNode) -> None:
    heapq.heappush(ready, (-node.sequence, id(node), node))


def _dependencies(edges: list) -> dict[int, list[int]]:
    """How many gradients each node waits for."""
    waiting: dict[int, list[int]] = {}
    seen = set()
    stack = [e for e in edges if isinstance(e, GradNode)]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for edge in node.edges:
            if isinstance(edge, GradNode):
                waiting.setdefault(id(edge), [0])[0] += 1
                if id(edge) not in seen:
                    stack.append(edge)
    return waiting


def _run(node: GradNode, grads, found, wanted, retain_graph: bool, accumulate: bool) -> list:
    """A node's gradients of its operands (Nones when nothing reached it)."""
    if grads is None:
        return [None] * len(node.edges)
    if node.retained is not None:
        grads = node.retained(grads, accumulate)
    if id(node) in wanted:
        found[id(node)] = grads[0]
    if node.outputs == 1:
        out = node.apply(grads[0])
    else:
        out = node.apply(grads)
    if node.hooks:
        for hook in list(node.hooks):
            changed = hook(tuple(out), tuple(grads))
            if changed is not None:
                out = list(changed)
    if not retain_graph:
        node.release()
        if realize.capturing is not None:
            realize.capturing.released.add(id(node))
    return list(out)


def _deliver(edge, grad: Tensor, buffers, found, wanted, accumulate, inputs, create_graph,
             number: int) -> None:
    """Adds a gradient to what an edge's target has so far."""
    if isinstance(edge, tuple):
        edge, number = edge
    if isinstance(edge, GradNode):
        slots = buffers.get(id(edge))
        if slots is None:
            slots = buffers[id(edge)] = [None] * edge.outputs
        number = getattr(grad, "_to", number) if edge.outputs > 1 else 0
        slots[number] = grad if slots[number] is None else slots[number] + grad
        return
    hooks = getattr(edge, "_hooks", None)
    if hooks:
        for hook in list(hooks):
            changed = hook(grad)
            if changed is not None:
                grad = changed
    if inputs is not None:
        if id(edge) in wanted:
            have = found.get(id(edge))
            found[id(edge)] = grad if have is None else have + grad
        return
    if accumulate:
        accumulate_grad(edge, grad, create_graph)


def accumulate_grad(leaf: Tensor, grad: Tensor, create_graph: bool) -> None:
    """leaf.grad += grad."""
    have = leaf._grad
    if have is None:
        if not create_graph:
            grad = grad.detach() if grad._fn is not None else grad
            if grad.spec.strides != leaf.spec.strides or grad.storage is leaf.storage:
                grad = grad.clone() if leaf.spec.contiguous is False else grad.contiguous()
        leaf._grad = grad
    elif create_graph:
        leaf._grad = have + grad
    else:
        have.add_(grad)
    for hook in list(leaf.__dict__.get("_post_accumulate", ())):
        hook(leaf)


def backward(tensors, grad_tensors=None, retain_graph: bool | None = None,
             create_graph: bool = False, inputs=None) -> None:
    """Accumulates gradients of `tensors` into the leaves (`torch.autograd.backward`)."""
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    grads = ([grad_tensors] if isinstance(grad_tensors, Tensor)
             else list(grad_tensors or [None] * len(tensors)))
    roots = _roots(tensors, grads, create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not inputs:
            raise RuntimeError("'inputs' argument to backward cannot be empty.")
        found = run_backward(roots, retain, create_graph, inputs, False)
        for x in inputs:
            grad = found.get(id(edge_of(x)))
            if grad is not None:
                accumulate_grad(x, grad, create_graph)
        return
    run_backward(roots, retain, create_graph)


def _roots(tensors: list[Tensor], grads: list, create_graph: bool) -> list[tuple]:
    roots = []
    for x, grad in zip(tensors, grads, strict=True):
        edge = current(x) if x._base is not None else edge_of(x)
        if edge is None:
            raise RuntimeError("element 0 of tensors does not require grad and does not have a "
                               "grad_fn")
        if grad is None:
            if x.spec.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            from ..creation import ones_like
            grad = ones_like(x)
        elif grad.spec.shape != x.spec.shape:
            try:
                broadcast_shapes(grad.spec.shape, x.spec.shape)
            except RuntimeError:
                pass
            raise RuntimeError(
                f"Mismatch in shape: grad_output[0] has a shape of {grad.shape} and output[0] "
                f"has a shape of {x.shape}.")
        roots.append((edge, grad))
    return roots


def grad(outputs, inputs, grad_outputs=None, retain_graph: bool | None = None,
         create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
         is_grads_batched: bool = False, materialize_grads: bool = False) -> tuple:
    """Gradients of `outputs` with respect to `inputs` (`torch.autograd.grad`).

    >>> import jittensor as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    grads = ([grad_outputs] if isinstance(grad_outputs, Tensor)
             else list(grad_outputs or [None] * len(outputs)))
    for x in inputs:
        if edge_of(x) is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    pairs = [(x, g) for x, g in zip(outputs, grads, strict=True)]
    roots = _roots([x for x, _ in pairs], [g for _, g in pairs], create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    found = run_backward(roots, retain, create_graph, inputs, False)
    out = []
    for x in inputs:
        g = found.get(id(edge_of(x)))
        if g is None and materialize_grads:
            from ..creation import zeros_like
            g = zeros_like(x)
        elif g is None and not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior.")
        out.append(g)
    return tuple(out)
