"""Functions of the user's own: a class with `forward` and `backward` in, an operation that autograd
records out."""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from ..graph.node import UNTRACKED, user_frame
from ..tensor import Tensor, new_tensor
from .graph import check_saved, edge_of
from .inplace import check_inplace, hang
from .modes import modes, no_grad
from .nodes import FREED, GradNode, fit, modified, named, own_result
from .saved import Packed, _pack

__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "FunctionMeta", "InplaceFunction",
           "NestedIOFunction", "once_differentiable"]


# ── the context ───────────────────────────────────────────────────────────────────────────────
class FunctionCtx:
    """What `forward` leaves for `backward`."""

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors (inputs, outputs or others; None is allowed) for `saved_tensors`."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Accepted; forward-mode derivatives are not available."""
        for tensor in tensors:
            if not (isinstance(tensor, Tensor) or tensor is None):
                raise AssertionError(
                    "save_for_forward expects all arguments to be tensors; you should save "
                    "non-tensors as attributes on ctx.")
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Names inputs that `forward` wrote to; they have to be returned."""
        self.dirty_tensors = args

    def mark_shared_storage(self, *pairs: tuple) -> None:
        """Accepted without effect, as in PyTorch."""

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Names outputs that get no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that did not arrive are zeros (the default) or None."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple:
        """The tensors given to `save_for_backward`; RuntimeError once freed or when changed."""
        node = self.__dict__.get("_node", _nothing)()
        if node is not None and node.freed:
            raise RuntimeError(FREED)
        return tuple(_unpack(entry, node) for entry in self.__dict__.get("_saved", ()))

    def name(self) -> str:
        """The node's name."""
        return self._node().name()

    @property
    def next_functions(self) -> tuple:
        """Where gradients go."""
        return self._node().next_functions

    @property
    def metadata(self) -> dict:
        """A dict of the user's own."""
        return self.__dict__.setdefault("_metadata", {})


def _nothing() -> None:
    return None


class _Saved:
    """A saved tensor: itself, or for an output the memory of output `number`."""

    __slots__ = ("tensor", "version", "number", "edge")

    def __init__(self, tensor: Any, version: int, number: int = -1, edge: Any = None):
        self.tensor, self.version, self.number, self.edge = tensor, version, number, edge


def _unpack(entry: _Saved | None, node: GradNode | None) -> Tensor | None:
    if entry is None:
        return None
    x = entry.tensor
    if entry.number >= 0:
        return own_result(x, entry.version, node, entry.number)
    if x.__class__ is Packed:
        return x.unpack(entry.edge)
    if x.storage.version != entry.version:
        raise RuntimeError(modified(x, node, entry.version))
    return x


class FunctionNode(GradNode):
    """The node of a Function's call. Attributes that it lacks are its context's."""

    __slots__ = ("ctx", "function", "output_specs")
    whole = True                      # runs even where no gradient arrived

    def __getattr__(self, name: str):
        if name in ("ctx", "function", "output_specs"):
            raise AttributeError(name)
        return getattr(self.ctx, name)

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.name()} object at {hex(id(self))}>"

    def apply(self, grads: Any) -> list:
        """The gradients of the tensors among the arguments."""
        grads = list(grads) if isinstance(grads, (list, tuple)) else [grads]
        if self.freed:
            raise RuntimeError(FREED)
        if self.ctx.materialize_grads:
            from ..creation import zeros
            grads = [zeros(s.shape, dtype=s.dtype) if g is None and s is not None else g
                     for g, s in zip(grads, self.output_specs, strict=True)]
        elif all(g is None for g in grads):
            return [None] * len(self.edges)
        outs = _backward_of(self.function)(self.ctx, *grads)
        return self._checked(outs if isinstance(outs, tuple) else
                             tuple(outs) if isinstance(outs, list) else (outs,))

    def _checked(self, outs: tuple) -> list:
        name, count = self.name(), len(self.specs)
        if len(outs) > count and all(g is None for g in outs[count:]):
            outs = outs[:count]
        if len(outs) != count:
            raise RuntimeError(f"function {name} returned an incorrect number of gradients "
                               f"(expected {count}, got {len(outs)})")
        result = []
        for k, (grad, spec, edge) in enumerate(zip(outs, self.specs, self.edges, strict=True)):
            if spec is None and grad is not None:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position {k + 1},"
                    " but the corresponding forward input was not a Variable")
            if grad is None or edge is None:
                result.append(None)
                continue
            if not isinstance(grad, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(grad).__name__})")
            if grad.shape != spec.shape and not _reduces(grad.shape, spec.shape):
                raise RuntimeError(
                    f"Function {name} returned an invalid gradient at index {k} - got "
                    f"{list(grad.shape)} but expected shape compatible with {list(spec.shape)}")
            result.append(fit(grad, spec))
        return result

    def release(self) -> None:
        """Frees the saved tensors."""
        if self.ctx.__dict__.get("_saved"):
            self.freed = True
            self.ctx._saved = ()


