"""The autograd graph: a recorded operation and its operands in, a node that can go backward out.

An edge says where a gradient goes: a node, (node, output number) for a node with several outputs,
a leaf tensor, or None.
"""

from __future__ import annotations

import itertools
import re
import traceback
import weakref
from collections.abc import Callable
from typing import Any

from ..graph.node import UNTRACKED, user_frame, where
from ..graph.ops import ELEMENTWISE, Op
from ..kernels.compile import stats
from ..runtime import realize
from ..tensor import Tensor, new_tensor
from .modes import anomaly, modes
from .saved import Packed, pack_saved

_sequence = itertools.count()
_new = object.__new__
_ref = weakref.ref


# ── hooks ─────────────────────────────────────────────────────────────────────────────────────
class Handle:
    """What registering a hook returns: `remove()`, or leaving a `with`, takes the hook off."""

    _ids = itertools.count()

    def __init__(self, hooks: dict, hook: Any):
        self.id = next(Handle._ids)
        self.hooks = hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        """Takes the hook off; a second call does nothing."""
        self.hooks.pop(self.id, None)

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.remove()


class Extras:
    """What few nodes have: hooks, tensors that keep their gradient, the forward traceback."""

    __slots__ = ("after", "before", "tensor", "keep", "trace")

    def __init__(self):
        self.after: dict[int, Callable] = {}
        self.before: dict[int, Callable] = {}
        self.tensor: dict[int, tuple[int, Callable]] = {}
        self.keep: dict[int, weakref.ref] = {}
        self.trace = ""


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────
class GradNode:
    """One recorded operation of the autograd graph (`grad_fn`).

    `edges` name, for each operand, where its gradient goes. The class of a node is named as
    PyTorch names it.
    """

    whole = False                     # runs also where no gradient arrived, on the list of them
    __slots__ = ("op", "edges", "operands", "specs", "attrs", "outcome", "sequence", "versions",
                 "freed", "extra", "origin", "outputs", "__weakref__")

    def __init__(self):
        self.sequence = next(_sequence)
        self.freed = False
        self.op = self.outcome = self.extra = self.origin = None
        self.operands = self.versions = self.edges = self.specs = self.attrs = ()
        self.outputs = 1
        if anomaly.enabled:
            self.note_traceback()

    # ── what users see ────────────────────────────────────────────────────────────────────────
    def name(self) -> str:
        """PyTorch's name of the node."""
        name = type(self).__name__
        return "torch::autograd::" + name if name in ("CopySlices", "CopyBackwards") else name

    @property
    def label(self) -> str:
        """The name; setting it gives the node another class."""
        return type(self).__name__

    @label.setter
    def label(self, name: str) -> None:
        self.__class__ = named(type(self), name)

    @property
    def next_functions(self) -> tuple:
        """Where gradients go, as ((node, output number), ...)."""
        op = self.op
        if op is not None and op.kind == ELEMENTWISE:
            wraps = op.name in _WRAPPING
            return tuple(as_pair(e) for e, s, arg in zip(self.edges, self.specs, op.args,
                                                         strict=True)
                         if op.grads.get(arg) is not None and (wraps or s is not None))
        return tuple(as_pair(e) for e, s in zip(self.edges, self.specs, strict=True)
                     if s is not None and (s.dtype.category >= 2 or self.whole))

    @property
    def requires_grad(self) -> bool:
        """Always True."""
        return True

    @property
    def metadata(self) -> dict:
        """A dict of the user's own, new at each look unless anomaly mode fills it."""
        trace = self.extra.trace if self.extra is not None else ""
        return {"traceback_": trace} if trace else {}

    def _sequence_nr(self) -> int:
        return self.sequence

    def extras(self) -> Extras:
        """The node's hooks, made on first use."""
        if self.extra is None:
            self.extra = Extras()
        return self.extra

    def register_hook(self, hook: Callable) -> Handle:
        """`hook(grad_inputs, grad_outputs)` runs after the node; what it returns replaces
        grad_inputs."""
        return Handle(self.extras().after, hook)

    def register_prehook(self, hook: Callable) -> Handle:
        """`hook(grad_outputs)` runs before the node; what it returns replaces grad_outputs."""
        return Handle(self.extras().before, hook)

    def __getattr__(self, name: str):
        if name.startswith("_saved_"):
            wanted = name[len("_saved_"):]
            if wanted == "result" and self.outcome is not None:
                return self.result()
            args = self.op.args if self.op is not None else ()
            if wanted in args and args.index(wanted) < len(self.operands):
                if self.freed:
                    raise RuntimeError(FREED)
                value = self.saved(args.index(wanted))
                if value is not None:
                    return value
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {hex(id(self))}>"

    def note_traceback(self) -> None:
        """Keeps where the operation was recorded, for anomaly mode."""
        stack = traceback.format_list(_outside(traceback.extract_stack()))
        self.extras().trace = "".join(stack)

    # ── saved tensors ─────────────────────────────────────────────────────────────────────────
    def saved(self, k: int) -> Any:
        """Operand k as it was; RuntimeError if it was changed or freed since."""
        x = self.operands[k]
        if x.__class__ is Packed:
            return x.unpack(self.edges[k])
        if isinstance(x, Tensor) and x.storage.version != self.versions[k]:
            raise RuntimeError(modified(x, self, self.versions[k]))
        return x

    def result(self) -> Tensor:
        """The operation's own result, attached to this node."""
        alias, version = self.outcome
        if alias.__class__ is Packed:
            return alias.unpack(self)
        if alias.storage.version != version:
            raise RuntimeError(modified(alias, self, version, True))
        out = new_tensor(alias.storage, alias.spec, alias.offset)
        out._fn = self
        return out

    def apply(self, grad: Tensor) -> list:
        """The gradients of the operands, given the result's."""
        if self.freed:
            raise RuntimeError(FREED)
        if self.op.kind == ELEMENTWISE:
            return self._elementwise(grad)
        return [g if g is None or s is None or g.spec is s else fit(g, s)
                for g, s in zip(self.op.backward(self, grad), self.specs, strict=True)]

    def _elementwise(self, grad: Tensor) -> list:
        op = self.op
        result = self.result() if self.outcome is not None else None
        arguments = [self.saved(k) if x is not None else None
                     for k, x in enumerate(self.operands)]
        out = []
        for edge, spec, arg in zip(self.edges, self.specs, op.args, strict=True):
            if edge is None:
                out.append(None)
                continue
            gradient = op.grads.get(arg)
            if gradient is None:
                if arg not in op.grads:
                    raise RuntimeError(f"derivative for aten::{op.name} is not implemented")
                out.append(None)                # a step: its derivative is 0
                continue
            found = gradient.call(grad, result, *arguments)
            out.append(found if found is None or found.spec is spec else fit(found, spec))
        return out

    def release(self) -> None:
        """Frees what was saved."""
        held, left = self.outcome is not None or (
            self.op is not None and self.op.name in _SAVING_NUMBERS), []
        for x in self.operands:
            if x is not None and isinstance(x, _SAVED):
                held, x = True, None
            left.append(x)
        if held:
            self.freed, self.operands, self.outcome = True, left, None


