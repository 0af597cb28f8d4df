"""Sparse tensors beside PyTorch's: parts, printed forms, products, gradients, errors."""

import warnings

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")
warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
KINDS = ("float32", "float64", "int64", "complex64")


def entries(rows, columns, count, seed=0, kind="float64"):
    random = np.random.default_rng(seed)
    values = random.integers(-9, 9, count) if kind == "int64" else random.standard_normal(count)
    return (np.stack([random.integers(0, rows, count), random.integers(0, columns, count)]),
            values.astype(kind))


def pair(rows=7, columns=5, count=20, seed=0, kind="float64", grad=False):
    found, values = entries(rows, columns, count, seed, kind)
    return [t.sparse_coo_tensor(t.tensor(found), t.tensor(values), (rows, columns),
                                requires_grad=grad) for t in (jt, torch)]


def same(ours, theirs):
    if theirs.layout != torch.strided:
        assert repr(ours.layout) == repr(theirs.layout)
        assert ours._nnz() == theirs._nnz()
        ours, theirs = ours.to_dense(), theirs.to_dense()
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    single = theirs.dtype.name in ("float32", "complex64")
    tolerance = 1e-5 if single else 1e-12
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(7, 5, 20), (1, 4, 9), (6, 6, 0), (40, 30, 200)])
def test_conversions(shape, kind):
    ours, theirs = pair(*shape, kind=kind)
    same(ours, theirs)
    for x, y in ((ours.coalesce(), theirs.coalesce()),
                 (ours.to_dense().to_sparse(), theirs.to_dense().to_sparse()),
                 (ours.t().coalesce(), theirs.t().coalesce())):
        np.testing.assert_array_equal(x.indices().numpy(), y.indices().numpy())
        same(x.values(), y.values())
        assert x.is_coalesced() and x.is_sparse and (x.sparse_dim(), x.dense_dim()) == (2, 0)
    a, b = ours.to_sparse_csr(), theirs.to_sparse_csr()
    for name in ("crow_indices", "col_indices", "values"):
        same(getattr(a, name)(), getattr(b, name)())
    same(a, b)
    same(a.to_sparse(), b.to_sparse())


@pytest.mark.parametrize("kind", ("float32", "float64", "complex64"))
@pytest.mark.parametrize("layout", ["coo", "csr"])
@pytest.mark.parametrize("shape", [(7, 5, 20), (300, 200, 2000), (5, 4, 0)])
def test_products(shape, layout, kind):
    ours, theirs = pair(*shape, kind=kind)
    if layout == "csr":
        ours, theirs = ours.to_sparse_csr(), theirs.to_sparse_csr()
    random = np.random.default_rng(1)
    right, left = random.standard_normal((shape[1], 3)), random.standard_normal((2, shape[0]))
    for t in (jt, torch):
        t.right, t.left = t.tensor(right.astype(kind)), t.tensor(left.astype(kind))
    same(ours @ jt.right, theirs @ torch.right)
    same(jt.mm(ours, jt.right), torch.mm(theirs, torch.right))
    same(jt.sparse.mm(ours, jt.right), torch.sparse.mm(theirs, torch.right))
    same(ours @ jt.right[:, 0], theirs @ torch.right[:, 0])
    base = np.ones((shape[0], 3), kind)
    same(jt.addmm(jt.tensor(base), ours, jt.right, beta=2, alpha=3),
         torch.addmm(torch.tensor(base), theirs, torch.right, beta=2, alpha=3))
    same(jt.left @ ours, torch.tensor(left.astype(kind)) @ theirs.to_dense())


@pytest.mark.parametrize("layout", ["coo", "csr"])
def test_gradients_of_values_and_matrix(layout):
    def run(t):
        found, values = entries(7, 5, 20)
        v = t.tensor(values, requires_grad=True)
        d = t.tensor(np.random.default_rng(2).standard_normal((5, 3)), requires_grad=True)
        s = t.sparse_coo_tensor(t.tensor(found), v, (7, 5))
        if layout == "csr":
            s = s.to_sparse_csr()
        ((s @ d) ** 2).sum().backward()
        return v.grad, d.grad

    for ours, theirs in zip(run(jt), run(torch), strict=True):
        same(ours, theirs)


def test_gradient_of_a_sparse_leaf_and_of_conversions():
    def run(t, s):
        d = t.tensor(np.arange(15.0).reshape(5, 3))
        t.sparse.mm(s, d).sum().backward()
        x = t.tensor(np.eye(3) * 2, requires_grad=True)
        (x.to_sparse() * 3).to_dense().pow(2).sum().backward()
        return s.grad.coalesce(), x.grad

    ours, theirs = pair(grad=True)
    assert ours.is_leaf and ours.requires_grad
    for x, y in zip(run(jt, ours), run(torch, theirs), strict=True):
        same(x, y)


def test_second_derivatives():
    found, values = entries(4, 3, 6)
    dense = jt.tensor(np.random.default_rng(3).standard_normal((3, 2)), requires_grad=True)

    def product(v, d):
        return jt.sparse_coo_tensor(jt.tensor(found), v, (4, 3)) @ d

    v = jt.tensor(values, requires_grad=True)
    assert jt.autograd.gradcheck(product, (v, dense))
    assert jt.autograd.gradgradcheck(product, (v, dense))


