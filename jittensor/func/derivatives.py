"""In: functions of tensors. Out: functions that give their gradients, products with their
Jacobians, and whole Jacobians, as often differentiable as the first ones.

All of it is reverse mode; a product with the Jacobian from the right is the derivative of the one
from the left (two backward passes), so that forward mode needs no rules of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import functions
from ..autograd import enable_grad
from ..autograd.engine import grad as gradients
from ..tensor import Tensor
from .trees import leaves, map_tree, rebuilt

__all__ = ["functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
           "linearize", "vjp"]

Argnums = int | tuple[int, ...]


# ── inputs and results ────────────────────────────────────────────────────────────────────────
def _tracked(x: Any) -> Any:
    """A tensor to differentiate at, which the outer graph goes through if there is one."""
    if not isinstance(x, Tensor):
        return x
    return x.view_as(x) if x.requires_grad else x.detach().requires_grad_(True)


def _goes_further(outputs: list[Tensor], inputs: list[Tensor]) -> bool:
    """Whether outputs depend on something that needs a gradient besides the inputs."""
    own = {id(x) for x in inputs if x.is_leaf}
    if any(not x.is_leaf for x in inputs):
        return True
    waiting = [y.grad_fn for y in outputs if y.grad_fn is not None]
    seen: set[int] = set()
    keep: list[Any] = []
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        keep.append(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in own:
            return True
        waiting += [after for after, _ in node.next_functions]
    return False


def _pulled(outputs: list[Tensor], inputs: list[Tensor], weights: list[Any], further: bool
            ) -> list[Tensor]:
    """weights @ Jacobian for each input; zeros where nothing depends on it."""
    pairs = [(y, w) for y, w in zip(outputs, weights, strict=True) if y.requires_grad]
    if not pairs or not inputs:
        return [functions.mul(x.detach(), 0) for x in inputs]
    found = gradients([y for y, _ in pairs], inputs, [w for _, w in pairs], retain_graph=True,
                      create_graph=further, allow_unused=True)
    return [x.new_zeros(x.shape) if g is None else g for g, x in zip(found, inputs, strict=True)]


def _plain(tree: Any, further: bool) -> Any:
    """Results outside autograd, unless an outer graph goes through them."""
    if further:
        return tree
    return map_tree(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)


def _chosen(args: tuple, argnums: Argnums, name: str) -> tuple[list[int], tuple]:
    """The numbers of the chosen arguments, and all arguments with those tracked."""
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise RuntimeError(f"{name}: Got argnum={number}, but only {len(args)} positional "
                               "inputs")
    numbers = [number % len(args) for number in numbers]
    tracked = [map_tree(_tracked, a) if k in numbers else a for k, a in enumerate(args)]
    return numbers, tuple(tracked)


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in leaves(tree) if isinstance(x, Tensor)]


def _with_aux(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{name}: output of function f should be a tuple: (output, aux) "
                           "if has_aux is True")
    return result


# ── gradients ─────────────────────────────────────────────────────────────────────────────────
def grad_and_value(func: Callable, argnums: Argnums = 0, has_aux: bool = False) -> Callable:
    """A function that gives (gradient, value), or (gradient, (value, aux)), of `func`.

    Raises:
        RuntimeError: the value is not a tensor without dimensions.
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            numbers, tracked = _chosen(args, argnums, "grad_and_value")
            value, aux = _with_aux(func(*tracked, **kwargs), has_aux, "grad_and_value")
            if not isinstance(value, Tensor):
                raise RuntimeError("grad_and_value(f)(*args): Expected f(*args) to return a "
                                   f"tensor, got {type(value).__name__}")
            if value.dim() != 0:
                raise RuntimeError("grad_and_value(f)(*args): Expected f(*args) to return a scalar "
                                   f"tensor, got tensor with {value.dim()} dims. Maybe you wanted "
                                   "to use the vjp or jacrev APIs instead?")
            chosen = tracked[numbers[0]] if isinstance(argnums, int) else tuple(
                tracked[k] for k in numbers)
            inputs = _tensors(chosen)
            further = _goes_further([value], inputs)
            found = rebuilt(chosen, _pulled([value], inputs, [None], further))
        found, value, aux = (_plain(tree, further) for tree in (found, value, aux))
        return (found, (value, aux)) if has_aux else (found, value)

    return call


