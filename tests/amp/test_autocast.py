"""In: products and losses in autocast contexts. Out: their dtypes; the scale of a GradScaler."""

from __future__ import annotations

import pytest

import jittensor as jt
from jittensor.nn import functional as F

A = jt.ones(2, 2)


def test_products_are_low_and_losses_are_float32():
    with jt.autocast("cpu"):
        product = A @ A
        assert product.dtype is F.linear(A, A).dtype is jt.bmm(A[None], A[None]).dtype is (
            jt.bfloat16)
        assert F.mse_loss(product, A).dtype is jt.float32
        assert (A.double() @ A.double()).dtype is jt.float64
        with jt.autocast("cpu", dtype=jt.float16):
            assert (A @ A).dtype is jt.float16
        with jt.autocast("cpu", enabled=False):
            assert (A @ A).dtype is jt.float32
        assert jt.cat([product, A]).dtype is jt.float32
    assert (A @ A).dtype is jt.float32


def test_decorators_and_exceptions_restore():
    @jt.autocast("cpu")
    def low():
        raise KeyError

    with pytest.raises(KeyError):
        low()
    assert not jt.is_autocast_enabled("cpu") and (A @ A).dtype is jt.float32


def test_scaler_skips_steps_that_overflow():
    p = jt.nn.Parameter(jt.ones(1))
    optimizer, scaler = jt.optim.SGD([p], 0.5), jt.amp.GradScaler("cpu", 4.0, growth_interval=1)
    for factor, value, scale in ((float("inf"), 1.0, 2.0), (1.0, 0.5, 4.0)):
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert (p.item(), scaler.get_scale()) == (value, scale)
