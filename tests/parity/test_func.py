"""In: functions of tensors. Out: the derivatives and maps that torch.func gives."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")


def a(L, *shape):
    return L.tensor(np.random.default_rng(len(shape)).normal(size=shape))


def model(L):
    m = L.nn.Sequential(L.nn.Linear(3, 2), L.nn.Tanh(), L.nn.Linear(2, 1)).double()
    for k, p in enumerate(m.parameters()):
        p.data.copy_(L.linspace(-1, 1, p.numel(), dtype=L.float64).view(p.shape) + k)
    return m


def per_sample(L):
    m = model(L)
    params = {k: v.detach() for k, v in m.named_parameters()}

    def loss(params, x, y):
        return (L.func.functional_call(m, params, (x,)) - y).square().sum()

    return L.vmap(L.func.grad(loss), in_dims=(None, 0, 0))(params, a(L, 4, 3), a(L, 4, 1))


def ensemble(L):
    models = [model(L) for _ in range(3)]
    params, buffers = L.func.stack_module_state(models)
    base = model(L)
    return L.vmap(lambda p, b, x: L.func.functional_call(base, (p, b), (x,)), in_dims=(0, 0, None))(
        params, buffers, a(L, 4, 3)).detach()


CASES = {
    "grad": lambda L, F: F.grad(lambda x: (x.sin() * x).sum())(a(L, 3)),
    "grad twice": lambda L, F: F.grad(lambda x: F.grad(lambda y: (y**3).sum())(x).sum())(a(L, 3)),
    "argnums": lambda L, F: F.grad(lambda x, y: (x * y**2).sum(), argnums=(0, 1))(a(L, 3), a(L, 3)),
    "aux": lambda L, F: F.grad(lambda x: (x.sum(), {"y": x * 2}), has_aux=True)(a(L, 3)),
    "and value": lambda L, F: F.grad_and_value(lambda x: (x**2).sum())(a(L, 3)),
    "tree": lambda L, F: F.grad(lambda p: (p["w"] * p["b"][0]).sum())({"w": a(L, 3),
                                                                       "b": [a(L, 1)]}),
    "vjp": lambda L, F: F.vjp(lambda x: (x.exp(), x[:2] ** 2), a(L, 3))[1]((a(L, 3), a(L, 2))),
    "vjp value": lambda L, F: F.vjp(lambda x, y: x * y, a(L, 3), a(L, 3))[0],
    "jvp": lambda L, F: F.jvp(lambda x: x.exp() * x.sum(), (a(L, 3),), (a(L, 3) + 1,)),
    "jvp two": lambda L, F: F.jvp(lambda x, y: (x * y, y), (a(L, 3), a(L, 3)),
                                  (a(L, 3), a(L, 3) * 2)),
    "jacrev": lambda L, F: F.jacrev(lambda x: L.outer(x, x.sin()))(a(L, 3)),
    "jacrev two": lambda L, F: F.jacrev(lambda x, y: (x * y, y.sum()), argnums=(0, 1))(
        a(L, 3), a(L, 3)),
    "jacfwd": lambda L, F: F.jacfwd(lambda x: x.cos() * x.sum())(a(L, 2, 2)),
    "hessian": lambda L, F: F.hessian(lambda x: (x.sin() * x.roll(1, 0)).sum())(a(L, 3)),
    "linearize": lambda L, F: F.linearize(lambda x: x**3, a(L, 3))[1](a(L, 3)),
    "vmap": lambda L, F: L.vmap(lambda x, y: (x @ y, x))(a(L, 2, 3), a(L, 2, 3)),
    "vmap dims": lambda L, F: F.vmap(lambda x, y: x * y, in_dims=(1, None), out_dims=1)(
        a(L, 2, 3), a(L, 2)),
    "vmap twice": lambda L, F: F.vmap(F.vmap(L.dot, (None, 0)), (0, None))(a(L, 2, 3), a(L, 4, 3)),
    "vmap of a tree": lambda L, F: F.vmap(lambda p: p["a"] + p["b"])({"a": a(L, 2), "b": a(L, 2)}),
    "vmap of jacrev": lambda L, F: F.vmap(F.jacrev(L.sin))(a(L, 2, 3)),
    "per sample": lambda L, F: per_sample(L),
    "ensemble": lambda L, F: ensemble(L),
}


def same(ours, theirs):
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        ours, theirs = list(ours.values()), list(theirs.values())
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for x, y in zip(ours, theirs, strict=True):
            same(x, y)
    else:
        assert tuple(ours.shape) == tuple(theirs.shape)
        assert ours.requires_grad == theirs.requires_grad
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9,
                                   atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    same(CASES[name](jt, jt.func), CASES[name](torch, torch.func))


def test_an_outer_graph_goes_through():
    seen = []
    for L in (torch, jt):
        x, w = a(L, 3).requires_grad_(), a(L, 3).requires_grad_()
        g = L.func.grad(lambda y, w=w: (y**3 * w).sum())(x)
        h = L.func.grad(lambda y, w=w: (y**2 * w).sum())(x.detach())
        (g.sum() + h.sum()).backward()
        seen.append((x.grad, w.grad, g.detach(), h.detach()))
    same(seen[1], seen[0])


ERRORS = [
    lambda L: L.func.grad(lambda x: x)(a(L, 3)),
    lambda L: L.func.grad(lambda x: 3)(a(L, 3)),
    lambda L: L.func.grad(lambda x: x.sum(), argnums=2)(a(L, 3)),
    lambda L: L.func.grad(lambda x: x.sum(), has_aux=True)(a(L, 3)),
    lambda L: L.func.jvp(L.sin, a(L, 3), (a(L, 3),)),
    lambda L: L.vmap(L.dot)(a(L, 2, 3), a(L, 3, 3)),
    lambda L: L.vmap(L.sin, in_dims=2)(a(L, 2)),
    lambda L: L.vmap(L.sin, in_dims=None)(a(L, 2)),
    lambda L: L.vmap(L.sin)(3),
    lambda L: L.func.functional_call(model(L), ({"0.bias": a(L, 2)}, {"0.bias": a(L, 2)}), a(L, 3)),
    lambda L: L.func.stack_module_state([]),
    lambda L: L.func.stack_module_state([model(L), L.nn.Linear(1, 1)]),
]


@pytest.mark.parametrize("call", ERRORS)
def test_error_classes(call):
    for lib in (torch, jt):
        with pytest.raises(Exception) as caught:
            call(lib)
        if lib is torch:
            expected = caught.type
    assert caught.type is expected


def test_functional_call_does_not_warn():
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer = jt.nn.Linear(1, 1, bias=False)
        assert jt.func.functional_call(layer, {"weight": jt.ones(1, 1)}, jt.ones(1)).item() == 1
