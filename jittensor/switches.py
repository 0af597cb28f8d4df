"""In: PyTorch's settings of how it computes. Out: the values that were set.

Nothing here changes a kernel: the engine's answers do not depend on threads or algorithms, and
float32 products are always computed in float32.
"""

from __future__ import annotations

import warnings
from typing import Any

from .config import config

_values: dict[str, Any] = {
    "precision": "highest", "deterministic": 0, "warn_always": False, "interop": None,
}
_PRECISIONS = ("highest", "high", "medium")
_DEBUG_MODES = ("default", "warn", "error")


def get_float32_matmul_precision() -> str:
    """What was set by `set_float32_matmul_precision`; 'highest' at first."""
    return _values["precision"]


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 matrices in a lower precision; the engine makes no use of it.

    Args:
        precision: 'highest', 'high' or 'medium'; others are ignored with a warning, as in PyTorch.
    """
    if precision not in _PRECISIONS:
        warnings.warn(f"{precision} is not one of 'highest', 'high', or 'medium'; the current "
                      "setting is kept.", UserWarning, stacklevel=2)
        return
    _values["precision"] = precision


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same bits in every run: the engine gives them anyway."""
    _values["deterministic"] = (1 if warn_only else 2) if mode else 0


def are_deterministic_algorithms_enabled() -> bool:
    """Whether the same bits were asked for."""
    return _values["deterministic"] > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether a warning was asked for in place of an error."""
    return _values["deterministic"] == 1


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2: nothing, a warning or an error where the same bits cannot be given."""
    return _values["deterministic"]


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set it, as a number or as 'default', 'warn', 'error'.

    Raises:
        TypeError: neither an int nor a str.
        RuntimeError: another value.
    """
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _DEBUG_MODES:
            raise RuntimeError("invalid value of debug_mode, expected one of `default`, `warn`, "
                               f"`error`, but got {debug_mode}")
        debug_mode = _DEBUG_MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError("invalid value of debug_mode, expected 0, 1, or 2, but got "
                           f"{debug_mode}")
    _values["deterministic"] = debug_mode


def set_warn_always(b: bool) -> None:
    """Note whether warnings that come once shall always come."""
    _values["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """Whether warnings that come once shall always come."""
    return _values["warn_always"]


def set_flush_denormal(mode: bool) -> bool:
    """Asks for denormal numbers to be flushed to zero: not supported, so the answer is False."""
    return False


def get_num_interop_threads() -> int:
    """Threads between which PyTorch spreads operators; here kernels alone are spread."""
    return config.threads if _values["interop"] is None else _values["interop"]


def set_num_interop_threads(count: int) -> None:
    """Note a number of threads between operators.

    Raises:
        RuntimeError: it is not positive.
    """
    if not isinstance(count, int) or count <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _values["interop"] = count


def get_default_device() -> Any:
    """The device that tensors are made on: the CPU."""
    from .tensor import CPU

    return CPU


def set_default_device(device: Any) -> None:
    """Set the device that tensors are made on; None means the CPU.

    Raises:
        AssertionError, RuntimeError: the device is not on this machine.
    """
    from .tensor import check_device

    check_device(device)


def set_default_tensor_type(t: Any) -> None:
    """Set the default dtype by a tensor type of old: 'torch.DoubleTensor'. Deprecated, as in
    PyTorch.

    Raises:
        TypeError: the type is not a floating one, or not of the CPU.
    """
    from . import set_default_dtype
    from .graph.dtypes import BY_NAME

    names = {"HalfTensor": "float16", "BFloat16Tensor": "bfloat16", "FloatTensor": "float32",
             "DoubleTensor": "float64"}
    name = t if isinstance(t, str) else typename(t)
    kind = name.rpartition(".")[2]
    if ".cuda." in name:
        raise TypeError(f"type {name} not available. Torch not compiled with CUDA enabled.")
    if kind not in names:
        raise TypeError("only floating-point types are supported as the default type")
    set_default_dtype(BY_NAME[names[kind]])


def typename(obj: Any) -> str:
    """The full name of an object's class; a tensor's legacy type, such as 'torch.FloatTensor'."""
    from .tensor import Tensor

    if isinstance(obj, Tensor):
        return obj.type()
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(named, "__module__", None)
    if module in (None, "builtins", "__builtin__"):
        return named.__qualname__
    return f"{module}.{named.__qualname__}"
