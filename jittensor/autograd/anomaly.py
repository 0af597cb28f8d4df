"""Anomaly detection: a flag in, tracebacks of the forward line (and NaN checks) out."""

from __future__ import annotations

import warnings

from .modes import _Mode, anomaly

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled",
           "set_anomaly_enabled", "set_detect_anomaly"]


class set_detect_anomaly(_Mode):  # noqa: N801
    """Turns anomaly detection on or off, at once and (as a context) until the end of the block.

    An error in backward then warns with the traceback of the forward call that caused it, and a
    gradient with a NaN raises RuntimeError (unless `check_nan` is False).
    """

    def __init__(self, mode: bool, check_nan: bool = True):
        self.mode, self.check_nan = bool(mode), check_nan
        self.before = anomaly.enabled, anomaly.check_nan
        anomaly.enabled, anomaly.check_nan = self.mode, check_nan

    def clone(self):
        return type(self)(self.mode, self.check_nan)

    def __enter__(self) -> None:
        anomaly.enabled, anomaly.check_nan = self.mode, self.check_nan

    def __exit__(self, *exc) -> None:
        anomaly.enabled, anomaly.check_nan = self.before


class detect_anomaly(_Mode):  # noqa: N801
    """Anomaly detection inside a `with` block.

    >>> import jittensor as torch, warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     with torch.autograd.detect_anomaly():
    ...         x = torch.tensor(0.0, requires_grad=True)
    ...         try:
    ...             (x.sqrt() * 0).backward()
    ...         except RuntimeError as error:
    ...             print(error)
    Function 'SqrtBackward0' returned nan values in its 0th output.
    """

    def __init__(self, check_nan: bool = True):
        self.check_nan = check_nan
        warnings.warn("Anomaly Detection has been enabled. This mode will increase the runtime "
                      "and should only be enabled for debugging.", stacklevel=2)

    def clone(self):
        return type(self)(self.check_nan)

    def __enter__(self) -> None:
        self.before = anomaly.enabled, anomaly.check_nan
        anomaly.enabled, anomaly.check_nan = True, self.check_nan

    def __exit__(self, *exc) -> None:
        anomaly.enabled, anomaly.check_nan = self.before


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return anomaly.enabled


def is_anomaly_check_nan_enabled() -> bool:
    """Whether NaNs in gradients are errors."""
    return anomaly.check_nan


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Turns anomaly detection on or off."""
    anomaly.enabled, anomaly.check_nan = bool(mode), bool(check_nan)
