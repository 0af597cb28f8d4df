"""What `torch.tensor` makes of nested numbers, tensors and arrays, and Python's types as dtypes."""

import decimal
import warnings

import numpy as np
import pytest

import jittensor

torch = pytest.importorskip("torch")


class Halves:
    """A sequence that is no list."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return [0.5, 1.5][index]


def answer(module, text):
    """What an expression gives, as text; or the class of what it raises."""
    names = {"torch": module, "T": module.tensor, "np": np, "Halves": Halves,
             "Decimal": decimal.Decimal, "nan": float("nan")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            out = eval(text, names)
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
    return repr(out), str(getattr(out, "dtype", "")), tuple(getattr(out, "shape", ()))


NESTED = """
T([T([1.]), T([2.])])
T([T([1.]), T(2.)])
T([T([[1.]]), 3])
T([3, T([[1.]])])
T([[T([1.]), T([2])], [3, 4]])
T([[T(1.), T(2.)], [T(3.), T(4.)]])
T([T([1., 2.])])
T([T([])])
T([T([1, 2]), T([3, 4])])
T([T([1, 2]), 3])
T([T([True]), T([2])])
T([T([1 + 2j]), T([2])])
T([T([1.], dtype=torch.float64), T([2.])])
T([T([1], dtype=torch.int32)])
T([T(1, dtype=torch.int8), T(2, dtype=torch.uint8)])
T([T([1.7])], dtype=torch.int64)
T([T([1.5])], dtype=torch.bool)
T([T([1 + 1j])], dtype=torch.float32)
torch.as_tensor([T([1.]), T([2.])])
torch.Tensor([np.float64(1.5), T([2.])])
torch.LongTensor([T([1]), T([2])])
torch.IntTensor([T(1.5)])
T([1]).new_tensor([T([1])])
T([1, 2.5, True])
T((True, 2))
T([1e300, -1e300, 2**70])
T([2**63])
T([2**1024], dtype=torch.float32)
T([300, 1], dtype=torch.uint8)
T([1.5, True], dtype=torch.int64)
T([[1e300, 1], [2, True]])
T([], dtype=torch.int64)
T([np.float64(1), np.float64(2)])
T([np.float32(1), 2.5])
T([np.int32(1), np.int32(2)])
T([np.float16(1)])
T([np.uint8(1), np.int8(2)])
T([np.complex128(1)])
T([np.bool_(True)])
T([np.float32(1.7)], dtype=torch.int64)
T([np.float64(1.7)], dtype=torch.int64)
T([np.array([1, 2]), [3, 4]])
T([[3, 4], np.array([1., 2])])
T([[3, 4.5], np.array([1, 2])])
T([np.array([1, 2]), np.array([3, 4.5])])
T([np.array(1), np.array(4.5)])
T([np.array([[1]]), T(1)])
T([T(1), np.array([1])])
T([np.array(['a'])])
T(['a'])
T([1, 'a'])
T([1, 'a'], dtype=torch.float32)
T([b'ab'])
T([None], dtype=torch.float32)
T([None], dtype=torch.int64)
T({1: 2})
T({1})
T([Decimal(1)])
T([Decimal('1.5')], dtype=torch.float32)
T([Decimal('1.5')], dtype=torch.int64)
T([Halves(), Halves()])
T([1, [2]])
T([1., [2]])
T([[1], 2])
T([[1], [2, 3]])
T([[], [1]])
T([1j], dtype=torch.int64)
T([1j], dtype=torch.float32)
T([nan], dtype=torch.int64)
T([2 ** 63])
T(2 ** 63)
T([-1], dtype=torch.uint8)
T(-1, dtype=torch.uint8)
T([-300], dtype=torch.uint8)
T([2 ** 31], dtype=torch.int32)
T([1e300], dtype=torch.float16)
T([0., nan, 2], dtype=torch.bool)
"""

DTYPES = """
torch.zeros(2, dtype=float)
torch.ones(2, dtype=int)
torch.full((2,), 1, dtype=float)
torch.arange(3, dtype=float)
torch.empty(0, dtype=bool)
torch.eye(2, dtype=int)
torch.rand(0, dtype=float)
torch.randint(3, 4, (2,), dtype=float)
torch.randperm(1, dtype=int)
torch.normal(0, 1, (0,), dtype=float)
torch.zeros_like(T([1.]), dtype=int)
torch.full_like(T([1.]), 2, dtype=int)
torch.rand_like(T([]), dtype=float)
torch.linspace(0, 1, 3, dtype=float)
torch.hann_window(4, dtype=float)
torch.tril_indices(2, 2, dtype=int)
torch.zeros(2, dtype=complex)
torch.zeros(2, dtype=np.float32)
torch.zeros(2, dtype='float32')
T([1, 2], dtype=float)
torch.as_tensor(np.array([1]), dtype=float)
torch.as_tensor(T([1]), dtype=float)
T([1.5]).to(int)
T([1.5]).to(bool)
T([True]).to(device='cpu', dtype=float)
T([1]).type(float)
T([1]).view(float)
T([1, 2]).sum(dtype=float)
torch.mean(T([1, 2]), dtype=float)
torch.softmax(T([1., 2]), 0, dtype=float)
torch.nn.functional.softmax(T([1., 2]), dim=0, dtype=float)
T([1, 2]).cumsum(0, dtype=float)
T([1]).new_zeros(2, dtype=float)
torch.nn.Linear(1, 1, dtype=float).weight.dtype
torch.nn.Linear(1, 1).to(float).weight.dtype
torch.finfo(float).eps
torch.can_cast(torch.int32, float)
torch.promote_types(torch.int32, float)
torch.set_default_dtype(float)
T([1.5]).type(torch.DoubleTensor)
T([1.5]).type(torch.LongTensor)
T([1.5]).double().type(torch.Tensor)
"""

# sizes and dims that may stand one by one have a name too
NAMED_SIZES = """
torch.zeros(size=(2, 3))
torch.ones(size=[2])
torch.empty(size=(2, 3)).shape
torch.rand(size=(0, 2))
torch.randn(size=torch.Size([0]))
torch.ones(size=3)
torch.ones(2, size=(3,))
torch.arange(end=3)
T([1.]).new_zeros(size=(2,))
torch.broadcast_to(T([1]), size=(2, 1))
torch.permute(T([[1, 2]]), dims=(1, 0))
torch.reshape(T([[1, 2]]), shape=(2, 1))
torch.tile(T([1]), dims=(2,))
T([1, 2]).view(size=(2, 1))
T([1]).view(dtype=torch.float64)
T([1]).expand(size=(2, 1))
T([1]).repeat(repeats=(2, 1))
T([1, 2]).resize_(size=(2, 1))
T([1, 2]).resize_as_(the_template=T([[1, 2]]))
T([[1, 2]]).sum_to_size(size=(1, 1))
T([1, 2]).split(split_size=1)
torch.swapaxes(T([[1, 2]]), axis0=0, axis1=1)
torch.view_copy(T([1, 2]), size=(2, 1))
"""


@pytest.mark.parametrize("text", [
    text for text in (NESTED + DTYPES + NAMED_SIZES).split("\n") if text])
def test_an_expression_gives_what_pytorch_gives(text):
    assert answer(jittensor, text) == answer(torch, text)


def test_the_default_dtype_is_not_printed():
    def printed(module):
        module.set_default_dtype(module.float64)
        try:
            return repr([module.tensor([1.5]), module.zeros(0, 2), module.tensor([1j]),
                         module.tensor([1.5], dtype=module.float32)])
        finally:
            module.set_default_dtype(module.float32)

    assert printed(jittensor) == printed(torch)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ends", [(-1, 1), (0, 10), (-3.3, 7.1), (2, -5), (3, 3)])
def test_evenly_spaced_numbers_are_the_same_to_the_bit(dtype, ends):
    for steps in (0, 1, 2, 7, 8, 19, 100, 1001, 40_000):
        got, want = (lib.linspace(*ends, steps, dtype=getattr(lib, dtype)).numpy()
                     for lib in (jittensor, torch))
        assert got.tobytes() == want.tobytes()
