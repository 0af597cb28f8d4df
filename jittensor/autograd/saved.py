"""Hooks on saved tensors: a tensor that an operation saves in, what is kept in its place out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor, new_tensor
from .modes import modes


class Packed:
    """A saved tensor as a pack hook left it."""

    __slots__ = ("value", "unpacker")

    def __init__(self, value: Any, unpacker: Callable):
        self.value, self.unpacker = value, unpacker

    def unpack(self, edge: Any) -> Tensor:
        """The tensor, attached to where its gradient goes."""
        x = self.unpacker(self.value)
        if not isinstance(x, Tensor):
            raise TypeError("Output of saved tensor unpack_hook expected to be a Tensor but got "
                            f"result of type {type(x).__name__}")
        if edge is None or edge is x:
            return x
        out = new_tensor(x.storage, x.spec, x.offset)
        if isinstance(edge, Tensor):
            return _through(out, edge)
        if edge.__class__ is tuple:
            out._fn, out._output = edge
        else:
            out._fn = edge
        return out


def _through(out: Tensor, leaf: Tensor) -> Tensor:
    """A stand-in for a leaf that passes its gradient on to the leaf."""
    from .graph import attach_view
    return attach_view(out, leaf, "AliasBackward0", lambda grad: grad)


def pack_saved(fn) -> None:
    """Hands what a node saves to the innermost pack hook."""
    pack, unpack = modes.pack
    fn.operands = tuple([_pack(x, pack, unpack) if isinstance(x, Tensor) else x
                         for x in fn.operands])
    if fn.outcome:
        fn.outcome = (_pack(fn.outcome[0], pack, unpack), 0)


def _pack(x: Tensor, pack: Callable, unpack: Callable) -> Packed:
    before, modes.pack = modes.pack, None
    recording, modes.grad = modes.grad, False
    try:
        return Packed(pack(x), unpack)
    finally:
        modes.pack, modes.grad = before, recording


class saved_tensors_hooks:  # noqa: N801
    """Inside, `pack_hook(tensor)` is called on each tensor that is saved for backward, and
    `unpack_hook(what pack_hook returned)` gives it back when backward needs it.

    >>> import jittensor as torch
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), torch.tensor):
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor([6.])
    """

    def __init__(self, pack_hook: Callable, unpack_hook: Callable):
        self.hooks = (pack_hook, unpack_hook)

    def __enter__(self) -> None:
        if modes.pack_disabled is not None:
            raise RuntimeError(modes.pack_disabled)
        self.before, modes.pack = modes.pack, self.hooks

    def __exit__(self, *exc) -> None:
        modes.pack = self.before


class save_on_cpu(saved_tensors_hooks):  # noqa: N801
    """Saved tensors are kept in the CPU's memory; here they are copied out of the graph's way."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda"):
        super().__init__(lambda x: x.detach().cpu(), lambda x: x)


class disable_saved_tensors_hooks:  # noqa: N801
    """Inside, using hooks on saved tensors is an error with this message."""

    def __init__(self, error_message: str):
        self.message = error_message

    def __enter__(self) -> None:
        if modes.pack is not None:
            raise RuntimeError(self.message)
        self.outer, modes.pack_disabled = modes.pack_disabled, self.message

    def __exit__(self, *exc) -> None:
        modes.pack_disabled = self.outer
