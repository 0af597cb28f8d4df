"""Derivatives of functions: a function and its inputs in, products with and whole Jacobians and
Hessians out (the interface of `torch.autograd.functional`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from .engine import grad as _grad
from .modes import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | tuple[Tensor, ...]


# ── arguments and results ─────────────────────────────────────────────────────────────────────
def _as_tuple(value: Any, argument: str, function: str) -> tuple[bool, tuple]:
    """(whether it was a tuple, the tensors); TypeError for anything else."""
    several = isinstance(value, tuple)
    values = value if several else (value,)
    for k, x in enumerate(values):
        if not isinstance(x, Tensor):
            if several:
                raise TypeError(f"The {argument} given to {function} must be either a Tensor or a "
                                f"tuple of Tensors but the value at index {k} has type "
                                f"{type(x)}.")
            raise TypeError(f"The {argument} given to {function} must be either a Tensor or a "
                            f"tuple of Tensors but the given {argument} has type {type(x)}.")
    return several, values


def _prepared(inputs: tuple, create_graph: bool) -> tuple:
    """Inputs to differentiate at: connected to the given ones only where a graph is wanted."""
    if create_graph:
        return tuple(x.view_as(x) if x.requires_grad else x.detach().requires_grad_(True)
                     for x in inputs)
    return tuple(x.detach().requires_grad_(True) for x in inputs)


def _zeros(x: Tensor) -> Tensor:
    return x.new_zeros(x.shape)


def _result(values: tuple, several: bool, create_graph: bool) -> Any:
    """Results outside autograd unless a graph is wanted, in the arguments' form."""
    if not create_graph:
        values = tuple(v.detach() for v in values)
    return values if several else values[0]


def _check_v(v: Any, others: tuple, several: bool, what: str) -> tuple:
    _, v = _as_tuple(v, "v", what)
    if len(v) != len(others):
        if several:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(others)} but got "
                               f"{len(v)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for k, (a, b) in enumerate(zip(v, others, strict=True)):
        if a.size() != b.size():
            at = f"Entry {k} in " if len(v) > 1 else ""
            raise RuntimeError(f"{at}v has invalid size: should be {b.size()} but got {a.size()}.")
    return v


def _check_needed(outputs: tuple, strict: bool, name: str) -> None:
    for k, y in enumerate(outputs):
        if strict and not y.requires_grad:
            raise RuntimeError(f"Output {k} of the user-provided function does not require "
                               "gradients. The outputs must be computed in a differentiable "
                               "manner from the input when running in strict mode.")


def _gradients(outputs: tuple, inputs: tuple, weights: tuple | None = None,
               create_graph: bool = False) -> tuple:
    """`grad` over the outputs that depend on anything; None for unused inputs."""
    weights = weights or (None,) * len(outputs)
    pairs = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return _grad([y for y, _ in pairs], inputs, [w for _, w in pairs], retain_graph=True,
                 create_graph=create_graph, allow_unused=True)


_INDEPENDENT = {
    "back": "The output of the user-provided function is independent of input {}. This is not "
            "allowed in strict mode.",
    "trick": "The gradient with respect to the input is independent of entry {} in the grad_outputs"
             " when using the double backward trick to compute forward mode gradients. This is not "
             "allowed in strict mode.",
    "hessian": "While computing the hessian, found that the jacobian of the user-provided function "
               "with respect to input {} is independent of the input. This is not allowed in "
               "strict mode. You should ensure that your function is twice differentiable and that "
               "the jacobian depends on the inputs (this would be violated by a linear function "
               "for example).",
    "graph": "The jacobian of the user-provided function is independent of input {}. This is not "
             "allowed in strict mode when create_graph=True.",
}


def _filled(grads: tuple, inputs: tuple, strict: bool, stage: str, graph: bool = False) -> tuple:
    """Zeros where nothing depends on an input; RuntimeError there in strict mode."""
    out = []
    for k, (g, x) in enumerate(zip(grads, inputs, strict=True)):
        if g is None:
            if strict:
                raise RuntimeError(_INDEPENDENT[stage].format(k))
            g = _zeros(x)
        elif strict and graph and not g.requires_grad:
            raise RuntimeError(_INDEPENDENT["hessian" if stage == "hessian" else "graph"].format(k))
        out.append(g)
    return tuple(out)


