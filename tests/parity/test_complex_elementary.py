"""In: complex numbers on both sides of every cut. Out: PyTorch's elementary functions of them,
their dtype, and gradients that central differences confirm."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor.autograd import gradcheck
from jittensor.config import config
from jittensor.functions.complex_elementary import FUNCTIONS

torch = pytest.importorskip("torch")

PARTS = (-2.5, -1.0, -0.3, -0.0, 0.0, 0.4, 1.0, 3.0)
Z = np.array([complex(a, b) for a in PARTS for b in PARTS])
CALLS = {
    **{name: (lambda t, z, name=name: (getattr(t, name, None) or getattr(
        t.nn.functional, name))(z)) for name in FUNCTIONS if name != "pow"},
    "pow": lambda t, z: t.pow(z, 0.5 + 0.25j), "square": lambda t, z: z ** 2,
    "half": lambda t, z: z ** 0.5, "power of tensors": lambda t, z: z ** z.flip(0),
    "of a number": lambda t, z: 2.5 ** z, "of 0": lambda t, z: t.pow(0, z),
    "float_power": lambda t, z: t.float_power(z, 3),
    "masked std": lambda t, z: t.masked.std(z, 0),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["complex64", "complex128"])
def test_values(name: str, kind: str, monkeypatch) -> None:
    monkeypatch.setattr(config, "backend", "reference")
    z = Z.astype(kind)
    expected = CALLS[name](torch, torch.from_numpy(z))
    found = CALLS[name](jt, jt.from_numpy(z))
    assert str(found.dtype) == str(expected.dtype)
    expected, found = expected.numpy(), found.numpy()
    fine = np.isfinite(expected)
    close = {"rtol": 1e-4, "atol": 1e-5} if kind == "complex64" else {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(found[fine], expected[fine], **close)
    assert not np.isfinite(found[~fine]).all() or fine.all()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name: str, monkeypatch) -> None:
    monkeypatch.setattr(config, "backend", "reference")
    z = jt.tensor([0.7 + 0.4j, -0.5 + 0.8j, 0.3 - 1.2j], requires_grad=True, dtype=jt.complex128)
    call = FUNCTIONS[name]
    assert gradcheck((lambda x: call(x, 1.5 - 0.5j)) if name == "pow" else call, z)
