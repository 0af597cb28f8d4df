"""In: the same gradients for the optimizers of jittensor and torch. Out: the same parameters, state
dicts that go over in both directions, the same errors."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")

STEPS = 20
RNG = np.random.default_rng(0)
START = RNG.normal(size=(4, 5)).astype("float32")
GRADS = RNG.normal(size=(STEPS, 4, 5)).astype("float32")

CASES = {
    "RMSprop": [{}, {"momentum": 0.9, "centered": True, "weight_decay": 0.1},
                {"alpha": 0.8, "maximize": True}],
    "Adagrad": [{}, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1,
                     "initial_accumulator_value": 0.5, "maximize": True}],
    "Adadelta": [{}, {"rho": 0.5, "weight_decay": 0.1, "maximize": True}],
    "Adamax": [{}, {"lr": 0.1, "betas": (0.5, 0.8), "weight_decay": 0.1, "maximize": True}],
    "NAdam": [{}, {"lr": 0.1, "weight_decay": 0.1, "momentum_decay": 0.1},
              {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}],
    "RAdam": [{"lr": 0.1}, {"betas": (0.8, 0.9), "weight_decay": 0.1},
              {"weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}],
    "ASGD": [{}, {"lr": 0.1, "lambd": 0.1, "t0": 5.0, "weight_decay": 0.1, "maximize": True}],
    "Rprop": [{}, {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (0.05, 0.2), "maximize": True}],
    "Adafactor": [{}, {"lr": 0.1, "weight_decay": 0.1, "maximize": True},
                  {"d": 2.0, "eps": (1e-3, 1e-2)}],
}
ALL = [(name, k) for name, options in CASES.items() for k in range(len(options))]


def make(lib, name, k, param):
    return getattr(lib.optim, name)([param], **CASES[name][k])


def steps(lib, optimizer, param, grads):
    for grad in grads:
        param.grad = lib.tensor(grad).to(param.dtype)
        optimizer.step()


def compare(ours, theirs, rtol=1e-6, atol=1e-7):
    """The same nesting, keys and types, and numbers that are close."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            compare(ours[key], theirs[key], rtol, atol)
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            compare(x, y, rtol, atol)
    elif isinstance(theirs, torch.Tensor):
        assert str(ours.dtype) == str(theirs.dtype) and ours.shape == tuple(theirs.shape)
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol, atol)
    else:
        assert type(ours) is type(theirs), (ours, theirs)
        close = isinstance(theirs, float) and ours == pytest.approx(theirs, rel=rtol, abs=atol)
        assert close or ours == theirs, (ours, theirs)


