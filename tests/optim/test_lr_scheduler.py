"""In: optimizers and schedules. Out: learning rates by their formulas, warnings, saved states."""

from __future__ import annotations

import math

import pytest

import jittensor as jt
from jittensor.nn import Parameter
from jittensor.optim import SGD, Optimizer
from jittensor.optim import lr_scheduler as S


def optimizer(lr=0.4) -> Optimizer:
    return SGD([Parameter(jt.ones(1))], lr)


def rates(schedule, steps=12):
    seen = [schedule.get_last_lr()[0]]
    for _ in range(steps):
        schedule.optimizer.step()
        schedule.step()
        seen.append(schedule.optimizer.param_groups[0]["lr"])
    return seen


CASES = {
    "step": (lambda o: S.StepLR(o, 3, 0.5), lambda t: 0.4 * 0.5 ** (t // 3)),
    "multistep": (
        lambda o: S.MultiStepLR(o, [2, 5, 5], 0.1),
        lambda t: 0.4 * 0.1 ** (0 if t < 2 else 1 if t < 5 else 3),
    ),
    "exponential": (lambda o: S.ExponentialLR(o, 0.9), lambda t: 0.4 * 0.9**t),
    "cosine": (
        lambda o: S.CosineAnnealingLR(o, 5, 0.1),
        lambda t: 0.1 + 0.3 * (1 + math.cos(math.pi * t / 5)) / 2,
    ),
    "lambda": (lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 0.4 / (1 + t)),
    "multiplicative": (lambda o: S.MultiplicativeLR(o, lambda t: 0.9), lambda t: 0.4 * 0.9**t),
    "constant": (lambda o: S.ConstantLR(o, 0.5, 4), lambda t: 0.2 if t < 4 else 0.4),
    "linear": (
        lambda o: S.LinearLR(o, 0.5, 1.0, 5), lambda t: 0.4 * (0.5 + 0.5 * min(t, 5) / 5),
    ),
    "polynomial": (
        lambda o: S.PolynomialLR(o, 10, 2.0), lambda t: 0.4 * (1 - min(t, 10) / 10) ** 2,
    ),
    "restarts": (
        lambda o: S.CosineAnnealingWarmRestarts(o, 4),
        lambda t: 0.4 * (1 + math.cos(math.pi * (t % 4) / 4)) / 2,
    ),
    "cyclic": (
        lambda o: S.CyclicLR(o, 0.1, 0.4, 3, cycle_momentum=False),
        lambda t: 0.1 + 0.3 * (1 - abs(t % 6 - 3) / 3),
    ),
    "one cycle": (
        lambda o: S.OneCycleLR(o, 0.4, 20, anneal_strategy="linear", cycle_momentum=False),
        lambda t: 0.016 + (0.4 - 0.016) * t / 5 if t <= 5
        else 0.4 + (0.0000016 - 0.4) * (t - 5) / 14,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_formula(name):
    make, formula = CASES[name]
    assert rates(make(optimizer())) == pytest.approx([formula(t) for t in range(13)], abs=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_saved_schedule_goes_on(name):
    make, formula = CASES[name]
    first = make(optimizer())
    rates(first, 4)
    second = make(optimizer())
    second.optimizer.param_groups[0]["lr"] = first.get_last_lr()[0]
    second.load_state_dict(first.state_dict())
    assert "optimizer" not in first.state_dict()
    assert rates(second, 3)[-1] == pytest.approx(formula(7))


def test_tensor_rate_is_written_in_place():
    rate = jt.tensor(0.5)
    opt = optimizer(rate)
    rates(S.ExponentialLR(opt, 0.5), 2)
    assert opt.param_groups[0]["lr"] is rate and rate.item() == 0.125


def test_plateau():
    opt = optimizer(1.0)
    schedule = S.ReduceLROnPlateau(opt, factor=0.1, patience=1, cooldown=1, min_lr=0.05)
    seen = []
    for loss in (5, 5, 5, 5, 5, 5, 4, 4, 4):
        schedule.step(jt.tensor(float(loss)))
        seen.append(opt.param_groups[0]["lr"])
    assert seen == [1.0, 1.0, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05]
    with pytest.raises(ValueError, match="mode up is unknown"):
        S.ReduceLROnPlateau(opt, "up")


def test_order_and_misuse_warn():
    schedule = S.StepLR(optimizer(), 1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        schedule.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        schedule.get_lr()
    opt = optimizer()
    schedule = S.StepLR(opt, 1)
    opt.step = lambda: None
    with pytest.warns(UserWarning, match="overridden after"):
        schedule.step()
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        S.StepLR(3, 1)
    with pytest.raises(KeyError, match="initial_lr"):
        S.StepLR(optimizer(), 1, last_epoch=2)
