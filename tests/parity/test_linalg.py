"""torch.linalg against PyTorch: values, dtypes, gradients and errors of each function."""

import numpy as np
import pytest

import jittensor

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(3)
WIDE, TALL, SQUARE, BATCH = (RNG.standard_normal(s) for s in ((2, 4), (4, 2), (3, 3), (2, 3, 3)))
RIGHT, VECTOR = RNG.standard_normal((3, 2)), RNG.standard_normal(3)
COMPLEX = (SQUARE + 1j * BATCH[0]).astype(np.complex128)


def definite(x):
    return x @ x.mH + 3 * x.new_ones(x.shape[-1]).diag()


def magnitudes(parts):
    return tuple(p.abs() for p in parts)


CASES = {
    "cholesky": (lambda t, a: t.linalg.cholesky(definite(a)), BATCH),
    "cholesky upper": (lambda t, a: t.cholesky(definite(a), upper=True), SQUARE),
    "cholesky complex": (lambda t, a: t.linalg.cholesky(definite(a)), COMPLEX),
    "cholesky_inverse": (lambda t, a: t.cholesky_inverse(t.linalg.cholesky(definite(a))), SQUARE),
    "cholesky_solve": (lambda t, a, b: t.cholesky_solve(b, a), SQUARE.T @ SQUARE,
                       RIGHT),
    "qr": (lambda t, a: t.linalg.qr(a), TALL),
    "qr wide": (lambda t, a: t.linalg.qr(a), WIDE),
    "qr complete": (lambda t, a: t.qr(a, some=False), WIDE),
    "lu": (lambda t, a: t.linalg.lu(a), BATCH),
    "lu tall": (lambda t, a: t.linalg.lu(a), TALL),
    "lu wide": (lambda t, a: t.linalg.lu(a)[1:], WIDE),
    "lu_factor": (lambda t, a: t.linalg.lu_factor(a), SQUARE),
    "lu_solve": (lambda t, a, b: t.linalg.lu_solve(*t.linalg.lu_factor(a), b), SQUARE, RIGHT),
    "lu_solve adjoint": (lambda t, a, b: t.linalg.lu_solve(
        *t.linalg.lu_factor(a), b.mT, left=False, adjoint=True), SQUARE, RIGHT),
    "svd": (lambda t, a: magnitudes(t.linalg.svd(a, False)), TALL),
    "svd full": (lambda t, a: t.linalg.svd(a).S, WIDE),
    "svdvals": (lambda t, a: t.linalg.svdvals(a), BATCH),
    "eigh": (lambda t, a: magnitudes(t.linalg.eigh(a + a.mT)), BATCH),
    "eigvalsh upper": (lambda t, a: t.linalg.eigvalsh(a, "U"), SQUARE),
    "eig": (lambda t, a: t.linalg.eig(a).eigenvectors.abs(), SQUARE),
    "eigvals": (lambda t, a: t.linalg.eigvals(a).real, BATCH),
    "solve": (lambda t, a, b: t.linalg.solve(a, b), BATCH, RIGHT),
    "solve vector": (lambda t, a, b: t.linalg.solve(a, b), SQUARE, VECTOR),
    "solve right": (lambda t, a, b: t.linalg.solve(a, b.mT, left=False), SQUARE, RIGHT),
    "solve_triangular": (lambda t, a, b: t.linalg.solve_triangular(a, b, upper=False), SQUARE,
                         RIGHT),
    "solve_triangular unit right": (lambda t, a, b: t.linalg.solve_triangular(
        a, b.mT, upper=True, left=False, unitriangular=True), SQUARE, RIGHT),
    "triangular_solve": (lambda t, a, b: t.triangular_solve(b, a, transpose=True), SQUARE, RIGHT),
    "inv": (lambda t, a: t.linalg.inv(a), BATCH),
    "inv complex": (lambda t, a: t.linalg.inv(a).abs(), COMPLEX),
    "pinv": (lambda t, a: t.linalg.pinv(a), TALL),
    "lstsq": (lambda t, a, b: t.linalg.lstsq(a, b, driver="gelsd")[0], SQUARE, RIGHT),
    "det": (lambda t, a: t.det(a), BATCH),
    "slogdet": (lambda t, a: t.linalg.slogdet(a), BATCH),
    "logdet": (lambda t, a: t.logdet(definite(a)), SQUARE),
    "matrix_exp": (lambda t, a: t.matrix_exp(a), BATCH),
    "matrix_power": (lambda t, a: t.linalg.matrix_power(a, -3), SQUARE),
    "multi_dot": (lambda t, a, b, c: t.linalg.multi_dot([c, a, b]), SQUARE, RIGHT, VECTOR),
    "householder": (lambda t, a: t.linalg.householder_product(a, a[0, :2]), SQUARE),
    "ormqr": (lambda t, a, b: t.ormqr(a[:, :2], a[0, :2], b, transpose=True), SQUARE, RIGHT),
    "norm": (lambda t, a: t.linalg.norm(a, 1), SQUARE),
    "matrix_norm": (lambda t, a: t.linalg.matrix_norm(a, "nuc", dim=(0, 2), keepdim=True), BATCH),
    "vector_norm": (lambda t, a: t.linalg.vector_norm(a, 3, dim=(0, -1)), BATCH),
    "cond": (lambda t, a: t.linalg.cond(a), SQUARE),
    "tensorinv": (lambda t, a: t.linalg.tensorinv(a.reshape(3, 3, 1), ind=1), SQUARE),
    "tensorsolve": (lambda t, a, b: t.linalg.tensorsolve(a, b), SQUARE, VECTOR),
    "vander": (lambda t, a: t.linalg.vander(a, N=4), VECTOR),
    "vecdot": (lambda t, a, b: t.linalg.vecdot(a, b), SQUARE, VECTOR),
    "cross": (lambda t, a, b: t.linalg.cross(a, b), SQUARE, VECTOR.reshape(1, 3)),
}