def crossed(value, lib):
    """A state dict with the other library's tensors."""
    if isinstance(value, dict):
        return {k: crossed(v, lib) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(crossed(v, lib) for v in value)
    if hasattr(value, "detach"):
        return lib.from_numpy(np.array(value.detach().numpy()))
    return value


@pytest.mark.parametrize(("name", "k"), ALL)
def test_twenty_steps_and_crossing_over(name, k):
    half = STEPS // 2
    sides = {}
    for lib in (torch, jt):
        param = lib.nn.Parameter(lib.tensor(START))
        optimizer = make(lib, name, k, param)
        steps(lib, optimizer, param, GRADS[:half])
        sides[lib] = param, optimizer
    (theirs, their_opt), (ours, our_opt) = sides[torch], sides[jt]
    compare(our_opt.state_dict(), their_opt.state_dict())
    assert repr(our_opt) == repr(their_opt)
    for lib, other, param in ((torch, our_opt, ours), (jt, their_opt, theirs)):
        # Each goes on from the other's state as its own does.
        moved = lib.nn.Parameter(lib.tensor(param.detach().numpy().copy()))
        optimizer = make(lib, name, k, moved)
        optimizer.load_state_dict(crossed(other.state_dict(), lib))
        steps(lib, optimizer, moved, GRADS[half:])
        sides[lib] = (*sides[lib], moved, optimizer)
    for lib, (param, optimizer, _, _) in sides.items():
        steps(lib, optimizer, param, GRADS[half:])
    compare(ours, theirs, rtol=2e-6, atol=2e-7)
    compare(sides[jt][2], theirs, rtol=2e-6, atol=2e-7)
    compare(sides[jt][2], sides[torch][2], rtol=2e-6, atol=2e-7)
    compare(sides[jt][3].state_dict(), their_opt.state_dict(), rtol=3e-6, atol=3e-7)


@pytest.mark.parametrize("name", [n for n in CASES if n != "Adafactor"])
@pytest.mark.parametrize("kind", ["complex64", "float64"])
def test_dtypes(name, kind):
    seen = []
    for lib in (torch, jt):
        param = lib.nn.Parameter(lib.tensor(START[:2] + 0).to(getattr(lib, kind)))
        optimizer = make(lib, name, len(CASES[name]) - 1, param)
        grads = GRADS[:3, :2] * (1 + 2j) if kind == "complex64" else GRADS[:3, :2]
        steps(lib, optimizer, param, grads)
        seen.append((param, optimizer.state_dict()))
    compare(seen[1], seen[0], rtol=1e-6 if kind == "complex64" else 1e-12)


def test_muon():
    seen = []
    for lib in (torch, jt):
        params = [lib.nn.Parameter(lib.tensor(START)), lib.nn.Parameter(lib.tensor(START.T + 0))]
        optimizer = lib.optim.Muon(params, lr=0.1, adjust_lr_fn="match_rms_adamw")
        for grad in GRADS[:3]:
            params[0].grad, params[1].grad = lib.tensor(grad), lib.tensor(grad.T + 0)
            optimizer.step()
        seen.append((params, optimizer.state_dict()))
    compare(seen[1][1], seen[0][1])
    for ours, theirs in zip(seen[1][0], seen[0][0], strict=True):
        # The iteration is in bfloat16, whose products round in another order.
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), atol=0.01)


@pytest.mark.parametrize("options", [
    {}, {"lr": 0.5, "max_iter": 4, "history_size": 2}, {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "max_iter": 5, "history_size": 3, "lr": 0.1},
])
def test_lbfgs(options):
    seen = []
    for lib in (torch, jt):
        x = lib.nn.Parameter(lib.tensor([-1.2, 1.0], dtype=lib.float64))
        y = lib.nn.Parameter(lib.tensor([[0.5]], dtype=lib.float64))
        optimizer = lib.optim.LBFGS([x, y], **{"lr": 0.01, **options})
        calls = []

        def closure(x=x, y=y, optimizer=optimizer, calls=calls):
            optimizer.zero_grad()
            a, b = x[0], x[1]
            loss = ((1 - a) ** 2 + 100 * (b - a * a) ** 2 + (y - a).square().sum())
            loss.backward()
            calls.append(loss.item())
            return loss

        first = [optimizer.step(closure).item() for _ in range(3)]
        state = optimizer.state_dict()
        optimizer.load_state_dict(state)
        first.append(optimizer.step(closure).item())
        seen.append((x, y, first, calls, optimizer.state_dict()))
    compare(seen[1], seen[0], rtol=1e-7, atol=1e-9)


def test_sparse_gradients():
    for name, options in (("SparseAdam", {}), ("Adagrad", {}), ("SGD", {"lr": 0.1}),
                          ("SparseAdam", {"lr": 0.1, "maximize": True})):
        seen = []
        for lib in (torch, jt):
            param = lib.nn.Parameter(lib.tensor(START))
            optimizer = getattr(lib.optim, name)([param], **options)
            for rows in ([3, 0, 3], [1, 3, 1]):
                param.grad = lib.sparse_coo_tensor([rows], lib.tensor(GRADS[0, :3]), (4, 5))
                optimizer.step()
            seen.append((param, optimizer.state_dict()))
        compare(seen[1], seen[0], rtol=3e-6)


