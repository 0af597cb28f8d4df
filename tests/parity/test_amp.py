"""In: operations in autocast contexts and scaled losses. Out: torch's dtypes, values and errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")


def a(lib, *shape, dtype=None):
    rng = np.random.default_rng(len(shape))
    return lib.tensor(rng.normal(size=shape).astype("float32")).to(dtype or lib.float32)


OPERATIONS = {
    "matmul": lambda L: L.matmul(a(L, 3, 4), a(L, 4, 5)),
    "@": lambda L: a(L, 3, 4) @ a(L, 4),
    "method": lambda L: a(L, 3, 4).mm(a(L, 4, 5)),
    "bmm": lambda L: a(L, 2, 3, 4).bmm(a(L, 2, 4, 5)),
    "addmm": lambda L: L.addmm(a(L, 3, 5), a(L, 3, 4), a(L, 4, 5)),
    "baddbmm": lambda L: L.baddbmm(a(L, 2, 3, 5), a(L, 2, 3, 4), a(L, 2, 4, 5)),
    "linear": lambda L: L.nn.functional.linear(a(L, 3, 4), a(L, 5, 4), a(L, 5)),
    "Linear": lambda L: L.nn.Linear(4, 5)(a(L, 3, 4)).sum() * 0,
    "Bilinear": lambda L: L.nn.Bilinear(4, 4, 5)(a(L, 3, 4), a(L, 3, 4)) * 0,
    "conv1d": lambda L: L.nn.functional.conv1d(a(L, 1, 2, 5), a(L, 3, 2, 2)),
    "conv2d": lambda L: L.conv2d(a(L, 1, 2, 5, 5), a(L, 3, 2, 2, 2)),
    "Conv2d": lambda L: L.nn.Conv2d(2, 3, 2)(a(L, 1, 2, 5, 5)) * 0,
    "einsum": lambda L: L.einsum("ij,jk->ik", a(L, 3, 4), a(L, 4, 5)),
    "float64": lambda L: a(L, 3, 4, dtype=L.float64) @ a(L, 4, 5, dtype=L.float64),
    "softmax": lambda L: L.softmax(a(L, 3, 4), -1),
    "softmax of low": lambda L: L.softmax(a(L, 3, 4, dtype=L.bfloat16), -1),
    "layer_norm": lambda L: L.nn.functional.layer_norm(a(L, 3, 4, dtype=L.bfloat16), (4,)),
    "exp": lambda L: a(L, 3, 4, dtype=L.bfloat16).exp(),
    "sum": lambda L: a(L, 3, 4, dtype=L.bfloat16).sum(),
    "prod": lambda L: a(L, 3, 4, dtype=L.bfloat16).prod(),
    "mse_loss": lambda L: L.nn.functional.mse_loss(a(L, 3, dtype=L.bfloat16), a(L, 3)),
    "cross_entropy": lambda L: L.nn.functional.cross_entropy(
        a(L, 3, 4, dtype=L.bfloat16), L.tensor([0, 1, 3])),
    "l1": lambda L: L.nn.L1Loss()(a(L, 3, dtype=L.bfloat16), a(L, 3, dtype=L.bfloat16)),
    "bce": lambda L: L.nn.functional.binary_cross_entropy_with_logits(
        a(L, 3, dtype=L.bfloat16), L.ones(3)),
    "cat": lambda L: L.cat([a(L, 3, dtype=L.bfloat16), a(L, 3)]),
    "stack": lambda L: L.stack([a(L, 3, dtype=L.bfloat16), a(L, 3)]),
    "cat of low": lambda L: L.cat([a(L, 3, dtype=L.bfloat16), a(L, 3, dtype=L.bfloat16)]),
    "mul": lambda L: a(L, 3, dtype=L.bfloat16) * a(L, 3),
    "trace": lambda L: L.trace(a(L, 3, 3, dtype=L.bfloat16)),
    "cdist": lambda L: L.cdist(a(L, 3, 4, dtype=L.bfloat16), a(L, 2, 4, dtype=L.bfloat16)),
    "inverse": lambda L: L.inverse(L.eye(3, dtype=L.bfloat16)),
    "attention": lambda L: L.nn.functional.scaled_dot_product_attention(
        a(L, 1, 2, 3, 4), a(L, 1, 2, 3, 4), a(L, 1, 2, 3, 4)),
    "kwargs": lambda L: L.matmul(input=a(L, 3, 4), other=a(L, 4, 5)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_dtypes_and_values(name):
    for kind in ("bfloat16", "float16"):
        if kind == "float16" and name in ("cat", "stack", "cat of low"):
            continue
        seen = []
        for lib in (torch, jt):
            with lib.autocast("cpu", dtype=getattr(lib, kind)):
                seen.append(OPERATIONS[name](lib))
        theirs, ours = seen
        assert str(ours.dtype) == str(theirs.dtype)
        np.testing.assert_allclose(ours.detach().float().numpy(), theirs.detach().float().numpy(),
                                   rtol=0.02, atol=0.02)


def test_nesting_and_what_the_state_is():
    def run(L):
        x, seen = L.ones(2, 2), []

        @L.autocast("cpu")
        def low():
            return x @ x

        @L.autocast(device_type="cpu", enabled=False)
        def high():
            return x @ x

        def note():
            seen.append((str((x @ x).dtype), L.is_autocast_enabled("cpu"), L.is_autocast_enabled(),
                         str(L.get_autocast_dtype("cpu")), str(L.get_autocast_dtype("cuda"))))

        note()
        with L.amp.autocast("cpu", dtype=L.float16):
            note()
            with L.autocast("cpu", enabled=False):
                note()
                with L.autocast("cpu"):
                    note()
                seen.append(str(low().dtype))
            seen.append(str(high().dtype))
            note()
        try:
            with L.autocast("cpu"):
                raise ValueError
        except ValueError:
            note()
        seen.append((str(low().dtype), L.amp.is_autocast_available("cpu")))
        return seen

    assert run(jt) == run(torch)


def test_gradients_come_in_the_dtype_of_the_parameter():
    grads = []
    for lib in (torch, jt):
        w = lib.nn.Parameter(a(lib, 5, 4))
        with lib.autocast("cpu"):
            loss = lib.nn.functional.linear(a(lib, 3, 4), w).relu().sum()
        loss.backward()
        grads.append(w.grad)
    assert str(grads[0].dtype) == str(grads[1].dtype)
    np.testing.assert_allclose(grads[1].numpy(), grads[0].numpy(), rtol=0.02, atol=0.02)


def test_custom_functions():
    def run(L):
        seen = []

        class Product(L.autograd.Function):
            @staticmethod
            @L.amp.custom_fwd(device_type="cpu")
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x @ x

            @staticmethod
            @L.amp.custom_bwd(device_type="cpu")
            def backward(ctx, grad):
                seen.append(L.is_autocast_enabled("cpu"))
                return grad.float()

        class Single(Product):
            @staticmethod
            @L.amp.custom_fwd(device_type="cpu", cast_inputs=L.float32)
            def forward(ctx, x):
                seen.append((str(x.dtype), L.is_autocast_enabled("cpu")))
                return x @ x

        x = L.ones(2, 2, requires_grad=True)
        with L.autocast("cpu"):
            y, z = Product.apply(x), Single.apply(x.bfloat16())
        seen += [str(y.dtype), str(z.dtype)]
        y.sum().backward()
        return seen

    assert run(jt) == run(torch)


def test_scaler():
    def run(L):
        p = L.nn.Parameter(L.ones(2))
        o = L.optim.SGD([p], 0.5)
        s = L.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        seen = [s.get_scale(), s.state_dict()]
        for factor in (1.0, 2.0, float("inf"), 1.0, float("nan"), 1.0):
            o.zero_grad()
            losses = s.scale([(p * factor).sum(), p.sum()])
            seen.append([float(x) for x in losses])
            losses[0].backward()
            if factor == 1.0:
                s.unscale_(o)
                seen.append(p.grad.tolist())
            s.step(o)
            s.update()
            seen += [p.tolist(), s.get_scale(), s.state_dict()]
        other = L.amp.GradScaler("cpu")
        other.load_state_dict(s.state_dict())
        seen.append(other.get_scale())
        s.update(4.0)
        return [*seen, s.get_scale(), s.is_enabled(), s.get_growth_factor(),
                s.get_backoff_factor(), s.get_growth_interval()]

    assert repr(run(jt)) == repr(run(torch))


def outcome(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = repr(call())
        except Exception as e:
            result = type(e).__name__, str(e)
    return result, [w.category.__name__ for w in caught]


def calls(L):
    def scaler(*steps):
        def call():
            p = L.nn.Parameter(L.ones(2))
            o, s = L.optim.SGD([p], 0.5), L.amp.GradScaler("cpu")
            s.scale(p.sum()).backward()
            for step in steps:
                step(s, o)
        return call

    return [
        lambda: L.autocast(3), lambda: L.autocast("nothing"),
        lambda: L.autocast("cpu", dtype=L.float32)._enabled,
        lambda: L.amp.GradScaler().get_scale(), lambda: L.amp.GradScaler().state_dict(),
        lambda: L.amp.GradScaler("cpu", growth_factor=1.0),
        lambda: L.amp.GradScaler("cpu", backoff_factor=1.0),
        lambda: L.amp.GradScaler("cpu").update(),
        lambda: L.amp.GradScaler("cpu").load_state_dict({}),
        lambda: L.amp.GradScaler("cpu").scale(3),
        scaler(lambda s, o: s.unscale_(o), lambda s, o: s.unscale_(o)),
        scaler(lambda s, o: s.step(o), lambda s, o: s.step(o)),
        scaler(lambda s, o: s.step(o), lambda s, o: s.unscale_(o)),
        scaler(lambda s, o: s.update()),
        scaler(lambda s, o: s.step(o, closure=len)),
        lambda: L.amp.GradScaler(enabled=False).scale(3),
        lambda: L.cuda.amp.GradScaler(enabled=False).get_scale(),
        lambda: L.cuda.amp.autocast()._enabled,
        lambda: L.cpu.amp.autocast()._enabled,
        lambda: L.is_autocast_enabled("nothing"),
    ]


def test_errors_and_warnings():
    for k, (ours, theirs) in enumerate(zip(calls(jt), calls(torch), strict=True)):
        assert outcome(ours) == outcome(theirs), k


def test_a_compiled_step_follows_the_context():
    f = jt.compile(lambda x: x @ x)
    x = jt.ones(2, 2)
    for _ in range(3):
        assert f(x).dtype is jt.float32
        with jt.autocast("cpu"):
            assert f(x).dtype is jt.bfloat16
