"""The autograd graph: a recorded operation and its operands in, a node that can go backward out."""

from __future__ import annotations

import itertools
import weakref

from ..graph.node import user_frame, where
from ..graph.ops import ELEMENTWISE, Op
from ..tensor import Tensor, new_tensor
from .modes import modes

_sequence = itertools.count()


class GradNode:
    """One recorded operation of the autograd graph (`grad_fn`).

    `edges` name, for each operand, the node (or leaf tensor) that its gradient goes to, or None.
    """

    __slots__ = ("op", "edges", "operands", "specs", "attrs", "outcome", "sequence", "versions",
                 "freed", "hooks", "origin", "outputs", "label", "retained", "__weakref__")

    def __init__(self):
        self.sequence = next(_sequence)
        self.freed = False
        self.hooks = self.outcome = self.retained = None
        self.operands = self.versions = self.edges = self.specs = self.attrs = ()
        self.outputs, self.label = 1, ""

    # ── what users see ────────────────────────────────────────────────────────────────────────
    def name(self) -> str:
        """PyTorch's name of the node."""
        return self.label or self.op.grad_name

    @property
    def next_functions(self) -> tuple:
        """The nodes that gradients go to, as ((node, output number), ...)."""
        return tuple((as_node(e), 0) if e is not None else (None, 0)
                     for e, s in zip(self.edges, self.specs, strict=True) if s is not None)

    def register_hook(self, hook):
        """`hook(grad_inputs, grad_outputs)` runs after the node."""
        self.hooks = self.hooks or []
        return Handle(self.hooks, hook)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"

    # ── saved tensors ─────────────────────────────────────────────────────────────────────────
    def saved(self, k: int) -> Tensor:
        """Operand k as it was; RuntimeError if it was changed or freed since."""
        x = self.operands[k]
        if isinstance(x, Tensor):
            if x.storage.version != self.versions[k]:
                raise RuntimeError(_modified(x, self, self.versions[k]))
        return x

    def result(self) -> Tensor:
        """The operation's own result, attached to this node."""
        alias, version = self.outcome
        if alias.storage.version != version:
            raise RuntimeError(_modified(alias, self, version))
        out = new_tensor(alias.storage, alias.spec, alias.offset)
        out._fn = self
        return out

    def apply(self, grad):
        """The gradients of the operands, given the result's."""
        if self.freed:
            raise RuntimeError(FREED)
        if self.op.kind == ELEMENTWISE:
            return self._elementwise(grad)
        return self.op.backward(self, grad)

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
                raise RuntimeError(f"derivative for {op.name} is not implemented")
            out.append(fit(gradient.call(grad, result, *arguments), spec))
        return out

    def release(self) -> None:
        """Frees what was saved."""
        if self.outcome is not None or any(isinstance(x, Tensor) for x in self.operands):
            self.freed = True
        self.operands = tuple(None if isinstance(x, Tensor) else x for x in self.operands)
        self.outcome = None


FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you "
    "call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward "
    "through the graph a second time or if you need to access saved tensors after calling "
    "backward.")


def _modified(x: Tensor, node: GradNode, version: int) -> str:
    file, line = where(getattr(node, "origin", None))
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [torch.FloatTensor {list(x.shape)}] is at version {x.storage.version}; "
        f"expected version {version} instead. It was saved by {node.name()} at {file}:{line}. "
        "Hint: the backtrace further above shows the operation that failed to compute its "
        "gradient. The variable in question was changed in there or anywhere later. Good luck!")


class AccumulateGrad:
    """What stands at the end of a path: a leaf's `.grad`."""

    def __init__(self, variable: Tensor):
        self.variable = variable
        self.next_functions = ()

    def name(self) -> str:
        """PyTorch's name of the node."""
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self))}>"


def as_node(edge):
    """An edge's target as users see it."""
    return AccumulateGrad(edge) if isinstance(edge, Tensor) else edge


class Handle:
    """Takes a hook off again."""

    def __init__(self, hooks, hook):
        self.hooks, self.hook = hooks, hook
        hooks.append(hook)

    def remove(self) -> None:
        """Takes the hook off."""
        if self.hook in self.hooks:
            self.hooks.remove(self.hook)

    def __enter__(self):
        return self

    def __exit__(self, *exc) -> None:
        self.remove()


# ── recording ─────────────────────────────────────────────────────────────────────────────────
def edge_of(x: Tensor):
    """Where x's gradient goes."""
    if x._base is not None and x._fn is not None:
        return current(x)
    return x._fn if x._fn is not None else (x if x._leaf else None)


def current(x: Tensor):
    """A view's node; made anew when its base was written in place since."""
    seen = getattr(x, "_seen", None)
    if seen is not None and seen != x.storage.version:
        rebase.renew(x)
    return x._fn if x._fn is not None else (x if x._leaf else None)


_SAVES: dict[tuple, tuple] = {}


