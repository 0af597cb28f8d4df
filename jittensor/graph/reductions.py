"""The reduction table: how each reduction combines, in which dtype, and its gradient."""

from __future__ import annotations

from .ops import REDUCE, Op, register


def reduction(name: str, combine: str, types: str, backward=None, grad_name: str = "",
              saves=()) -> Op:
    """Adds a reduction. `types`: 'sum' (ints widen to int64), 'same' or 'bool'.

    `backward(node, grad)` gives the input's gradient; `node.attrs` are (dims, keepdim).
    """
    op = Op(name, REDUCE, ("self",), combine=combine, dtypes=types)
    op.backward, op.saves, op.grad_name = backward, frozenset(saves), grad_name
    op.complex_ok = types == "sum"
    return register(op)


def restore(value, dims, keepdim):
    """`value` with the reduced dims put back in as size 1."""
    if not keepdim:
        for dim in dims:
            value = value.unsqueeze(dim)
    return value


def _sum_backward(node, grad):
    return [restore(grad, *node.attrs).expand(node.specs[0].shape)]


def _extreme_backward(node, grad):
    at_extreme = node.saved(0) == restore(node.result(), *node.attrs)
    share = at_extreme.sum(node.attrs[0], keepdim=True) if node.attrs[0] else 1
    return [restore(grad, *node.attrs) * at_extreme / share]


def _prod_backward(node, grad):
    return [node.saved(0)._prod_grad(restore(grad, *node.attrs),
                                     restore(node.result(), *node.attrs), node.attrs[0])]


reduction("sum", "add", "sum", _sum_backward, "SumBackward1")
reduction("prod", "mul", "sum", _prod_backward, "ProdBackward0", (0, "result"))
reduction("amax", "maximum", "same", _extreme_backward, "AmaxBackward0", (0, "result"))
reduction("amin", "minimum", "same", _extreme_backward, "AminBackward0", (0, "result"))
reduction("any", "or", "bool")
reduction("all", "and", "bool")
