"""In: nested tuples, lists and dicts. Out: their leaves in order, and trees of the same form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["leaves", "map_tree", "rebuilt"]


def leaves(tree: Any) -> list[Any]:
    """What a tree holds, in order; the entries of a dict in the order of the dict."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, (tuple, list)):
        return [leaf for value in tree for leaf in leaves(value)]
    return [tree]


def map_tree(function: Callable, tree: Any, *others: Any) -> Any:
    """A tree of the same form with `function(leaf, leaves of the others at its place)`."""
    if isinstance(tree, dict):
        return type(tree)((k, map_tree(function, v, *(o[k] for o in others)))
                          for k, v in tree.items())
    if isinstance(tree, (tuple, list)):
        parts = [map_tree(function, *items) for items in zip(tree, *others, strict=True)]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return function(tree, *others)


def rebuilt(tree: Any, values: Any) -> Any:
    """A tree of the same form with these leaves, in order."""
    values = iter(values)
    return map_tree(lambda _: next(values), tree)
