"""In: small signals and kernels. Out: convolutions and their gradients that agree with sums over
windows in NumPy, for every backend and number of threads."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import jittensor as jt
from jittensor.kernels import convolution as kernels
from jittensor.nn import functional as F

RNG = np.random.default_rng(3)
# N, C, O, size, kernel, stride, padding, dilation, groups
CASES = {
    "same": (2, 3, 5, (7, 9), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "strided, gaps, groups": (2, 4, 6, (11, 8), (3, 2), (2, 3), (1, 0), (2, 1), 2),
    "one element": (1, 4, 8, (9, 9), (1, 1), (2, 2), (0, 0), (1, 1), 1),
    "by channel": (2, 4, 4, (9, 35), (3, 3), (1, 1), (1, 1), (1, 1), 4),
    "by channel, strided": (1, 3, 6, (8, 8), (3, 3), (2, 2), (1, 1), (1, 1), 3),
    "small pictures": (9, 2, 9, (4, 4), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "gaps as wide as steps": (2, 3, 4, (12, 12), (3, 3), (4, 4), (1, 1), (2, 2), 1),
    "line": (2, 3, 7, (50,), (5,), (2,), (2,), (1,), 1),
    "long kernel": (1, 2, 3, (1300,), (700,), (1,), (20,), (1,), 1),
    "many channels": (1, 70, 17, (6, 6), (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "volume": (2, 3, 7, (6, 5, 7), (3, 2, 3), (1, 2, 1), (1, 0, 1), (1, 1, 2), 1),
}


def places(size, kernel, stride, padding, dilation):
    """(place of the kernel, slices of the padded signal that it meets), and the windows."""
    number = [(n + 2 * p - d * (k - 1) - 1) // s + 1
              for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)]
    for place in itertools.product(*map(range, kernel)):
        yield place, (..., *[slice(k * d, k * d + s * (m - 1) + 1, s) for k, d, s, m in zip(
            place, dilation, stride, number, strict=True)])


def formula(x, w, grad, case):
    """The convolution and the gradients of its input and weight, in float64; `grad` is a function
    of the result's shape."""
    _, _, _, size, kernel, stride, padding, dilation, groups = case
    edges = [(0, 0), (0, 0), *[(p, p) for p in padding]]
    wide = np.pad(x.astype(np.float64), edges)
    wide = wide.reshape(len(x), groups, -1, *wide.shape[2:])
    parts = w.astype(np.float64).reshape(groups, -1, *w.shape[1:])
    met = list(places(size, kernel, stride, padding, dilation))
    out = sum(np.einsum("goc,ngc...->ngo...", parts[(..., *at)], wide[here]) for at, here in met)
    g = grad((len(x), w.shape[0], *out.shape[3:]))
    split = g.astype(np.float64).reshape(out.shape)
    gx, gw = np.zeros_like(wide), np.zeros_like(parts)
    for at, here in met:
        gx[here] += np.einsum("goc,ngo...->ngc...", parts[(..., *at)], split)
        gw[(..., *at)] = np.einsum("ngcp,ngop->goc", wide[here].reshape(*wide.shape[:3], -1),
                                   split.reshape(*split.shape[:3], -1))
    inner = (..., *[slice(p, p + n) for p, n in zip(padding, size, strict=True)])
    return out.reshape(g.shape), g, gx[inner].reshape(x.shape), gw.reshape(w.shape)


def ours(x, w, g, case, dtype):
    _, _, _, size, _, stride, padding, dilation, groups = case
    a, b = (jt.tensor(v.astype(dtype), requires_grad=True) for v in (x, w))
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(size) - 1]
    out = conv(a, b, None, stride, padding, dilation, groups)
    out.backward(jt.tensor(g.astype(dtype)))
    return [v.detach().numpy() for v in (out, a.grad, b.grad)]


