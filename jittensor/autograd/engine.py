"""Backward: outputs and their gradients in, gradients of leaves (or of chosen inputs) out.

Walks the autograd graph without recursion, newest operation first, and records each gradient as
ordinary lazy operations.
"""

from __future__ import annotations

import heapq
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ..graph.node import blame
from ..graph.shapes import contiguous_strides
from ..runtime import realize
from ..tensor import Tensor, new_tensor
from .graph import edge_of
from .modes import anomaly, modes
from .nodes import GradNode

_count = sys.getrefcount


class _Run:
    """One walk backward: what is waited for, what has arrived, what is asked for."""

    __slots__ = ("waiting", "needed", "buffers", "found", "wanted", "capture", "create", "retain",
                 "ready", "leaves")

    def __init__(self, retain: bool, create: bool):
        self.waiting: dict[int, int] = {}        # target -> gradients that may still come
        self.needed: set[int] | None = None      # targets that lead to a wanted one
        self.buffers: dict[int, list] = {}       # target -> gradient of each output so far
        self.found: dict[tuple[int, int], Tensor] = {}
        self.wanted: set[tuple[int, int]] = set()
        self.capture = False                     # leaves' gradients are found, not accumulated
        self.create, self.retain = create, retain
        self.ready: list[tuple[int, int, GradNode]] = []
        self.leaves: list[Tensor] = []


def run_backward(roots: list[tuple], retain_graph: bool, create_graph: bool,
                 inputs: Sequence[Tensor] | None = None) -> dict:
    """Gradients flow from `roots` ((edge, gradient) pairs) into the leaves' `.grad`, or, with
    `inputs`, into the result: {(id of target, output number): gradient}."""
    run = _Run(retain_graph, create_graph)
    if inputs is not None:
        run.capture = True
        run.wanted = {_place(edge_of(x)) for x in inputs}
    _dependencies([edge for edge, _ in roots], run)
    before, pack, whole = modes.grad, modes.pack, modes.whole
    modes.grad, modes.whole = create_graph, whole and inputs is None
    if not create_graph:
        modes.pack = None
    try:
        for edge, grad in roots:
            _deliver(edge, grad, run)
        edge = grad = None
        roots.clear()
        while run.ready or run.leaves:
            if run.leaves:
                _arrive(run.leaves.pop(), run)
                continue
            node = heapq.heappop(run.ready)[2]
            blame.origin = getattr(node, "origin", None)
            _step(node, run)
    finally:
        modes.grad, modes.pack, modes.whole = before, pack, whole
        blame.origin = None
    return run.found


def _place(edge: Any) -> tuple[int, int]:
    """(id of the target, output number)."""
    return (id(edge[0]), edge[1]) if edge.__class__ is tuple else (id(edge), 0)


def _dependencies(edges: list, run: _Run) -> None:
    """How many gradients each target waits for, and which targets lead to a wanted one."""
    waiting = run.waiting
    nodes: list[GradNode] = []
    seen = 0                       # nodes whose edges have been counted
    while True:
        for edge in edges:
            if edge is None:
                continue
            if edge.__class__ is tuple:
                edge = edge[0]
            key = id(edge)
            count = waiting.get(key)
            if count is not None:
                waiting[key] = count + 1
                continue
            waiting[key] = 1
            if not isinstance(edge, Tensor):
                nodes.append(edge)
        if seen == len(nodes):
            break
        edges = nodes[seen].edges
        seen += 1
    if run.capture:
        _needed(nodes, run)


def _needed(nodes: list[GradNode], run: _Run) -> None:
    """Marks what leads to a wanted target: backward from the wanted ones along the edges."""
    users: dict[int, list[GradNode]] = {}
    for node in nodes:
        for edge in node.edges:
            if edge is not None:
                target = edge[0] if edge.__class__ is tuple else edge
                users.setdefault(id(target), []).append(node)
    run.needed = set()
    stack = [user for key, _ in run.wanted for user in users.get(key, ())]
    while stack:
        node = stack.pop()
        if id(node) not in run.needed:
            run.needed.add(id(node))
            stack += users.get(id(node), ())


def _step(node: GradNode, run: _Run) -> None:
    """Runs a node and hands its gradients on."""
    grads = run.buffers.pop(id(node), None) or [None] * node.outputs
    if node.extra is not None:
        grads = _before(node, grads)
    if run.capture:
        for number in range(node.outputs):
            if (id(node), number) in run.wanted and grads[number] is not None:
                run.found[id(node), number] = grads[number]
        if id(node) not in run.needed:
            return _pass_on(node, [None] * len(node.edges), run)
    if node.outputs == 1 and not node.whole:
        if grads[0] is None:
            return _pass_on(node, [None] * len(node.edges), run)
        outs = node.apply(grads[0]) if not anomaly.enabled else _watched(node, grads[0])
    else:
        outs = node.apply(grads) if not anomaly.enabled else _watched(node, grads)
    if node.extra is not None and node.extra.after:
        for hook in list(node.extra.after.values()):
            changed = hook(tuple(outs), tuple(grads))
            if changed is not None:
                outs = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    if not run.retain:
        node.release()
        if realize.capturing is not None:
            realize.capturing.released.add(id(node))
    del grads
    return _pass_on(node, outs, run)


