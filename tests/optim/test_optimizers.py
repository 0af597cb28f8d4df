"""In: parameters and gradients. Out: the steps of SGD, Adam and AdamW by their formulas, state."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import jittensor as jt
from jittensor.nn import Parameter
from jittensor.optim import SGD, Adam, AdamW, Optimizer
from jittensor.optim.optimizer import register_optimizer_step_post_hook

START = np.array([0.5, -1.0, 2.0])
GRADS = np.random.default_rng(0).normal(size=(5, 3))


def train(make, steps=5):
    param = Parameter(jt.tensor(START))
    optimizer = make([param])
    for grad in GRADS[:steps]:
        param.grad = jt.tensor(grad)
        optimizer.step()
    return param, optimizer


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov):
    param, optimizer = train(
        lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov)
    )
    x, buffer = START.copy(), None
    for g in GRADS:
        g = g + 0.01 * x
        buffer = g if buffer is None else 0.9 * buffer + g
        x = x - 0.1 * (g + 0.9 * buffer if nesterov else buffer)
    np.testing.assert_allclose(param.detach().numpy(), x, rtol=1e-12)
    kept = optimizer.state_dict()["state"][0]["momentum_buffer"]
    np.testing.assert_allclose(kept.numpy(), buffer, rtol=1e-12)


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_adam(kind, amsgrad):
    param, _ = train(lambda p: kind(p, 0.05, (0.8, 0.9), weight_decay=0.1, amsgrad=amsgrad))
    x, m, v, most = START.copy(), 0.0, 0.0, 0.0
    for t, g in enumerate(GRADS, start=1):
        if kind is AdamW:
            x = x * (1 - 0.05 * 0.1)
        else:
            g = g + 0.1 * x
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        most = np.maximum(most, v) if amsgrad else v
        x = x - 0.05 * (m / (1 - 0.8**t)) / (np.sqrt(most / (1 - 0.9**t)) + 1e-8)
    np.testing.assert_allclose(param.detach().numpy(), x, rtol=1e-10)


def test_maximize_turns_the_direction():
    up, _ = train(lambda p: SGD(p, 0.1, maximize=True), 1)
    np.testing.assert_allclose(up.detach().numpy(), START + 0.1 * GRADS[0], rtol=1e-12)


def test_groups_have_options_of_their_own():
    a, b = Parameter(jt.ones(1)), Parameter(jt.ones(1))
    optimizer = SGD([{"params": a, "lr": 1.0}, {"params": [b]}], lr=0.5)
    a.grad = b.grad = jt.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (0.0, 0.5)
    assert "Parameter Group 1\n    dampening: 0" in repr(optimizer)
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": a})


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, momentum=0.9), Adam])
def test_a_saved_optimizer_goes_on_as_it_would_have(make):
    whole, _ = train(make)
    half, optimizer = train(make, 3)
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    again = make([half])
    again.load_state_dict(saved)
    for grad in GRADS[3:]:
        half.grad = jt.tensor(grad)
        again.step()
    np.testing.assert_array_equal(half.detach().numpy(), whole.detach().numpy())


def test_step_counts_are_tensors_outside():
    param, optimizer = train(Adam, 3)
    count = optimizer.state[param]["step"]
    assert count.dtype == jt.float32 and count.dim() == 0 and count.item() == 3
    optimizer.state[param]["step"] = jt.tensor(10.0)
    optimizer.step()
    assert optimizer.state_dict()["state"][0]["step"].item() == 11
    assert copy.deepcopy(optimizer).state_dict()["state"][0]["step"].item() == 11


def test_loading_does_not_tie_the_count_to_the_dict():
    param, optimizer = train(Adam, 2)
    saved = optimizer.state_dict()
    other = Adam([Parameter(jt.tensor(START))])
    other.load_state_dict(saved)
    optimizer.step()
    assert other.state_dict()["state"][0]["step"].item() == 2


def test_closure_runs_with_gradients_and_its_loss_comes_back():
    param = Parameter(jt.tensor([3.0]))
    optimizer = SGD([param], 0.5)

    def closure():
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    with jt.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert param.item() == 0.0


def test_hooks_run_once_around_steps_that_call_each_other():
    class Inner(SGD):
        def step(self, closure=None):
            return super().step(closure)

    log = []
    param = Parameter(jt.ones(1))
    optimizer = Inner([param], 0.1)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append("pre"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("post"))
    with register_optimizer_step_post_hook(lambda o, args, kwargs: log.append("global")):
        optimizer.step()
    assert log == ["pre", "post", "global"]


def test_zero_grad():
    param, optimizer = train(lambda p: SGD(p, 0.1), 1)
    optimizer.zero_grad(set_to_none=False)
    assert param.grad.tolist() == [0.0, 0.0, 0.0]
    optimizer.zero_grad()
    assert param.grad is None
    before = param.tolist()
    optimizer.step()
    assert param.tolist() == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: SGD([], 0.1), ValueError, "empty parameter list"),
        (lambda p: SGD(p, 0.1), TypeError, "iterable of Tensors or dicts"),
        (lambda p: SGD([3], 0.1), TypeError, "only optimize Tensors"),
        (lambda p: SGD([p * 2], 0.1), ValueError, "non-leaf"),
        (lambda p: SGD([p], -1.0), ValueError, "Invalid learning rate: -1.0"),
        (lambda p: SGD([p], nesterov=True), ValueError, "Nesterov momentum requires"),
        (lambda p: SGD({p}, 0.1).add_param_group({"params": {p}}), TypeError, "ordered"),
        (lambda p: Adam([p], betas=(1.0, 0.9)), ValueError, "beta parameter at index 0"),
        (lambda p: Adam([p], eps=-1.0), ValueError, "Invalid epsilon"),
        (
            lambda p: SGD([p]).load_state_dict(
                SGD([p, p * 1 is None or Parameter(p.data)]).state_dict()
            ),
            ValueError,
            "doesn't match the size",
        ),
        (lambda p: Optimizer([p], {}).step(), NotImplementedError, "step"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(Parameter(jt.ones(2)))


FORMULAS = {
    "RMSprop": {"momentum": 0.9, "centered": True, "weight_decay": 0.1},
    "Adagrad": {"lr_decay": 0.1, "weight_decay": 0.1},
    "Adadelta": {"weight_decay": 0.1},
    "Adamax": {"weight_decay": 0.1},
    "NAdam": {"weight_decay": 0.1},
    "RAdam": {"weight_decay": 0.1},
    "ASGD": {"weight_decay": 0.1},
    "Rprop": {},
    "Adam": {"weight_decay": 0.1, "amsgrad": True},
    "SGD": {"momentum": 0.9, "nesterov": True},
}


@pytest.mark.parametrize("name", FORMULAS)
def test_an_update_is_one_kernel_and_compiles_once(name):
    params = [Parameter(jt.ones(40, 30)), Parameter(jt.ones(30, 40))]
    optimizer = getattr(jt.optim, name)(params, **FORMULAS[name])
    scalars = {"NAdam": 2, "ASGD": 4}.get(name, 0)       # numbers of each parameter's state
    for step in range(8):
        for p in params:
            p.grad = jt.full_like(p.detach(), 0.1 + step).realize()
        before = jt.stats().kernels_launched, jt.stats().kernels_compiled, jt.stats().realizes
        optimizer.step()
        after = jt.stats()
        if step > 5:
            assert after.kernels_launched - before[0] <= len(params) * (1 + scalars)
            assert after.kernels_compiled == before[1]
            assert after.realizes == before[2] + 1


@pytest.mark.parametrize("name", [*FORMULAS, "Adafactor"])
def test_a_compiled_step_goes_on_as_a_plain_one(name):
    results = []
    for wrap in (lambda f: f, jt.compile):
        param = Parameter(jt.tensor(START, dtype=jt.float32))
        optimizer = getattr(jt.optim, name)([param], lr=0.1)
        target = jt.tensor([1.0, 2.0, 3.0])

        def step(param=param, optimizer=optimizer, target=target):
            optimizer.zero_grad()
            loss = (param - target).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        losses = [run().item() for _ in range(9)]
        results.append((losses, param.tolist(), 
                        optimizer.state_dict()["state"].get(0, {}).get("step", 0)))
    assert results[0][0] == results[1][0] and results[0][1] == results[1][1]
    assert float(results[0][2]) == float(results[1][2])


def test_differentiable_steps_carry_gradients():
    lr = jt.tensor(0.5, requires_grad=True)
    start = jt.tensor([2.0], requires_grad=True)
    param = start.clone()
    param.grad = start * 3
    jt.optim.Adagrad([param], lr=0.5, differentiable=True).step()
    param.backward()
    assert start.grad.item() == pytest.approx(1.0)       # g / |g| does not depend on the start
    assert lr.grad is None
