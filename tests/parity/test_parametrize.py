"""In: weights parametrized, normalised, pruned, fused in jittensor and torch. Out: the same."""

from __future__ import annotations

import copy
import importlib
import pickle
import warnings

import pytest

import jittensor as jt

from .twins import ours, run_twins, same, same_error, same_modules, twins

torch = pytest.importorskip("torch")
torch.manual_seed(3)
X, IMAGE = torch.randn(2, 4), torch.randn(2, 3, 5, 5)
pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`")


def utils(lib, name):
    return importlib.import_module(f"{'torch' if lib is torch else 'jittensor'}.nn.utils.{name}")


def symmetric(lib, inverse=True):
    class Symmetric(lib.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

    if inverse:
        Symmetric.right_inverse = lambda self, a: a.triu()
    return Symmetric()


def scaled(lib, by=2.0):
    class Scaled(lib.nn.Module):
        def forward(self, x):
            return x * by

        def right_inverse(self, x):
            return x / by

    return Scaled()


def split(lib):
    class Split(lib.nn.Module):
        def forward(self, a, b):
            return a + b

        def right_inverse(self, x):
            return x / 4, x * 3 / 4

    return Split()


# ── parametrizations of one's own ─────────────────────────────────────────────────────────────
@pytest.mark.parametrize("makers", [[symmetric], [scaled], [symmetric, scaled], [split],
                                    [split, scaled]])
def test_register_and_remove(makers):
    j, t = twins("Linear", 4, 4)
    for lib, layer in ((jt, j), (torch, t)):
        for make in makers:
            parametrize = utils(lib, "parametrize")
            assert parametrize.register_parametrization(layer, "weight", make(lib)) is layer
        assert parametrize.is_parametrized(layer) and parametrize.is_parametrized(layer, "weight")
        assert not parametrize.is_parametrized(layer, "bias")
        assert parametrize.type_before_parametrizations(layer) is lib.nn.Linear
    same_modules(j, t)
    same(j.weight, t.weight)
    run_twins(j, t, (X,))
    with torch.no_grad(), jt.no_grad():
        value = torch.randn(4, 4).triu()
        t.weight, j.weight = value, ours(value)
    same(j.weight, t.weight)
    same_modules(j, t)
    for lib, layer in ((jt, j), (torch, t)):
        utils(lib, "parametrize").remove_parametrizations(layer, "weight")
        assert type(layer) is lib.nn.Linear
        assert type(layer.weight) is lib.nn.Parameter
    same_modules(j, t)
    run_twins(j, t, (X,))


def test_leave_the_original_and_buffers():
    j, t = twins("BatchNorm1d", 4)
    for lib, layer in ((jt, j), (torch, t)):
        parametrize = utils(lib, "parametrize")
        parametrize.register_parametrization(layer, "running_mean", scaled(lib))
        parametrize.register_parametrization(layer, "weight", scaled(lib, 3.0))
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    same_modules(j, t)
    same(j.running_mean, t.running_mean)


def test_cache():
    for lib in (jt, torch):
        parametrize = utils(lib, "parametrize")
        layer = parametrize.register_parametrization(lib.nn.Linear(3, 3), "weight", scaled(lib))
        assert layer.weight is not layer.weight
        with parametrize.cached():
            assert layer.weight is layer.weight
        assert layer.weight is not layer.weight


def test_deepcopy_and_pickle():
    j = jt.nn.Linear(3, 3)
    utils(jt, "parametrize").register_parametrization(j, "weight", scaled(jt))
    made = copy.deepcopy(j)
    same_values = (made.weight == j.weight).all()
    assert bool(same_values) and made.weight is not j.weight
    with pytest.raises(RuntimeError, match="only supported through"):
        pickle.dumps(j)


def test_transfer():
    made = []
    for lib in (jt, torch):
        lib.manual_seed(0)
        one, two = lib.nn.Linear(3, 3), lib.nn.Linear(3, 3)
        parametrize = utils(lib, "parametrize")
        parametrize.register_parametrization(one, "weight", scaled(lib))
        made.append(parametrize.transfer_parametrizations_and_params(one, two))
    same_modules(*made)
    same(made[0].weight, made[1].weight)


def wrong(lib, case):
    parametrize = utils(lib, "parametrize")

    class Wrong(lib.nn.Module):
        def forward(self, x):
            return {"shape": x[:1], "dtype": x.double(), "type": 3}[case]

    return parametrize.register_parametrization(lib.nn.Linear(3, 3), "weight", Wrong())


ERRORS = {
    "shape": lambda lib: wrong(lib, "shape"),
    "dtype": lambda lib: wrong(lib, "dtype"),
    "type": lambda lib: wrong(lib, "type"),
    "name": lambda lib: utils(lib, "parametrize").register_parametrization(
        lib.nn.Linear(3, 3), "weights", scaled(lib)),
    "remove": lambda lib: utils(lib, "parametrize").remove_parametrizations(
        lib.nn.Linear(3, 3), "weight"),
    "no modules": lambda lib: utils(lib, "parametrize").ParametrizationList([], lib.ones(2)),
    "orthogonal vector": lambda lib: utils(lib, "parametrizations").orthogonal(
        lib.nn.Linear(3, 3), "bias"),
    "orthogonal map": lambda lib: utils(lib, "parametrizations").orthogonal(
        lib.nn.Linear(3, 3), orthogonal_map="qr"),
    "spectral name": lambda lib: utils(lib, "parametrizations").spectral_norm(
        lib.nn.Linear(3, 3), "weights"),
    "spectral dim": lambda lib: utils(lib, "parametrizations").spectral_norm(
        lib.nn.Linear(3, 3), dim=2),
    "spectral steps": lambda lib: lib.nn.utils.spectral_norm(
        lib.nn.Linear(3, 3), n_power_iterations=0),
    "old spectral twice": lambda lib: lib.nn.utils.spectral_norm(
        lib.nn.utils.spectral_norm(lib.nn.Linear(3, 3))),
    "old weight twice": lambda lib: lib.nn.utils.weight_norm(
        lib.nn.utils.weight_norm(lib.nn.Linear(3, 3))),
    "old spectral lazy": lambda lib: lib.nn.utils.spectral_norm(lib.nn.LazyLinear(3)),
    "no weight norm": lambda lib: lib.nn.utils.remove_weight_norm(lib.nn.Linear(3, 3)),
    "no spectral norm": lambda lib: lib.nn.utils.remove_spectral_norm(lib.nn.Linear(3, 3)),
    "prune amount": lambda lib: utils(lib, "prune").l1_unstructured(
        lib.nn.Linear(3, 3), "weight", 1.5),
    "prune too many": lambda lib: utils(lib, "prune").l1_unstructured(
        lib.nn.Linear(3, 3), "weight", 10),
    "prune type": lambda lib: utils(lib, "prune").random_unstructured(
        lib.nn.Linear(3, 3), "weight", "all"),
    "prune vector": lambda lib: utils(lib, "prune").ln_structured(
        lib.nn.Linear(3, 3), "bias", 1, 2, 0),
    "not pruned": lambda lib: utils(lib, "prune").remove(lib.nn.Linear(3, 3), "weight"),
    "skip": lambda lib: lib.nn.utils.skip_init(lib.nn.ReLU),
    "vector": lambda lib: lib.nn.utils.vector_to_parameters([1.0], []),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    same_error(ERRORS[case], text=case not in ("shape", "dtype"))


# ── ready-made parametrizations ───────────────────────────────────────────────────────────────
READY = {
    "weight_norm": (("Linear", 4, 3), "weight_norm", {}),
    "weight_norm, one length": (("Linear", 4, 3), "weight_norm", {"dim": None}),
    "weight_norm, dim": (("Conv2d", 3, 2, 3), "weight_norm", {"dim": 1}),
    "spectral_norm": (("Linear", 4, 3), "spectral_norm", {}),
    "spectral_norm, steps": (("Conv2d", 3, 2, 3), "spectral_norm", {"n_power_iterations": 3}),
    "spectral_norm, transposed": (("ConvTranspose2d", 3, 2, 3), "spectral_norm", {}),
    "spectral_norm, bias": (("Linear", 4, 3), "spectral_norm", {"name": "bias"}),
    "orthogonal": (("Linear", 4, 4), "orthogonal", {}),
    "orthogonal, wide": (("Linear", 4, 3), "orthogonal", {}),
    "orthogonal, tall": (("Linear", 4, 5), "orthogonal", {"orthogonal_map": "cayley"}),
    "orthogonal, exp": (("Linear", 4, 5), "orthogonal", {"orthogonal_map": "matrix_exp"}),
    "orthogonal, plain": (("Linear", 4, 3), "orthogonal", {"use_trivialization": False}),
    "orthogonal, plain cayley": (("Linear", 4, 4), "orthogonal", {
        "use_trivialization": False, "orthogonal_map": "cayley"}),
}


@pytest.mark.parametrize("case", READY)
def test_ready_made(case):
    made, name, options = READY[case]
    j, t = twins(*made)
    for lib, layer in ((jt, j), (torch, t)):
        lib.manual_seed(1)
        getattr(utils(lib, "parametrizations"), name)(layer, **options)
    same_modules(j, t, 1e-5)
    run_twins(j, t, (X if made[0] == "Linear" else IMAGE,), tol=5e-5)
    same_modules(j, t, 1e-5)
    j.eval(), t.eval()
    run_twins(j, t, (X if made[0] == "Linear" else IMAGE,), tol=5e-5)
    same_modules(j, t, 1e-5)


def test_old_names_of_weight_norm_load():
    old = jt.nn.utils.weight_norm(jt.nn.Linear(4, 3))
    new = utils(jt, "parametrizations").weight_norm(jt.nn.Linear(4, 3))
    new.load_state_dict(old.state_dict())
    assert bool((new.weight == old.weight).all())


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("made", [("Linear", 4, 3), ("ConvTranspose2d", 3, 2, 3)])
def test_hooks(name, made):
    j, t = twins(*made)
    for lib, layer in ((jt, j), (torch, t)):
        lib.manual_seed(1)
        getattr(lib.nn.utils, name)(layer)
    x = X if made[0] == "Linear" else IMAGE
    for _ in range(2):
        same_modules(j, t, 1e-5)
        run_twins(j, t, (x,), tol=5e-5)
    assert str(j.load_state_dict(j.state_dict())) == "<All keys matched successfully>"
    for lib, layer in ((jt, j), (torch, t)):
        getattr(lib.nn.utils, "remove_" + name)(layer)
    same_modules(j, t, 1e-5)
    run_twins(j, t, (x,), tol=5e-5)


# ── pruning ───────────────────────────────────────────────────────────────────────────────────
PRUNE = {
    "identity": [("identity", ("weight",))],
    "random": [("random_unstructured", ("weight", 0.4))],
    "l1": [("l1_unstructured", ("weight", 5))],
    "l1 of nothing": [("l1_unstructured", ("bias", 0))],
    "random slices": [("random_structured", ("weight", 2, 1))],
    "ln": [("ln_structured", ("weight", 0.5, 2, 0))],
    "ln of rows": [("ln_structured", ("weight", 1, float("inf"), -1))],
    "twice": [("l1_unstructured", ("weight", 0.3)), ("ln_structured", ("weight", 1, 1, 0))],
    "thrice": [("ln_structured", ("weight", 1, 2, 0)), ("l1_unstructured", ("weight", 2)),
               ("random_unstructured", ("weight", 2))],
}


@pytest.mark.parametrize("case", PRUNE)
def test_prune(case):
    j, t = twins("Linear", 6, 4)
    x = torch.randn(2, 6)
    for lib, layer in ((jt, j), (torch, t)):
        lib.manual_seed(1)
        prune = utils(lib, "prune")
        for name, args in PRUNE[case]:
            assert getattr(prune, name)(layer, *args) is layer
        assert prune.is_pruned(layer)
    same_modules(j, t)
    same(j.weight, t.weight)
    run_twins(j, t, (x,))
    for lib, layer in ((jt, j), (torch, t)):
        prune = utils(lib, "prune")
        prune.remove(layer, PRUNE[case][0][1][0])
        assert not prune.is_pruned(layer)
    assert list(j.state_dict()) == list(t.state_dict())
    same(j.weight, t.weight)


def test_prune_by_mask_scores_and_globally():
    made = []
    for lib in (jt, torch):
        lib.manual_seed(2)
        prune = utils(lib, "prune")
        net = lib.nn.Sequential(lib.nn.Linear(4, 3), lib.nn.Linear(3, 2))
        prune.global_unstructured([(net[0], "weight"), (net[1], "weight")],
                                  prune.L1Unstructured, amount=7)
        prune.custom_from_mask(net[0], "bias", mask=lib.tensor([1.0, 0, 1]))
        prune.l1_unstructured(net[1], "bias", 1, importance_scores=lib.tensor([2.0, 1]))
        made.append((net, prune.RandomUnstructured(0.5).prune(net[0].weight)))
    same_modules(made[0][0], made[1][0])
    same(made[0][1], made[1][1])


# ── the others ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("made", [("Conv2d", 3, 4, 2), ("Conv2d", 3, 4, 2, 1, 0, 1, 1, False),
                                  ("ConvTranspose2d", 3, 4, 2)])
def test_fuse_convolution(made):
    j, t = twins(*made)
    results = []
    for lib, conv in ((jt, j), (torch, t)):
        norm = lib.nn.BatchNorm2d(4)
        with lib.no_grad():
            for k, value in enumerate((norm.running_mean, norm.running_var, norm.weight)):
                value.copy_(lib.arange(4) * 0.3 + 0.2 + k)
        fused = lib.nn.utils.fuse_conv_bn_eval(conv.eval(), norm.eval(), "T" in made[0])
        results.append((fused, norm))
        with pytest.raises(AssertionError, match="Fusion only for eval!"):
            lib.nn.utils.fuse_conv_bn_eval(conv.train(), norm)
    same_modules(results[0][0], results[1][0], 2e-6)
    run_twins(results[0][0], results[1][0], (IMAGE,))
    same(results[0][0](ours(IMAGE)), results[1][1](t(IMAGE)), 1e-5)


def test_fuse_linear():
    j, t = twins("Linear", 4, 3)
    made = [lib.nn.utils.fuse_linear_bn_eval(layer.eval(), lib.nn.BatchNorm1d(3).eval())
            for lib, layer in ((jt, j), (torch, t))]
    same_modules(*made, 2e-6)


def test_vectors():
    j, t = twins("Linear", 4, 3)
    vj, vt = (lib.nn.utils.parameters_to_vector(m.parameters()) for lib, m in ((jt, j),
                                                                               (torch, t)))
    same(vj, vt)
    for lib, m, v in ((jt, j, vj), (torch, t, vt)):
        lib.nn.utils.vector_to_parameters((v * 2).detach(), m.parameters())
    same_modules(j, t)
    run_twins(j, t, (X,))


def test_skip_init_draws_nothing():
    jt.manual_seed(0)
    made = jt.nn.utils.skip_init(jt.nn.Linear, 4, 3)
    drawn = jt.rand(1)
    jt.manual_seed(0)
    assert drawn.item() == jt.rand(1).item() and made.weight.shape == (3, 4)


def test_functional_call():
    results = []
    for lib in (jt, torch):
        lib.manual_seed(0)
        net = lib.nn.Sequential(lib.nn.Linear(4, 4), lib.nn.Linear(4, 4))
        net[1].weight = net[0].weight
        value = {"0.weight": lib.eye(4, requires_grad=True)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call = utils(lib, "stateless").functional_call
            out = call(net, value, lib.ones(2, 4))
            out.sum().backward()
            results.append((out, value["0.weight"].grad))
            with pytest.raises(RuntimeError, match="Error.s. in reparametrizing for Sequential"):
                call(net, {"2.weight": lib.ones(1)}, lib.ones(2, 4), strict=True)
        assert net[0].weight is net[1].weight and net[0].weight.grad is None
    same(*results)