def _pass_on(node: GradNode, outs: Sequence, run: _Run) -> None:
    for k, edge in enumerate(node.edges):
        if edge is not None:
            _deliver(edge, outs[k], run)


def _deliver(edge: Any, grad: Tensor | None, run: _Run) -> None:
    """Adds a gradient to what an edge's target has so far; the last one makes it ready."""
    number = 0
    if edge.__class__ is tuple:
        edge, number = edge
    key = id(edge)
    if grad is not None:
        slots = run.buffers.get(key)
        if slots is None:
            slots = run.buffers[key] = [None] * (1 if isinstance(edge, Tensor) else edge.outputs)
        have = slots[number]
        slots[number] = grad if have is None else have + grad
    run.waiting[key] = left = run.waiting[key] - 1
    if not left:
        if isinstance(edge, Tensor):
            run.leaves.append(edge)
        else:
            heapq.heappush(run.ready, (-edge.sequence, key, edge))


def _before(node: GradNode, grads: list) -> list:
    """Hooks of the node's result tensors, then those before the node, then retained gradients."""
    extra = node.extra
    for number, hook in list(extra.tensor.values()):
        if grads[number] is not None:
            grads[number] = _hooked(hook, grads[number])
    for hook in list(extra.before.values()):
        changed = hook(tuple(grads))
        if changed is not None:
            grads = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    for number, reference in extra.keep.items():
        x, grad = reference(), grads[number]
        if x is not None and grad is not None:
            x._grad = grad.clone() if x._grad is None else x._grad + grad
    return grads


def _hooked(hook, grad: Tensor) -> Tensor:
    """What a tensor's hook makes of its gradient."""
    changed = hook(grad)
    if changed is None:
        return grad
    if not isinstance(changed, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(changed).__name__}'")
    if changed.shape != grad.shape:
        name = getattr(hook, "__name__", "hook")
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    return changed


def _watched(node: GradNode, grads: Any) -> list:
    """Runs a node in anomaly mode: errors and NaNs name the forward line."""
    try:
        outs = node.apply(grads)
        if anomaly.check_nan:
            for k, out in enumerate(outs):
                if out is not None and bool(out.detach().isnan().any()):
                    raise RuntimeError(f"Function '{node.name()}' returned nan values in its "
                                       f"{k}th output.")
    except Exception:
        trace = node.extra.trace if node.extra is not None else ""
        text = (f"Error detected in {node.name()}. Traceback of forward call that caused the "
                f"error:\n{trace}" if trace else
                f"Error detected in {node.name()}. No forward pass information available. Enable "
                "detect anomaly during forward pass for more information.")
        warnings.warn(text, stacklevel=2)
        raise
    return outs


# ── leaves ────────────────────────────────────────────────────────────────────────────────────
def _arrive(leaf: Tensor, run: _Run) -> None:
    """A leaf's whole gradient: hooks, then `.grad` or the result."""
    slots = run.buffers.pop(id(leaf), None)
    if slots is None or not leaf._leaf:
        return
    if run.capture and (id(leaf), 0) not in run.wanted:
        return
    hooks = getattr(leaf, "_hooks", None)
    if hooks:
        for hook in list(hooks.values()):
            slots[0] = _hooked(hook, slots[0])
    if run.capture:
        run.found[id(leaf), 0] = slots[0]
    else:
        accumulate_grad(leaf, slots, run.create)


def _holders(slots: list) -> tuple[int, int, int]:
    """References to a gradient, to its storage beyond the pending node's, and to its base."""
    grad = slots[0]
    base = grad._base
    storage = grad.storage
    return (_count(grad), _count(storage) - (storage.node is not None) - (base is not None),
            0 if base is None else _count(base))


_ALONE = _holders([new_tensor(realize.Storage(None, 0), None)])


def exclusive(slots: list) -> bool:
    """Whether nobody but the engine holds a gradient (given in a list) or its memory."""
    grad, storage, base = _holders(slots)
    return grad <= _ALONE[0] and storage <= _ALONE[1] and base <= 3


def accumulate_grad(leaf: Tensor, slots: list, create_graph: bool) -> None:
    """leaf.grad += slots[0]. A gradient that somebody else holds is copied, never shared."""
    have = leaf._grad
    if have is None:
        alone = exclusive(slots)
        grad = slots[0]
        if create_graph:
            leaf._grad = grad if alone else grad.clone()
        else:
            spec = leaf.spec
            want = spec.strides if spec.dense else contiguous_strides(spec.shape)
            if not alone or not _same_layout(grad.spec, want) or grad.offset:
                from ..record import cast
                grad = cast(grad, grad.dtype, want)
            elif grad._fn is not None or grad._base is not None:
                grad = new_tensor(grad.storage, grad.spec, grad.offset)
            leaf._grad = grad
    elif create_graph:
        leaf._grad = have + slots[0]
    else:
        have.add_(slots[0])
    hooks = getattr(leaf, "_post", None)
    if hooks:
        for hook in list(hooks.values()):
            hook(leaf)


