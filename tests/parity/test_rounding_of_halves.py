"""In: operations on 16-bit floats. Out: PyTorch's bits: computed in float32, rounded once."""

import numpy as np
import pytest

import jittensor

torch = pytest.importorskip("torch")

CASES = {
    "linear": lambda F, a: F.linear(a(9, 47), a(21, 47), a(21)),
    "linear in 3 dims": lambda F, a: F.linear(a(3, 3, 47), a(21, 47), a(21)),
    "conv2d": lambda F, a: F.conv2d(a(2, 4, 9, 9), a(6, 4, 3, 3), a(6)),
    "rms_norm": lambda F, a: F.rms_norm(a(8, 64), (64,)),
    "rms_norm with weights": lambda F, a: F.rms_norm(a(8, 64), (64,), a(64), 1e-5),
    "glu": lambda F, a: F.glu(a(8, 64)),
    "bilinear": lambda F, a: F.interpolate(a(2, 4, 9, 9), scale_factor=2, mode="bilinear"),
    "smaller": lambda F, a: F.interpolate(a(2, 4, 9, 9), size=5, mode="bilinear"),
    "avg_pool1d": lambda F, a: F.avg_pool1d(a(8, 64), 3),
    "adaptive_avg_pool2d": lambda F, a: F.adaptive_avg_pool2d(a(3, 9, 9), (5, 4)),
}
PRODUCTS = {
    "addmm": lambda L, a: L.addmm(a(9, 21), a(9, 47), a(47, 21), beta=0.5, alpha=2.3),
    "addmv": lambda L, a: L.addmv(a(33), a(33, 47), a(47)),
    "baddbmm": lambda L, a: L.baddbmm(a(2, 9, 21), a(2, 9, 47), a(2, 47, 21)),
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("case", [*CASES, *PRODUCTS])
def test_rounded_once(case, dtype):
    def answer(L):
        rng = np.random.default_rng(5)
        draw = lambda *shape: L.from_numpy(  # noqa: E731
            rng.standard_normal(shape).astype(np.float32)).to(getattr(L, dtype))
        out = CASES[case](L.nn.functional, draw) if case in CASES else PRODUCTS[case](L, draw)
        assert out.dtype is getattr(L, dtype)
        return out.float().numpy()

    # sums in another order may fall on the other side of a tie now and then
    assert (answer(jittensor) != answer(torch)).mean() < 0.01
