"""In: a model that trains. Out: a second one with the mean of its weights over the training, the
learning rates for that, and the batch statistics that belong to the mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from .. import creation
from ..autograd import no_grad
from ..graph.dtypes import int64
from ..nn import Module
from ..nn.modules.batchnorm import _BatchNorm
from ..tensor import Tensor
from .lr_scheduler import LRScheduler
from .lr_scheduler.base import anneal_cosine, anneal_linear, one_per_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def _can_lerp(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[list, list, Any], None]:
    """A function of (means, weights, count) that moves lists of means in place:
    `decay * mean + (1 - decay) * weight`.

    Raises:
        ValueError: a decay outside of [0, 1].
    """
    _check_decay(decay)

    @no_grad()
    def update(means: list[Tensor], weights: list[Tensor], _: Any) -> None:
        for mean, weight in zip(means, weights, strict=True):
            if _can_lerp(mean):
                mean.lerp_(weight, 1 - decay)
            else:
                mean.copy_(mean * decay + weight * (1 - decay))

    return update


def get_swa_multi_avg_fn() -> Callable[[list, list, Any], None]:
    """A function of (means, weights, count) that moves lists of means over `count` weights in
    place, so that they are over one more."""

    @no_grad()
    def update(means: list[Tensor], weights: list[Tensor], count: Any) -> None:
        for mean, weight in zip(means, weights, strict=True):
            if not _can_lerp(mean):
                mean.copy_(mean + (weight - mean) / (count + 1))
            elif isinstance(count, Tensor):
                mean.add_((weight - mean) * (1 / (count + 1)))
            else:
                mean.lerp_(weight, 1 / (count + 1))

    return update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """A function of (mean, weight, count): `decay * mean + (1 - decay) * weight`.

    Raises:
        ValueError: a decay outside of [0, 1].
    """
    _check_decay(decay)

    @no_grad()
    def update(mean: Tensor, weight: Tensor, _: Any) -> Tensor:
        return decay * mean + (1 - decay) * weight

    return update


def get_swa_avg_fn() -> Callable[[Tensor, Tensor, Any], Tensor]:
    """A function of (mean over count weights, weight, count): the mean over one more."""

    @no_grad()
    def update(mean: Tensor, weight: Tensor, count: Any) -> Tensor:
        return mean + (weight - mean) / (count + 1)

    return update


class AveragedModel(Module):
    """A copy of a model whose weights are the mean of those of all calls of `update_parameters`
    (stochastic weight averaging, Izmailov et al. 2018), or another mean.

    Args:
        model: the model that trains.
        device: where the copy lives.
        avg_fn: function of (mean, weight, number averaged) that gives the new mean; the arithmetic
            mean unless given.
        multi_avg_fn: function of (means, weights, number averaged) that changes the means in place.
        use_buffers: average buffers too; they are copied otherwise.

    Raises:
        AssertionError: both functions are given.

    >>> import jittensor as torch
    >>> model = torch.nn.Linear(1, 1)
    >>> mean = torch.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = model.weight.data.fill_(value)
    ...     mean.update_parameters(model)
    >>> mean.module.weight.item(), mean.n_averaged
    (3.0, tensor(3))
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Tensor, Tensor, Any], Tensor] | None = None,
        multi_avg_fn: Callable[[list, list, Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", creation.tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model gives."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present weights into the mean; the first ones are copied."""
        own, others = self._averaged(self.module), self._averaged(model)
        if int(self.n_averaged) == 0:
            for mean, weight in zip(own, others, strict=False):
                mean.copy_(weight)
        elif self.avg_fn is not None:
            for mean, weight in zip(own, others, strict=False):
                mean.copy_(self.avg_fn(mean, weight, self.n_averaged))
        else:
            average = self.multi_avg_fn or get_swa_multi_avg_fn()
            for means, weights in _by_dtype(own, others):
                average(means, weights, self.n_averaged)
        if not self.use_buffers:
            for kept, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
                kept.detach().copy_(buffer.detach())
        self.n_averaged += 1

    def _averaged(self, model: Module) -> list[Tensor]:
        extra = model.buffers() if self.use_buffers else ()
        return [x.detach() for x in chain(model.parameters(), extra)]


def _by_dtype(means: list[Tensor], weights: list[Tensor]) -> Iterable[tuple[list, list]]:
    """Pairs of lists in which all means have one dtype."""
    groups: dict[Any, tuple[list, list]] = {}
    for mean, weight in zip(means, weights, strict=False):
        pair = groups.setdefault(mean.dtype, ([], []))
        pair[0].append(mean)
        pair[1].append(weight)
    return groups.values()


@no_grad()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of a model's batch normalizations anew, as the mean over the
    batches of `loader`.

    Args:
        loader: gives tensors, or lists and tuples whose first element is one.
        model: is run on each batch in training mode; its mode is as before after.
        device: where batches are moved to.
    """
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, _BatchNorm)}
    if not momenta:
        return
    training = model.training
    model.train()
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None      # the mean over all batches
    for batch in loader:
        batch = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(batch if device is None else batch.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """Moves the rate of each group from what it is to `swa_lr`, where it stays.

    Args:
        swa_lr: the last rate, or a list with one for each group.
        anneal_epochs: in how many steps.
        anneal_strategy: 'cos', half a cosine, or 'linear'.

    Raises:
        ValueError: another strategy, negative epochs, or another number of rates than of groups.

    >>> import jittensor as torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    >>> schedule = torch.optim.swa_utils.SWALR(optimizer, 0.5, 2, "linear")
    >>> optimizer.step(), schedule.step(), schedule.get_last_lr()
    (None, None, [0.75])
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = one_per_group("swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', "
                f"instead got {anneal_strategy}"
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the way is done after some steps."""
        done = max(0, min(1, step / max(1, self.anneal_epochs)))
        anneal = anneal_cosine if self._anneal_strategy == "cos" else anneal_linear
        return anneal(0.0, 1.0, done)

    def get_lr(self) -> list[Any]:
        """See `LRScheduler.get_lr`."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            rate, last = group["lr"], group["swa_lr"]
            first = last if before == 1 else (rate - before * last) / (1 - before)
            rates.append(last * now + first * (1 - now))
        return rates
