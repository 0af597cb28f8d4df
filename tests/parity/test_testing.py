"""In: pairs of results. Out: the messages of torch.testing.assert_close, and tensors in bounds."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")


def calls(L):
    check, t, nan = L.testing.assert_close, L.tensor, float("nan")
    return [
        lambda: check(t([1.0, 2, 3]), t([1.0, 2.5, 3])),
        lambda: check(t([[1.0, 2], [3, 4]]), t([[1.0, 2.5], [9, 4]])),
        lambda: check(L.ones(2), L.ones(3)),
        lambda: check(L.ones(2), L.ones(2).double()),
        lambda: check(L.ones(2), L.ones(2).double(), check_dtype=False),
        lambda: check(1.0, 2.0), lambda: check(1, 2), lambda: check(1, 1.0),
        lambda: check([1, 2], [1, 3]), lambda: check([1], [1, 2]),
        lambda: check({"a": L.ones(1)}, {"a": L.zeros(1)}), lambda: check({"a": 1}, {"b": 1}),
        lambda: check("a", 1), lambda: check(t(1), t(2)),
        lambda: check(t([True, False]), t([True, True])), lambda: check(L.ones(2), 2.0),
        lambda: check(t([nan]), t([nan])), lambda: check(t([nan]), t([nan]), equal_nan=True),
        lambda: check(nan, nan), lambda: check(nan, nan, equal_nan=True),
        lambda: check(L.ones(1), L.ones(1), rtol=1), lambda: check(1, 1, atol=1),
        lambda: check(t(1.0), t(2.0), rtol=0, atol=0.5), lambda: check(t(1.0), t(1.4), rtol=0,
                                                                       atol=0.5),
        lambda: check(L.ones(1), L.zeros(1), msg="hey"),
        lambda: check(L.ones(1), L.zeros(1), msg=lambda m: "X " + m),
        lambda: check(None, None), lambda: check(None, 1),
        lambda: check(L.ones(2, 2), L.ones(2, 2).t(), check_stride=True),
        lambda: check(t([1, 2]), t([1, 3])), lambda: check(t([1, 2]), t([1, 3]), rtol=1, atol=1),
        lambda: check(np.ones(2), np.ones(2)), lambda: check(np.ones(2), np.zeros(2)),
        lambda: check(True, False), lambda: check(True, True),
        lambda: check(L.nn.Parameter(L.ones(1)), L.ones(1)),
        lambda: check(L.nn.Parameter(L.ones(1)), L.ones(1), allow_subclasses=False),
        lambda: check(t([1 + 1j]), t([1 + 2j])),
        lambda: check([L.ones(1), [L.ones(2)]], [L.ones(1), [L.zeros(2)]]),
        lambda: check(L.ones(2).bfloat16(), L.ones(2).bfloat16() * 1.01),
        lambda: check(L.ones(2).bfloat16(), L.ones(2).bfloat16() * 1.5),
        lambda: check(L.ones(0), L.ones(0)), lambda: check(t([float("inf")]), t([float("inf")])),
    ]


def test_assert_close():
    def outcome(call):
        try:
            call()
        except Exception as e:
            return type(e).__name__, str(e).replace("jittensor.nn.parameter", "torch.nn.parameter"
                                                    ).replace("jittensor.tensor", "torch")
        return None

    for k, (ours, theirs) in enumerate(zip(calls(jt), calls(torch), strict=True)):
        assert outcome(ours) == outcome(theirs), k


@pytest.mark.parametrize("kind", ["float32", "int64", "bool", "uint8", "complex64", "float64"])
def test_make_tensor(kind):
    seen = []
    for lib in (torch, jt):
        lib.manual_seed(0)
        seen.append([lib.testing.make_tensor(*shape, dtype=getattr(lib, kind), device="cpu", **o)
                     for shape, o in (((4, 5), {}), (((3,),), {"exclude_zero": True}),
                                      ((2, 3), {"noncontiguous": True}))])
    for theirs, ours in zip(*seen, strict=True):
        assert tuple(theirs.shape) == tuple(ours.shape) and str(theirs.dtype) == str(ours.dtype)
        assert theirs.is_contiguous() == ours.is_contiguous()
    np.testing.assert_allclose(seen[1][0].numpy(), seen[0][0].numpy(), rtol=1e-6)
    with pytest.raises(ValueError, match="low"):
        jt.testing.make_tensor(2, dtype=jt.float32, device="cpu", low=2, high=1)
