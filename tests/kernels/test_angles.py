"""Loops over angles: blocks with and without large angles, in every skeleton, give the same bits
as each element by itself, and the source has the guard."""

import numpy as np
import pytest

import jittensor as jt
from jittensor.kernels.angles import guarded, has_angles

FAR = [1e6, -3e10, 1e38, np.inf, -np.inf, np.nan]
DTYPES = {"float32": np.float32, "float64": np.float64}


def angles(shape, dtype, far):
    """Small angles; with `far`, a few large ones far apart, so that some blocks have none."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=shape).astype(dtype) * 20
    if far:
        flat = x.reshape(-1)
        flat[:: max(len(flat) // len(FAR), 1)][: len(FAR)] = FAR
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_an_element_does_not_depend_on_its_neighbours(name, dtype):
    near = angles(20000, DTYPES[dtype], far=False)
    mixed = near.copy()
    mixed[::1500] = FAR[2]
    f = getattr(jt, name)
    alone = f(jt.from_numpy(near)).numpy()
    among = f(jt.from_numpy(mixed)).numpy()
    kept = mixed == near
    assert alone[kept].tobytes() == among[kept].tobytes()
    expected = getattr(np, name)(near.astype(np.longdouble))
    # error in tan grows with its argument's distance from the poles; 4 ulp of the result
    np.testing.assert_allclose(alone, expected.astype(near.dtype),
                               rtol=4 * np.finfo(near.dtype).eps)  # fmt: skip


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("shape", [(7,), (3000,), (40, 70), (5, 6, 300)])
def test_every_skeleton_has_the_full_range(shape, far):
    x = angles(shape, np.float64, far)
    with np.errstate(invalid="ignore"):
        sine, cosine = np.sin(x), np.cos(x)
    t = jt.from_numpy(x)
    near = dict(rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose((jt.sin(t) * 2 + jt.cos(t)).numpy(), sine * 2 + cosine, **near)
    backwards = jt.sin(t.permute(*range(len(shape))[::-1])).numpy()
    np.testing.assert_allclose(backwards, sine.T, **near)
    for dim in range(len(shape)):
        got = (jt.sin(t) * jt.cos(t)).sum(dim).numpy()
        np.testing.assert_allclose(got, (sine * cosine).sum(dim), **near)
    centred = jt.sin(t) - jt.sin(t).mean(-1, keepdim=True)
    np.testing.assert_allclose(centred.numpy(), sine - sine.mean(-1, keepdims=True), **near)


def test_an_angle_of_an_angle_and_a_write_in_place():
    x = angles(5000, np.float64, far=True)
    x = np.where(np.isfinite(x), x, 1e300)
    t = jt.from_numpy(x)
    both = jt.sin(jt.sin(t) * 1e6 + t).numpy()
    np.testing.assert_allclose(both, np.sin(np.sin(x) * 1e6 + x), atol=1e-8)
    u = jt.from_numpy(x.copy())
    u.sin_()
    assert u.numpy().tobytes() == jt.sin(t).numpy().tobytes()


def test_the_first_pass_computes_the_angles_only():
    imports: set[str] = set()
    body = ["v0 = load(p0, i)", "v1 = v0 * C0", "v2 = sin_f32(v1)", "v3 = exp_f32(v0)",
            "v4 = v2 + v3", "store0(p1, i, v4)"]  # fmt: skip
    assert has_angles(body) and not has_angles([body[0], body[3]])
    lines = [line for _, line in guarded("i", "begin", "end", body, imports)]
    first = lines.index("for i in range(g0, g1):")
    assert lines[first + 1 : lines.index("if far == 0:")] == [
        *body[:2], "far = or_far_f32(far, v1)"]  # fmt: skip
    assert imports == {"sin_near_f32", "or_far_f32"}
    assert "v2 = sin_near_f32(v1)" in lines and "v2 = sin_f32(v1)" in lines
