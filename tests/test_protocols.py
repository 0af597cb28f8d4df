"""Python's and NumPy's protocols on tensors: DLPack, arrays, ufuncs, numbers, copies."""

from __future__ import annotations

import copy
import operator
import pickle

import ml_dtypes
import numpy as np
import pytest

import jittensor as torch

DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64",
          "complex128", "bool")


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("turned", [False, True])
def test_dlpack_shares_memory_with_numpy(name, turned) -> None:
    array = np.arange(6).reshape(2, 3).astype(name)
    array = array.T if turned else array
    x = torch.from_dlpack(array)
    assert x.dtype is getattr(torch, name) and x.tolist() == array.tolist()
    assert x.data_ptr() == array.ctypes.data
    array[0, 0] = 1
    assert x[0, 0].item() == 1
    x[1, 1] = 0
    assert array[1, 1] == 0
    back = np.from_dlpack(torch.tensor(array))
    assert back.dtype == array.dtype and (back == array).all()


def test_a_write_after_export_is_seen() -> None:
    x = torch.arange(4.0)
    array = np.from_dlpack(x)
    x += 1
    assert array.tolist() == [1, 2, 3, 4]
    x[1] = 7
    assert array[1] == 7
    assert np.shares_memory(array, x.numpy())


def test_dlpack_of_bfloat16() -> None:
    x = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    y = torch.from_dlpack(x)
    assert y.dtype is torch.bfloat16 and y.tolist() == [1.5, -2.0]
    x[0] = 3.0
    assert y.tolist() == [3.0, -2.0]
    assert ml_dtypes.bfloat16(1.5) == torch.from_dlpack(x.clone()).float()[0].item() / 2


def test_dlpack_of_a_view_an_empty_and_a_0d_tensor() -> None:
    x = torch.arange(12.0).view(3, 4)
    y = torch.from_dlpack(x[1:, ::2])
    assert y.stride() == (4, 2) and y.tolist() == [[4, 6], [8, 10]]
    assert tuple(torch.from_dlpack(np.zeros((0, 3))).shape) == (0, 3)
    assert torch.from_dlpack(np.array(3.0)).item() == 3
    copied = torch.from_dlpack(x, copy=True)
    copied.zero_()
    assert x[0, 1].item() == 1


def test_dlpack_refuses() -> None:
    x = torch.ones(2)
    with pytest.raises(BufferError, match="require gradient"):
        torch.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="device"):
        x.__dlpack__(dl_device=(2, 0))
    capsule = x.__dlpack__()
    torch.from_dlpack(capsule)
    with pytest.raises(RuntimeError, match="only once"):
        torch.from_dlpack(capsule)
    assert tuple(x.__dlpack_device__()) == (1, 0)
    assert torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(x)).tolist() == [1, 1]


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide", "arctan2", "maximum"])
def test_ufuncs_answer_with_tensors(name) -> None:
    x, a = torch.tensor([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])
    function = getattr(np, name)
    for left, right in ((x, a), (a, x), (x, 2.0)):
        got = function(left, right)
        want = function(*(v.numpy() if isinstance(v, torch.Tensor) else v for v in (left, right)))
        assert isinstance(got, torch.Tensor) and got.tolist() == want.tolist()


def test_other_ufuncs() -> None:
    x = torch.tensor([1.0, 4.0])
    assert isinstance(np.sqrt(x), torch.Tensor) and np.sqrt(x).tolist() == [1, 2]
    assert np.less(x, 2).dtype is torch.uint8        # PyTorch's answer for truth values
    assert (x @ np.array([1.0, 1.0])).item() == 5
    assert np.asarray(x, dtype=np.int64).tolist() == [1, 4]
    with pytest.raises(ValueError, match="copy"):
        np.asarray(x, dtype=np.int64, copy=False)
    with pytest.raises(TypeError):
        np.array([1.0, 2.0]) @ x


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"])
def test_numpy_numbers_are_numbers(name) -> None:
    """np.float64 promotes as a Python float, np.int64 as an int."""
    function = getattr(operator, name)
    x, i = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1, 2, 3])
    for tensor, number in ((x, np.float64(2)), (x, np.float32(2)), (i, np.int64(2))):
        for a, b in ((tensor, number), (number, tensor)):
            plain = [v.item() if isinstance(v, np.generic) else v for v in (a, b)]
            got, want = function(a, b), function(*plain)
            assert got.dtype is want.dtype and got.tolist() == want.tolist()


NUMBERS = {
    "index": (lambda: operator.index(torch.tensor(3)), 3),
    "index of bool": (lambda: operator.index(torch.tensor(True)), 1),
    "list": (lambda: [0, 1, 2, 3][torch.tensor(2)], 2),
    "repeat": (lambda: [1] * torch.tensor(2), [1, 1]),
    "int": (lambda: int(torch.tensor([5])), 5),
    "float": (lambda: float(torch.tensor(2)), 2.0),
    "complex": (lambda: complex(torch.tensor(2.5)), 2.5 + 0j),
    "format": (lambda: f"{torch.tensor(2.5):.2f} {torch.tensor(7):03d}", "2.50 007"),
    "contains": (lambda: 2.0 in torch.tensor([1.0, 2.0]), True),
    "len": (lambda: len(torch.zeros(3, 2)), 3),
    "iteration": (lambda: [x.item() for x in torch.arange(3)], [0, 1, 2]),
}
REFUSALS = {
    "index of a float": (lambda: operator.index(torch.tensor(2.5)), TypeError),
    "index of several": (lambda: operator.index(torch.tensor([1, 2])), TypeError),
    "int of several": (lambda: int(torch.ones(2)), ValueError),
    "float of several": (lambda: float(torch.ones(2)), ValueError),
    "truth of several": (lambda: bool(torch.ones(2)), RuntimeError),
    "len of 0-d": (lambda: len(torch.tensor(1)), TypeError),
    "iteration of 0-d": (lambda: list(torch.tensor(1)), TypeError),
    "format of several": (lambda: f"{torch.ones(2):.2f}", TypeError),
    "contains text": (lambda: "a" in torch.ones(2), RuntimeError),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers(case) -> None:
    call, want = NUMBERS[case]
    assert call() == want and type(call()) is type(want)


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case) -> None:
    call, error = REFUSALS[case]
    with pytest.raises(error):
        call()


def test_copies() -> None:
    y = torch.arange(6.0).view(2, 3)
    whole, row, again = copy.deepcopy([y, y[0], y])
    assert whole is again and whole.data_ptr() == row.data_ptr() != y.data_ptr()
    leaf = torch.ones(2, requires_grad=True)
    assert copy.deepcopy(leaf).requires_grad and pickle.loads(pickle.dumps(leaf)).requires_grad
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(leaf * 2)
    assert pickle.loads(pickle.dumps(y.t())).tolist() == y.t().tolist()
