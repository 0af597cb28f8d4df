"""torch.linalg by its own laws: factors that multiply to the matrix, second derivatives, empty
matrices, float32 and complex64, out=."""

import numpy as np
import pytest

import jittensor as torch
from jittensor import linalg
from jittensor.autograd import gradcheck, gradgradcheck

RNG = np.random.default_rng(5)


def matrix(*shape, kind="float64", grad=False):
    values = RNG.standard_normal(shape)
    if kind.startswith("complex"):
        values = values + 1j * RNG.standard_normal(shape)
    return torch.from_numpy(values.astype(kind)).requires_grad_(grad)


def close(a, b):
    size = 1e-4 if a.dtype in (torch.float32, torch.complex64) else 1e-10
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=size, atol=size)


def ldl(a):
    a = a + a.mH
    b = a[..., :1]
    return a @ linalg.ldl_solve(*linalg.ldl_factor(a, hermitian=True), b, hermitian=True), b


LAWS = {
    "qr": lambda a: (linalg.qr(a).Q @ linalg.qr(a).R, a),
    "lu": lambda a: (linalg.lu(a).P @ linalg.lu(a).L @ linalg.lu(a).U, a),
    "svd": lambda a: ((lambda r: (r.U * r.S.unsqueeze(-2)) @ r.Vh)(linalg.svd(a, False)), a),
    "eigh": lambda a: ((lambda r: (r[1] * r[0].unsqueeze(-2)) @ r[1].mH)(
        linalg.eigh(a + a.mH)), a + a.mH),
    "eig": lambda a: ((lambda r: r[1] * r[0].unsqueeze(-2))(linalg.eig(a)),
                      a.to(linalg.eig(a)[1].dtype) @ linalg.eig(a)[1]),
    "inv": lambda a: (linalg.inv(a) @ a, torch.eye(3, dtype=a.dtype).expand(a.shape)),
    "pinv": lambda a: (a @ linalg.pinv(a) @ a, a),
    "geqrf": lambda a: (torch.ormqr(*torch.geqrf(a), torch.geqrf(a).a.triu()), a),
    "orgqr": lambda a: (linalg.householder_product(*torch.geqrf(a)), linalg.qr(a).Q),
    "ldl": ldl,
    "matrix_exp": lambda a: (torch.matrix_exp(a) @ torch.matrix_exp(-a),
                             torch.eye(3, dtype=a.dtype).expand(a.shape)),
}


@pytest.mark.parametrize("kind", ["float32", "complex128"])
@pytest.mark.parametrize("name", LAWS)
def test_laws(name, kind):
    close(*LAWS[name](matrix(2, 3, 3, kind=kind)))


SECOND = {
    "inv": linalg.inv, "det": linalg.det,
    "cholesky": lambda a: linalg.cholesky(a @ a.mH + 3 * torch.eye(2, dtype=a.dtype)),
    "svd": lambda a: linalg.svd(a, False), "eigvalsh": lambda a: linalg.eigvalsh(a + a.mT),
    "lu": lambda a: linalg.lu(a)[1:], "qr": linalg.qr, "solve": lambda a: linalg.solve(a, a[0]),
    "matrix_exp": torch.matrix_exp, "pinv": linalg.pinv,
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives(name):
    a = torch.from_numpy(np.array([[1.3, 0.4], [-0.6, 2.1]])).requires_grad_()
    assert gradcheck(SECOND[name], (a,))
    assert gradgradcheck(SECOND[name], (a,))


def test_determinant_of_a_singular_matrix_has_a_gradient():
    a = torch.tensor([[1.0, 2.0], [2.0, 4.0]], requires_grad=True)
    linalg.det(a).backward()
    close(a.grad, torch.tensor([[4.0, -2.0], [-2.0, 1.0]]))


@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0), (0, 3, 3)])
def test_empty_matrices(shape):
    a = matrix(*shape)
    assert linalg.inv(a).shape == a.shape
    assert [x.shape for x in linalg.svd(a)] == [a.shape, a.shape[:-1], a.shape]
    assert linalg.det(a).tolist() == np.ones(shape[:-2]).tolist()
    assert linalg.solve(a, matrix(*shape[:-1], 2)).shape == (*shape[:-1], 2)
    assert linalg.matrix_rank(a).tolist() == np.zeros(shape[:-2]).tolist()
    assert torch.matrix_exp(a).shape == linalg.cholesky(a).shape == a.shape


def test_out_is_written():
    a, out = matrix(2, 2, kind="float32"), torch.empty(2, 2)
    assert linalg.inv(a, out=out) is out
    close(out @ a, torch.eye(2))
    q, r = torch.empty(0), torch.empty(0)
    linalg.qr(a, out=(q, r))
    close(q @ r, a)


def test_backward_uses_the_values_of_the_forward():
    a = matrix(2, 2, grad=True)
    b = a * 1
    y = linalg.det(b)
    b.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_second_backward_raises():
    y = linalg.inv(matrix(2, 2, grad=True)).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_saved_tensors_pass_the_hooks():
    seen = []
    a = matrix(2, 2, grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: seen.append(x) or x, lambda x: x):
        y = linalg.inv(a)
    y.sum().backward()
    assert len(seen) == 1
    close(a.grad, -(linalg.inv(a).mT.detach() @ torch.ones(2, 2, dtype=torch.float64)
                    @ linalg.inv(a).mT.detach()))


def test_a_compiled_step_sees_new_values():
    step = torch.compile(lambda a: linalg.inv(a) * 2)
    with pytest.warns(UserWarning, match="a value is looked at"):
        found = [step((torch.eye(2) * k).realize())[0, 0].item() for k in (1, 2, 4)]
    assert found == [2.0, 1.0, 0.5]