def grad(func: Callable, argnums: Argnums = 0, has_aux: bool = False) -> Callable:
    """A function that gives the gradient of `func`, whose value is a tensor without dimensions.

    Args:
        argnums: the arguments to differentiate by; a tuple of numbers gives a tuple.
        has_aux: `func` gives (value, aux), and the result is (gradient, aux).

    Raises:
        RuntimeError: the value is not a tensor without dimensions.

    >>> import jittensor as torch
    >>> torch.func.grad(torch.func.grad(torch.sin))(torch.tensor(0.5))
    tensor(-0.4794)
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        found, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return call


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """(func(*primals), a function of cotangents that gives their products with the Jacobian); with
    has_aux also what `func` gives beside.

    >>> import jittensor as torch
    >>> y, pull = torch.func.vjp(torch.sin, torch.zeros(2))
    >>> pull(torch.ones(2))
    (tensor([1., 1.]),)
    """
    with enable_grad():
        tracked = map_tree(_tracked, primals)
        value, aux = _with_aux(func(*tracked), has_aux, "vjp")
        inputs, outputs = _tensors(tracked), _tensors(value)
        further = _goes_further(outputs, inputs)

    def pull(*cotangents: Any, **kwargs: Any) -> Any:
        weights = _tensors(cotangents)
        if len(weights) != len(outputs):
            raise RuntimeError(f"vjp: expected {len(outputs)} cotangents, one for each output, but "
                               f"got {len(weights)}")
        deep = further or any(w.requires_grad for w in weights)
        with enable_grad():
            found = rebuilt(primals, _pulled(outputs, inputs, weights, deep))
        return _plain(found, deep)

    result = (_plain(value, further), pull)
    return (*result, _plain(aux, further)) if has_aux else result


def jvp(func: Callable, primals: tuple, tangents: tuple, *, strict: bool = False,
        has_aux: bool = False) -> tuple:
    """(func(*primals), its Jacobian times the tangents); with has_aux also what it gives beside.

    Raises:
        RuntimeError: primals and tangents are no tuples of one form.
    """
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple):
            raise RuntimeError(f"jvp(f, primals, tangents): Expected {name} to be a tuple. "
                               f"E.g. it should be valid to call f(*primals).")
    with enable_grad():
        tracked = map_tree(_tracked, primals)
        value, aux = _with_aux(func(*tracked), has_aux, "jvp")
        inputs, outputs = _tensors(tracked), _tensors(value)
        further = _goes_further(outputs, inputs)
        pushed = _pushed(outputs, inputs, _tensors(tangents))
    further = further or any(t.requires_grad for t in _tensors(tangents))
    result = _plain(value, further), _plain(rebuilt(value, pushed), further)
    return (*result, _plain(aux, further)) if has_aux else result


def _pushed(outputs: list[Tensor], inputs: list[Tensor], tangents: list[Tensor]) -> list[Tensor]:
    """Jacobian times tangents: the derivative of `weights -> weights @ Jacobian`."""
    weights = [y.new_zeros(y.shape).requires_grad_(True) for y in outputs]
    rows = _pulled(outputs, inputs, weights, True)
    return _pulled(rows, weights, tangents, True)


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """(func(*primals), a function of tangents that gives the Jacobian times them)."""
    value = _plain(func(*primals), False)
    return value, lambda *tangents: jvp(func, primals, tangents)[1]


# ── Jacobians ─────────────────────────────────────────────────────────────────────────────────
def jacrev(func: Callable, argnums: Argnums = 0, *, has_aux: bool = False,
           chunk_size: int | None = None, _preallocate_and_copy: bool = False) -> Callable:
    """A function that gives the Jacobian of `func`: for each output and chosen argument a tensor
    [*output shape, *argument shape], in the form of the outputs and in it that of the arguments.

    Args:
        argnums, has_aux: as `grad`.
        chunk_size: accepted; rows are computed one by one.

    >>> import jittensor as torch
    >>> torch.func.jacrev(lambda x: x ** 2)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            numbers, tracked = _chosen(args, argnums, "jacrev")
            value, aux = _with_aux(func(*tracked, **kwargs), has_aux, "jacrev")
            chosen = tracked[numbers[0]] if isinstance(argnums, int) else tuple(
                tracked[k] for k in numbers)
            inputs = _tensors(chosen)
            further = _goes_further(_tensors(value), inputs)
            found = map_tree(
                lambda y: rebuilt(chosen, _rows(y, inputs, further)), value)
        found = _plain(found, further)
        return (found, _plain(aux, further)) if has_aux else found

    return call


def _rows(output: Tensor, inputs: list[Tensor], further: bool) -> list[Tensor]:
    """The Jacobians of one output by each input."""
    flat = output.reshape(-1)
    rows = [_pulled([flat[k]], inputs, [None], further) for k in range(flat.numel())]
    if not rows:
        return [x.new_zeros((*output.shape, *x.shape)) for x in inputs]
    return [functions.stack([row[i] for row in rows]).reshape((*output.shape, *x.shape))
            for i, x in enumerate(inputs)]


def jacfwd(func: Callable, argnums: Argnums = 0, has_aux: bool = False, *,
           chunk_size: int | None = None, randomness: str = "error") -> Callable:
    """As `jacrev`, whose numbers it has; it is computed by rows too."""
    return jacrev(func, argnums, has_aux=has_aux, chunk_size=chunk_size)


def hessian(func: Callable, argnums: Argnums = 0) -> Callable:
    """A function that gives the Hessian of `func`: the Jacobian of its Jacobian."""
    return jacfwd(jacrev(func, argnums), argnums)


def functionalize(func: Callable, *, remove: str = "mutations") -> Callable:
    """A function as it is: the engine records writes in place as new versions by itself."""
    return func