_SAVED = (Tensor, Packed)


# operators whose Python scalar PyTorch wraps in a tensor, and so gives an edge
_WRAPPING = frozenset({"add", "add_scaled", "sub", "sub_scaled", "mul", "div"})
_SAVING_NUMBERS = frozenset({"mul", "div"})     # of these, the ones that keep it for backward

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you "
    "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
    "through the graph a second time or if you need to access saved tensors after calling "
    "backward.")

_CLASSES: dict[tuple, type] = {}


def named(base: type, name: str) -> type:
    """The class of nodes like `base` that is called `name`."""
    found = _CLASSES.get((base, name))
    if found is None:
        family = getattr(base, "_family", base)
        found = _CLASSES.get((family, name)) or type(
            name, (family,), {"__slots__": (), "_family": family})
        _CLASSES[family, name] = _CLASSES[base, name] = found
    return found


def _outside(stack: list) -> list:
    package = __file__.rsplit("autograd", 1)[0]
    return [frame for frame in stack if not frame.filename.startswith(package)]


def modified(x: Tensor, node: GradNode, version: int, alias: bool = False) -> str:
    """What PyTorch says when a saved tensor was written to, with the line that saved it."""
    file, line = where(getattr(node, "origin", None))
    hint = ("Hint: the backtrace further above shows the operation that failed to compute its "
            "gradient. The variable in question was changed in there or anywhere later. Good luck!"
            if anomaly.enabled else
            "Hint: enable anomaly detection to find the operation that failed to compute its "
            "gradient, with torch.autograd.set_detect_anomaly(True, check_nan=False).")
    made = node if alias else current(x)
    of = ""
    if made is not None:
        name = re.sub(r"Backward\d*$", "", made.name())
        of = f", which is output {getattr(x, '_output', 0)} of {name},"
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [{x.type()} {list(x.shape)}]{of} is at version {x.storage.version}; "
        f"expected version {version} instead. It was saved by {node.name()} at {file}:{line}. "
        + hint)


