"""In: a torch tensor, or a module's name and arguments. Out: jittensor's twin, and comparisons."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")


def ours(value):
    """A torch tensor, dtype or function (or a structure of them) as jittensor's; with its
    strides."""
    if isinstance(value, torch.Tensor):
        order = sorted(range(value.ndim), key=value.stride, reverse=True)
        made = jt.from_numpy(value.detach().permute(order).contiguous().numpy().copy())
        made = made.permute([order.index(d) for d in range(value.ndim)])
        return made.requires_grad_(value.requires_grad)
    if isinstance(value, torch.dtype):
        return getattr(jt, str(value).removeprefix("torch."))
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        return type(value)(ours(v) for v in value)
    if isinstance(value, dict):
        return {k: ours(v) for k, v in value.items()}
    if getattr(value, "__module__", "") == "torch.nn.functional":
        return getattr(jt.nn.functional, value.__name__)
    return value


def same(mine, theirs, tol=2e-6, what=""):
    """Dtype, shape and values (nan equals nan) agree."""
    if theirs is None or mine is None:
        assert mine is None and theirs is None, what
        return
    if isinstance(theirs, (tuple, list)):
        assert len(mine) == len(theirs), what
        for a, b in zip(mine, theirs, strict=True):
            same(a, b, tol, what)
        return
    a, b = mine.detach().numpy(), theirs.detach().numpy()
    assert a.dtype == b.dtype and a.shape == b.shape, (what, a.dtype, b.dtype, a.shape, b.shape)
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol, err_msg=what, equal_nan=True)


def both(function, seed=0):
    """function(torch) and function(jittensor), seeded alike."""
    torch.manual_seed(seed)
    theirs = function(torch)
    jt.manual_seed(seed)
    return function(jt), theirs


def twins(name, *args, seed=3, **kwargs):
    """A module of jittensor.nn and its torch twin, made with one seed; text, keys, weights and
    the draws taken are compared."""
    torch.manual_seed(seed)
    t = getattr(torch.nn, name)(*args, **kwargs)
    drawn = torch.rand(1)
    jt.manual_seed(seed)
    j = getattr(jt.nn, name)(*ours(args), **ours(kwargs))
    same(jt.rand(1), drawn, 0, "draws consumed")
    same_modules(j, t)
    return j, t


def same_modules(j, t, tol=3e-7):
    """Text, state, metadata, and the names and order of parameters agree."""
    assert repr(j) == repr(t)
    assert list(j.state_dict()) == list(t.state_dict())
    assert j.state_dict()._metadata == t.state_dict()._metadata
    assert [n for n, _ in j.named_parameters()] == [n for n, _ in t.named_parameters()]
    assert [n for n, _ in j.named_modules()] == [n for n, _ in t.named_modules()]
    for key, value in t.state_dict().items():
        same(j.state_dict()[key], value, tol, key)


def first(value):
    """The first tensor of an output."""
    return first(value[0]) if isinstance(value, (tuple, list)) else value


def run_twins(j, t, args, kwargs=None, *, tol=1e-5, seed=5, strides=True):
    """Forward and backward of twin modules or functions: outputs, strides and gradients agree."""
    kwargs = kwargs or {}
    t_args = [a.detach().requires_grad_(True) if isinstance(a, torch.Tensor)
              and a.is_floating_point() else a for a in args]
    j_args = _alike(t_args)
    torch.manual_seed(seed)
    theirs = t(*t_args, **kwargs)
    jt.manual_seed(seed)
    mine = j(*j_args, **ours(kwargs))
    same(mine, theirs, tol, "output")
    if strides and theirs is not None:
        assert first(mine).stride() == first(theirs).stride()
    out = first(theirs)
    if not out.requires_grad:
        return mine, theirs
    grad = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    out.backward(grad)
    first(mine).backward(ours(grad))
    for k, (a, b) in enumerate(zip(j_args, t_args, strict=True)):
        if isinstance(b, torch.Tensor) and b.requires_grad:
            same(a.grad, b.grad, tol, f"gradient of input {k}")
    if isinstance(t, torch.nn.Module):
        for (name, p), (_, q) in zip(j.named_parameters(), t.named_parameters(), strict=True):
            same(p.grad, q.grad, tol, f"gradient of {name}")
        t.zero_grad()
        j.zero_grad()
    return mine, theirs


def _alike(args):
    """Twins of arguments; what is one tensor twice there is one tensor twice here."""
    made = {}
    for a in args:
        if id(a) not in made:
            made[id(a)] = ours(a)
    return [made[id(a)] for a in args]


def same_error(function, kind=None, text=True):
    """function(torch) and function(jittensor) raise one class (and, unless not `text`, one
    message)."""
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        function(torch)
    with pytest.raises(type(theirs.value)) as mine:
        function(jt)
    assert type(mine.value) is type(theirs.value)
    if kind is not None:
        assert isinstance(mine.value, kind)
    if text:
        assert str(mine.value) == str(theirs.value)
