"""In: types of old and settings. Out: tensors of their dtypes; what was set."""

from __future__ import annotations

import pytest

import jittensor as jt


def test_types_make_tensors():
    x = jt.FloatTensor([1, 2])
    assert x.dtype is jt.float32 and x.tolist() == [1.0, 2.0] and isinstance(x, jt.FloatTensor)
    assert jt.LongTensor(2, 3).shape == (2, 3) and jt.LongTensor(2, 3).dtype is jt.int64
    assert jt.BoolTensor().shape == (0,) and not isinstance(x, jt.LongTensor)
    assert jt.ByteTensor(jt.Size([2])).shape == (2,)
    with pytest.raises(TypeError, match="float32"):
        jt.LongTensor(x)


def test_settings_are_kept():
    assert jt.get_default_device() == jt.device("cpu")
    jt.set_default_device(None)
    with pytest.raises(AssertionError, match="CUDA"):
        jt.set_default_device("cuda")
    jt.set_default_tensor_type(jt.DoubleTensor)
    try:
        assert jt.ones(1).dtype is jt.float64
    finally:
        jt.set_default_tensor_type("torch.FloatTensor")
    jt.use_deterministic_algorithms(True, warn_only=True)
    assert jt.are_deterministic_algorithms_enabled() and jt.get_deterministic_debug_mode() == 1
    jt.use_deterministic_algorithms(False)
    jt.set_float32_matmul_precision("high")
    assert jt.get_float32_matmul_precision() == "high"
    jt.set_float32_matmul_precision("highest")
    assert not jt.accelerator.is_available() and jt.accelerator.current_accelerator() is None
    with pytest.raises(RuntimeError, match="none is available"):
        jt.accelerator.synchronize()
    with pytest.raises(RuntimeError, match="does not run programs"):
        jt.hub.load("a/b", "c")
    with jt.backends.opt_einsum.flags(enabled=False):
        assert not jt.backends.opt_einsum.is_available()
