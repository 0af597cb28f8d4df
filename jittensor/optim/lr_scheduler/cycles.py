"""In: an optimizer. Out: schedules whose rates rise and fall while momentum falls and rises."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

from ..optimizer import Optimizer
from .base import (
    LRScheduler,
    anneal_cosine,
    anneal_linear,
    check_optimizer,
    one_per_group,
    set_value,
)

__all__ = ["CyclicLR", "OneCycleLR"]


class _WithMomentum(LRScheduler):
    """Base of schedules that change 'momentum', or the first of 'betas', too."""

    def _start_momentum(self, optimizer: Optimizer, base: Any, highest: Any, begin: bool) -> tuple:
        """Checks that there is a momentum, and sets the highest one to `begin` with.

        Returns:
            The lowest and the highest momentum of each group.
        """
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        lows = one_per_group("base_momentum", optimizer, base)
        highs = one_per_group("max_momentum", optimizer, highest)
        if begin:
            for high, low, group in zip(highs, lows, optimizer.param_groups, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low
        return lows, highs

    def _set_momentum(self, group: dict[str, Any], value: float) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_WithMomentum):
    """Rates that go up and down between two bounds in straight lines (Smith 2017), and momentum
    that goes down and up.

    Args:
        base_lr, max_lr: the bounds, numbers or lists with one for each group.
        step_size_up, step_size_down: steps up, and down (as many as up unless given).
        mode: 'triangular'; 'triangular2', each cycle half as high; 'exp_range', the height times
            `gamma ** step`.
        scale_fn: a function that gives the height instead, of the number of the cycle (from 1 on)
            or of the step, as `scale_mode` says: 'cycle' or 'iterations'.
        cycle_momentum: whether momentum changes too, between these bounds:
        base_momentum, max_momentum: numbers or lists.

    Raises:
        ValueError: an unknown mode without `scale_fn`, another number of bounds than of groups, or
            an optimizer without momentum.

    >>> import jittensor as torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> schedule = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.5, 1.0, 2)
    >>> optimizer.step(), schedule.step(), schedule.get_last_lr()
    (None, None, [0.75])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        lows = one_per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for rate, group in zip(lows, optimizer.param_groups, strict=True):
                set_value(group, "lr", rate)
        self.max_lrs = one_per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = self._start_momentum(
                optimizer, base_momentum, max_momentum, last_epoch == -1
            )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, or at a step."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[Any]:
        """See `LRScheduler.get_lr`; sets the momentum too."""
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        way = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)

        def height(low: Any, high: Any) -> Any:
            at = cycle if self.scale_mode == "cycle" else self.last_epoch
            return (high - low) * way * self.scale_fn(at)

        rates = [
            low + height(low, high) for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]
        if self.cycle_momentum:
            momenta = [
                high - height(low, high)
                for low, high in zip(self.base_momentums, self.max_momentums, strict=True)
            ]
            for group, momentum in zip(self.optimizer.param_groups, momenta, strict=True):
                self._set_momentum(group, momentum)
        return rates

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`; of `scale_fn` only the state of a callable object."""
        state = super().state_dict()
        function = state.pop("_scale_fn_custom")
        state["_scale_fn_custom"] = (
            None if function is None or isinstance(function, FunctionType)
            else function.__dict__.copy()
        )
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As `LRScheduler.load_state_dict`; a function stays that of this schedule."""
        own = self._scale_fn_custom
        super().load_state_dict(state_dict)
        self._scale_fn_custom = own
        if state_dict["_scale_fn_custom"] is not None:
            own.__dict__.update(state_dict["_scale_fn_custom"])


def _check_count(name: str, value: Any) -> None:
    if value <= 0 or not isinstance(value, int):
        raise ValueError(f"Expected positive integer {name}, but got {value}")


class OneCycleLR(_WithMomentum):
    """One cycle (Smith, Topin 2018): the rate rises from `max_lr / div_factor` to `max_lr` and
    falls to `max_lr / div_factor / final_div_factor`, momentum falls and rises. Step it after each
    batch.

    Args:
        max_lr: the highest rate, a number or a list with one for each group.
        total_steps: of the cycle; or `epochs` and `steps_per_epoch`, whose product it is.
        pct_start: the share of the cycle in which the rate rises.
        anneal_strategy: 'cos', half a cosine, or 'linear'.
        cycle_momentum: whether momentum changes too, between these bounds:
        base_momentum, max_momentum: numbers or lists.
        three_phase: fall to the first rate as fast as the rate rose, and then to the last one.

    Raises:
        ValueError: an option out of range, no number of steps, an optimizer without momentum; in
            `step`, more steps than there are.

    >>> import jittensor as torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10)
    >>> round(schedule.get_last_lr()[0], 6)
    0.04
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        if total_steps is not None:
            _check_count("total_steps", total_steps)
            self.total_steps = total_steps
        elif epochs is not None and steps_per_epoch is not None:
            _check_count("epochs", epochs)
            _check_count("steps_per_epoch", steps_per_epoch)
            self.total_steps = epochs * steps_per_epoch
        else:
            raise ValueError(
                "You must define either total_steps OR (epochs AND steps_per_epoch)"
            )
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        if pct_start < 0 or pct_start > 1 or not isinstance(pct_start, float):
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', "
                f"instead got {anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy
        highest = one_per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for rate, group in zip(highest, optimizer.param_groups, strict=True):
                group["initial_lr"] = rate / div_factor
                group["max_lr"] = rate
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(optimizer, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See `LRScheduler.get_lr`; sets the momentum too."""
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start, phases = 0.0, self._schedule_phases
        while len(phases) > 1 and step > phases[0]["end_step"]:
            start, phases = phases[0]["end_step"], phases[1:]
        phase = phases[0]
        share = (step - start) / (phase["end_step"] - start)
        anneal = anneal_cosine if self._anneal_func_type == "cos" else anneal_linear
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(anneal(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                bounds = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, anneal(*bounds, share))
        return rates


def _phases(steps: int, share: float, three: bool) -> list[dict[str, Any]]:
    """When each phase ends, and between which options of a group it goes."""
    top = float(share * steps) - 1
    names = [("initial_lr", "max_lr", "max_momentum", "base_momentum", top)]
    if three:
        names += [
            ("max_lr", "initial_lr", "base_momentum", "max_momentum", float(2 * share * steps) - 2),
            ("initial_lr", "min_lr", "max_momentum", "max_momentum", steps - 1),
        ]
    else:
        names += [("max_lr", "min_lr", "base_momentum", "max_momentum", steps - 1)]
    return [
        {"end_step": end, "start_lr": first, "end_lr": last, "start_momentum": begin,
         "end_momentum": stop}
        for first, last, begin, stop, end in names
    ]
