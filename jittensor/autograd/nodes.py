"""Nodes of the autograd graph: what stands for one recorded operation, and at the end of a path.

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

from ..graph.node import where
from ..graph.ops import ELEMENTWISE
from ..tensor import Tensor, new_tensor
from .modes import anomaly
from .saved import Packed

next_sequence = itertools.count().__next__


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
        self.sequence = next_sequence()
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
        return own_result(*self.outcome, self)

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
    from .graph import current
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


def own_result(kept: Any, version: int, node: GradNode, number: int = 0) -> Tensor:
    """Result `number` of a node as the node keeps it, attached to it again; RuntimeError if it was
    changed since."""
    if kept.__class__ is Packed:
        return kept.unpack(node if node.outputs == 1 else (node, number))
    if kept.storage.version != version:
        raise RuntimeError(modified(kept, node, version, True))
    out = new_tensor(kept.storage, kept.spec, kept.offset)
    out._fn, out._output = node, number
    return out


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
