"""In: schedules of one optimizer. Out: schedules that step all of them, or one after another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ..optimizer import Optimizer
from .base import LRScheduler, set_value, values_of
from .plateau import ReduceLROnPlateau

__all__ = ["ChainedScheduler", "SequentialLR"]


class _Composed(LRScheduler):
    """Base of schedules that are made of others."""

    def _check_parts(
        self, optimizer: Any, schedulers: Sequence[LRScheduler], purpose: str
    ) -> None:
        name = type(self).__name__
        if len(schedulers) < 1:
            raise ValueError(
                f"{name} expects at least one scheduler{purpose}, but got no scheduler."
            )
        optimizer = optimizer or schedulers[0].optimizer
        for i, part in enumerate(schedulers):
            if not hasattr(part, "optimizer"):
                raise TypeError(f"{name} at index {i} should have `optimizer` as its attribute.")
            if isinstance(part, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires "
                    "additional kwargs to be specified when calling `step`, but got one at index "
                    f"{i} in the given schedulers sequence."
                )
            if optimizer is not part.optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got "
                    f"scheduler {type(part).__name__} at index {i} has {part.optimizer}, which is "
                    f"different from {type(optimizer).__name__}."
                )
        self._schedulers = schedulers
        self.optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        """As `LRScheduler.state_dict`, with those of the parts."""
        state = super().state_dict()
        del state["_schedulers"]
        state["_schedulers"] = [part.state_dict() for part in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As `LRScheduler.load_state_dict`, the parts too."""
        own = self._schedulers
        self.__dict__.update(state_dict)
        self._schedulers = own
        for part, state in zip(own, state_dict["_schedulers"], strict=True):
            part.load_state_dict(state)


class ChainedScheduler(_Composed):
    """Steps several schedules at once, in order: each acts on the rates that the one before left.

    Args:
        schedulers: schedules of one optimizer.
        optimizer: that one, or None.

    Raises:
        ValueError: no schedules, schedules of several optimizers, or a `ReduceLROnPlateau`.

    >>> import jittensor as torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> S = torch.optim.lr_scheduler
    >>> halved, chained = S.ExponentialLR(optimizer, 0.5), S.ExponentialLR(optimizer, 0.5)
    >>> chained = S.ChainedScheduler([halved, chained])
    >>> optimizer.step(), chained.step(), chained.get_last_lr()
    (None, None, [0.25])
    """

    def __init__(
        self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None
    ) -> None:
        self._check_parts(optimizer, schedulers, " to be chained")
        self._last_lr = values_of(self.optimizer, "lr")

    def step(self) -> None:
        """Step all schedules."""
        for part in self._schedulers:
            part.step()
        self._last_lr = values_of(self.optimizer, "lr")


class SequentialLR(_Composed):
    """Steps one schedule up to a milestone, then the next one from its start, and so on.

    Args:
        schedulers: schedules of the optimizer.
        milestones: the steps from which on the second, third, … is used.

    Raises:
        ValueError: no schedules, schedules of another optimizer, a `ReduceLROnPlateau`, or another
            number of milestones than one less than of schedules.

    >>> import jittensor as torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> S = torch.optim.lr_scheduler
    >>> warm, falling = S.ConstantLR(optimizer, 0.5, 9), S.ExponentialLR(optimizer, 0.5)
    >>> schedule = S.SequentialLR(optimizer, [warm, falling], [2])
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.get_last_lr()
    ...     optimizer.step()
    ...     schedule.step()
    >>> rates
    [0.5, 0.5, 1.0, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRScheduler],
        milestones: list[int],
        last_epoch: int = -1,
    ) -> None:
        self._check_parts(optimizer, schedulers, "")
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than "
                "the number of milestone points, but got number of schedulers "
                f"{len(schedulers)} and the number of milestones to be equal to {len(milestones)}"
            )
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        # Each part took its first step when it was made: take those back but for the first part's.
        for group in optimizer.param_groups:
            set_value(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = self._schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Set the step counts of all parts, and of theirs, back by one."""
        schedule = self if sched is None else sched
        if hasattr(schedule, "_schedulers"):
            for part in schedule._schedulers:
                self.recursive_undo(part)
        elif hasattr(schedule, "last_epoch"):
            schedule.last_epoch -= 1

    def step(self) -> None:
        """Step the schedule whose turn it is."""
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        part = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            part._update_lr(0)
        else:
            part.step()
        self._last_lr = part.get_last_lr()
