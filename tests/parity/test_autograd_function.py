"""In: autograd.Function, functional and checkpoint programs. Out: torch's numbers and errors."""

from __future__ import annotations

import importlib.util
import pathlib
import warnings

import pytest

import jittensor as jt

torch = pytest.importorskip("torch")
_spec = importlib.util.spec_from_file_location(
    "autograd_programs", pathlib.Path(__file__).with_name("test_autograd.py"))
_programs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_programs)
agree, outcome, words, leaf = (_programs.agree, _programs.outcome, _programs.words,
                               _programs.leaf)
PROGRAMS = {}


def program(function):
    PROGRAMS[function.__name__] = function
    return function


# ── Function ──────────────────────────────────────────────────────────────────────────────────
@program
def simple(L):
    class Exp(L.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            y = x.exp() * scale
            ctx.save_for_backward(y)
            ctx.scale = scale
            return y

        @staticmethod
        def backward(ctx, grad):
            y, = ctx.saved_tensors
            return grad * y, None

    a = leaf(L, 0.5, 1.5)
    y = Exp.apply(a, 3)
    out = y.grad_fn.name(), type(y.grad_fn).__name__, y.grad_fn.scale, y.requires_grad, y.is_leaf
    g, = L.autograd.grad(y.sum(), a, create_graph=True)
    h, = L.autograd.grad(g.sum(), a)
    return *out, y, g, h


@program
def several_inputs_and_outputs(L):
    class Both(L.autograd.Function):
        @staticmethod
        def forward(ctx, x, k, y=None):
            ctx.save_for_backward(x, y)
            ctx.seen = ctx.needs_input_grad
            return x * y, x + y, k

        @staticmethod
        def backward(ctx, gp, gs, gk):
            x, y = ctx.saved_tensors
            return gp * y + gs, None, gp * x + gs

    a, b = leaf(L, 0.5, 1.5), leaf(L, 2.0, 3.0)
    p, s, k = Both.apply(a, 7, b)
    seen = p.grad_fn.seen
    s.sum().backward(retain_graph=True)
    first = a.grad.clone(), b.grad.clone()
    p.sum().backward()
    return k, first, a.grad, b.grad, p.output_nr, s.output_nr, seen, p.grad_fn is s.grad_fn


@program
def nothing_materialized(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, g1, g2):
            return g2 if g1 is None else g1 + g2

    a = leaf(L, 1.0)
    F.apply(a)[1].sum().backward()
    return a.grad


@program
def materialized(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, g1, g2):
            return g1 * 100 + g2

    a = leaf(L, 1.0, 2.0)
    F.apply(a)[1].sum().backward()
    return a.grad


@program
def non_differentiable(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            mask = (x > 1).to(x.dtype)
            index = x.long()
            ctx.mark_non_differentiable(mask)
            return x * mask, mask, index

        @staticmethod
        def backward(ctx, g, gm, gi):
            return g * 5

    a = leaf(L, 0.5, 2.0)
    y, mask, index = F.apply(a)
    y.sum().backward()
    return mask.requires_grad, index.requires_grad, y.requires_grad, a.grad


@program
def dirty(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(3)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    a = leaf(L, 0.5, 2.0)
    b = a * 1
    c = F.apply(b)
    (c * c).sum().backward()
    return c is b, b.grad_fn.name(), b, a.grad


@program
def dirty_leaf(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(3)

        @staticmethod
        def backward(ctx, g):
            return g * 3

    F.apply(leaf(L, 0.5))


@program
def dirty_view(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(3)

        @staticmethod
        def backward(ctx, g):
            return g * 3

    a = leaf(L, 0.5, 2.0)
    b = a * 1
    F.apply(b[1:])
    (b * b).sum().backward()
    return b, a.grad


@program
def input_returned(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    a = leaf(L, 0.5)
    y = F.apply(a)
    y.sum().backward()
    return y is a, y.is_leaf, y.grad_fn.name(), a.grad


@program
def view_returned_written(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view(-1)

        @staticmethod
        def backward(ctx, g):
            return g * 3

    F.apply(leaf(L, 0.5) * 1).add_(1)


@program
def setup_context(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(x, k):
            return x ** k

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, k = inputs
            ctx.save_for_backward(x)
            ctx.k = k

        @staticmethod
        def backward(ctx, g):
            x, = ctx.saved_tensors
            return g * ctx.k * x ** (ctx.k - 1), None

    a = leaf(L, 0.5, 2.0)
    F.apply(a, 3).sum().backward()
    return a.grad


@program
def saved_input_changed(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    b = leaf(L, 0.5) * 1
    y = F.apply(b)
    b.add_(1)
    y.sum().backward()


@program
def backward_twice(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

    y = F.apply(leaf(L, 0.5)).sum()
    y.backward()
    y.backward()


def returning(value, inputs=2):
    def run(L):
        class F(L.autograd.Function):
            @staticmethod
            def forward(ctx, x, y):
                return x * y

            @staticmethod
            def backward(ctx, g):
                return value(L, g)

        a = leaf(L, 0.5)
        F.apply(a, leaf(L, 2.0) if inputs == 2 else 3).sum().backward()
        return a.grad

    return run


PROGRAMS["too_few"] = returning(lambda L, g: g)
PROGRAMS["too_many"] = returning(lambda L, g: (g, g, g))
PROGRAMS["extra_nones"] = returning(lambda L, g: (g, g, None, None))
PROGRAMS["not_a_tensor"] = returning(lambda L, g: (g, 3))
PROGRAMS["gradient_for_number"] = returning(lambda L, g: (g, g), 1)
PROGRAMS["wrong_shape"] = returning(lambda L, g: (L.ones(3, 2, dtype=L.float64), g))
PROGRAMS["reducible_shape"] = returning(lambda L, g: (L.ones(3, 1, dtype=L.float64), g))
PROGRAMS["none_for_all"] = returning(lambda L, g: (None, None))


@program
def wrong_shape_bad(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return L.ones(3, dtype=L.float64)

    F.apply(leaf(L, 1.0, 2.0)).sum().backward()


@program
def once(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @L.autograd.function.once_differentiable
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    a = leaf(L, 1.0, 2.0)
    g, = L.autograd.grad(F.apply(a).sum(), a, create_graph=True)
    g.sum().backward()


@program
def instantiated(L):
    class F(L.autograd.Function):
        pass

    F()(1)


@program
def no_forward(L):
    class F(L.autograd.Function):
        pass

    F.apply(leaf(L, 1.0))


@program
def no_backward(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    F.apply(leaf(L, 1.0)).sum().backward()


@program
def number_returned(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 3

        @staticmethod
        def backward(ctx, g):
            return g

    return F.apply(leaf(L, 1.0))


@program
def under_no_grad(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2, L.is_grad_enabled()

        @staticmethod
        def backward(ctx, g, _):
            return g

    with L.no_grad():
        y = F.apply(leaf(L, 1.0))[0]
    z, enabled = F.apply(leaf(L, 1.0))
    return y.requires_grad, z.requires_grad, enabled


@program
def function_in_hooks(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    a, seen = leaf(L, 1.0, 3.0), []
    with L.autograd.graph.saved_tensors_hooks(lambda x: seen.append(1) or x.detach() * 1,
                                              lambda x: x):
        y = F.apply(a)
    y.sum().backward()
    return seen, a.grad


@program
def backward_inside_backward(L):
    class F(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, g):
            x, = ctx.saved_tensors
            with L.enable_grad():
                y = x.detach().requires_grad_()
                inner, = L.autograd.grad(y.sin().sum(), y)
            return g * inner

    a = leaf(L, 1.0, 3.0)
    F.apply(a).sum().backward()
    return a.grad


# ── functional ────────────────────────────────────────────────────────────────────────────────
def cubes(x):
    return (x ** 3).sum()


def pair(x, y):
    return x * y, (x ** 2).sum() + y


@program
def jacobians(L):
    J = L.autograd.functional.jacobian
    a, b = leaf(L, 1.0, 2.0), leaf(L, 3.0, 4.0)
    return (J(lambda x: x.exp(), a), J(pair, (a, b)), J(cubes, a), J(lambda x: x.sum(), (a,)),
            J(lambda x: x * 2, a, vectorize=True), J(lambda x: L.ones(2), a),
            J(lambda x: x ** 2, a, create_graph=True))


@program
def hessians(L):
    H = L.autograd.functional.hessian
    a, b = leaf(L, 1.0, 2.0), leaf(L, 3.0, 4.0)
    return H(cubes, a), H(lambda x, y: (x * y * y).sum(), (a, b)), H(lambda x: x.sum(), a)


@program
def products(L):
    F = L.autograd.functional
    a, v = leaf(L, 1.0, 2.0), L.tensor([0.5, -1.0], dtype=L.float64)
    m = L.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=L.float64)

    def f(x):
        return (m @ x).sin()

    return (F.vjp(f, a, v), F.jvp(f, a, v), F.vhp(cubes, a, v), F.hvp(cubes, a, v),
            F.vjp(cubes, a), F.jvp(pair, (a, a), (v, v)), F.vjp(pair, (a, a), (v, v)))


def failing(call):
    return lambda L: call(L.autograd.functional, L)


for _name, _call in {
    "v_missing": lambda F, L: F.vjp(lambda x: x * 2, leaf(L, 1.0, 2.0)),
    "v_wrong": lambda F, L: F.vjp(lambda x: x * 2, leaf(L, 1.0, 2.0), L.ones(3)),
    "v_wrong_length": lambda F, L: F.vjp(lambda x: x * 2, leaf(L, 1.0, 2.0), (L.ones(2),) * 2),
    "not_tensor": lambda F, L: F.jacobian(lambda x: x * 2, [1.0]),
    "output_not_tensor": lambda F, L: F.jacobian(lambda x: 2, leaf(L, 1.0)),
    "hessian_of_vector": lambda F, L: F.hessian(lambda x: x * 2, leaf(L, 1.0, 2.0)),
    "vhp_of_vector": lambda F, L: F.vhp(lambda x: x * 2, leaf(L, 1.0, 2.0), L.ones(2)),
    "strict_independent": lambda F, L: F.jacobian(lambda x: L.ones(2), leaf(L, 1.0), strict=True),
    "strict_unused": lambda F, L: F.vjp(lambda x, y: x * 1, (leaf(L, 1.0), leaf(L, 1.0)),
                                        L.ones(1), strict=True),
    "hvp_linear": lambda F, L: F.hvp(lambda x: x.sum(), leaf(L, 1.0), L.ones(1)),
    "hvp_linear_strict": lambda F, L: F.hvp(lambda x: x.sum(), leaf(L, 1.0), L.ones(1),
                                            strict=True),
}.items():
    PROGRAMS[_name] = failing(_call)


# ── checks ────────────────────────────────────────────────────────────────────────────────────
@program
def gradchecks(L):
    a = leaf(L, 0.4, 1.3)
    z = L.tensor([1 + 2j, 0.5 - 1j], dtype=L.complex128, requires_grad=True)
    C, CC = L.autograd.gradcheck, L.autograd.gradgradcheck
    return (C(L.tanh, a), C(lambda x: (x * x, x.sum()), (a,)), CC(L.tanh, a),
            C(lambda x: x * x.conj(), z), C(lambda x: x.abs(), z), CC(lambda x: x * x, z),
            C(lambda x: x.detach() * x, a, raise_exception=False))


@program
def gradcheck_wrong(L):
    class Wrong(L.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    a = leaf(L, 1.0)
    assert issubclass(L.autograd.gradcheck.__globals__["GradcheckError"], RuntimeError)
    return L.autograd.gradcheck(Wrong.apply, a, raise_exception=False)


@program
def gradcheck_nothing(L):
    L.autograd.gradcheck(L.tanh, L.ones(2))


# ── checkpoint ────────────────────────────────────────────────────────────────────────────────
def checkpointed(reentrant):
    def run(L):
        from importlib import import_module
        checkpoint = import_module(L.__name__ + ".utils.checkpoint").checkpoint
        w = leaf(L, 0.5, -0.5)
        a = leaf(L, 1.0, 2.0)
        runs = []

        def f(x, y):
            runs.append(1)
            return L.nn.functional.dropout(x * w, 0.5).sin(), y.exp() * x

        p, q = checkpoint(f, a, a * 2, use_reentrant=reentrant)
        after = L.rand(2)
        (p * q).sum().backward()
        again = L.rand(2)
        return a.grad, w.grad, len(runs), after, again

    return run


PROGRAMS["checkpoint_reentrant"] = checkpointed(True)
PROGRAMS["checkpoint_not_reentrant"] = checkpointed(False)


@program
def checkpoint_grad(L):
    from importlib import import_module
    checkpoint = import_module(L.__name__ + ".utils.checkpoint").checkpoint
    w, a = leaf(L, 0.5, -0.5), leaf(L, 1.0, 2.0)
    y = checkpoint(lambda x: (x * w).sin() * x.exp(), a, use_reentrant=False)
    return L.autograd.grad(y.sum(), [a, w])


@program
def checkpoint_reentrant_grad(L):
    from importlib import import_module
    checkpoint = import_module(L.__name__ + ".utils.checkpoint").checkpoint
    a = leaf(L, 1.0, 2.0)
    y = checkpoint(lambda x: x.exp(), a, use_reentrant=True)
    return L.autograd.grad(y.sum(), [a])


@program
def checkpoint_keywords(L):
    from importlib import import_module
    checkpoint = import_module(L.__name__ + ".utils.checkpoint").checkpoint
    a = leaf(L, 1.0, 2.0)
    y = checkpoint(lambda x, k=1: x.exp() * k, a, k=3, use_reentrant=False)
    y.sum().backward()
    out = a.grad
    checkpoint(lambda x, k=1: x.exp() * k, a, k=3, use_reentrant=True)
    return out


@program
def checkpoint_sequential(L):
    from importlib import import_module
    cs = import_module(L.__name__ + ".utils.checkpoint").checkpoint_sequential
    a = leaf(L, 0.1, 0.2)
    for reentrant in (True, False):
        y = cs([L.sin, L.exp, L.tanh, lambda x: x * 2], 2, a * 1, use_reentrant=reentrant)
        y.sum().backward()
    return a.grad


@program
def checkpoint_module(L):
    from importlib import import_module
    checkpoint = import_module(L.__name__ + ".utils.checkpoint").checkpoint
    net = L.nn.Sequential(L.nn.Linear(3, 4), L.nn.Dropout(0.3), L.nn.GELU(), L.nn.Linear(4, 2))
    x = L.ones(5, 3)
    for reentrant in (True, False):
        checkpoint(net, x.clone().requires_grad_(), use_reentrant=reentrant).sum().backward()
    return [p.grad for p in net.parameters()]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    want, got = outcome(PROGRAMS[name], torch), outcome(PROGRAMS[name], jt)
    assert got[0] == want[0], (got, want)
    if want[0] == "value":
        agree(got[1], want[1])
        return
    assert got[1] == want[1], (got, want)
    assert words(got[2]).replace("jittensor.", "torch.") == words(want[2])


def test_gradcheck_error_is_exported():
    with pytest.raises(jt.autograd.GradcheckError, match="Jacobian mismatch for output 0"):
        class Wrong(jt.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g * 3

        jt.autograd.gradcheck(Wrong.apply, leaf(jt, 1.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert jt.autograd.gradcheck(jt.sin, leaf(jt, 1.0))
