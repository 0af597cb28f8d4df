"""Gradients written by hand: a value computed in several steps in, one autograd node out."""

from __future__ import annotations

from collections.abc import Callable

from ..autograd.graph import attach
from ..autograd.modes import modes, no_grad
from ..graph.ops import OPAQUE, Op, composite
from ..tensor import Tensor


def gradient_rule(name: str, backward: Callable, *, saves=(), grad_name: str = "") -> Op:
    """Registers the gradient of a function under its name. `backward(node, grad)` gives one
    gradient an operand; `saves` are the operands (and 'result') that it reads."""
    return composite(name, None, backward, saves=saves, grad_name=grad_name, kind=OPAQUE)


def with_gradient(op: Op, compute: Callable[[], Tensor], operands: tuple,
                  attrs: tuple = ()) -> Tensor:
    """`compute()` as one differentiable operation on `operands`."""
    if not modes.grad or not any(
            x is not None and (x._leaf or x._fn is not None) for x in operands):
        return compute()
    with no_grad():
        out = compute()
    attach(out, op, operands, attrs)
    return out