def _same_layout(spec, strides: tuple) -> bool:
    return all(n == 1 or s == w for n, s, w in zip(spec.shape, spec.strides, strides, strict=True))


def backward(tensors, grad_tensors=None, retain_graph: bool | None = None,
             create_graph: bool = False, grad_variables=None, inputs=None) -> None:
    """Accumulates gradients of `tensors` into the leaves (`torch.autograd.backward`)."""
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.",
                      FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError("`grad_tensors` and `grad_variables` (deprecated) arguments both "
                               "passed to `backward()`. Please only use `grad_tensors`.")
        grad_tensors = grad_variables
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    roots = _roots(tensors, _listed(grad_tensors, len(tensors)))
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run_backward(roots, retain, create_graph)
        return
    for x in inputs:
        if edge_of(x) is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = run_backward(roots, retain, create_graph, inputs)
    for x in inputs:
        grad = found.pop(_place(edge_of(x)), None)
        if grad is not None:
            slots, grad = [grad], None
            accumulate_grad(x, slots, create_graph)


def _listed(grads, count: int) -> list:
    if grads is None:
        return [None] * count
    return [grads] if isinstance(grads, Tensor) else list(grads)


def _roots(tensors: list[Tensor], grads: list) -> list[tuple]:
    """(edge, gradient) of each output; PyTorch's errors where a gradient does not fit."""
    if len(tensors) != len(grads):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(grads)} gradients")
    roots = []
    for k, (x, grad) in enumerate(zip(tensors, grads, strict=True)):
        if grad is not None:
            _check_root(k, x, grad)
        elif edge_of(x) is not None:
            if x.spec.numel != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if x.dtype.is_complex:
                raise RuntimeError("grad can be implicitly created only for real scalar outputs "
                                   f"but got {x.dtype}")
    for k, (x, grad) in enumerate(zip(tensors, grads, strict=True)):
        edge = edge_of(x)
        if edge is None:
            raise RuntimeError(f"element {k} of tensors does not require grad and does not have a "
                               "grad_fn")
        if grad is None:
            from ..creation import ones_like
            grad = ones_like(x)
        elif grad.dtype is not x.dtype:
            grad = grad.to(x.dtype)
        roots.append((edge, grad))
    return roots


def _check_root(k: int, x: Tensor, grad: Tensor) -> None:
    if not isinstance(grad, Tensor):
        raise TypeError("gradients can be either Tensors or None, but got "
                        f"{type(grad).__name__}")
    if grad.spec.shape != x.spec.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{k}] has a shape of {grad.shape} and output[{k}] "
            f"has a shape of {x.shape}.")
    if grad.dtype.is_complex != x.dtype.is_complex:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same dtype. "
            f"Mismatch in dtype: grad_output[{k}] has a dtype of {grad.dtype} and output[{k}] has "
            f"a dtype of {x.dtype}.")


def grad(outputs, inputs, grad_outputs=None, retain_graph: bool | None = None,
         create_graph: bool = False, only_inputs: bool = True, allow_unused: bool | None = None,
         is_grads_batched: bool = False, materialize_grads: bool = False) -> tuple:
    """Gradients of `outputs` with respect to `inputs` (`torch.autograd.grad`).

    >>> import jittensor as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("Expected allow_unused to be True or not passed when materialize_grads="
                         "True, but got: allow_unused=False.")
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not all(isinstance(x, Tensor) for x in outputs):
        raise AssertionError("Expected output to be a torch.Tensor")
    for x in inputs:
        if not isinstance(x, Tensor):
            raise RuntimeError("all inputs have to be Tensors or GradientEdges, but got "
                               f"{type(x).__name__}")
    if not only_inputs:
        warnings.warn("only_inputs argument is deprecated and is ignored now (defaults to True). "
                      "To accumulate gradient for other parts of the graph, please use "
                      "torch.autograd.backward.", FutureWarning, stacklevel=2)
    grads = _listed(grad_outputs, len(outputs))
    retain = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched(outputs, inputs, grads, retain, create_graph, allow_unused,
                        materialize_grads)
    roots = _roots(outputs, grads)
    for x in inputs:
        if edge_of(x) is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = run_backward(roots, retain, create_graph, inputs)
    out = []
    for x in inputs:
        g = found.get(_place(edge_of(x)))
        if g is None and materialize_grads:
            from ..creation import zeros_like
            g = zeros_like(x)
        elif g is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {len(out)} appears to not have been used in "
                "the graph. Set allow_unused=True if this is the desired behavior.")
        out.append(g)
    return tuple(out)


def _batched(outputs, inputs, grads, retain, create, allow_unused, materialize) -> tuple:
    """`grad` for each row of batched grad_outputs, stacked."""
    from ..functions import stack
    count = next(len(g) for g in grads if g is not None)
    rows = [grad(outputs, inputs, [None if g is None else g[i] for g in grads],
                 retain or i < count - 1, create, allow_unused=allow_unused,
                 materialize_grads=materialize) for i in range(count)]
    return tuple(None if column[0] is None else stack(column) for column in zip(*rows, strict=True))
