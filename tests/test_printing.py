"""Printed forms recorded from PyTorch 2.13."""

import numpy as np
import pytest

from jittensor import printing
from jittensor.printing import tensor_str


@pytest.fixture(autouse=True)
def default_options():
    yield
    printing.set_printoptions(profile="default")


def show(values, dtype="float32", **extra):
    storage = np.float32 if dtype == "bfloat16" else dtype
    return tensor_str(np.array(values, dtype=storage), dtype_name=dtype, **extra)


@pytest.mark.parametrize(
    "text, expected",
    [
        (show(1.5), "tensor(1.5000)"),
        (show(3, "int64"), "tensor(3)"),
        (show([1, 2, 3]), "tensor([1., 2., 3.])"),
        (show([True, False], "bool"), "tensor([ True, False])"),
        (show([], "float32"), "tensor([])"),
        (show([], "int64"), "tensor([], dtype=torch.int64)"),
        (show(np.zeros((2, 0))), "tensor([], size=(2, 0))"),
        (show([1e-5, 1.0]), "tensor([1.0000e-05, 1.0000e+00])"),
        (show([1, np.inf, np.nan]), "tensor([1., inf, nan])"),
        (show([0.25, -np.inf], "bfloat16"), "tensor([0.2500,   -inf], dtype=torch.bfloat16)"),
        (show([1 - 2j, 0.5j], "complex64"), "tensor([1.-2.0000j, 0.+0.5000j])"),
        (show([7], "uint8"), "tensor([7], dtype=torch.uint8)"),
        (show([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (show([1.0], grad_fn_name="AddBackward0"), "tensor([1.], grad_fn=<AddBackward0>)"),
        (show([1.0], device="cuda:0"), "tensor([1.], device='cuda:0')"),
        (show([[1, 20], [3, 4]], "int64"), "tensor([[ 1, 20],\n        [ 3,  4]])"),
    ],
)
def test_small(text, expected):
    assert text == expected


def test_lines_break_at_80_columns():
    assert show(np.arange(25) + 0.5) == (
        "tensor([ 0.5000,  1.5000,  2.5000,  3.5000,  4.5000,  5.5000,  6.5000,  7.5000,\n"
        "         8.5000,  9.5000, 10.5000, 11.5000, 12.5000, 13.5000, 14.5000, 15.5000,\n"
        "        16.5000, 17.5000, 18.5000, 19.5000, 20.5000, 21.5000, 22.5000, 23.5000,\n"
        "        24.5000])"
    )


def test_summary_of_more_than_1000():
    assert show(np.arange(1001), "int64") == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    assert show(np.zeros((50, 2, 30))).split("\n") == [
        "tensor([[[0., 0., 0.,  ..., 0., 0., 0.],",
        "         [0., 0., 0.,  ..., 0., 0., 0.]],",
        "",
        "        [[0., 0., 0.,  ..., 0., 0., 0.],",
        "         [0., 0., 0.,  ..., 0., 0., 0.]],",
        "",
        "        [[0., 0., 0.,  ..., 0., 0., 0.],",
        "         [0., 0., 0.,  ..., 0., 0., 0.]],",
        "",
        "        ...,",
        "",
        "        [[0., 0., 0.,  ..., 0., 0., 0.],",
        "         [0., 0., 0.,  ..., 0., 0., 0.]],",
        "",
        "        [[0., 0., 0.,  ..., 0., 0., 0.],",
        "         [0., 0., 0.,  ..., 0., 0., 0.]],",
        "",
        "        [[0., 0., 0.,  ..., 0., 0., 0.],",
        "         [0., 0., 0.,  ..., 0., 0., 0.]]])",
    ]


def test_suffix_goes_to_a_new_line():
    assert show(np.arange(9) + 0.25, "float16", grad_fn_name="MulBackward0") == (
        "tensor([0.2500, 1.2500, 2.2500, 3.2500, 4.2500, 5.2500, 6.2500, 7.2500, 8.2500],\n"
        "       dtype=torch.float16, grad_fn=<MulBackward0>)"
    )


def test_options():
    printing.set_printoptions(precision=2, sci_mode=True)
    assert show([1.234]) == "tensor([1.23e+00])"
    printing.set_printoptions(threshold=4, edgeitems=1)
    assert show([1.234, 2, 3, 4, 5]) == "tensor([1.23,  ..., 5.00])"
    printing.set_printoptions(profile="short")
    assert printing.get_printoptions() == {
        "precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80, "sci_mode": None,
    }  # fmt: skip
