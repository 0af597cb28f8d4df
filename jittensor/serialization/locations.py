"""Where storages live: a storage in, its tag in files out; a tag in, the storage put there out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..storage import UntypedStorage
from ..tensor import device

__all__ = ["default_restore_location", "location_tag", "register_package", "restorer"]

_packages: list[tuple[int, Callable, Callable]] = []


def register_package(priority: int, tagger: Callable[[UntypedStorage], str | None],
                     deserializer: Callable[[UntypedStorage, str], UntypedStorage | None]) -> None:
    """Adds a way to name where storages live, and to bring them back there.

    Args:
        priority: entries are asked in rising order; the CPU's is 10.
        tagger: the tag of a storage, or None if it is not its business.
        deserializer: the storage on the place that a tag names, or None.
    """
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda entry: entry[0])


def location_tag(storage: Any) -> str:
    """The tag under which a file keeps where a storage lives."""
    for _, tagger, _ in _packages:
        tag = tagger(storage)
        if tag:
            return tag
    raise RuntimeError("don't know how to determine data location of "
                       f"{type(storage).__name__}")


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage on the place that a file's tag names.

    Raises:
        RuntimeError: the place is not on this machine.
    """
    for _, _, deserializer in _packages:
        result = deserializer(storage, location)
        if result is not None:
            return result
    raise RuntimeError("don't know how to restore data location of "
                       f"torch.storage.UntypedStorage (tagged with {location})")


def _on_cpu(storage: Any, location: str) -> Any:
    return storage if location == "cpu" else None


def _absent(storage: Any, location: str) -> Any:
    kind = str(location).partition(":")[0]
    if kind in ("cuda", "mps", "xpu", "hpu", "meta"):
        name = kind.upper()
        raise RuntimeError(
            f"Attempting to deserialize object on a {name} device but torch.{kind}.is_available() "
            "is False. If you are running on a CPU-only machine, please use torch.load with "
            "map_location=torch.device('cpu') to map your storages to the CPU.")
    return None


register_package(10, lambda storage: "cpu", _on_cpu)
register_package(20, lambda storage: None, _absent)


def restorer(map_location: Any) -> Callable[[UntypedStorage, str], Any]:
    """The function (storage, tag) -> storage that a `map_location` stands for.

    Args:
        map_location: None, a device or its name, a dict from tags to tags, or a function of
            (storage, tag) that returns a storage or None for the default.
    """
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, tag: default_restore_location(storage, map_location.get(tag, tag))
    if isinstance(map_location, (str, device)):
        name = str(device(map_location)) if isinstance(map_location, str) else str(map_location)
        return lambda storage, tag: default_restore_location(storage, name)
    if not callable(map_location):
        raise TypeError("load(): map_location should be None, a device, a str, a dict or a "
                        f"function, not {type(map_location).__name__}")

    def restore(storage: Any, tag: str) -> Any:
        result = map_location(storage, tag)
        return default_restore_location(storage, tag) if result is None else result

    return restore
