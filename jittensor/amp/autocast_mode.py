"""In: a device type and a dtype. Out: contexts in which products are computed in that dtype, and
what the present context is."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

from ..autograd.modes import modes
from ..graph.dtypes import BY_NAME
from ..tensor import device as Device
from . import casting

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_TYPES = ("cpu", "cuda", "mps", "xpu", "mtia", "hpu", "xla", "ipu", "maia")


class _Settings(threading.local):
    """What contexts without a dtype use, by device type; and whether casts are kept."""

    def __init__(self) -> None:
        self.dtypes = dict.fromkeys(_TYPES, BY_NAME["float16"])
        self.dtypes["cpu"] = self.dtypes["xla"] = BY_NAME["bfloat16"]
        self.enabled = dict.fromkeys(_TYPES, False)
        self.cache = True


settings = _Settings()


def _known(device_type: Any) -> str:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    Device(device_type)          # RuntimeError for what is no device type
    return device_type


def is_autocast_available(device_type: str) -> bool:
    """Whether a device type has an autocast mode."""
    return _known(device_type) in _TYPES


class autocast:  # noqa: N801
    """A context, or decorator, in which matrix products and convolutions are computed in `dtype`
    and losses in float32; other operations in what they get. float64 tensors stay as they are.

    Args:
        device_type: 'cpu'; for other devices, which are not here, the context does nothing and
            warns.
        dtype: bfloat16 (the default on the CPU) or float16; others turn the context off with a
            warning.
        enabled: False: nothing is cast inside, also within an outer context.
        cache_enabled: accepted; the engine computes an equal cast once a run.

    Raises:
        ValueError: `device_type` is not a str.
        RuntimeError: there is no such device type.

    >>> import jittensor as torch
    >>> x = torch.ones(2, 2)
    >>> with torch.autocast("cpu"):
    ...     y = x @ x
    >>> y.dtype, torch.is_autocast_enabled("cpu")
    (torch.bfloat16, False)
    """

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True,
                 cache_enabled: bool | None = None) -> None:
        self.device = _known(device_type)
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'")
        self.fast_dtype = settings.dtypes[device_type] if dtype is None else dtype
        self._cache_enabled = settings.cache if cache_enabled is None else cache_enabled
        if enabled and device_type == "cpu" and self.fast_dtype not in (
                BY_NAME["bfloat16"], BY_NAME["float16"]):
            warnings.warn(
                "In CPU autocast, but the target dtype is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                UserWarning, stacklevel=2)
            enabled = False
        elif enabled and device_type != "cpu":
            name = "CUDA" if device_type == "cuda" else device_type
            warnings.warn(f"{name} is not available. Disabling autocast.", UserWarning,
                          stacklevel=2)
            enabled = False
        self._enabled = enabled
        self._before: list[tuple] = []

    def __enter__(self) -> autocast:
        casting.install()
        kind = self.device
        self._before.append((settings.dtypes[kind], settings.enabled[kind], modes.autocast,
                             settings.cache))
        settings.dtypes[kind], settings.enabled[kind] = self.fast_dtype, self._enabled
        settings.cache = self._cache_enabled
        if kind == "cpu":
            modes.autocast = self.fast_dtype if self._enabled else None
        return self

    def __exit__(self, *exc: Any) -> bool:
        dtype, enabled, context, settings.cache = self._before.pop()
        settings.dtypes[self.device], settings.enabled[self.device] = dtype, enabled
        if self.device == "cpu":
            modes.autocast = context
        return False

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return decorated


# ── autograd functions ────────────────────────────────────────────────────────────────────────
def custom_fwd(fwd: Callable | None = None, *, device_type: str, cast_inputs: Any = None
               ) -> Callable:
    """A decorator of an `autograd.Function`'s forward: notes the context for `custom_bwd`.

    Args:
        device_type: whose context counts.
        cast_inputs: within the context, floating tensors are cast to this dtype and the forward
            runs with autocast off.

    Raises:
        ValueError: `device_type` is not a str.
    """
    _known(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = is_autocast_enabled(device_type) and cast_inputs is None
        if cast_inputs is None or not is_autocast_enabled(device_type):
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            args = casting._cast(args, cast_inputs)
            kwargs = {k: casting._cast(v, cast_inputs) for k, v in kwargs.items()}
            return fwd(ctx, *args, **kwargs)

    return decorated


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """A decorator of an `autograd.Function`'s backward: it runs in the context of the forward.

    Raises:
        ValueError: `device_type` is not a str.
    """
    _known(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, enabled=ctx._fwd_used_autocast, dtype=ctx._dtype):
            return bwd(ctx, *args, **kwargs)

    return decorated


# ── names of the package ──────────────────────────────────────────────────────────────────────
def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether an autocast context of a device type is on in this thread."""
    return settings.enabled[_known(device_type)]


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Turn autocast of a device type on or off (`set_autocast_enabled(False)`: of 'cuda')."""
    kind, on = ("cuda", device_type) if enabled is None else (_known(device_type), enabled)
    settings.enabled[kind] = bool(on)
    if kind == "cpu":
        casting.install()
        modes.autocast = settings.dtypes[kind] if on else None


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype of a device type's autocast contexts."""
    return settings.dtypes[_known(device_type)]


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the dtype of a device type's autocast contexts."""
    settings.dtypes[_known(device_type)] = dtype


def get_autocast_cpu_dtype() -> Any:
    """The dtype of autocast contexts on the CPU."""
    return settings.dtypes["cpu"]


def get_autocast_gpu_dtype() -> Any:
    """The dtype of autocast contexts on a GPU."""
    return settings.dtypes["cuda"]


def is_autocast_cpu_enabled() -> bool:
    """Whether an autocast context of the CPU is on in this thread."""
    return settings.enabled["cpu"]


def is_autocast_cache_enabled() -> bool:
    """Whether contexts are told to keep the casts of weights."""
    return settings.cache


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Say whether contexts keep the casts of weights; nothing depends on it."""
    settings.cache = bool(enabled)


def clear_autocast_cache() -> None:
    """Forget the casts of weights that contexts keep: there are none."""


FUNCTIONS = {f.__name__: f for f in (
    autocast, is_autocast_enabled, set_autocast_enabled, get_autocast_dtype, set_autocast_dtype,
    get_autocast_cpu_dtype, get_autocast_gpu_dtype, is_autocast_cpu_enabled,
    is_autocast_cache_enabled, set_autocast_cache_enabled, clear_autocast_cache)}
