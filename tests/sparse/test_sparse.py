"""Sparse products by themselves: SciPy's answers, any number of threads, indices out of range."""

import copy
import pickle

import numpy as np
import pytest
from scipy import sparse

import jittensor as torch


def matrix(rows, columns, density=0.05, seed=0, kind=np.float64):
    return sparse.random(rows, columns, density, "csr", kind, np.random.default_rng(seed))


def ours(m):
    return torch.sparse_csr_tensor(m.indptr.astype(np.int64), m.indices.astype(np.int64), m.data,
                                   m.shape)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 3, 64])
def test_products_are_scipys(width, kind):
    m = matrix(400, 300, kind=kind)
    x = np.random.default_rng(1).standard_normal((300, width)).astype(kind)
    got = (ours(m) @ torch.tensor(x)).numpy()
    np.testing.assert_allclose(got, m @ x, rtol=1e-5 if kind == np.float32 else 1e-12, atol=1e-5)


def test_threads_do_not_change_the_bits():
    m, before = ours(matrix(20000, 500, 0.02, kind=np.float32)), torch.get_num_threads()
    x = torch.randn(500, 33)
    try:
        torch.set_num_threads(1)
        one = (m @ x).numpy().copy()
        torch.set_num_threads(2)
        two = (m @ x).numpy().copy()
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(one, two)


def test_rows_without_values_are_zero():
    m = torch.sparse_csr_tensor([0, 0, 2, 2], [0, 1], [1.0, 2.0], (3, 2))
    assert (m @ torch.ones(2, 2)).tolist() == [[0, 0], [3, 3], [0, 0]]
    assert (m @ torch.ones(2)).tolist() == [0, 3, 0]


def test_a_product_is_lazy_and_fits_into_a_graph():
    m = ours(matrix(30, 30))
    x = torch.ones(30, 4, dtype=torch.float64)
    y = ((m @ (x * 2)) + 1).relu()
    np.testing.assert_allclose(y.numpy(), m.to_dense().numpy() @ np.full((30, 4), 2.0) + 1)


def test_random_patterns_never_leave_their_bounds():
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        rows, columns, count = random.integers(1, 6, 3)
        crow = np.sort(random.integers(0, count + 2, rows + 1))
        crow[0], crow[-1] = (0, count) if random.random() < 0.6 else (crow[0], crow[-1])
        col = random.integers(-1, columns + 1, count)
        fits = (crow[0] == 0 and crow[-1] == count and (np.diff(crow) >= 0).all()
                and (np.diff(crow) <= columns).all() and ((col >= 0) & (col < columns)).all())
        try:
            m = torch.sparse_csr_tensor(crow, col, np.ones(count), (rows, columns))
        except RuntimeError:
            refused += 1
            assert not fits
            continue
        assert fits
        want = np.zeros((rows, columns))
        np.add.at(want, (np.repeat(np.arange(rows), np.diff(crow)), col), 1)
        np.testing.assert_array_equal((m @ torch.eye(columns, dtype=torch.float64)).numpy(), want)
    assert 0 < refused < 300


@pytest.mark.parametrize("index", [[[0, 9], [0, 0]], [[0, -1], [0, 0]]])
def test_coordinates_out_of_range_are_refused(index):
    with pytest.raises(RuntimeError):
        torch.sparse_coo_tensor(index, [1.0, 2.0], (3, 3))


def test_values_are_shared_with_the_dense_tensor_and_detach_cuts():
    v = torch.tensor([1.0, 2.0], requires_grad=True)
    s = torch.sparse_coo_tensor([[0, 1], [1, 0]], v, (2, 2))
    assert s.requires_grad and not s.is_leaf and not s.detach().requires_grad
    (s.t() @ torch.ones(2, 1)).sum().backward()
    assert v.grad.tolist() == [1, 1]


@pytest.mark.parametrize("make", [lambda x: x.to_sparse(), lambda x: x.to_sparse_csr(),
                                  lambda x: x.to_mkldnn()])
def test_copies_and_pickles(make):
    x = make(torch.tensor([[0.0, 2.0], [3.0, 0.0]])).requires_grad_()
    for got in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert type(got) is type(x) and got.layout is x.layout and got.requires_grad
        assert got.to_dense().tolist() == [[0, 2], [3, 0]] and repr(got) == repr(x)


def test_float16_has_no_sparse_product():
    s = torch.eye(2).half().to_sparse()
    with pytest.raises(NotImplementedError):
        s @ torch.ones(2, 2).half()
