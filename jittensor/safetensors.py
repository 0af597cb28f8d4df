"""safetensors files: tensors by name in, a file out, and back; the names are `safetensors.torch`'s.

The format is the `safetensors` package's (`pip install jittensor[files]`): nothing in such a file
can run code, and shared memory is not kept.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import numpy as np

from .creation import from_numpy
from .graph import dtypes as dt
from .graph.node import Storage, spec_of
from .runtime import blocks
from .serialization.saving import replacing
from .tensor import Tensor, check_device, new_tensor

__all__ = ["load", "load_file", "load_model", "save", "save_file", "save_model"]

_DTYPES = {"F64": dt.float64, "F32": dt.float32, "F16": dt.float16, "BF16": dt.bfloat16,
           "I64": dt.int64, "I32": dt.int32, "I16": dt.int16, "I8": dt.int8, "U8": dt.uint8,
           "BOOL": dt.bool_, "C64": dt.complex64}


def _package() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError("jittensor.safetensors needs the package safetensors: install "
                          "jittensor[files]") from error
    return safetensors


def save_file(tensors: dict[str, Tensor], filename: str | os.PathLike,
              metadata: dict[str, str] | None = None) -> None:
    """Writes tensors to a file, which appears whole or not at all.

    Args:
        tensors: contiguous tensors by name, none of which share memory.
        filename: the file.
        metadata: texts by name, kept beside them.

    Raises:
        ValueError: not a dict of dense tensors, or one that is not contiguous.
        RuntimeError: tensors that share memory.
    """
    arrays = _arrays(tensors)
    package = _package()
    with replacing(filename) as file:
        package.numpy.save_file(arrays, file.name, metadata)


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """`save_file`, into bytes.

    >>> import jittensor as torch
    >>> load(save({"weight": torch.ones(2)}))
    {'weight': tensor([1., 1.])}
    """
    return _package().numpy.save(_arrays(tensors), metadata)


def load_file(filename: str | os.PathLike, device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises:
        safetensors.SafetensorError: not a safetensors file, or a damaged one.
    """
    check_device(device)
    with _package().safe_open(os.fspath(filename), framework="np") as file:
        return {name: _tensor(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors in the bytes of a file, by name."""
    tensors = {}
    for name, entry in _package().deserialize(data):
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise TypeError(f"tensor {name!r} has the dtype {entry['dtype']}, which jittensor does "
                            "not have")
        values = np.frombuffer(entry["data"], np.uint8)
        if not values.flags.writeable:
            values = values.copy()
        tensors[name] = _tensor(values.view(dtype.numpy).reshape(entry["shape"]))
    return tensors


def _tensor(values: np.ndarray) -> Tensor:
    """A tensor over an array that nobody else holds."""
    if not values.flags.writeable or not values.flags.c_contiguous:
        values = np.array(values)
    if not values.size:
        return from_numpy(values)
    storage = Storage(blocks.foreign(values), values.nbytes)
    return new_tensor(storage, spec_of(dt.from_numpy_dtype(values.dtype), values.shape))


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """The tensors as arrays; the errors of `save_file`."""
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    for name, x in tensors.items():
        if not isinstance(x, Tensor):
            raise ValueError(f"Key `{name}` is invalid, expected torch.Tensor but received "
                             f"{type(x)}")
        if str(x.layout) != "torch.strided":
            raise ValueError(f"You are trying to save a sparse tensor: `{name}` which this library "
                             "does not support. Make it dense with .to_dense() first.")
    shared = [names for names in _sharing(tensors) if len(names) > 1]
    if shared:
        raise RuntimeError("Some tensors share memory, this will lead to duplicate memory on disk "
                           f"and potential differences when loading them again: {shared}. Use "
                           "`save_model`, or clone them.")
    for name, x in tensors.items():
        if not x.is_contiguous():
            raise ValueError(f"You are trying to save a non contiguous tensor: `{name}` which is "
                             "not allowed. Call .contiguous() on it first.")
    return {name: x.detach()._array() for name, x in tensors.items()}


def _sharing(tensors: dict[str, Tensor]) -> list[list[str]]:
    """Names of tensors in groups that overlap in memory."""
    by_storage: dict[int, list] = defaultdict(list)
    for name, x in tensors.items():
        if x.numel():
            start = x.offset * x.itemsize
            by_storage[id(x.storage)].append((start, start + _reach(x), name))
    groups = []
    for parts in by_storage.values():
        end = -1
        for first, last, name in sorted(parts):
            if first >= end:
                groups.append([])
            groups[-1].append(name)
            end = max(end, last)
    return groups


def _reach(x: Tensor) -> int:
    """Bytes from a tensor's first element to behind its last."""
    steps = sum((n - 1) * s for n, s in zip(x.shape, x.stride(), strict=True))
    return (steps + 1) * x.itemsize


def save_model(model: Any, filename: str | os.PathLike, metadata: dict[str, str] | None = None,
               force_contiguous: bool = True) -> None:
    """Writes a module's state; of names for one tensor the first in order is kept, the others go
    into the metadata."""
    state, notes = model.state_dict(), dict(metadata or {})
    for names in _sharing(state):
        whole = {name: (state[name].offset, state[name].shape, state[name].stride())
                 for name in names}
        if len(set(whole.values())) > 1:
            raise RuntimeError("Error while trying to find names to remove to save state dict: "
                               f"{names} share memory, and none is all of it.")
        kept, *others = sorted(names)
        for other in others:
            notes.setdefault(other, kept)
            del state[other]
    if force_contiguous:
        state = {name: x.contiguous() for name, x in state.items()}
    save_file(dict(state), filename, notes or None)


def load_model(model: Any, filename: str | os.PathLike, strict: bool = True,
               device: Any = "cpu") -> tuple[set[str], list[str]]:
    """Loads a file of `save_model` into a module.

    Returns:
        Names of the module that were not loaded, and names of the file that were not used.

    Raises:
        RuntimeError: there are such names (with strict=True).
    """
    state = load_file(filename, device)
    own = model.state_dict()
    names_of = {name: names for names in _sharing(own) for name in names}
    result = model.load_state_dict(state, strict=False)
    missing = {name for name in result.missing_keys
               if not any(other in state for other in names_of.get(name, ()))}
    unexpected = list(result.unexpected_keys)
    if strict and (missing or unexpected):
        text = f"Error(s) in loading state_dict for {type(model).__name__}:"
        for kind, names in (("Missing", missing), ("Unexpected", unexpected)):
            if names:
                listed = ", ".join(f'"{name}"' for name in sorted(names))
                text += f"\n    {kind} key(s) in state_dict: {listed}"
        raise RuntimeError(text)
    return missing, unexpected
