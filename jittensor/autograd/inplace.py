"""Autograd of in-place writes: a written tensor in, new nodes for it and its base out."""

from __future__ import annotations

import re
from typing import Any

from ..graph.node import UNTRACKED, user_frame
from ..graph.ops import OPS, Op
from ..tensor import Tensor, new_tensor
from .graph import edge_of, make_node, renew, renew_views
from .modes import modes
from .nodes import GradNode, named
from .saved import pack_saved

_AMBIGUOUS = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your "
    "code by moving both the view and the inplace either both inside the no_grad block (if you "
    "don't want the inplace to be tracked) or both outside (if you want the inplace to be "
    "tracked).")


def check_inplace(x: Tensor) -> None:
    """Raises PyTorch's errors for writes that autograd forbids."""
    if x.storage.version is UNTRACKED and not modes.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make "
            "a clone to get a normal tensor before doing inplace update.See "
            "https://github.com/pytorch/rfcs/pull/17 for more details.")
    if not modes.grad:
        return
    if x._leaf and x._fn is None:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place "
                           "operation.")
    base = x._base
    if base is not None and (base._leaf or base._fn is not None):
        check_forbidden(x)
        if base._leaf and base._fn is None:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an "
                               "in-place operation.")


def check_forbidden(x: Tensor) -> None:
    """Raises for a view that must not be written to while autograd records."""
    why = getattr(x, "_forbid", None)
    if why is None:
        return
    if why == "no_grad":
        raise RuntimeError("A view was created in no_grad mode and is being modified inplace with "
                           "grad mode enabled. " + _AMBIGUOUS)
    of = re.sub(r"Backward\d*$", "", x._fn.name()) if x._fn is not None else "a function"
    if why == "custom":
        raise RuntimeError(
            f"Output {getattr(x, '_output', 0)} of {of} is a view and is being modified inplace. "
            "This view was created inside a custom Function (or because an input was returned "
            "as-is) and the autograd logic to handle view+inplace would override the custom "
            "backward associated with the custom Function, leading to incorrect gradients. This "
            "behavior is forbidden. You can fix this by cloning the output of the custom Function.")
    raise RuntimeError(
        f"Output {why[1]} of {of} is a view and is being modified inplace. This "
        "view is the output of a function that returns multiple views. Such functions do not allow "
        "the output views to be modified inplace. You should replace the inplace operation by an "
        "out-of-place one.")


class CopySlices(GradNode):
    """A write through a view, as its base sees it: the gradient of the written region goes to
    the write, that of the rest to the base's former value."""

    __slots__ = ("view", "write")

    def apply(self, grad):
        from ..record import cast
        from ..views import packed, repack
        part, start = repack(self.specs[0], *self.view)
        rest = cast(grad, grad.dtype, packed(self.specs[0]).strides)
        region = rest.as_strided(part.shape, part.strides, start)
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
        if x._base is not None:
            check_forbidden(x)
        fn = make_node(op, operands, (), user_frame())
        if any(isinstance(o, Tensor) and o.storage is x.storage for o in fn.operands):
            fn.operands = tuple([
                _former(o, e) if isinstance(o, Tensor) and o.storage is x.storage else o
                for o, e in zip(fn.operands, fn.edges, strict=True)])
            fn.versions = tuple([o.storage.version if isinstance(o, Tensor) else 0
                                 for o in fn.operands])
        return fn

    @staticmethod
    def after(x: Tensor, op: Op, fn: GradNode) -> None:
        """Hangs the written tensor on the write's node."""
        if fn.outcome:
            fn.outcome = (new_tensor(x.storage, x.spec, x.offset), x.storage.version)
        if op is OPS["cast"]:
            fn.label = "CopyBackwards"
        if modes.pack is not None:
            pack_saved(fn)
        hang(x, fn)


def hang(x: Tensor, fn: GradNode) -> None:
    """Makes `fn` the node of x's new value; x's base gets a node that holds it."""
    base = x._base
    if base is None:
        fresh = x._fn is None
        _keep_retaining(x, fn)
        x._fn, x._leaf = fn, False
        if fresh:
            renew_views(x)
        return
    fresh = base._fn is None
    node = named(CopySlices, "CopySlices")()
    node.view, node.write, node.op = (x.spec, x.offset - base.offset), fn, None
    node.origin = fn.origin
    node.edges = (edge_of(base), *fn.edges)
    node.specs = (base.spec, *fn.specs)
    _keep_retaining(base, node)
    base._fn, base._leaf = node, False
    retained = getattr(x, "_retain", False)
    renew(x)
    if retained:
        import weakref
        x._fn.extras().keep[0] = weakref.ref(x)
    if fresh:
        renew_views(base, x)


def _keep_retaining(x: Tensor, fn: GradNode) -> None:
    """A tensor that retains its gradient goes on doing so with its new value."""
    if x._fn is not None and getattr(x, "_retain", False) and x._fn.extra is not None:
        reference = x._fn.extra.keep.pop(getattr(x, "_output", 0), None)
        if reference is not None:
            fn.extras().keep[0] = reference


def _former(x: Tensor, edge: Any) -> Tensor:
    """A copy of a tensor that is about to be overwritten, with the gradient's way of before."""
    recording, modes.grad = modes.grad, False
    try:
        copy = x.clone()
    finally:
        modes.grad = recording
    if edge.__class__ is tuple:
        copy._fn, copy._output = edge
    elif isinstance(edge, GradNode):
        copy._fn = edge
    return copy
