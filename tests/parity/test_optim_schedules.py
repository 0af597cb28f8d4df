"""In: the same optimizers under the schedules and averages of jittensor and torch. Out: the same
learning rates, momenta, saved states, means and errors."""

from __future__ import annotations

import copy
import inspect
import warnings

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")


class Height:
    def __init__(self):
        self.seen = 0

    def __call__(self, x):
        self.seen += 1
        return 0.9**x


def chained(S, o):
    return S.ChainedScheduler([S.ConstantLR(o, 0.1, 4), S.ExponentialLR(o, 0.9)])


def sequential(S, o, milestones=(3, 9)):
    return S.SequentialLR(o, [S.LinearLR(o, 0.2, 1.0, 3), S.CosineAnnealingLR(o, 6),
                              S.StepLR(o, 2, 0.5)], list(milestones))


SCHEDULES = {
    "multiplicative": lambda S, o: S.MultiplicativeLR(o, lambda e: 0.95),
    "multiplicative_objects": lambda S, o: S.MultiplicativeLR(o, [Height(), Height()]),
    "constant": lambda S, o: S.ConstantLR(o, 0.25, 4),
    "linear": lambda S, o: S.LinearLR(o, 0.25, 0.8, 7),
    "polynomial": lambda S, o: S.PolynomialLR(o, 9, 1.7),
    "restarts": lambda S, o: S.CosineAnnealingWarmRestarts(o, 4, 2, 0.01),
    "restarts_same": lambda S, o: S.CosineAnnealingWarmRestarts(o, 5),
    "cyclic": lambda S, o: S.CyclicLR(o, [0.1, 0.2], 0.9, 3, 5),
    "cyclic2": lambda S, o: S.CyclicLR(o, 0.1, 0.9, 4, mode="triangular2", base_momentum=0.5),
    "cyclic_exp": lambda S, o: S.CyclicLR(o, 0.1, 0.9, 4, mode="exp_range", gamma=0.9),
    "cyclic_own": lambda S, o: S.CyclicLR(o, 0.1, 0.9, 4, scale_fn=Height(), cycle_momentum=False),
    "one_cycle": lambda S, o: S.OneCycleLR(o, 0.9, total_steps=30),
    "one_cycle3": lambda S, o: S.OneCycleLR(
        o, [0.9, 0.3], epochs=3, steps_per_epoch=10, three_phase=True, anneal_strategy="linear"),
    "chained": chained,
    "sequential": sequential,
    "nested": lambda S, o: S.SequentialLR(o, [chained(S, o), S.ConstantLR(o, 0.5, 9)], [4]),
    "swa": lambda S, o: S.swa.SWALR(o, [0.05, 0.01], 6),
    "swa_linear": lambda S, o: S.swa.SWALR(o, 0.05, 0, "linear"),
}


def schedules(lib):
    """The schedules' module, with `swa_utils` as an attribute."""
    module = lib.optim.lr_scheduler
    module.swa = lib.optim.swa_utils
    return module


def optimizer(lib, kind="SGD", lr=0.37):
    ps = [lib.nn.Parameter(lib.ones(1)), lib.nn.Parameter(lib.ones(1))]
    options = {"momentum": 0.5} if kind == "SGD" else {}
    return getattr(lib.optim, kind)([{"params": ps[0]}, {"params": ps[1], "lr": 0.2}], lr,
                                    **options)


def options_of(o):
    return [{k: float(v) if k == "lr" else v for k, v in g.items() if k != "params"}
            for g in o.param_groups]


def plain(state):
    if isinstance(state, dict):
        return {k: plain(v) for k, v in state.items() if not callable(v)}
    return [plain(v) for v in state] if isinstance(state, list) else state


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name, kind):
    got = []
    for lib in (torch, jt):
        o = optimizer(lib, kind)
        s = SCHEDULES[name](schedules(lib), o)
        seen = [options_of(o)]
        for _ in range(22):
            s.step()
            seen.append(options_of(o))
            assert s.get_last_lr() == [g["lr"] for g in o.param_groups]
        state = copy.deepcopy(plain(s.state_dict()))
        state.pop("anneal_func", None)
        again = SCHEDULES[name](schedules(lib), o)
        again.load_state_dict(s.state_dict())
        again.step()
        seen.append(options_of(o))
        got.append((seen, state))
    compare(got[1], got[0])


