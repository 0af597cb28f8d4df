"""Questions about CUDA devices in, the answers of a PyTorch built without CUDA out.

No tensor lives on a GPU here: `is_available()` is False, seeds and caches of GPUs are nothing to
do, and what needs a device raises what PyTorch's CPU build raises. (That kernels can be compiled
*for* a GPU is another matter: `jittensor.kernels.cuda`.)
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ..tensor import device as _device

has_half, has_magma = True, False
default_generators: tuple = ()


class OutOfMemoryError(RuntimeError):
    """What PyTorch raises when a device has no memory left; here for `except` clauses."""


def _refuse(*args: Any, **kwargs: Any):
    raise AssertionError("Torch not compiled with CUDA enabled")


def _index(which: Any) -> int:
    """The number of a CUDA device given as number, text or device; ValueError for others."""
    if isinstance(which, str):
        which = _device(which)
    if isinstance(which, _device):
        if which.type != "cuda":
            raise ValueError(f"Expected a cuda device, but got: {which}")
        return 0 if which.index is None else which.index
    return which


# ── questions ─────────────────────────────────────────────────────────────────────────────────
def is_available() -> bool:
    """Whether tensors can be put on a CUDA device: never."""
    return False


def device_count() -> int:
    """The number of CUDA devices: 0."""
    return 0


def is_initialized() -> bool:
    """Whether CUDA has been started in this process: never."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the present device computes in bfloat16: there is none."""
    return False


def is_tf32_supported() -> bool:
    """Whether the present device computes in TF32: there is none."""
    return False


def get_arch_list() -> list[str]:
    """The architectures that kernels were built for: none."""
    return []


def get_gencode_flags() -> str:
    """The compiler flags of those architectures: none."""
    return ""


# ── devices: there is none to choose or ask ───────────────────────────────────────────────────
def init() -> None:
    """AssertionError: CUDA cannot be started."""
    _refuse()


def current_device() -> int:
    """AssertionError: there is no device."""
    _refuse()


def get_device_name(device: Any = None) -> str:
    """AssertionError: there is no device."""
    _refuse()


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """AssertionError: there is no device."""
    _refuse()


def get_device_properties(device: Any = None) -> Any:
    """AssertionError: there is no device."""
    _refuse()


def can_device_access_peer(device: Any, peer_device: Any) -> bool:
    """AssertionError: there is no device."""
    _refuse()


def synchronize(device: Any = None) -> None:
    """AssertionError: there is no device to wait for."""
    _refuse()


def set_device(device: Any) -> None:
    """Nothing for a negative number; AttributeError for a device, as in PyTorch's CPU build."""
    if _index(device) >= 0:
        raise AttributeError("Torch not compiled with CUDA enabled: it has no device to set")


class device:  # noqa: N801
    """The context in which a device is the current one; a negative number changes nothing."""

    def __init__(self, device: Any):
        self.idx = _index(device)

    def __enter__(self) -> None:
        if self.idx >= 0:
            raise RuntimeError("PyTorch was compiled without CUDA support")

    def __exit__(self, *exception: Any) -> bool:
        return False


class device_of(device):  # noqa: N801
    """The context of a tensor's device; tensors are on the CPU, so nothing changes."""

    def __init__(self, obj: Any):
        super().__init__(obj.get_device() if obj.is_cuda else -1)


# ── seeds ─────────────────────────────────────────────────────────────────────────────────────
def manual_seed(seed: int) -> None:
    """Seeds the generator of the current GPU: nothing to do."""
    int(seed)


def manual_seed_all(seed: int) -> None:
    """Seeds the generators of all GPUs: nothing to do."""
    int(seed)


def seed() -> None:
    """Seeds the current GPU's generator at random: nothing to do."""


def seed_all() -> None:
    """Seeds all GPUs' generators at random: nothing to do."""


def initial_seed() -> int:
    """AssertionError: there is no generator."""
    _refuse()


def get_rng_state(device: Any = "cuda") -> Any:
    """AssertionError: there is no generator."""
    _refuse()


def get_rng_state_all() -> list:
    """The states of all GPUs' generators: none."""
    return []


def set_rng_state(new_state: Any, device: Any = "cuda") -> None:
    """Sets the state of a GPU's generator: nothing to do."""


def set_rng_state_all(new_states: Any) -> None:
    """Sets the states of all GPUs' generators, of which there must be none."""
    for state in new_states:
        set_rng_state(state)


# ── memory ────────────────────────────────────────────────────────────────────────────────────
def empty_cache() -> None:
    """Gives a GPU's unused memory back: nothing to do."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory that tensors take: 0."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The most that tensors took: 0."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes of GPU memory that the allocator holds: 0."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The most that the allocator held: 0."""
    return 0


def memory_stats(device: Any = None) -> OrderedDict:
    """The allocator's counters: none."""
    return OrderedDict()


def reset_peak_memory_stats(device: Any = None) -> None:
    """AttributeError, as in PyTorch's CPU build: there is no allocator."""
    raise AttributeError("Torch not compiled with CUDA enabled: it has no memory counters")


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """AssertionError: there is no device."""
    _refuse()


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """AssertionError: there is no device."""
    _refuse()


def ipc_collect() -> None:
    """AssertionError: there is no device."""
    _refuse()


# ── streams, events, graphs ───────────────────────────────────────────────────────────────────
def current_stream(device: Any = None) -> Any:
    """AssertionError: there is no device."""
    _refuse()


def default_stream(device: Any = None) -> Any:
    """AssertionError: there is no device."""
    _refuse()


def set_stream(stream: Any) -> None:
    """Makes a stream the current one: nothing for None, the only one there is."""
    if stream is not None:
        _refuse()


class Stream:
    """A queue of work of a GPU; RuntimeError: none can be made."""

    def __init__(self, *args: Any, **kwargs: Any):
        raise RuntimeError("torch.cuda.Stream requires CUDA support")


class Event:
    """A mark in a stream; RuntimeError: none can be made."""

    def __init__(self, *args: Any, **kwargs: Any):
        raise RuntimeError("Tried to instantiate dummy base class Event")


class CUDAGraph:
    """A recorded sequence of launches; RuntimeError: none can be made."""

    def __init__(self, *args: Any, **kwargs: Any):
        raise RuntimeError("Tried to instantiate dummy base class CUDAGraph")


class StreamContext:
    """The context in which a stream is the current one; None changes nothing."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __enter__(self) -> None:
        set_stream(self.stream)

    def __exit__(self, *exception: Any) -> bool:
        return False


def stream(stream: Any) -> StreamContext:
    """The context in which a stream is the current one."""
    return StreamContext(stream)


def __getattr__(name: str) -> Any:
    """`torch.cuda.amp`, imported when it is first looked at."""
    if name == "amp":
        from importlib import import_module

        return import_module(f"{__name__}.amp")
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")
