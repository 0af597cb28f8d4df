"""What a captured step takes for granted: when it changes, the step is captured anew."""

from __future__ import annotations

from collections import defaultdict

import pytest

import jittensor as torch
from jittensor import nn

scale = 2


def scaled(x):
    return x * scale


def test_a_number_of_another_type():
    global scale
    step, x = torch.compile(scaled), torch.arange(3)
    for value in (2, 2, 2, 2.0, 2.0, 2.0, True, True, True, 2, None):
        if value is None:
            break
        scale = value
        out = step(x)
        assert out.dtype is (x * value).dtype
        assert out.tolist() == (x * value).tolist()


class Settings:
    def __init__(self):
        self.gain, self.names, self.weight = 1.5, ["a"], torch.ones(3)


CHANGES = {
    "a plain attribute": lambda s, net: setattr(s, "gain", 3.0),
    "a tensor attribute": lambda s, net: setattr(s, "weight", torch.full((3,), 5.0)),
    "a tensor's values": lambda s, net: s.weight.mul_(4),
    "eval": lambda s, net: net.eval(),
    "a parameter": lambda s, net: setattr(net[0], "bias", nn.Parameter(torch.full((3,), 9.0))),
    "a parameter's data": lambda s, net: setattr(net[0].weight, "data", torch.full((3, 3), 2.0)),
    "a hook": lambda s, net: net.register_forward_hook(lambda m, a, out: out + 100),
    "another dict of hooks": lambda s, net: vars(net).update(
        _forward_hooks={0: lambda m, a, out: out + 100}),
    "an attribute that is gone": lambda s, net: (setattr(type(s), "gain", 4.0),
                                                 delattr(s, "gain")),
    "a child": lambda s, net: net.append(nn.Tanh()),
}


@pytest.mark.parametrize("what", CHANGES)
def test_changes_are_seen(what):
    torch.manual_seed(0)
    settings, net = Settings(), nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.999999))
    x = torch.ones(2, 3)

    def step(x):
        with torch.no_grad():
            return net(x) * settings.gain + settings.weight

    captured = torch.compile(step)
    for _ in range(3):
        captured(x)
    CHANGES[what](settings, net)
    for _ in range(3):
        assert torch.allclose(captured(x), step(x))


def test_hooks_of_all_modules():
    net, x = nn.Linear(2, 2), torch.ones(1, 2)
    captured = torch.compile(lambda x: net(x).detach())
    for _ in range(3):
        plain = captured(x)
    handle = nn.modules.module.register_module_forward_hook(lambda m, a, out: out + 100)
    try:
        for _ in range(3):
            assert torch.allclose(captured(x), plain + 100)
    finally:
        handle.remove()
    assert torch.allclose(captured(x), plain)


HOOKS = {
    "on a gradient": lambda p: p.register_hook(lambda grad: grad * 3),
    "after a gradient": lambda p: p.register_post_accumulate_grad_hook(
        lambda p: p.grad.mul_(3)),
}


@pytest.mark.parametrize("where", HOOKS)
def test_hooks_of_a_parameter(where):
    p, x = nn.Parameter(torch.ones(2)), torch.tensor([1.0, 2.0])

    def step(x):
        p.grad = None
        (p * x).sum().backward()

    captured = torch.compile(step)
    for _ in range(3):
        captured(x)
    handle = HOOKS[where](p)
    for _ in range(3):
        captured(x)
        assert p.grad.tolist() == [3.0, 6.0]
    handle.remove()
    captured(x)
    assert p.grad.tolist() == [1.0, 2.0]


def test_a_list_that_is_shorter():
    weights, x = [torch.ones(2), torch.ones(2)], torch.ones(2)
    captured = torch.compile(lambda x: x + sum(weights))
    for _ in range(3):
        assert captured(x).tolist() == [3.0] * 2
    del weights[1]
    for _ in range(3):
        assert captured(x).tolist() == [2.0] * 2


def test_what_changes_at_each_call_is_not_captured_for_ever():
    settings, x = Settings(), torch.ones(3)
    captured = torch.compile(lambda x: x + settings.weight)
    with pytest.warns(UserWarning, match="another at each call"):
        for k in range(25):
            settings.weight = torch.full((3,), float(k))
            assert captured(x).tolist() == [k + 1.0] * 3
    before = torch.stats().plans_built
    settings.weight = torch.full((3,), 7.0)
    assert captured(x).tolist() == [8.0] * 3 and torch.stats().plans_built - before <= 1


def test_a_programs_log_may_grow():
    log, kept, x = [], [], torch.ones(3)

    def step(x):
        return x * 2 if len(log) >= 0 and kept is not None else x

    captured = torch.compile(step)
    for _ in range(3):
        captured(x)
    before = torch.stats().plans_built
    for k in range(30):
        log.append(float(k))
        kept.append(captured(x))
    assert torch.stats().plans_built == before and all(t.tolist() == [2.0] * 3 for t in kept)


class Trainer:
    """Counts outside of its step, whose helper reads a setting."""

    def __init__(self):
        self.seen, self.gain, self.last = 0, 2.0, None

    def helped(self, x):
        return x * self.gain

    def step(self, x):
        return self.helped(x) + 1