def leaves(x, kind):
    return [x] if isinstance(x, kind) else [y for v in x for y in leaves(v, kind)]


def run(t, function, arrays):
    """(results, gradients of the sum of results times fixed weights), as arrays."""
    inputs = [t.from_numpy(a.copy()).requires_grad_() for a in arrays]
    outs = leaves(function(t, *inputs), t.Tensor)
    kept = [o for o in outs if o.requires_grad]
    weights = [t.from_numpy(np.cos(np.arange(o.numel())).astype(o.detach().numpy().dtype))
               .reshape(tuple(o.shape)) for o in kept]
    grads = t.autograd.grad(kept, inputs, weights)
    return [o.detach().numpy() for o in outs], [g.numpy() for g in grads]


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    function, *arrays = CASES[name]
    have, want = run(jittensor, function, arrays), run(torch, function, arrays)
    for got, expected in zip(have[0] + have[1], want[0] + want[1], strict=True):
        assert got.dtype == expected.dtype and got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9)


ERRORS = {
    "inv": lambda t: t.linalg.inv(t.zeros(2, 2)),
    "inv batch": lambda t: t.linalg.inv(t.stack((t.eye(2), t.zeros(2, 2)))),
    "solve": lambda t: t.linalg.solve(t.zeros(2, 2), t.ones(2)),
    "cholesky": lambda t: t.linalg.cholesky(-t.eye(2)),
    "lu_factor": lambda t: t.linalg.lu_factor(t.zeros(2, 2)),
    "svd nan": lambda t: t.linalg.svd(t.full((2, 2), float("nan"))),
    "eig nan": lambda t: t.linalg.eig(t.full((2, 2), float("nan"))),
    "not square": lambda t: t.linalg.det(t.ones(2, 3)),
    "vector": lambda t: t.linalg.qr(t.ones(2)),
    "integers": lambda t: t.linalg.inv(t.ones(2, 2, dtype=t.int64)),
    "half": lambda t: t.linalg.svd(t.ones(2, 2, dtype=t.float16)),
    "mode": lambda t: t.linalg.qr(t.eye(2), mode="full"),
    "dtypes": lambda t: t.linalg.solve(t.eye(2), t.ones(2, dtype=t.float64)),
    "sizes": lambda t: t.linalg.solve(t.eye(2), t.ones(3, 1)),
    "order": lambda t: t.linalg.matrix_norm(t.eye(2), 3),
    "cond order": lambda t: t.linalg.cond(t.eye(2), 3),
    "driver": lambda t: t.linalg.lstsq(t.eye(2), t.eye(2), driver="qr"),
    "UPLO": lambda t: t.linalg.eigh(t.eye(2), UPLO="X"),
    "backward of r": lambda t: t.linalg.qr(t.eye(2, requires_grad=True), "r").R.sum().backward(),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    classes = []
    for t in (torch, jittensor):
        with pytest.raises(Exception) as caught:
            ERRORS[name](t)
        classes.append(caught.value)
    theirs, ours = classes
    assert isinstance(theirs, torch.linalg.LinAlgError) == isinstance(
        ours, jittensor.linalg.LinAlgError)
    assert isinstance(ours, type(theirs).__mro__[1]) or type(ours) is type(theirs)


def test_infos_of_singular_matrices():
    a = np.stack((np.eye(2), np.zeros((2, 2)))).astype(np.float32)
    for f in (lambda t, x: t.linalg.inv_ex(x).info, lambda t, x: t.linalg.cholesky_ex(x).info,
              lambda t, x: t.linalg.lu_factor_ex(x).info,
              lambda t, x: t.linalg.solve_ex(x, x).info, lambda t, x: t.linalg.matrix_rank(x)):
        have, want = (f(t, t.from_numpy(a)).numpy() for t in (jittensor, torch))
        assert have.dtype == want.dtype and have.tolist() == want.tolist()
