"""In: lazy modules of jittensor and torch. Out: the same before, at and after the first call."""

from __future__ import annotations

import copy

import pytest

import jittensor as jt

from .twins import ours, run_twins, same, same_error, same_modules

torch = pytest.importorskip("torch")
torch.manual_seed(2)
X = torch.randn(2, 4, 6)
X2, X3 = X[:, :, None].repeat(1, 1, 3, 1), X[:, :, None, None].repeat(1, 1, 2, 2, 1)

LAZY = {
    "LazyLinear": ((3,), {}, X),
    "LazyLinear, no bias": ((3, False), {}, X),
    "LazyLinear, double": ((3,), {"dtype": torch.float64}, X.double()),
    "LazyConv1d": ((4, 3), {"groups": 2}, X),
    "LazyConv1d, no batch": ((4, 3), {"bias": False}, X[0]),
    "LazyConv2d": ((3, 2), {"padding": 1}, X2),
    "LazyConv3d": ((3, 2), {}, X3),
    "LazyConvTranspose1d": ((3, 2), {"stride": 2, "output_padding": 1}, X),
    "LazyConvTranspose2d": ((4, 2), {"groups": 2}, X2),
    "LazyConvTranspose3d": ((3, 2), {"bias": False}, X3),
    "LazyBatchNorm1d": ((), {}, X),
    "LazyBatchNorm1d, no bias": ((), {"bias": False, "momentum": None}, X),
    "LazyBatchNorm2d": ((1e-3, 0.2), {"track_running_stats": False}, X2),
    "LazyBatchNorm3d": ((), {"affine": False}, X3),
    "LazyInstanceNorm1d": ((), {}, X),
    "LazyInstanceNorm2d": ((), {"affine": False, "track_running_stats": False}, X2),
    "LazyInstanceNorm3d": ((), {"track_running_stats": False}, X3),
}


def pair(case):
    args, kwargs, x = LAZY[case]
    name = case.split(",")[0]
    return (getattr(jt.nn, name)(*args, **ours(kwargs)), getattr(torch.nn, name)(*args, **kwargs),
            x)


@pytest.mark.parametrize("case", LAZY)
def test_first_call(case):
    j, t, x = pair(case)
    assert repr(j) == repr(t)
    assert list(j.state_dict()) == list(t.state_dict())
    assert [repr(p) for p in j.parameters()] == [repr(p) for p in t.parameters()]
    assert j.has_uninitialized_params() == t.has_uninitialized_params()
    torch.manual_seed(4)
    t(x)
    drawn = torch.rand(1)
    jt.manual_seed(4)
    j(ours(x))
    same(jt.rand(1), drawn, 0, "draws")
    assert type(j).__name__ == type(t).__name__
    assert type(j) is getattr(jt.nn, type(t).__name__)
    assert [type(p).__name__ for p in j.parameters()] == [type(p).__name__ for p in t.parameters()]
    same_modules(j, t)
    assert not hasattr(j, "_initialize_hook")
    run_twins(j, t, (x,))


def test_parameters_keep_their_identity():
    j = jt.nn.LazyLinear(3)
    weight = j.weight
    optimizer = jt.optim.SGD(j.parameters(), lr=0.1)
    j(jt.ones(2, 4)).sum().backward()
    assert j.weight is weight and type(weight) is jt.nn.Parameter
    before = weight.detach().clone()
    optimizer.step()
    assert not bool((weight == before).all())


@pytest.mark.parametrize("case", ["LazyLinear", "LazyConv2d", "LazyBatchNorm1d"])
def test_state_dict(case):
    j, t, x = pair(case)
    full_j, full_t, _ = pair(case)
    full_j(ours(x)), full_t(x)
    j.load_state_dict(full_j.state_dict()), t.load_state_dict(full_t.state_dict())
    assert not j.has_uninitialized_params() and not t.has_uninitialized_params()
    j(ours(x)), t(x)
    assert repr(j) == repr(t)
    empty_j, empty_t, _ = pair(case)
    empty_j.load_state_dict(pair(case)[0].state_dict())
    assert empty_j.has_uninitialized_params()
    for full, empty in ((full_j, empty_j), (full_t, empty_t)):
        with pytest.raises(RuntimeError, match="access the shape of an uninitialized"):
            full.load_state_dict(empty.state_dict())


def test_casts_before_the_first_call():
    for name in ("double", "half", "float"):
        j, t = jt.nn.LazyBatchNorm1d(), torch.nn.LazyBatchNorm1d()
        getattr(j, name)(), getattr(t, name)()
        assert [ours(v.dtype) for v in t.state_dict().values()] == [
            v.dtype for v in j.state_dict().values()]
    j = jt.nn.LazyLinear(2).to(jt.float64)
    assert j(jt.ones(1, 3, dtype=jt.float64)).dtype is jt.float64


def test_deepcopy():
    j = copy.deepcopy(jt.nn.Sequential(jt.nn.LazyLinear(3), jt.nn.LazyBatchNorm1d()))
    assert isinstance(j[0].weight, jt.nn.UninitializedParameter)
    j(jt.ones(2, 5))
    assert j[0].in_features == 5 and type(j[1]) is jt.nn.BatchNorm1d


ERRORS = {
    "shape": lambda lib: lib.nn.LazyLinear(3).weight.shape,
    "share": lambda lib: lib.nn.LazyLinear(3).weight.share_memory_(),
    "groups": lambda lib: lib.nn.LazyConv1d(4, 1, groups=2)(lib.ones(1, 3, 5)),
    "dims": lambda lib: lib.nn.LazyConv2d(4, 1)(lib.ones(1, 3)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    same_error(ERRORS[case])


@pytest.mark.parametrize("use", [lambda lib, p: p + 1, lambda lib, p: p.sum(),
                                 lambda lib, p: lib.nn.functional.linear(lib.ones(1, 1), p),
                                 lambda lib, p: p.reshape(-1)])
def test_use_before_the_first_call(use):
    for lib in (torch, jt):
        with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
            use(lib, lib.nn.LazyLinear(3).weight)


def test_mixin_of_ones_own():
    class Lazy(jt.nn.modules.lazy.LazyModuleMixin, jt.nn.Module):
        def __init__(self, fill):
            super().__init__()
            self.scale = jt.nn.UninitializedParameter()
            self.fill = fill

        def initialize_parameters(self, x, twice=False):
            if self.fill:
                self.scale.materialize((x.shape[-1],))
                with jt.no_grad():
                    self.scale.fill_(3)

        def forward(self, x, twice=False):
            return x * self.scale

    made = Lazy(True)
    assert made(jt.ones(2), twice=True).tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="module Lazy has not been fully initialized"):
        Lazy(False)(jt.ones(2))