OPERATIONS = {
    "times": lambda t, s, r: s * 3,
    "over": lambda t, s, r: s / 2,
    "plus": lambda t, s, r: s + r,
    "minus": lambda t, s, r: s - r,
    "product": lambda t, s, r: (s * r).to_dense(),
    "coalesced_plus": lambda t, s, r: s.coalesce() + r.coalesce(),
    "twice": lambda t, s, r: s + s,
    "with_dense": lambda t, s, r: (s * t.full((7, 5), 2.0, dtype=t.float64)).coalesce(),
    "dense_plus": lambda t, s, r: t.ones(7, 5, dtype=t.float64) + s,
    "negative": lambda t, s, r: -s,
    "absolute": lambda t, s, r: t.abs(s),
    "sum": lambda t, s, r: s.sum(),
    "sum_rows": lambda t, s, r: t.sparse.sum(s, 0),
    "sum_columns": lambda t, s, r: t.sparse.sum(s, 1),
    "sum_both": lambda t, s, r: t.sparse.sum(s, (0, 1)),
    "row": lambda t, s, r: s.coalesce()[2],
    "transposed": lambda t, s, r: s.transpose(0, 1),
    "sparse_product": lambda t, s, r: t.sparse.mm(s, r.t()),
    "softmax": lambda t, s, r: t.sparse.softmax(s, 1),
    "log_softmax": lambda t, s, r: t.sparse.log_softmax(s, 0),
    "sqrt": lambda t, s, r: (s * s).sqrt(),
    "csr_times": lambda t, s, r: s.to_sparse_csr() * 2,
    "csr_sum": lambda t, s, r: s.to_sparse_csr().sum(),
    "single": lambda t, s, r: s.float(),
    "zeros": lambda t, s, r: t.zeros(2, 3, layout=t.sparse_coo),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name):
    (a, b), (c, d) = pair(), pair(seed=4)
    same(OPERATIONS[name](jt, a, c), OPERATIONS[name](torch, b, d))


INDEX, VALUES = [[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0]


def make(t, **named):
    return t.sparse_coo_tensor(t.tensor(INDEX), t.tensor(VALUES), (2, 3), **named)


PRINTED = [
    lambda t: make(t),
    lambda t: make(t, requires_grad=True),
    lambda t: make(t, dtype=t.float64),
    lambda t: make(t).to_sparse_csr(),
    lambda t: make(t).double().to_sparse_csr(),
    lambda t: t.sparse_coo_tensor(t.tensor(INDEX), t.tensor(VALUES, requires_grad=True)),
    lambda t: t.sparse_coo_tensor((2, 3)),
    lambda t: t.sparse_coo_tensor(t.tensor([[0, 0]]), t.tensor([[1.0, 2], [3, 4]])).coalesce(),
    lambda t: t.sparse_coo_tensor(t.tensor(INDEX), t.tensor([1, 2, 3])),
    lambda t: t.eye(30).to_sparse(),
    lambda t: t.eye(3).to_sparse(1),
    lambda t: t.eye(200).to_sparse_csr(),
    lambda t: t.sparse_csr_tensor([0, 1, 2], [0, 1], [1.0, 2.0]),
    lambda t: t.arange(6.0).reshape(2, 3).to_mkldnn(),
    lambda t: t.ones(2, requires_grad=True).to_mkldnn(),
    lambda t: make(t).layout,
    lambda t: t.ones(2).to_mkldnn().layout,
]


@pytest.mark.parametrize("number", range(len(PRINTED)))
def test_printed_forms(number):
    assert repr(PRINTED[number](jt)) == repr(PRINTED[number](torch))


REFUSED = [
    lambda t: t.sparse_coo_tensor(-t.tensor(INDEX), t.tensor(VALUES)),
    lambda t: t.sparse_coo_tensor(t.tensor(INDEX), t.tensor(VALUES)[:2]),
    lambda t: t.sparse_coo_tensor(t.tensor(INDEX), t.tensor(VALUES), (2, 3, 4)),
    lambda t: t.sparse_coo_tensor(t.tensor(INDEX)[0], t.tensor(VALUES)),
    lambda t: make(t).indices(),
    lambda t: make(t).crow_indices(),
    lambda t: make(t).to_sparse_csr().indices(),
    lambda t: make(t) + 1,
    lambda t: make(t) + t.ones(2, 3),
    lambda t: make(t).numpy(),
    lambda t: t.eye(2).indices(),
    lambda t: t.eye(2).values(),
    lambda t: t.mm(make(t), t.ones(2, 2)),
    lambda t: t.arange(3).to_mkldnn(),
    lambda t: t.ones(2).to_mkldnn().numpy(),
    lambda t: t.sparse_csr_tensor([0, 1, 3], [0, 1], [1.0, 2.0], (2, 2), check_invariants=True),
    lambda t: t.sparse_csr_tensor([0, 1, 2], [0, 5], [1.0, 2.0], (2, 2), check_invariants=True),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_refused(number):
    outcomes = []
    for t in (jt, torch):
        with pytest.raises(Exception) as caught:
            REFUSED[number](t)
        outcomes.append((type(caught.value), str(caught.value)))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("call", [lambda x: x.exp(), lambda x: x.view(6), lambda x: x == x])
def test_what_needs_memory_is_refused(call):
    for t in (jt, torch):
        with pytest.raises(NotImplementedError):
            call(make(t))


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 5, 4), (2, 11, 3, 4), (1, 16, 2, 3),
                                   (2, 3, 2, 2, 3)])
def test_blocked_layout_round_trips(shape):
    values = np.random.default_rng(0).standard_normal(shape).astype("float32")
    x = jt.tensor(values, requires_grad=True)
    blocked = x.to_mkldnn()
    assert blocked.is_mkldnn and blocked.shape == shape
    if len(shape) >= 4:
        assert blocked._held.shape[-1] == 8 and blocked._held.is_contiguous()
    np.testing.assert_array_equal(blocked.to_dense().detach().numpy(), values)
    np.testing.assert_array_equal((blocked + blocked).to_dense().detach().numpy(), 2 * values)
    (blocked.to_dense() * 3).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(shape, 3, "float32"))
