"""In: the keyword arguments of a layer. Out: those that functions like `empty` take."""

from __future__ import annotations

from typing import Any

__all__ = ["factory_kwargs"]

_PLACE = ("device", "dtype", "memory_format")


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """Device, dtype and memory format out of keyword arguments, or out of the dict that they hold
    as `factory_kwargs`.

    Raises:
        TypeError: other keys, or one given in both places.

    >>> factory_kwargs({"device": "cpu"})
    {'device': 'cpu'}
    """
    if kwargs is None:
        return {}
    unknown = kwargs.keys() - {*_PLACE, "factory_kwargs"}
    if unknown:
        raise TypeError(f"unexpected kwargs {unknown}")
    out = dict(kwargs.get("factory_kwargs", {}))
    for name in _PLACE:
        if name in kwargs:
            if name in out:
                raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
            out[name] = kwargs[name]
    return out
