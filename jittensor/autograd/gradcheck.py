"""Gradient checks: a function and inputs in, True (or an error) out.

Analytical Jacobians from backward are compared with central differences:
(f(x + e) - f(x - e)) / 2e.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor
from .engine import grad as _grad
from .modes import no_grad

__all__ = ["GradcheckError", "get_numerical_jacobian", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A gradient is not what differences say it is."""


def _tensors(inputs: Any) -> tuple:
    return tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)


def _outputs(value: Any) -> tuple:
    """The differentiable outputs of a function."""
    return tuple(y for y in _tensors(value) if isinstance(y, Tensor) and y.requires_grad)


def _checked_inputs(inputs: tuple) -> list[Tensor]:
    wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but "
                         "none of them have requires_grad=True.")
    import warnings
    for k, x in enumerate(inputs):
        if isinstance(x, Tensor) and x.requires_grad:
            if x.dtype.name not in ("float64", "complex128"):
                warnings.warn(f"Input #{k} requires gradient and is not a double precision "
                              "floating point or complex. This check will likely fail if all the "
                              "inputs are not of double precision floating point or complex. ",
                              stacklevel=3)
            if any(s == 0 and n > 1 for n, s in zip(x.shape, x.stride(), strict=True)):
                raise RuntimeError(f"The {k}th input has a dimension with stride 0. gradcheck only "
                                   "supports inputs that are non-overlapping to be able to compute "
                                   "the numerical gradients correctly. You should call "
                                   ".contiguous on the input before passing it to gradcheck.")
    return wanted


def _values(y: Tensor) -> np.ndarray:
    return np.array(y.detach().resolve_conj().tolist(), dtype=y.dtype.numpy).reshape(-1)


# ── Jacobians ─────────────────────────────────────────────────────────────────────────────────
def _numerical(fn: Callable, inputs: tuple, x: Tensor, eps: float) -> list[np.ndarray]:
    """Derivatives by central differences: for each output an array (elements of x, of output);
    for complex x two, along the real and along the imaginary axis."""
    steps = [eps] if not x.dtype.is_complex else [eps, eps * 1j]
    columns = []
    flat = x.data               # writes through it leave the version that others saved
    for index in np.ndindex(*x.shape):
        parts = []
        for step in steps:
            before = flat[index].item()
            _put(flat, index, before + step)
            high = [_values(y) for y in _tensors(fn(*inputs)) if isinstance(y, Tensor)]
            _put(flat, index, before - step)
            low = [_values(y) for y in _tensors(fn(*inputs)) if isinstance(y, Tensor)]
            _put(flat, index, before)
            parts.append([(a.astype(np.result_type(a, float)) - b) / (2 * eps)
                          for a, b in zip(high, low, strict=True)])
        columns.append(parts)
    count = len(columns[0][0]) if columns else 0
    out = []
    for k in range(count):
        out.append([np.stack([c[p][k] for c in columns]) for p in range(len(steps))])
    return out


def _put(x: Tensor, index: tuple, value: complex) -> None:
    with no_grad():
        x[index] = value


def get_numerical_jacobian(fn: Callable, inputs: Any, target: Any = None, eps: float = 1e-3,
                           grad_out: float = 1.0) -> list:
    """Jacobians by central differences with respect to each input that needs a gradient."""
    inputs = _tensors(inputs)
    return [x.new_tensor(_numerical(fn, inputs, x, eps)[0][0]) for x in inputs
            if isinstance(x, Tensor) and x.requires_grad]


def _analytical(y: Tensor, x: Tensor, weight: complex) -> np.ndarray:
    """Gradients of each element of y (with cotangent `weight`): (elements of x, of y)."""
    columns = []
    for index in np.ndindex(*y.shape):
        seed = y.new_zeros(y.shape)
        seed[index] = weight
        g, = _grad([y], [x], [seed], retain_graph=True, allow_unused=True)
        columns.append(np.zeros(x.numel(), x.dtype.numpy) if g is None else _values(g))
    if not columns:
        return np.zeros((x.numel(), 0), x.dtype.numpy)
    return np.stack(columns, 1)


def _compare(y_at: int, x_at: int, numerical: np.ndarray, analytical: np.ndarray, rtol: float,
             atol: float) -> None:
    if not np.allclose(analytical, numerical, rtol, atol):
        raise GradcheckError(
            f"Jacobian mismatch for output {y_at} with respect to input {x_at},\n"
            f"numerical:{numerical}\nanalytical:{analytical}\n")


def _pair(numerical: list[np.ndarray], y: Tensor, x: Tensor, ids: tuple, rtol: float,
          atol: float) -> None:
    """Compares one output and one input, real or complex."""
    weights = [1.0, 1j] if y.dtype.is_complex else [1.0]
    for weight in weights:
        got = _analytical(y, x, weight)
        parts = [np.real(np.conj(weight) * d) for d in numerical]
        want = parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]
        _compare(*ids, want, got, rtol, atol)


