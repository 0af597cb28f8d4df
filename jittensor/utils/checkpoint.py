"""Checkpoints: a function and its arguments in, its result out, with what backward needs computed
again in place of being kept (Chen et al. 2016)."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

from .. import random
from ..autograd import backward as _backward
from ..autograd.function import Function
from ..autograd.graph import saved_tensors_hooks
from ..autograd.modes import enable_grad, is_grad_enabled, modes, set_grad_enabled
from ..tensor import Tensor

__all__ = ["CheckpointError", "CheckpointFunction", "checkpoint", "checkpoint_sequential",
           "noop_context_fn", "set_checkpoint_early_stop"]


class CheckpointError(RuntimeError):
    """What was computed again is not what was computed before."""


def noop_context_fn() -> tuple:
    """Two contexts that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def detach_variable(inputs: tuple) -> tuple:
    """Leaves over the same memory, needing gradients where the inputs do."""
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x
                 for x in inputs)


class CheckpointFunction(Function):
    """The reentrant form: backward runs the function again and goes backward through that."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable, preserve_rng_state: bool, *args: Any) -> Any:
        if any(isinstance(a, Tensor) for a in args) and is_outer_recording(args) is False:
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None",
                          stacklevel=3)
        ctx.run_function, ctx.preserve = run_function, preserve_rng_state
        ctx.state = random.get_rng_state() if preserve_rng_state else None
        ctx.places = [k for k, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.inputs = [None if isinstance(a, Tensor) else a for a in args]
        ctx.save_for_backward(*(args[k] for k in ctx.places))
        return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if not modes.whole:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument.")
        inputs = list(ctx.inputs)
        for k, x in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[k] = x
        with _replayed(ctx.state):
            detached = detach_variable(tuple(inputs))
            with enable_grad():
                outputs = ctx.run_function(*detached)
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        pairs = [(y, g) for y, g in zip(outputs, grads, strict=True)
                 if isinstance(y, Tensor) and y.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not "
                               "necessary")
        _backward([y for y, _ in pairs], [g for _, g in pairs])
        return None, None, *(x.grad if isinstance(x, Tensor) else None for x in detached)


def is_outer_recording(args: tuple) -> bool:
    """Whether any argument needs a gradient."""
    return any(isinstance(a, Tensor) and a.requires_grad for a in args)


@contextlib.contextmanager
def _replayed(state: Tensor | None):
    """The generator as it was, and as it is again afterwards."""
    if state is None:
        yield
        return
    now = random.get_rng_state()
    random.set_rng_state(state)
    try:
        yield
    finally:
        random.set_rng_state(now)


# ── the form without reentrance ───────────────────────────────────────────────────────────────
class _Stop(Exception):
    """The tensors that are still needed have all been computed again."""


class _Frame:
    """One checkpointed call: how to run it again, and the tensors that this gave."""

    def __init__(self, again: Callable[[], Any], state: Tensor | None, early_stop: bool):
        self.again, self.state, self.early_stop = again, state, early_stop
        self.count = 0                       # tensors that forward saved
        self.meta: list[tuple] = []
        self.values: dict[int, Tensor] = {}

    def pack(self, x: Tensor) -> int:
        """Forgets a saved tensor; its number stands for it."""
        self.meta.append((tuple(x.shape), x.dtype))
        self.count += 1
        return self.count - 1

    def unpack(self, number: int) -> Tensor:
        """A saved tensor, computed again with all the others when it is the first one."""
        if number not in self.values:
            self._compute()
        if number not in self.values:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\nNumber of tensors saved during forward: "
                f"{self.count}\nNumber of tensors saved during recomputation: {len(self.values)}")
        return self.values[number]

    def _compute(self) -> None:
        self.values.clear()

        def keep(x: Tensor) -> int:
            k = len(self.values)
            if k < self.count and self.meta[k] != (tuple(x.shape), x.dtype):
                raise CheckpointError(
                    "torch.utils.checkpoint: Recomputed values for the following tensors have "
                    "different metadata than during the forward pass.\ntensor at position "
                    f"{k}:\nsaved metadata: {self.meta[k]}\nrecomputed metadata: "
                    f"{(tuple(x.shape), x.dtype)}")
            self.values[k] = x.detach()
            if self.early_stop and k + 1 == self.count:
                raise _Stop
            return k

        with _replayed(self.state), enable_grad(), saved_tensors_hooks(keep, lambda k: k):
            with contextlib.suppress(_Stop):
                self.again()


_early_stop: list[bool] = []


class set_checkpoint_early_stop:  # noqa: N801
    """Inside, whether a second run stops once all that is needed has been computed."""

    def __init__(self, enable: bool):
        self.enable = enable

    def __enter__(self) -> None:
        _early_stop.append(self.enable)

    def __exit__(self, *exc) -> None:
        _early_stop.pop()


def checkpoint(function: Callable, *args: Any, use_reentrant: bool | None = None,
               context_fn: Callable = noop_context_fn, determinism_check: str = "default",
               debug: bool = False, early_stop: bool = True, **kwargs: Any) -> Any:
    """function(*args, **kwargs), computed again in backward in place of keeping what it saves.

    Args:
        use_reentrant: False (recommended): saved tensors are recomputed when first asked for.
            True: backward runs the function again and calls backward on it; arguments by keyword
            are not allowed, and `autograd.grad` does not reach parameters used inside.
        preserve_rng_state: (by keyword, True) the second run draws what the first one drew.

    >>> import jittensor as torch
    >>> from jittensor.utils.checkpoint import checkpoint
    >>> x = torch.ones(2, requires_grad=True)
    >>> checkpoint(lambda v: v.exp().sin(), x, use_reentrant=False).sum().backward()
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
            "exception. use_reentrant=False is recommended, but if you need to preserve the "
            "current default behavior, you can pass use_reentrant=True.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when "
                             "use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    first, second = context_fn()
    if not is_grad_enabled():
        with first:
            return function(*args, **kwargs)

    def again() -> Any:
        with second, set_grad_enabled(True):
            return function(*args, **kwargs)

    stop = _early_stop[-1] if _early_stop else early_stop
    frame = _Frame(again, random.get_rng_state() if preserve else None, stop)
    with saved_tensors_hooks(frame.pack, frame.unpack), first:
        return function(*args, **kwargs)


def checkpoint_sequential(functions: Any, segments: int, input: Any,
                          use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """The functions (or a Sequential's modules) one after another, in `segments` checkpoints; the
    last one is kept as it is."""
    if use_reentrant is None:
        warnings.warn("torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter "
                      "should be passed explicitly.", stacklevel=2)
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(steps) // segments

    def part(start: int, end: int) -> Callable:
        def forward(x: Any) -> Any:
            for step in steps[start:end]:
                x = step(x)
            return x

        return forward

    for start in range(0, size * (segments - 1), size):
        input = checkpoint(part(start, start + size), input, use_reentrant=use_reentrant,
                           preserve_rng_state=preserve)
    return part(size * (segments - 1), len(steps))(input)