# ── products ──────────────────────────────────────────────────────────────────────────────────
def vjp(func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False,
        strict: bool = False) -> tuple:
    """(func(*inputs), v @ Jacobian).

    Args:
        v: of the output's shape; may be left out for an output of one element.

    >>> import jittensor as torch
    >>> torch.autograd.functional.vjp(lambda x: x * x, torch.tensor([1.0, 2.0]), torch.ones(2))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        several, inputs = _as_tuple(inputs, "inputs", "vjp")
        inputs = _prepared(inputs, create_graph)
        out_several, outputs = _as_tuple(func(*inputs),
                                         "outputs of the user-provided function", "vjp")
        _check_needed(outputs, strict, "vjp")
        if v is not None:
            v = _check_v(v, outputs, out_several, "vjp")
        elif len(outputs) != 1 or outputs[0].nelement() != 1:
            raise RuntimeError("The vector v can only be None if the user-provided function "
                               "returns a single Tensor with a single element.")
        grads = _gradients(outputs, inputs, v, create_graph)
        grads = _filled(grads, inputs, strict, "back", create_graph)
    return (_result(outputs, out_several, create_graph), _result(grads, several, create_graph))


def jvp(func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False,
        strict: bool = False) -> tuple:
    """(func(*inputs), Jacobian @ v), by differentiating a vjp with respect to its vector.

    Args:
        v: of the inputs' shapes; may be left out for a single input of one element.
    """
    with enable_grad():
        several, inputs = _as_tuple(inputs, "inputs", "jvp")
        inputs = _prepared(inputs, create_graph)
        if v is not None:
            v = _check_v(v, inputs, several, "jvp")
        elif len(inputs) != 1 or inputs[0].nelement() != 1:
            raise RuntimeError("The vector v can only be None if the input to the user-provided "
                               "function is a single Tensor with a single element.")
        out_several, outputs = _as_tuple(func(*inputs),
                                         "outputs of the user-provided function", "jvp")
        _check_needed(outputs, strict, "jvp")
        weights = tuple(_zeros(y).requires_grad_(True) for y in outputs)
        first = _filled(_gradients(outputs, inputs, weights, True), inputs, strict, "back")
        result = _gradients(first, weights, v, create_graph)
        result = _filled(result, outputs, strict, "trick", create_graph)
    return (_result(outputs, out_several, create_graph), _result(result, out_several, create_graph))


def _scalar_output(func: Callable, inputs: tuple, name: str, strict: bool) -> tuple:
    several, outputs = _as_tuple(func(*inputs), "outputs of the user-provided function", name)
    if several or not isinstance(outputs[0], Tensor):
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].nelement() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a "
                           "single element")
    _check_needed(outputs, strict, name)
    return outputs


def _hessian_product(func, inputs, v, create_graph, strict, name, product):
    with enable_grad():
        several, inputs = _as_tuple(inputs, "inputs", name)
        inputs = _prepared(inputs, create_graph)
        if v is not None:
            v = _check_v(v, inputs, several, name)
        elif len(inputs) != 1 or inputs[0].nelement() != 1:
            raise RuntimeError("The vector v can only be None if the input to the user-provided "
                               "function is a single Tensor with a single element.")
        outputs = _scalar_output(func, inputs, name, strict)
        result = product(outputs, inputs, v)
    return (_result(outputs, False, create_graph), _result(result, several, create_graph))


def vhp(func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False,
        strict: bool = False) -> tuple:
    """(func(*inputs), v @ Hessian) of a function with a scalar result."""
    def product(outputs, inputs, v):
        first = _filled(_gradients(outputs, inputs, None, True), inputs, strict, "back")
        return _filled(_gradients(first, inputs, v, create_graph), inputs, strict, "hessian")

    return _hessian_product(func, inputs, v, create_graph, strict, "vhp", product)


def hvp(func: Callable, inputs: Tensors, v: Tensors | None = None, create_graph: bool = False,
        strict: bool = False) -> tuple:
    """(func(*inputs), Hessian @ v) of a function with a scalar result; `vhp` is faster."""
    def product(outputs, inputs, v):
        first = _filled(_gradients(outputs, inputs, None, True), inputs, strict, "back")
        weights = tuple(_zeros(x).requires_grad_(True) for x in inputs)
        second = _filled(_gradients(first, inputs, weights, True), inputs, strict, "hessian")
        return _filled(_gradients(second, weights, v, create_graph), inputs, strict, "trick")

    return _hessian_product(func, inputs, v, create_graph, strict, "hvp", product)


# ── whole matrices ────────────────────────────────────────────────────────────────────────────
def jacobian(func: Callable, inputs: Tensors, create_graph: bool = False, strict: bool = False,
             vectorize: bool = False, strategy: str = "reverse-mode") -> Any:
    """The Jacobian: for each output and input a tensor of shape (*output, *input).

    Args:
        inputs: a tensor, or a tuple of them (the result is a tuple for each output then).
        vectorize: accepted; rows are one lazy graph in any case.
        strategy: 'reverse-mode'; 'forward-mode' (with vectorize) gives the same numbers.

    >>> import jittensor as torch
    >>> torch.autograd.functional.jacobian(lambda x: x.exp(), torch.zeros(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode". '
                             "Hint: If your function has more outputs than inputs, "
                             '"forward-mode" tends to be more performant. Otherwise, prefer to '
                             'use "reverse-mode".')
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is"
            "only implemented for `vectorize=True`.")
    if strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
            "supported together. Please either set `strict=False` or `vectorize=False`.")
    with enable_grad():
        several, inputs = _as_tuple(inputs, "inputs", "jacobian")
        inputs = _prepared(inputs, create_graph)
        out_several, outputs = _as_tuple(func(*inputs),
                                         "outputs of the user-provided function", "jacobian")
        _check_needed(outputs, strict, "jacobian")
        rows = [_rows(y, inputs, create_graph, strict) for y in outputs]
    if not create_graph:
        rows = [tuple(j.detach() for j in row) for row in rows]
    shaped = tuple(row if several else row[0] for row in rows)
    return shaped if out_several else shaped[0]


