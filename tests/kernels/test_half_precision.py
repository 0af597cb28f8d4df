"""16-bit floats beside other numbers: PyTorch's values for what is rounded before, and what not."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.config import config

CASES = {
    "compared with a number": (lambda h, i, b: h == 0.1, [True, False, False]),
    "below a number": (lambda h, i, b: h < 0.1, [False, False, False]),
    "bfloat16 compared": (lambda h, i, b: b == 0.1, [True, False, False]),
    "plus integers": (lambda h, i, b: h + i, [2048.0, 4096.0, 4.1015625]),
    "times integers": (lambda h, i, b: b * i, [205.0, 820.0, 3.3125]),
    "plus a number": (lambda h, i, b: h + 2049, [2048.0, 2048.0, 2050.0]),
    "minus a number": (lambda h, i, b: h - 0.1, [0.0, 0.0999755859375, 0.99951171875]),
    "times a number": (lambda h, i, b: h * 0.1,
                       [0.0099945068359375, 0.019989013671875, 0.1099853515625]),
    "a number divided": (lambda h, i, b: 0.1 / h, [1.0, 0.5, 0.0909423828125]),
    "rest": (lambda h, i, b: h % 0.1, [0.0, 0.0, 0.099853515625]),
    "floor of a quotient": (lambda h, i, b: h // 0.1, [0.0, 1.0, 10.0]),
    "power": (lambda h, i, b: h ** 0.3, [0.5009765625, 0.61669921875, 1.029296875]),
    "limits": (lambda h, i, b: h.clamp(0.15, 0.17),
               [0.1500244140625, 0.1700439453125, 0.1700439453125]),
}


@pytest.mark.parametrize("backend", ["numba", "reference"])
@pytest.mark.parametrize("name", CASES)
def test_numbers_beside_16_bit_floats(name, backend, monkeypatch) -> None:
    monkeypatch.setattr(config, "backend", backend)
    function, expected = CASES[name]
    h = torch.tensor([0.1, 0.2, 1.1]).half()
    assert function(h, torch.tensor([2049, 4097, 3]), h.bfloat16()).tolist() == expected


@pytest.mark.parametrize("name", ["expm1", "exp", "tanh", "sqrt", "neg"])
def test_float64_rounds_twice_on_its_way_to_float16(name) -> None:
    """To float32 and on; also where an object file with a call to a missing function would end the
    process, and at the edges of float16's range."""
    values = np.concatenate([np.linspace(0, 3, 101), [1e-8, 5e-6, 11.0, 65519.0, 65520.0, 1e30,
                                                      1.0 + 2.0**-11 + 2.0**-40, np.inf, np.nan]])
    x = torch.tensor(values).realize()
    y = getattr(torch, name)(x)
    torch.realize(y)
    seen = getattr(torch, name)(x).half()
    with np.errstate(over="ignore"):
        wanted = y.numpy().astype(np.float32).astype(np.float16)
    np.testing.assert_array_equal(seen.numpy(), wanted)