def compare(ours, theirs):
    """The same nesting and keys in the same order, and numbers to the last few bits."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            compare(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            compare(x, y)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-14, abs=1e-16)
    else:
        assert ours == theirs and type(ours) is type(theirs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["linear", "constant", "polynomial", "restarts", "sequential"])
def test_tensor_rates_and_epochs(name):
    got = []
    for lib in (torch, jt):
        rate = lib.tensor(0.37)
        o = optimizer(lib, lr=rate)
        s = SCHEDULES[name](schedules(lib), o)
        for _ in range(6):
            s.step()
        assert o.param_groups[0]["lr"] is rate
        rates = [rate.item()]
        if name != "sequential":
            for epoch in (2, 9) if name != "restarts" else (2.5, 9, 30.25):
                s.step(epoch)
                rates.append(rate.item())
        got.append(rates)
    assert got[1] == pytest.approx(got[0], rel=1e-6)


def bad(lib):
    S, o, other = schedules(lib), optimizer(lib), optimizer(lib)
    plateau = S.ReduceLROnPlateau(o)
    return [
        lambda: S.MultiplicativeLR(o, 3),
        lambda: S.MultiplicativeLR(o, [len]),
        lambda: S.ConstantLR(o, 1.5),
        lambda: S.LinearLR(o, 0.0),
        lambda: S.LinearLR(o, 0.5, -1),
        lambda: S.CosineAnnealingWarmRestarts(o, 0),
        lambda: S.CosineAnnealingWarmRestarts(o, 3, 1.5),
        lambda: S.CosineAnnealingWarmRestarts(o, 3, 1, None),
        lambda: S.CosineAnnealingWarmRestarts(o, 3).step(-1),
        lambda: S.CyclicLR(3, 0.1, 0.2),
        lambda: S.CyclicLR(o, 0.1, 0.2, mode="x"),
        lambda: S.CyclicLR(o, [0.1], 0.2),
        lambda: S.CyclicLR(lib.optim.Adagrad([lib.nn.Parameter(lib.ones(1))]), 0.1, 0.2),
        lambda: S.OneCycleLR(o, 0.1),
        lambda: S.OneCycleLR(o, 0.1, 0),
        lambda: S.OneCycleLR(o, 0.1, epochs=-1, steps_per_epoch=2),
        lambda: S.OneCycleLR(o, 0.1, 10, pct_start=2),
        lambda: S.OneCycleLR(o, 0.1, 10, anneal_strategy="x"),
        lambda: [S.OneCycleLR(o, 0.1, 1).step() for _ in range(3)],
        lambda: S.ChainedScheduler([]),
        lambda: S.ChainedScheduler([plateau]),
        lambda: S.ChainedScheduler([3], o),
        lambda: S.SequentialLR(o, [], []),
        lambda: S.SequentialLR(o, [S.StepLR(o, 1)], [1]),
        lambda: S.swa.SWALR(o, 0.1, -1),
        lambda: S.swa.SWALR(o, 0.1, 1, "x"),
        lambda: S.swa.get_ema_avg_fn(2.0),
        lambda: S.swa.get_ema_multi_avg_fn(-1.0),
        lambda: S.swa.AveragedModel(lib.nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max),
        lambda: S.ConstantLR(o).get_lr(),
        lambda: S.SequentialLR(o, [S.StepLR(other, 1)], []),
    ]


def outcome(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
            error = None
        except Exception as e:
            error = type(e).__name__, str(e).replace("jittensor", "torch")
    return error, [(w.category.__name__, str(w.message)) for w in caught]


def test_errors():
    for i, (ours, theirs) in enumerate(zip(bad(jt), bad(torch), strict=True)):
        expected = outcome(theirs)
        assert outcome(ours) == expected and any(expected), (i, outcome(ours), expected)


@pytest.mark.parametrize("name", torch.optim.lr_scheduler.__all__)
def test_signatures(name):
    ours, theirs = (inspect.signature(getattr(lib.optim.lr_scheduler, name)).parameters
                    for lib in (jt, torch))
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()]


def model(lib):
    lib.manual_seed(0)
    m = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4))
    for p in m.parameters():
        p.data.uniform_()
    return m


AVERAGES = {
    "mean": lambda U: {},
    "buffers": lambda U: {"use_buffers": True},
    "ema": lambda U: {"multi_avg_fn": U.get_ema_multi_avg_fn(0.9), "use_buffers": True},
    "avg_fn": lambda U: {"avg_fn": U.get_ema_avg_fn(0.8)},
    "swa_fn": lambda U: {"avg_fn": U.get_swa_avg_fn()},
    "own": lambda U: {"avg_fn": lambda mean, new, n: 0.1 * mean + 0.9 * new},
}


@pytest.mark.parametrize("name", AVERAGES)
def test_averaged_model(name):
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=(5, 3)).astype("float32") for _ in range(4)]
    got = []
    for lib in (torch, jt):
        U = lib.optim.swa_utils
        m = model(lib)
        average = U.AveragedModel(m, **AVERAGES[name](U))
        for batch in batches:
            with lib.no_grad():
                m(lib.tensor(batch))
                for p in m.parameters():
                    p.mul_(1.25)
            average.update_parameters(m)
        state = {k: v.clone() for k, v in average.state_dict().items()}
        U.update_bn([(lib.tensor(b), None) for b in batches], average)
        state |= {"after " + k: v for k, v in average.state_dict().items()}
        got.append((state, average(lib.tensor(batches[0])), average.training))
    assert list(got[1][0]) == list(got[0][0]) and got[0][2] == got[1][2]
    for key, value in got[0][0].items():
        ours = got[1][0][key]
        assert str(ours.dtype) == str(value.dtype)
        np.testing.assert_allclose(ours.numpy(), value.numpy(), rtol=2e-6, atol=1e-7)
    np.testing.assert_allclose(got[1][1].detach().numpy(), got[0][1].detach().numpy(), rtol=1e-5,
                               atol=1e-6)