def test_attributes_that_no_step_reads():
    trainer, x = Trainer(), torch.ones(3)
    step = torch.compile(trainer.step)
    for _ in range(3):
        step(x)
    before = torch.stats().plans_built
    for _ in range(30):
        trainer.last = step(x)
        trainer.seen += 3
    assert torch.stats().plans_built == before and trainer.last.tolist() == [3.0] * 3
    trainer.gain = 5.0
    assert step(x).tolist() == [6.0] * 3


def test_steps_are_counted_where_the_optimizer_steps():
    def train(compiled: bool):
        torch.manual_seed(0)
        net = nn.Linear(2, 1)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.1)

        def step(x):
            optimizer.zero_grad()
            loss = net(x).square().sum()
            loss.backward()
            return loss

        run = torch.compile(step) if compiled else step
        for k in range(6):
            run(torch.full((3, 2), float(k)))
            optimizer.step()
        return net.weight.tolist(), [float(s["step"]) for s in optimizer.state.values()]

    assert train(True) == train(False)


class Wrapper:
    """Forwards to an optimizer."""

    def __init__(self, inner):
        self.inner = inner

    @property
    def param_groups(self):
        return self.inner.param_groups

    def step(self):
        self.inner.step()

    def zero_grad(self):
        self.inner.zero_grad()


class Sharing(Wrapper):
    """Has the groups of the optimizer that it forwards to."""

    def __init__(self, inner):
        super().__init__(inner)
        self.__dict__["param_groups"] = inner.param_groups

    param_groups = None


def losses(change, compiled: bool, wrap=lambda optimizer: optimizer) -> list[float]:
    """Ten steps of Adam, with a change of the optimizer after the fifth."""
    torch.manual_seed(0)
    net = nn.Linear(3, 2)
    inner = torch.optim.Adam(net.parameters(), lr=0.05)
    optimizer, found = wrap(inner), []

    def step(x):
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    run = torch.compile(step) if compiled else step
    for k in range(10):
        if k == 5:
            change(inner)
        found.append(run(torch.full((4, 3), 1.0 + k % 2)).item())
    return found


OPTIMIZERS = {
    "state replaced": lambda o: setattr(o, "state", defaultdict(dict)),
    "state cleared": lambda o: o.state.clear(),
    "rate": lambda o: o.param_groups[0].update(lr=0.2),
    "direction": lambda o: o.param_groups[0].update(maximize=True),
    "groups replaced": lambda o: o.load_state_dict(
        {**o.state_dict(), "param_groups": [{**o.state_dict()["param_groups"][0],
                                             "maximize": True}]}),
}


@pytest.mark.filterwarnings("ignore:compile")
@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, Wrapper, Sharing])
@pytest.mark.parametrize("what", OPTIMIZERS)
def test_changes_of_an_optimizer(what, wrap):
    have, want = (losses(OPTIMIZERS[what], compiled, wrap) for compiled in (True, False))
    assert have == pytest.approx(want, rel=1e-5)


def test_training_that_the_class_sets():
    class Switch(nn.Module):
        training = True

        def forward(self, x):
            return x * 2 if self.training else x * 1

    switch, x = Switch(), torch.ones(2)
    del switch.__dict__["training"]
    captured = torch.compile(lambda x: switch(x))
    for _ in range(3):
        assert captured(x).tolist() == [2.0] * 2
    switch.training = False
    assert captured(x).tolist() == [1.0] * 2


@pytest.mark.filterwarnings("ignore:compile")
def test_a_step_that_reads_the_gradient_before():
    def train(compiled: bool) -> list[float]:
        p, found = nn.Parameter(torch.ones(2)), []

        def step(x):
            before = p.grad.clone() if p.grad is not None else torch.zeros(2)
            p.grad = None
            (p * x).sum().backward()
            return (p.grad + before).sum()

        run = torch.compile(step) if compiled else step
        for k in range(6):
            found.append(run(torch.full((2,), float(k))).item())
        return found

    assert train(True) == train(False)


def test_gradients_that_are_added_up():
    def train(compiled: bool) -> list[float]:
        p, found = nn.Parameter(torch.ones(2)), []

        def step(x):
            (p * x).sum().backward()

        run = torch.compile(step) if compiled else step
        for k in range(12):
            run(torch.full((2,), float(k)))
            if k % 4 == 3:
                found.append(p.grad.sum().item())
                if k == 7:
                    p.grad = None
                else:
                    p.grad = torch.ones(2)
        return found

    assert train(True) == train(False)


def test_gradients_that_are_dropped_outside():
    p = nn.Parameter(torch.ones(2))
    captured = torch.compile(lambda x: (p * x).sum().backward())
    for k in range(3):
        p.grad = None
        captured(torch.full((2,), float(k)))
    before = torch.stats().plans_built
    for k in range(20):
        p.grad = None
        captured(torch.full((2,), float(k)))
        assert p.grad.tolist() == [float(k)] * 2
    assert torch.stats().plans_built == before
