"""In: models that train. Out: means of their weights, and the batch statistics of the means."""

from __future__ import annotations

import pytest

import jittensor as jt
from jittensor.optim import SGD
from jittensor.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn


def test_means_of_weights():
    model = jt.nn.Linear(2, 1, bias=False)
    mean = AveragedModel(model)
    moving = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    for value in (1.0, 2.0, 6.0):
        model.weight.data.fill_(value)
        mean.update_parameters(model)
        moving.update_parameters(model)
    assert mean.module.weight.tolist() == [[3.0, 3.0]]
    assert moving.module.weight.tolist() == [[3.75, 3.75]]
    assert model.weight.tolist() == [[6.0, 6.0]] and mean.n_averaged.item() == 3


def test_statistics_are_the_mean_over_the_batches():
    model = jt.nn.BatchNorm1d(1, momentum=0.3).eval()
    update_bn([jt.tensor([[0.0], [2.0]]), [jt.tensor([[4.0], [6.0]]), "target"]], model)
    assert model.running_mean.item() == 3.0 and model.running_var.item() == pytest.approx(2.0)
    assert model.momentum == 0.3 and not model.training


def test_rate_goes_to_the_last_one_and_stays():
    optimizer = SGD([jt.nn.Parameter(jt.zeros(1))], lr=1.0)
    schedule = SWALR(optimizer, 0.2, 4, "linear")
    seen = []
    for _ in range(6):
        optimizer.step()
        schedule.step()
        seen.append(schedule.get_last_lr()[0])
    assert seen == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.2, 0.2])
