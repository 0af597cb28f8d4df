"""In: a function of tensors. Out: the function mapped over a dim of its arguments.

The function is recorded once for each index and the results are stacked. Recording is lazy, so the
pieces run as one plan; but its size grows with the dim, unlike that of PyTorch's batched operators.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import functions
from ..creation import as_tensor
from ..tensor import Tensor
from .trees import leaves, map_tree

__all__ = ["vmap"]


def _spread(dims: Any, tree: Any) -> Any:
    """The dims of each leaf of a tree, of which `dims` may give one for a whole branch."""
    if dims is None or isinstance(dims, int):
        return map_tree(lambda _: dims, tree)
    if isinstance(tree, dict):
        return {k: _spread(dims[k], v) for k, v in tree.items()}
    if not isinstance(tree, (tuple, list)) or len(dims) != len(tree):
        raise ValueError(f"vmap: in_dims is not compatible with the structure of inputs: "
                         f"{dims} does not fit {type(tree).__name__}")
    return [_spread(d, v) for d, v in zip(dims, tree, strict=True)]


def _size(args: tuple, dims: list[Any]) -> int:
    """How many times the function is called: the size of all mapped dims."""
    sizes = set()
    for x, dim in zip(leaves(args), dims, strict=True):
        if dim is None:
            continue
        if not isinstance(x, Tensor):
            raise ValueError(f"vmap: Got in_dim={dim} for an input but the input is of type "
                             f"{type(x)}. We cannot vmap over non-Tensor arguments, please use "
                             "None as the respective in_dim")
        if not -x.ndim <= dim < x.ndim:
            raise ValueError(f"vmap: Got in_dim={dim} for some input, but that input is a Tensor "
                             f"of dimensionality {x.ndim} so expected in_dim to satisfy "
                             f"-{x.ndim} <= in_dim < {x.ndim}.")
        sizes.add(x.shape[dim])
    if not sizes:
        raise ValueError("vmap: at least one input must have an in_dim that is not None")
    if len(sizes) > 1:
        raise ValueError("vmap: Expected all tensors to have the same size in the mapped "
                         f"dimension, got sizes {sorted(sizes)} for the mapped dimension")
    return sizes.pop()


def vmap(func: Callable, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
         chunk_size: int | None = None) -> Callable:
    """A function that calls `func` for each index of a dim and stacks what it gives.

    Args:
        in_dims: the dim of each argument that the index goes over, None for arguments that stay;
            one for all, a tuple with one for each, or a nested form of it.
        out_dims: where the dim is in each result; None for what is the same for every index.
        randomness: 'error', 'different' or 'same'; draws are always different.
        chunk_size: accepted, without effect.

    Raises:
        ValueError: dims that do not fit the arguments, no mapped dim, or different sizes.

    >>> import jittensor as torch
    >>> torch.vmap(torch.dot)(torch.ones(3, 2), torch.arange(6.0).view(3, 2))
    tensor([1., 5., 9.])
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        dims_of = _spread(in_dims, args)
        dims = leaves(dims_of)
        count = _size(args, dims)
        if count == 0:
            raise ValueError("vmap: the mapped dimension has size 0, so the function cannot be "
                             "called")
        calls = [func(*_taken(args, dims, k), **_keywords(kwargs, k)) for k in range(count)]
        return _stacked(calls, out_dims)

    return call


def _taken(args: tuple, dims: list[Any], index: int) -> tuple:
    """The arguments at one index."""
    left = iter(dims)

    def take(x: Any) -> Any:
        dim = next(left)
        return x if dim is None else x.select(dim, index)

    return map_tree(take, args)


def _keywords(kwargs: dict, index: int) -> dict:
    """Keyword arguments at one index: their tensors are mapped over dim 0, as in PyTorch."""
    return map_tree(lambda x: x.select(0, index) if isinstance(x, Tensor) else x, kwargs)


def _stacked(results: list[Any], out_dims: Any) -> Any:
    dims = iter(leaves(_spread(out_dims, results[0])))

    def together(*values: Any) -> Any:
        dim = next(dims)
        return values[0] if dim is None else functions.stack([as_tensor(v) for v in values], dim)

    return map_tree(together, results[0], *results[1:])