def _reduces(have: tuple, want: tuple) -> bool:
    """Whether `want` broadcasts to `have`."""
    extra = len(have) - len(want)
    return extra >= 0 and all(w in (1, h) for h, w in zip(have[extra:], want, strict=True))


BackwardCFunction = FunctionNode


# ── the class that users derive from ──────────────────────────────────────────────────────────
class FunctionMeta(type):
    """The class of Function classes."""


class Function(metaclass=FunctionMeta):
    """Base of operations with a gradient of the user's own.

    >>> import jittensor as torch
    >>> class Exp(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         y = x.exp()
    ...         ctx.save_for_backward(y)
    ...         return y
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         y, = ctx.saved_tensors
    ...         return grad * y
    >>> x = torch.zeros(2, requires_grad=True)
    >>> Exp.apply(x).sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any):
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.", DeprecationWarning,
            stacklevel=2)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)")

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """forward(ctx, *args), or forward(*args) with `setup_context` beside it."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> Any:
        """What `forward` without ctx leaves for `backward`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """A gradient for each argument of `forward`, None for those without."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD.")

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Forward-mode derivatives: not available."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD.")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs `forward` and records the call."""
        separate = cls.setup_context is not Function.setup_context
        if kwargs and not separate:
            raise TypeError("apply() takes no keyword arguments")
        tensors = [a for a in args if isinstance(a, Tensor)]
        ctx = FunctionCtx()
        recording = modes.grad and any(edge_of(a) is not None for a in tensors)
        ctx.needs_input_grad = tuple(
            isinstance(a, Tensor) and modes.grad and edge_of(a) is not None for a in args)
        node = _node_of(cls, ctx, args) if recording else None
        pack, modes.pack = modes.pack, None
        try:
            with no_grad():
                if separate:
                    output = cls.forward(*args, **kwargs)
                    cls.setup_context(ctx, args, output)
                else:
                    output = cls.forward(ctx, *args)
        finally:
            modes.pack = pack
        return _wrapped(ctx, node, tensors, output)


def _backward_of(cls: type) -> Callable:
    if cls.backward is not Function.backward and cls.vjp is not Function.vjp:
        raise RuntimeError(
            "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You "
            "should only implement one of them.")
    return cls.vjp if cls.vjp is not Function.vjp else cls.backward


def _node_of(cls: type, ctx: FunctionCtx, args: tuple) -> FunctionNode:
    node = named(FunctionNode, cls.__name__ + "Backward")()
    node.ctx, node.function, node.origin = ctx, cls, user_frame(3)
    node.edges = tuple(edge_of(a) if isinstance(a, Tensor) else None for a in args)
    node.specs = tuple(a.spec if isinstance(a, Tensor) else None for a in args)
    ctx._node = weakref.ref(node)
    return node


def _wrapped(ctx: FunctionCtx, node: FunctionNode | None, inputs: list, output: Any) -> Any:
    """The outputs of `forward`, on their node."""
    several = isinstance(output, (tuple, list))
    outputs = list(output) if several else [output]
    dirty = {id(x) for x in ctx.__dict__.get("dirty_tensors", ())}
    for x in ctx.__dict__.get("dirty_tensors", ()):
        if not any(x is a for a in inputs):
            raise RuntimeError("mark_dirty only accepts input tensors")
        if not any(x is o for o in outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as "
                "output. The inputs that are modified inplace must all be outputs of the Function.")
    fixed = {id(x) for x in ctx.__dict__.get("non_differentiable", ())}
    if node is not None:
        count = len(outputs)
        node.outputs = count
        node.output_specs = [o.spec if isinstance(o, Tensor) else None for o in outputs]
        _check_dirty(outputs, dirty)
    result = []
    for number, out in enumerate(outputs):
        if not isinstance(out, Tensor):
            result.append(out)
            continue
        is_input = any(out is a for a in inputs)
        if id(out) in dirty:
            if node is not None and id(out) not in fixed:
                _write_history(out, node, number)
        elif node is None or id(out) in fixed or out.dtype.category < 2:
            out = out.detach() if is_input or out._fn is not None or out._leaf else out
        else:
            out = _attached(out, node, number, is_input)
        result.append(out)
    _save(ctx, node, outputs, result)
    if not several:
        return result[0]
    return tuple(result)


def _check_dirty(outputs: list, dirty: set) -> None:
    for out in outputs:
        if id(out) in dirty and out._leaf and out._fn is None:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place "
                               "operation.")
        if id(out) in dirty:
            check_inplace(out)


def _write_history(x: Tensor, node: FunctionNode, number: int) -> None:
    """A written input becomes the function's output."""
    hang(x, node)
    if x._base is None:
        x._output = number