BAD = {
    "RMSprop": [{"lr": -1}, {"eps": -1}, {"momentum": -1}, {"weight_decay": -1}, {"alpha": -1}],
    "Adagrad": [{"lr": -1}, {"lr_decay": -1}, {"weight_decay": -1}, {"eps": -1},
                {"initial_accumulator_value": -1}, {"fused": True, "foreach": True}],
    "Adadelta": [{"lr": -1}, {"rho": 2}, {"eps": -1}, {"weight_decay": -1}],
    "Adamax": [{"lr": -1}, {"betas": (1.0, 0.5)}, {"betas": (0.5, -1)}, {"weight_decay": -1}],
    "NAdam": [{"lr": -1}, {"betas": (1.0, 0.5)}, {"momentum_decay": -1}],
    "RAdam": [{"lr": -1}, {"betas": (0.5, 1.0)}, {"eps": -1}],
    "ASGD": [{"lr": -1}, {"weight_decay": -1}],
    "Rprop": [{"lr": -1}, {"etas": (1.5, 2.0)}],
    "SparseAdam": [{"lr": 0.0}, {"eps": 0.0}, {"betas": (0.5, 1.0)}],
    "Adafactor": [{"lr": -1}, {"beta2_decay": 1}, {"eps": (-1, 1e-3)}, {"eps": (None, -1)},
                  {"d": 0.5}, {"weight_decay": -1}],
    "Muon": [{"lr": -1}, {"momentum": -1}, {"weight_decay": -1}, {"adjust_lr_fn": "x"}],
    "LBFGS": [{"lr": -1}],
}


def outcome(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
            error = None
        except Exception as e:
            error = type(e).__name__, str(e)
    return error, [(w.category.__name__, str(w.message)) for w in caught]


@pytest.mark.parametrize("name", BAD)
def test_errors(name):
    assert str(inspect.signature(getattr(jt.optim, name)).parameters.keys()) == str(
        inspect.signature(getattr(torch.optim, name)).parameters.keys())
    for ours, theirs in zip(inspect.signature(getattr(jt.optim, name)).parameters.values(),
                            inspect.signature(getattr(torch.optim, name)).parameters.values(),
                            strict=True):
        assert (ours.default, ours.kind) == (theirs.default, theirs.kind)
    for options in BAD[name]:
        seen = [outcome(lambda lib=lib, options=options: getattr(lib.optim, name)(
            [lib.nn.Parameter(lib.ones(2, 2))], **options)) for lib in (torch, jt)]
        assert seen[0] == seen[1] and seen[0][0]
    two = [outcome(lambda lib=lib: getattr(lib.optim, name)(
        [lib.nn.Parameter(lib.ones(2, 2))], lr=lib.ones(2))) for lib in (torch, jt)]
    assert two[0] == two[1] and two[0][0]


def test_what_an_optimizer_cannot_take():
    def sparse_grad(lib, name):
        p = lib.nn.Parameter(lib.ones(2, 2))
        p.grad = lib.sparse_coo_tensor([[0], [1]], [1.0], (2, 2))
        getattr(lib.optim, name)([p]).step()

    def dense_grad(lib):
        p = lib.nn.Parameter(lib.ones(2))
        p.grad = lib.ones(2)
        lib.optim.SparseAdam([p]).step()

    def complex_param(lib, name):
        p = lib.nn.Parameter(lib.ones(2, 2) * 1j)
        p.grad = lib.ones(2, 2) * 1j
        getattr(lib.optim, name)([p]).step()

    def decayed(lib):
        p = lib.nn.Parameter(lib.ones(2, 2))
        p.grad = lib.sparse_coo_tensor([[0], [1]], [1.0], (2, 2))
        lib.optim.Adagrad([p], weight_decay=0.1).step()

    calls = [lambda lib, n=n: sparse_grad(lib, n)
             for n in ("Adam", *CASES, "Muon") if n != "Adagrad"]
    calls += [dense_grad, decayed]
    calls += [lambda lib, n=n: complex_param(lib, n) for n in ("Adafactor", "Muon", "SparseAdam")]
    calls += [
        lambda lib: lib.optim.Muon([lib.nn.Parameter(lib.ones(2))]),
        lambda lib: lib.optim.LBFGS([{"params": [lib.nn.Parameter(lib.ones(2))]},
                                     {"params": [lib.nn.Parameter(lib.ones(2))]}]),
    ]
    for i, call in enumerate(calls):
        theirs, ours = (outcome(lambda lib=lib, call=call: call(lib))[0] for lib in (torch, jt))
        assert theirs == ours and theirs, (i, theirs, ours)
