"""The autograd graph: a recorded operation and its operands in, a node that can go backward out."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ..graph.node import UNTRACKED, user_frame
from ..graph.ops import ELEMENTWISE, Op
from ..kernels.compile import stats
from ..runtime import realize
from ..tensor import Tensor, new_tensor
from .modes import anomaly, modes
from .nodes import GradNode, Handle, fit, named, next_sequence
from .saved import pack_saved

_new = object.__new__
_ref = weakref.ref


# ── recording ─────────────────────────────────────────────────────────────────────────────────
def edge_of(x: Tensor):
    """Where x's gradient goes."""
    if x._base is not None and getattr(x, "_seen", None) != x.storage.version:
        renew(x)
    fn = x._fn
    if fn is None:
        return x if x._leaf else None
    return fn if fn.outputs == 1 else (fn, x._output)


def current(x: Tensor):
    """A tensor's node; a view's is made anew when its base was written in place since."""
    edge_of(x)
    return x._fn


_SAVES: dict[tuple, tuple] = {}


def _saves_of(op: Op, operands: tuple, edges: list) -> tuple:
    """(the node's class, the operands' specs, the numbers of those that are saved, whether the
    result is)."""
    specs = tuple([x.spec if isinstance(x, Tensor) else None for x in operands])
    if op.kind != ELEMENTWISE:
        which, result = [k in op.saves for k in range(len(edges))], "result" in op.saves
    else:
        names = set()
        for arg, edge in zip(op.args, edges, strict=True):
            if edge is not None and op.grads.get(arg) is not None:
                names |= op.grads[arg].names
        which, result = [arg in names for arg in op.args], "result" in names
    kept = tuple([k for k, spec in enumerate(specs)
                  if (operands[k] is not None if spec is None else which[k])])
    name = (_BY_OPERANDS[op.name]([spec is not None for spec in specs])
            if op.name in _BY_OPERANDS else op.grad_name)
    return named(GradNode, name), specs, kept, result or None


class _Updates:
    """When a parameter was last written in place without being recorded: `run` is the number of
    realizes before it. The next differentiable operation begins a new step and runs the old."""

    run = -1


updates = _Updates()


def attach(out: Tensor, op: Op, operands: tuple, attrs: tuple = ()) -> None:
    """Makes `out` the differentiable result of op(operands)."""
    if out.spec.dtype.category < 2:
        return
    if updates.run >= 0:
        if updates.run == stats.realizes and realize.capturing is None:
            realize.realize_all()
        updates.run = -1
    node = out.storage.node
    fn = make_node(op, operands, attrs, node.origin if node is not None else user_frame())
    if fn.outcome:
        fn.outcome = (new_tensor(out.storage, out.spec, out.offset), out.storage.version)
    if modes.pack is not None:
        pack_saved(fn)
    out._fn = fn


def make_node(op: Op, operands: tuple, attrs: tuple, origin: Any) -> GradNode:
    """The node of op(operands); its `outcome` is True when the result is to be saved."""
    edges, key = [], [op]
    for x in operands:
        if not isinstance(x, Tensor):
            edges.append(None)
            key.append(x is None)
            continue
        if x._base is not None and getattr(x, "_seen", None) != x.storage.version:
            renew(x)
        edge = x._fn
        key.append(x.spec)
        if edge is None:
            if x._leaf:
                edge = x
            else:
                key.append(None)
        elif edge.outputs != 1:
            edge = edge, x._output
        edges.append(edge)
    key = tuple(key)
    saves = _SAVES.get(key)
    if saves is None:
        saves = _SAVES[key] = _saves_of(op, operands, edges)
    kind, specs, kept, result = saves
    fn = _new(kind)
    fn.sequence = next_sequence()
    fn.freed, fn.outputs, fn.extra, fn.outcome = False, 1, None, result
    fn.op, fn.attrs, fn.origin, fn.edges, fn.specs = op, attrs, origin, tuple(edges), specs
    saved = [None] * len(specs)
    if kept:
        versions = saved[:]
        for k in kept:
            saved[k] = x = operands[k]
            if specs[k] is not None:
                versions[k] = version = x.storage.version
                if version is UNTRACKED:
                    check_saved((x,))
        fn.versions = versions
    else:
        fn.versions = ()
    fn.operands = saved
    if anomaly.enabled:
        fn.note_traceback()
    return fn


def relabel(out: Any, name: str) -> Any:
    """A result whose node has another name: PyTorch has one operation where there were several."""
    if isinstance(out, Tensor):
        fn = out._fn
        if fn is not None:
            fn.__class__ = named(fn.__class__, name)
    return out