# ── checks ────────────────────────────────────────────────────────────────────────────────────
def gradcheck(func: Callable, inputs: Tensor | Sequence[Tensor], *, eps: float = 1e-6,
              atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True,
              nondet_tol: float = 0.0, check_undefined_grad: bool = True,
              check_grad_dtypes: bool = False, check_batched_grad: bool = False,
              check_batched_forward_grad: bool = False, check_forward_ad: bool = False,
              check_backward_ad: bool = True, fast_mode: bool = False,
              masked: bool | None = None) -> bool:
    """Whether backward through `func` agrees with differences in every element.

    Args:
        inputs: float64 or complex128 tensors; those with `requires_grad` are checked.
        eps: the step. atol, rtol: how far apart the two may be.
        raise_exception: False: answers False in place of raising.

    Raises:
        ValueError: no input requires a gradient.
        GradcheckError: they disagree.

    >>> import jittensor as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.tanh, (x,))
    True
    """
    try:
        return _gradcheck(func, _tensors(inputs), eps, atol, rtol, nondet_tol, check_grad_dtypes,
                          check_undefined_grad)
    except (GradcheckError, RuntimeError):
        if raise_exception:
            raise
        return False


def _gradcheck(func, inputs, eps, atol, rtol, nondet_tol, check_dtypes, check_undefined) -> bool:
    wanted = _checked_inputs(inputs)
    outputs = _tensors(func(*inputs))
    tensors = [y for y in outputs if isinstance(y, Tensor)]
    if not any(y.requires_grad for y in tensors):
        for x in wanted:
            for parts in _numerical(func, inputs, x, eps):
                if any(np.any(np.abs(p) > atol) for p in parts):
                    raise GradcheckError("Numerical gradient for function expected to be zero")
        return True
    for at, x in enumerate(wanted):
        numerical = _numerical(func, inputs, x, eps)
        for k, y in enumerate(tensors):
            if not y.requires_grad:
                continue
            _pair(numerical[k], y, x, (k, at), rtol, atol)
            if check_dtypes:
                _same_dtype(y, x)
    _repeatable(tensors, wanted, nondet_tol)
    return True


def _same_dtype(y: Tensor, x: Tensor) -> None:
    g, = _grad([y], [x], [y.new_ones(y.shape)], retain_graph=True, allow_unused=True)
    if g is not None and g.dtype != x.dtype:
        raise GradcheckError("Gradient has dtype mismatch")


def _repeatable(outputs: list, wanted: list, tolerance: float) -> None:
    """Backward twice gives the same numbers (within `tolerance`)."""
    ys = [y for y in outputs if y.requires_grad]
    ones = [y.new_ones(y.shape) for y in ys]
    runs = [_grad(ys, wanted, ones, retain_graph=True, allow_unused=True) for _ in range(2)]
    for a, b in zip(*runs, strict=True):
        if a is not None and np.any(np.abs(_values(a) - _values(b)) > tolerance):
            raise GradcheckError("Backward is not reentrant, i.e., running backward with same "
                                 "input and grad_output multiple times gives different values")


def _cotangent(y: Tensor) -> Tensor:
    """A weight for y that needs a gradient: the same draws each time."""
    draws = np.random.default_rng(0)
    values = draws.normal(size=tuple(y.shape)).astype(y.dtype.numpy)
    if y.dtype.is_complex:
        values = values + 1j * draws.normal(size=tuple(y.shape))
    return y.detach().new_tensor(values).requires_grad_(True)


def gradgradcheck(func: Callable, inputs: Tensor | Sequence[Tensor],
                  grad_outputs: Tensor | Sequence[Tensor] | None = None, *, eps: float = 1e-6,
                  atol: float = 1e-5, rtol: float = 1e-3,
                  gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True,
                  nondet_tol: float = 0.0,
                  check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
                  check_batched_grad: bool = False, check_fwd_over_rev: bool = False,
                  check_rev_over_rev: bool = True, fast_mode: bool = False,
                  masked: bool = False) -> bool:
    """`gradcheck` of the gradient itself: whether second derivatives are right."""
    inputs = _tensors(inputs)
    count = len(inputs)
    if grad_outputs is None:
        grads = tuple(_cotangent(y) for y in _outputs(func(*inputs)))
    else:
        grads = _tensors(grad_outputs)

    def first(*args):
        values, weights = args[:count], args[count:]
        ys = _outputs(func(*values))
        xs = [x for x in values if isinstance(x, Tensor) and x.requires_grad]
        found = _grad(ys, xs, list(weights), create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(first, inputs + grads, eps=eps, atol=atol, rtol=rtol,
                     raise_exception=raise_exception, nondet_tol=nondet_tol,
                     check_grad_dtypes=check_grad_dtypes)