def _rows(output: Tensor, inputs: tuple, create_graph: bool, strict: bool) -> tuple:
    """The Jacobians of one output."""
    from ..functions import stack
    columns: list[list[Tensor]] = [[] for _ in inputs]
    flat = output.reshape(-1)
    for k in range(output.nelement()):
        grads = _gradients((flat[k],), inputs, None, create_graph)
        for j, (g, x) in enumerate(zip(grads, inputs, strict=True)):
            if g is None:
                if strict:
                    raise RuntimeError(f"Output {k} of the user-provided function is independent "
                                       f"of input {j}. This is not allowed in strict mode.")
                g = _zeros(x)
            elif strict and create_graph and not g.requires_grad:
                raise RuntimeError("The jacobian of the user-provided function is independent of "
                                   f"input {j}. This is not allowed in strict mode when "
                                   "create_graph=True.")
            columns[j].append(g)
    return tuple(
        stack(column).reshape(*output.shape, *x.shape) if column else
        x.new_zeros((*output.shape, *x.shape))
        for column, x in zip(columns, inputs, strict=True))


def hessian(func: Callable, inputs: Tensors, create_graph: bool = False, strict: bool = False,
            vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:
    """The Hessian of a function with a scalar result: for inputs i, j a tensor of shape
    (*input i, *input j); a tuple of tuples where `inputs` is a tuple."""
    several, inputs = _as_tuple(inputs, "inputs", "hessian")

    def scalar(*values):
        several, out = _as_tuple(func(*values), "outputs of the user-provided function", "hessian")
        if several:
            raise RuntimeError("The function given to hessian should return a single Tensor")
        if out[0].nelement() != 1:
            raise RuntimeError("The Tensor returned by the function given to hessian should "
                               "contain a single element")
        return out[0].reshape(())

    def first(*values):
        rows = jacobian(scalar, values, create_graph=True)
        if strict:
            _filled(rows, values, True, "hessian", True)
        return rows

    result = jacobian(first, inputs, create_graph=create_graph, strict=strict)
    return result if several else result[0][0]