def operands(case):
    count, channels, outputs, size, kernel, *_, groups = case
    return (RNG.normal(size=(count, channels, *size)),
            RNG.normal(size=(outputs, channels // groups, *kernel)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_sums_over_windows(name, dtype) -> None:
    case = CASES[name]
    x, w = operands(case)
    out, g, gx, gw = formula(x, w, lambda shape: RNG.normal(size=shape), case)
    tolerance = 2e-6 if dtype == "float32" else 1e-14
    for got, want in zip(ours(x, w, g, case, dtype), (out, gx, gw), strict=True):
        assert got.dtype == dtype and got.shape == want.shape
        assert np.abs(got - want).max() <= tolerance * np.abs(want).max() * 4


def test_bits_do_not_depend_on_threads() -> None:
    case = (5, 8, 33, (13, 11), (3, 3), (1, 1), (1, 1), (1, 1), 1)
    x, w = operands(case)
    g = RNG.normal(size=(5, 33, 13, 11))
    before, seen = jt.get_num_threads(), []
    try:
        for threads in (1, 3):
            jt.set_num_threads(threads)
            seen.append(ours(x, w, g, case, "float32"))
    finally:
        jt.set_num_threads(before)
    for one, three in zip(*seen, strict=True):
        np.testing.assert_array_equal(one, three)


def test_sizes_are_words() -> None:
    """Other sizes, strides and numbers of dims need no other kernels."""
    for name in ("same", "line"):
        ours(*operands(CASES[name]), formula(*operands(CASES[name]), np.ones, CASES[name])[1],
             CASES[name], "float32")
    before = jt.stats().kernels_compiled + jt.stats().kernels_loaded
    for case in (CASES["strided, gaps, groups"], CASES["volume"]):
        x, w = operands(case)
        a, b = jt.tensor(x.astype("float32")), jt.tensor(w.astype("float32"))
        conv = F.conv2d if len(case[3]) == 2 else F.conv3d
        conv(a, b, None, *case[5:]).realize()
    assert jt.stats().kernels_compiled + jt.stats().kernels_loaded == before


def test_strides_of_the_signal() -> None:
    """A signal whose channels lie together, a part of one, a repeated one: no copy is asked for."""
    x, w = operands((2, 6, 4, (9, 10), (3, 3), (1, 1), (1, 1), (1, 1), 1))
    b = jt.tensor(w)
    base = jt.tensor(x)
    for view in (base.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2),
                 jt.tensor(np.concatenate([x, x], 3))[..., 10:],
                 base[:1].expand(2, 6, 9, 10), base.flip(3).transpose(2, 3)):
        for stride in (1, 2):
            want = F.conv2d(jt.tensor(np.ascontiguousarray(view.numpy())), b, padding=1,
                            stride=stride)
            np.testing.assert_allclose(F.conv2d(view, b, padding=1, stride=stride).numpy(),
                                       want.numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 2), (2, 1, 1)])
def test_second_gradients(stride, dilation, groups) -> None:
    x = jt.randn(1, 2, 4, 3, dtype=jt.float64, requires_grad=True)
    w = jt.randn(2, 2 // groups, 3, 2, dtype=jt.float64, requires_grad=True)
    b = jt.randn(2, dtype=jt.float64, requires_grad=True)

    def plain(x, w, b):
        return F.conv2d(x, w, b, stride, 1, dilation, groups)

    def turned(x, w):
        return F.conv_transpose2d(x, w, None, stride, 1, 0, groups, dilation)

    assert jt.autograd.gradcheck(plain, (x, w, b)) and jt.autograd.gradgradcheck(plain, (x, w, b))
    assert jt.autograd.gradcheck(turned, (x, w)) and jt.autograd.gradgradcheck(turned, (x, w))


def test_what_follows_runs_on_what_each_item_wrote(monkeypatch) -> None:
    monkeypatch.setattr(jt.config, "eager", False)
    x, w, b = (jt.randn(*s) for s in ((8, 3, 9, 9), (4, 3, 3, 3), (4,)))
    jt.realize(x, w, b)
    before = jt.stats().kernels_launched
    out = F.relu(F.conv2d(x, w, b, padding=1)).realize()
    assert jt.stats().kernels_launched - before == 1
    plain = F.conv2d(x, w, padding=1).numpy() + b.numpy()[:, None, None]
    np.testing.assert_allclose(out.numpy(), np.maximum(plain, 0), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 3, 8, 8)])
def test_empty_batches_and_other_dtypes(shape) -> None:
    x = jt.randn(*shape, requires_grad=True)
    w = jt.randn(4, 3, 3, 3, requires_grad=True)
    F.conv2d(x, w).sum().backward()
    assert x.grad.shape == shape and bool((w.grad == 0).all()) == (shape[0] == 0)
    half = F.conv2d(x.detach().bfloat16(), w.detach().bfloat16())
    assert half.dtype is jt.bfloat16 and half.shape == (shape[0], 4, 6, 6)


def test_a_phase_of_each_remainder() -> None:
    """Of the gradient of a strided convolution every place of the kernel is in one phase."""
    for stride, low, dilation, kernel in itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 3, 4)):
        found = kernels._remainders(13, stride, low, dilation, kernel)
        assert sum(dim[0] for dim, _, _ in found) == 13
        used = [first + step * k for dim, first, step in found for k in range(dim[4])]
        reached = {k for k in range(kernel) if any(
            (r + low - k * dilation) % stride == 0 for r in range(stride))}
        assert sorted(used) == sorted(reached)