def _saves(op: Op, edges: tuple) -> tuple:
    """(which operands to save, whether to save the result)."""
    if op.kind != ELEMENTWISE:
        return tuple(k in op.saves for k in range(len(edges))), "result" in op.saves
    names = set()
    for arg, edge in zip(op.args, edges, strict=True):
        if edge is not None and op.grads.get(arg) is not None:
            names |= op.grads[arg].names
    return tuple(arg in names for arg in op.args), "result" in names


def attach(out: Tensor, op: Op, operands: tuple, attrs: tuple = ()) -> None:
    """Makes `out` the differentiable result of op(operands)."""
    if out.spec.dtype.category < 2:
        return
    fn = GradNode()
    fn.op, fn.attrs = op, attrs
    fn.origin = out.storage.node.origin if out.storage.node is not None else user_frame()
    fn.edges = edges = tuple([edge_of(x) if isinstance(x, Tensor) else None for x in operands])
    key = (op, tuple([e is not None for e in edges]))
    saves = _SAVES.get(key)
    if saves is None:
        saves = _SAVES[key] = _saves(op, edges)
    which, result = saves
    fn.specs = tuple([x.spec if isinstance(x, Tensor) else None for x in operands])
    fn.operands = tuple([x if keep or not isinstance(x, Tensor) else None
                         for x, keep in zip(operands, which, strict=True)])
    fn.versions = tuple([x.storage.version if isinstance(x, Tensor) else 0 for x in operands])
    if result:
        alias = new_tensor(out.storage, out.spec, out.offset)
        fn.outcome = (alias, out.storage.version)
    out._fn = fn


class ViewNode(GradNode):
    """The autograd node of a view: `back(grad)` puts a gradient into the operand's shape."""

    __slots__ = ("back",)

    def apply(self, grad):
        return [fit(self.back(grad), self.specs[0])]

    def release(self) -> None:
        return None


def attach_view(out: Tensor, x: Tensor, label: str, back) -> Tensor:
    """Makes `out` a differentiable view of x."""
    fn = ViewNode()
    fn.label, fn.back = label, back
    fn.edges, fn.specs = (edge_of(x),), (x.spec,)
    out._fn = fn
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


# ── in-place writes ───────────────────────────────────────────────────────────────────────────
def check_inplace(x: Tensor) -> None:
    """Raises PyTorch's errors for writes that autograd forbids."""
    if not modes.grad:
        return
    if x._leaf and x._fn is None:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place "
                           "operation.")
    base = x._base
    if base is not None and base._leaf and base._fn is None:
        raise RuntimeError("a view of a leaf Variable that requires grad is being used in an "
                           "in-place operation.")


class CopySlices(GradNode):
    """A write through a view, as its base sees it: the gradient of the written region goes to
    the write, that of the rest to the base's former value."""

    __slots__ = ("view", "write")

    def name(self) -> str:
        return "CopySlices"

    def apply(self, grad):
        spec, offset = self.view
        rest = grad.clone()
        region = rest.as_strided(spec.shape, spec.strides, offset)
        inner = self.write.apply(region.clone())
        region.zero_()
        return [rest, *inner]

    def release(self) -> None:
        self.write.release()


class rebase:  # noqa: N801
    """Autograd of in-place writes: the written tensor (and its base) get new nodes."""

    @staticmethod
    def before(x: Tensor, op: Op, operands: tuple) -> GradNode:
        """The node of the write, with operands as they are before it."""
        fn = GradNode()
        fn.op, fn.origin = op, user_frame()
        fn.edges = tuple([edge_of(o) if isinstance(o, Tensor) else None for o in operands])
        fn.specs = tuple([o.spec if isinstance(o, Tensor) else None for o in operands])
        which, result = _saves(op, fn.edges)
        fn.operands = tuple([o if keep or not isinstance(o, Tensor) else None
                             for o, keep in zip(operands, which, strict=True)])
        fn.versions = tuple([o.storage.version if isinstance(o, Tensor) else 0
                             for o in operands])
        fn.attrs = (result,)
        return fn

    @staticmethod
    def after(x: Tensor, op: Op, operands: tuple, fn: GradNode) -> None:
        """Hangs the written tensor on the write's node."""
        if fn.attrs and fn.attrs[0] is True:
            fn.outcome = (new_tensor(x.storage, x.spec, x.offset), x.storage.version)
        base = x._base
        if base is None:
            x._fn, x._leaf = fn, False
            return
        node = CopySlices()
        node.view, node.write, node.op = (x.spec, x.offset - base.offset), fn, op
        node.edges = (edge_of(base), *fn.edges)
        node.specs = (base.spec, *fn.specs)
        base._fn, base._leaf = node, False
        rebase.renew(x)

    @staticmethod
    def renew(x: Tensor) -> None:
        """Makes a view's node anew from its base."""
        base = x._base
        spec, offset = x.spec, x.offset - base.offset
        if base._fn is None and not base._leaf:
            return

        def back(grad, spec=spec, offset=offset, whole=base.spec):
            from ..views import scatter_view
            return scatter_view(grad, whole, spec, offset)

        attach_view(x, base, "AsStridedBackward0", back)
        x._seen = x.storage.version


def weak(x):
    """A weak reference that answers None when the object is gone."""
    return weakref.ref(x)