# names that depend on which operands are tensors
_BY_OPERANDS: dict[str, Callable] = {
    "pow": lambda t: "PowBackward" + ("2" if not t[0] else "1" if t[1] else "0"),
    "rsub": lambda t: "RsubBackward" + ("0" if t[1] else "1"),
    "clamp": lambda t: "ClampBackward" + ("0" if t[1] or t[2] else "1"),
    "masked_fill": lambda t: "MaskedFillBackward" + ("1" if t[2] else "0"),
    "lerp": lambda t: "LerpBackward" + ("1" if t[2] else "0"),
}


def check_saved(operands: tuple) -> None:
    """Raises when a tensor made in inference mode would be saved for backward."""
    if any(isinstance(x, Tensor) and x.storage.version is UNTRACKED for x in operands):
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in "
            "inference mode in computation tracked by autograd. To work around this, you can make "
            "a clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` "
            "instead of `torch.inference_mode()`.")


class ViewNode(GradNode):
    """The autograd node of a view: `back(grad)` puts a gradient into the operand's shape."""

    __slots__ = ("back",)

    def apply(self, grad):
        return [fit(self.back(grad), self.specs[0])]

    def release(self) -> None:
        return None


def attach_view(out: Tensor, x: Tensor, label: str, back: Callable) -> Tensor:
    """Makes `out` a differentiable view of x."""
    kind = _VIEW_CLASSES.get(label)
    if kind is None:
        kind = _VIEW_CLASSES[label] = named(ViewNode, label)
    edge = edge_of(x)
    fn = _new(kind)
    fn.sequence = next_sequence()
    fn.freed, fn.outputs = False, 1
    fn.op = fn.outcome = fn.extra = fn.origin = None
    fn.operands = fn.versions = fn.attrs = ()
    fn.back = back
    fn.edges, fn.specs = (edge,), (x.spec,)
    if anomaly.enabled:
        fn.note_traceback()
    out._fn = fn
    return out


_VIEW_CLASSES: dict[str, type] = {}


# ── views whose base was written in place ─────────────────────────────────────────────────────
def remember_view(view: Tensor) -> None:
    """Notes a view of a tensor that needs no gradient: a write may make it need one."""
    base = view._base
    try:
        views = base._views
    except AttributeError:
        base._views = [_ref(view)]
        return
    views.append(_ref(view))
    count = len(views)
    if count >= 32 and not count & (count - 1):
        views[:] = [r for r in views if r() is not None]


def renew_views(base: Tensor, but: Tensor | None = None) -> None:
    """Gives the views of a base that has begun to need a gradient their nodes."""
    views = getattr(base, "_views", None)
    if views:
        base._views = []
        for reference in views:
            view = reference()
            if view is not None and view is not but:
                renew(view)


def renew(x: Tensor) -> None:
    """Makes a view's node anew from its base."""
    base = x._base
    x._seen = x.storage.version
    if base._fn is None and not base._leaf or getattr(x, "_forbid", None) == "no_grad":
        return
    if x.spec.dtype is not base.spec.dtype:
        return                       # parts of complex numbers: the node that was recorded holds
    spec, offset = x.spec, x.offset - base.offset

    def back(grad, spec=spec, offset=offset, whole=base.spec):
        from ..views import scatter_part
        return scatter_part(grad, whole, spec, offset)

    attach_view(x, base, "AsStridedBackward0", back)


from .saved import (  # noqa: E402  (public names of `torch.autograd.graph`)
    disable_saved_tensors_hooks,
    save_on_cpu,
    saved_tensors_hooks,
)

Node = GradNode


def register_multi_grad_hook(tensors, fn: Callable, *, mode: str = "all") -> Handle:
    """`fn(gradients)` runs when the gradients of all tensors are there ('all'), or `fn(gradient)`
    at the first of them ('any')."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = list(tensors)
    grads: list = [None] * len(tensors)
    state = {"count": 0, "done": False}

    def seen(k: int):
        def hook(grad):
            if mode == "any":
                if not state["done"]:
                    state["done"] = True
                    fn(grad)
                return
            grads[k] = grad
            state["count"] += 1
            if state["count"] == len(tensors):
                state["count"] = 0
                given, grads[:] = list(grads), [None] * len(tensors)
                fn(given)

        return hook

    handles = [x.register_hook(seen(k)) for k, x in enumerate(tensors)]

    class Handles(Handle):
        def __init__(self):
            self.handles = tuple(handles)

        def remove(self) -> None:
            for handle in self.handles:
                handle.remove()

    return Handles()


__all__ = ["GradNode", "Handle", "Node", "attach", "attach_view", "current",
           "disable_saved_tensors_hooks", "edge_of", "register_multi_grad_hook", "save_on_cpu",
           "saved_tensors_hooks"]