class AccumulateGrad:
    """What stands at the end of a path: a leaf's `.grad`."""

    def __init__(self, variable: Tensor):
        self.variable = variable
        self.next_functions = ()

    def name(self) -> str:
        """PyTorch's name of the node."""
        return "torch::autograd::AccumulateGrad"

    @property
    def requires_grad(self) -> bool:
        """Always True."""
        return True

    def register_hook(self, hook: Callable) -> Handle:
        """`hook(grad_inputs, grad_outputs)` runs after a gradient was accumulated."""
        return Handle(post_hooks(self.variable), lambda leaf: hook((), (leaf._grad,)))

    def register_prehook(self, hook: Callable) -> Handle:
        """`hook(grad_outputs)` runs before a gradient is accumulated."""
        def first(grad: Tensor):
            changed = hook((grad,))
            return changed[0] if isinstance(changed, tuple) else changed

        return Handle(leaf_hooks(self.variable), first)

    def __eq__(self, other) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return hash(("AccumulateGrad", id(self.variable)))

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self))}>"


def leaf_hooks(x: Tensor) -> dict:
    """The hooks on a leaf's gradient."""
    if getattr(x, "_hooks", None) is None:
        x._hooks = {}
    return x._hooks


def post_hooks(x: Tensor) -> dict:
    """The hooks that run after a leaf's gradient was accumulated."""
    if getattr(x, "_post", None) is None:
        x._post = {}
    return x._post


def as_node(edge: Any):
    """An edge's target as users see it."""
    if edge.__class__ is tuple:
        return edge[0]
    return AccumulateGrad(edge) if isinstance(edge, Tensor) else edge


def as_pair(edge: Any) -> tuple:
    """An edge as (node, output number)."""
    return as_node(edge), edge[1] if edge.__class__ is tuple else 0


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
    fn.sequence = next(_sequence)
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
    fn.sequence = next(_sequence)
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


def fit(grad: Tensor, spec) -> Tensor | None:
    """A gradient reduced to the operand's shape and cast to its dtype."""
    if grad is None:
        return None
    if grad.spec.shape != spec.shape:
        grad = grad.sum_to_size(spec.shape)
    if grad.spec.dtype is not spec.dtype:
        if grad.spec.dtype.is_complex and not spec.dtype.is_complex:
            grad = grad.real
        if grad.spec.dtype is not spec.dtype:
            grad = grad.to(spec.dtype)
    return grad


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
