"""The reference backend and the compiled kernels agree on a table of programs."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.config import config
from jittensor.graph.ops import ELEMENTWISE, OPS
from jittensor.kernels.compile import stats
from jittensor.record import elementwise
from jittensor.runtime import realize

RNG = np.random.default_rng(5)
X = RNG.standard_normal((6, 7)).astype(np.float32)
W = RNG.standard_normal((7, 5)).astype(np.float32)
I = RNG.integers(-9, 9, (6, 7))

PROGRAMS = {
    "chain": lambda t: ((t(X) + 1) * 2 - t(X).t()[:, :6].sum()).tanh(),
    "softmax": lambda t: torch.softmax(t(X), 1),
    "log_softmax": lambda t: torch.log_softmax(t(X), 0),
    "logsumexp": lambda t: torch.logsumexp(t(X), 1),
    "layer_norm": lambda t: torch.layer_norm(t(X), (7,), t(X[0]), t(X[1])),
    "var": lambda t: t(X).var(0),
    "mean of half": lambda t: t(X).half().mean(1),
    "bfloat16": lambda t: (t(X).bfloat16() * 1.5 + t(X)[0].bfloat16()).float(),
    "matmul": lambda t: t(X) @ t(W),
    "batched matmul": lambda t: t(X).reshape(2, 3, 7) @ t(W),
    "integer matmul": lambda t: t(I) @ t(I).t(),
    "integers": lambda t: (t(I) // 3 + t(I) % 4) & 7,
    "shifts": lambda t: (t(I) << 2) >> 1,
    "narrow integers": lambda t: t(I).to(torch.int8) * 31,
    "bytes": lambda t: (t(I).abs().to(torch.uint8) - 9) / 2,
    "truth": lambda t: (t(I) > 2) | (t(X) < 0),
    "reductions": lambda t: t(I).prod(1) + t(I).amax(1) - t(I).amin(1) + t(I).sum(),
    "any and all": lambda t: (t(I) > 2).any(0) & (t(I) < 8).all(0),
    "where": lambda t: torch.where(t(X) > 0, t(X), t(I)),
    "index": lambda t: t(X)[[3, 1, -1]],
    "index_add": lambda t: t(X).index_add(0, torch.tensor([1, 1, 0]), t(X)[:3]),
    "write through a view": lambda t: _written(t(X)),
    "complex": lambda t: (torch.complex(t(X), t(X) + 1) * torch.complex(t(X), t(X))).abs(),
    "gather and scatter": lambda t: t(X).gather(1, t(I) % 7).scatter_add(0, t(I) % 6, t(X)),
    "scans": lambda t: t(X).cumsum(0) + t(X).cumprod(1) + t(X).logcumsumexp(1),
    "running extremes": lambda t: t(I).cummax(1)[1] + t(I).cummin(0)[1],
    "places": lambda t: t(X).argmax(1) * 10 + t(X).argmin(1),
    "order": lambda t: t(I).sort(0, descending=True)[1] * 9 + t(X).argsort(1),
    "first in order": lambda t: t(W).t().topk(1, 1)[1] + t(I).topk(1, largest=False)[0][:5],
    "middle": lambda t: t(X).median(0)[1] + t(I).kthvalue(2, 0)[0] + t(X).nanmedian(0)[0],
    "empty": lambda t: t(X)[:0].sum(0) + 1,
    "broadcast": lambda t: t(X).unsqueeze(1) * t(X).unsqueeze(0),
    "clamp and relu": lambda t: t(X).clamp(-0.5, 0.5) + t(X).relu(),
    "pick": lambda t: torch.nn.functional.cross_entropy(t(X), torch.tensor([0, 1, 2, 3, 4, 5])),
}


def _written(x):
    x = x.clone()
    x[1:, ::2] += 1
    x.t()[0].fill_(7)
    x[2:4].mul_(x[0])
    return x * 1


@pytest.mark.parametrize("name", PROGRAMS)
def test_backends_agree(name, monkeypatch) -> None:
    compiled = PROGRAMS[name](torch.tensor)
    expected = compiled.numpy()
    realize.realize_all()
    monkeypatch.setattr(config, "backend", "reference")
    kernels = stats.kernels_compiled + stats.kernels_loaded
    result = PROGRAMS[name](torch.tensor)
    got = result.numpy()
    assert stats.kernels_compiled + stats.kernels_loaded == kernels
    assert result.dtype is compiled.dtype and result.stride() == compiled.stride()
    if expected.dtype.kind in "fc":
        np.testing.assert_allclose(got, expected, rtol=2e-6 if expected.itemsize > 2 else 2e-3,
                                   atol=1e-6)
    else:
        np.testing.assert_array_equal(got, expected)


ROWS = sorted(name for name, op in OPS.items() if op.kind == ELEMENTWISE and op.args
              and op.dtypes not in ("bitwise", "integer", "where", "mask", "logical")
              and name not in ("fill", "_polygamma"))


@pytest.mark.parametrize("name", ROWS)
def test_every_row_agrees_in_float64(name, monkeypatch) -> None:
    op = OPS[name]
    low, high = op.domain
    operands = [RNG.uniform(low, high, 50) for _ in op.args]
    if name == "clamp" or name == "hardtanh":
        operands[1:] = [np.full(50, low / 2), np.full(50, high / 2)]
    seen = []
    for backend in ("numba", "reference"):
        monkeypatch.setattr(config, "backend", backend)
        seen.append(elementwise(op, *map(torch.tensor, operands)).numpy())
    assert seen[0].dtype == seen[1].dtype
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-11, atol=1e-12)


def test_an_operator_without_a_reference_says_so(monkeypatch) -> None:
    from jittensor.kernels.reference import executor
    monkeypatch.setattr(config, "backend", "reference")
    monkeypatch.delitem(executor.OPAQUE, "matmul")
    product = torch.tensor(X) @ torch.tensor(W)
    with pytest.raises(NotImplementedError, match="matmul"):
        product.numpy()
    del product, realize.PENDING[:]