def _attached(out: Tensor, node: FunctionNode, number: int, is_input: bool) -> Tensor:
    """An output as a result of the node; an input that is returned as it is becomes a view."""
    if is_input or out._base is not None or out._fn is not None or out._leaf:
        base = out if out._base is None else out._base
        out = new_tensor(out.storage, out.spec, out.offset)
        if is_input or base is not None:
            out._base, out._seen, out._forbid = base, out.storage.version, "custom"
    out._fn, out._output = node, number
    return out


def _save(ctx: FunctionCtx, node: FunctionNode | None, outputs: list, result: list) -> None:
    """Keeps what `save_for_backward` was given."""
    wanted = ctx.__dict__.pop("to_save", ())
    if node is None:
        ctx._saved = ()
        return
    entries: list[_Saved | None] = []
    for x in wanted:
        if x is None:
            entries.append(None)
            continue
        if not isinstance(x, Tensor):
            raise TypeError("save_for_backward can only save variables, but argument "
                            f"{len(entries)} is of type {type(x).__name__}")
        number = next((k for k, o in enumerate(outputs) if o is x
                       and isinstance(result[k], Tensor) and result[k]._fn is node), -1)
        if x.storage.version is UNTRACKED:
            check_saved((x,))
        edge = edge_of(x) if number < 0 else None
        kept = x if number < 0 else new_tensor(x.storage, x.spec, x.offset)
        if modes.pack is not None:
            kept = _pack(kept, *modes.pack)
        entries.append(_Saved(kept, x.storage.version, number, edge))
    ctx._saved = tuple(entries)


# ── helpers of PyTorch's ──────────────────────────────────────────────────────────────────────
class _Twice(Function):
    """Raises when a gradient of a gradient is asked for."""

    @staticmethod
    def forward(ctx: Any, *grads: Any) -> Any:
        return tuple(g.detach() if isinstance(g, Tensor) else g for g in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with "
                           "@once_differentiable")


def once_differentiable(fn: Callable) -> Callable:
    """Decorates a `backward` whose operations are not recorded: a second derivative raises."""
    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = fn(ctx, *args)
        if not modes.grad or not any(
                isinstance(a, Tensor) and a.requires_grad for a in args):
            return outputs
        single = not isinstance(outputs, tuple)
        outs = (outputs,) if single else outputs
        carrier = next(a for a in args if isinstance(a, Tensor) and a.requires_grad)
        marked = tuple(None if o is None else _Twice.apply(o, carrier)[0] if isinstance(o, Tensor)
                       else o for o in outs)
        return marked[0] if single else marked

    return wrapper


class InplaceFunction(Function):
    """A Function whose constructor took `inplace` in old programs."""

    def __init__(self, inplace: bool = False):
        self.inplace = inplace


class NestedIOFunction(Function):
    """Accepted as a base class; nested inputs and outputs are not flattened."""
