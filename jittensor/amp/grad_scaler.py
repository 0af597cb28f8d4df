"""In: losses and optimizers. Out: scaled losses, steps with the gradients scaled back, and a scale
that falls when gradients overflow and grows when they do not."""

from __future__ import annotations

import warnings
from typing import Any

from .. import creation, functions
from ..autograd import no_grad
from ..graph.dtypes import BY_NAME
from ..optim import Optimizer
from ..tensor import Tensor

__all__ = ["GradScaler"]

_READY, _UNSCALED, _STEPPED = "ready", "unscaled", "stepped"


class GradScaler:
    """Scales losses so that float16 gradients do not vanish (Micikevicius et al. 2018).

    Args:
        device: 'cpu'; for other devices, which are not here, the scaler is off and warns.
        init_scale: the first scale.
        growth_factor: what the scale is multiplied by after `growth_interval` steps without an
            infinity or NaN in a gradient.
        backoff_factor: what it is multiplied by after one with; the optimizer does not step then.
        enabled: False: losses and steps stay as they are.

    Raises:
        AssertionError: factors on the wrong side of 1.

    >>> import jittensor as torch
    >>> p = torch.nn.Parameter(torch.ones(1))
    >>> optimizer, scaler = torch.optim.SGD([p], lr=0.5), torch.amp.GradScaler("cpu")
    >>> scaler.scale(p.sum()).backward()
    >>> scaler.step(optimizer)
    >>> scaler.update()
    >>> p.item(), scaler.get_scale()
    (0.5, 65536.0)
    """

    def __init__(self, device: str = "cuda", init_scale: float = 2.0**16,
                 growth_factor: float = 2.0, backoff_factor: float = 0.5,
                 growth_interval: int = 2000, enabled: bool = True) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and device != "cpu":
            name = "CUDA" if device == "cuda" else device
            warnings.warn(f"torch.{device}.amp.GradScaler is enabled, but {name} is not available."
                          "  Disabling.", UserWarning, stacklevel=2)
            self._enabled = False
        if not self._enabled:
            return
        if not growth_factor > 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if not backoff_factor < 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._init_scale = init_scale
        self._scale: Tensor | None = None
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._optimizers: dict[int, tuple[str, Tensor | None]] = {}

    # ── losses ────────────────────────────────────────────────────────────────────────────────
    def scale(self, outputs: Any) -> Any:
        """Tensors, or (nested) iterables of them, times the scale.

        Raises:
            ValueError: something that is neither.
        """
        if not self._enabled:
            return outputs
        if self._scale is None:
            self._scale = creation.tensor(float(self._init_scale), dtype=BY_NAME["float32"])
        return self._scaled(outputs)

    def _scaled(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value * self._scale
        if not hasattr(value, "__iter__"):
            raise ValueError("outputs must be a Tensor or an iterable of Tensors")
        parts = map(self._scaled, value)
        return type(value)(parts) if isinstance(value, (list, tuple)) else parts

    # ── steps ─────────────────────────────────────────────────────────────────────────────────
    def _checked_scale(self, name: str) -> Tensor:
        if self._scale is None:
            raise AssertionError(
                f"Attempted {name} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration.")
        return self._scale

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimizer's parameters by the scale, as clipping needs.

        Raises:
            RuntimeError: a second time before `update`, or after `step`.
            ValueError: float16 gradients.
        """
        if not self._enabled:
            return
        scale = self._checked_scale("unscale_")
        stage, _ = self._optimizers.get(id(optimizer), (_READY, None))
        if stage == _UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update().")
        if stage == _STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        inverse = float(scale.double().reciprocal())
        found = []
        with no_grad():
            for group in optimizer.param_groups:
                for param in group["params"]:
                    grad = param.grad
                    if grad is None:
                        continue
                    if grad.dtype is BY_NAME["float16"]:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    values = grad._values() if grad.is_sparse else grad
                    found.append(functions.isfinite(values).all().logical_not())
                    values.mul_(inverse)
            overflow = functions.stack(found).any() if found else None
        self._optimizers[id(optimizer)] = _UNSCALED, overflow

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """`optimizer.step(*args, **kwargs)`, unless a gradient has an infinity or a NaN.

        Raises:
            RuntimeError: a closure is given, or a second step before `update`.
            AssertionError: no loss was scaled, or no parameter has a gradient.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._checked_scale("step")
        if self._optimizers.get(id(optimizer), (_READY,))[0] == _STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if self._optimizers.get(id(optimizer), (_READY,))[0] == _READY:
            self.unscale_(optimizer)
        overflow = self._optimizers[id(optimizer)][1]
        if overflow is None:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None if bool(overflow) else optimizer.step(*args, **kwargs)
        self._optimizers[id(optimizer)] = _STEPPED, overflow
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Set the scale of the next step: by what the gradients were since the last update, or
        to `new_scale`.

        Raises:
            AssertionError: no loss was scaled, or no step was taken.
        """
        if not self._enabled:
            return
        scale = self._checked_scale("update")
        if new_scale is not None:
            scale.fill_(float(new_scale))
        else:
            seen = [found for _, found in self._optimizers.values() if found is not None]
            if not seen:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any(bool(found) for found in seen):
                scale.mul_(self._backoff_factor)
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    scale.mul_(self._growth_factor)
                    self._growth_tracker = 0
        self._optimizers.clear()

    # ── settings ──────────────────────────────────────────────────────────────────────────────
    def is_enabled(self) -> bool:
        """Whether losses are scaled."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale; 1 where the scaler is off."""
        if not self._enabled:
            return 1.0
        return float(self._init_scale) if self._scale is None else self._scale.item()

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale grows by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale falls by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale falls by."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """After how many good steps the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set after how many good steps the scale grows."""
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and count, as PyTorch names them; empty where the scaler is off."""
        if not self._enabled:
            return {}
        return {"scale": self.get_scale(), "growth_factor": self._growth_factor,
                "backoff_factor": self._backoff_factor, "growth_interval": self._growth_interval,
                "_growth_tracker": self._growth_tracker}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over another scaler's `state_dict()`.

        Raises:
            RuntimeError: it is empty: the other scaler was off.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler.")
        self._init_scale = state_dict["scale"]
        if self._scale is not None:
            self._scale.fill_(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
