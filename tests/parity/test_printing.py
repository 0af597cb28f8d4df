"""The printed form beside repr(torch.Tensor), on random tensors of every kind."""

import numpy as np
import pytest

from jittensor import printing

torch = pytest.importorskip("torch")

FLOATS = ("float16", "bfloat16", "float32", "float64")
DTYPES = (*FLOATS, "uint8", "int8", "int16", "int32", "int64", "bool", "complex64", "complex128",
          "uint16", "uint32", "uint64")  # fmt: skip
SPECIAL = (float("inf"), -float("inf"), float("nan"), 0.0, -0.0)


@pytest.fixture(autouse=True)
def default_options():
    yield
    printing.set_printoptions(profile="default")
    torch.set_printoptions(profile="default")


def ours(tensor, **extra):
    array = tensor.detach()
    array = array.float().numpy() if tensor.dtype == torch.bfloat16 else array.numpy()
    function = tensor.grad_fn
    return printing.tensor_str(
        array,
        dtype_name=str(tensor.dtype).removeprefix("torch."),
        requires_grad=tensor.requires_grad,
        grad_fn_name=None if function is None else type(function).__name__,
        **extra,
    )


def assert_printed(tensor):
    assert ours(tensor) == repr(tensor)


def random_floats(random, shape):
    """Numbers of one of the kinds between which the format chooses."""
    kind = random.integers(6)
    values = random.normal(size=shape)
    if kind == 0:
        values = np.round(values * 10 ** random.integers(0, 5))
    elif kind == 1:
        values = values * 10.0 ** random.integers(-6, 12)
    elif kind == 2:
        values = values * 10.0 ** random.integers(-5, 6, size=shape)
    elif kind == 3:
        values = np.abs(values) + 0.5
    if random.random() < 0.3:
        values = np.where(random.random(shape) < 0.2, random.choice(SPECIAL, size=shape), values)
    return values


def random_tensor(random, dtype, shape):
    if dtype in FLOATS:
        return torch.tensor(random_floats(random, shape)).to(getattr(torch, dtype))
    if dtype.startswith("complex"):
        pair = random_floats(random, shape), random_floats(random, shape)
        return torch.complex(*map(torch.tensor, pair)).to(getattr(torch, dtype))
    if dtype == "bool":
        return torch.tensor(random.random(shape) < 0.5)
    info = torch.iinfo(getattr(torch, dtype))
    high = min(int(info.max), 10 ** int(random.integers(1, 19)))
    values = random.integers(max(int(info.min), -high), high, size=shape)
    return torch.tensor(values).to(getattr(torch, dtype))


def random_shape(random):
    kind = random.integers(8)
    if kind == 0:
        return ()
    if kind == 1:
        return tuple(int(n) for n in random.integers(0, 3, size=random.integers(1, 4)))
    if kind == 2:
        return (int(random.integers(1, 60)),)
    if kind == 3:
        return (int(random.integers(995, 1200)),)
    if kind == 4:
        return tuple(int(n) for n in random.integers(1, 14, size=3))
    if kind == 5:
        return (int(random.integers(30, 50)), int(random.integers(30, 50)))
    return tuple(int(n) for n in random.integers(1, 7, size=random.integers(2, 6)))


@pytest.mark.parametrize("seed", range(400))
def test_random_tensors(seed):
    random = np.random.default_rng(seed)
    dtype = DTYPES[seed % len(DTYPES)]
    tensor = random_tensor(random, dtype, random_shape(random))
    if tensor.is_floating_point() or tensor.is_complex():
        graph = random.integers(4)
        if graph:
            tensor.requires_grad_()
        if graph == 2:
            tensor = tensor + 0
        elif graph == 3:
            tensor = torch.nn.functional.hardswish(tensor) if dtype == "float32" else tensor * 1
    assert_printed(tensor)
    if seed % 3 == 0 and tensor.dim() > 1:
        assert_printed(tensor.transpose(0, -1))


@pytest.mark.parametrize("seed", range(150))
def test_random_options(seed):
    random = np.random.default_rng(1000 + seed)
    options = {
        "precision": [None, 0, 1, 6, 10][random.integers(5)],
        "threshold": [None, 0, 5, 100, float("inf")][random.integers(5)],
        "edgeitems": [None, 0, 1, 2, 5][random.integers(5)],
        "linewidth": [None, 20, 50, 120][random.integers(4)],
        "profile": [None, "default", "short", "full"][random.integers(4)],
        "sci_mode": [None, None, True, False][random.integers(4)],
    }
    torch.set_printoptions(**options)
    printing.set_printoptions(**options)
    assert printing.get_printoptions() == torch._tensor_str.get_printoptions()
    for dtype in random.choice(DTYPES, size=3):
        tensor = random_tensor(random, str(dtype), random_shape(random))
        if tensor.is_floating_point():
            tensor.requires_grad_(bool(random.integers(2)))
        assert_printed(tensor)


@pytest.mark.parametrize("length", range(50, 80))
def test_suffix_at_the_edge_of_the_line(length):
    values = torch.tensor([10 ** (length % 19) - 1] + [1] * (length // 20), dtype=torch.int64)
    for tensor in (
        values, values.float().requires_grad_(), values.double().requires_grad_() + 1,
        torch.full((2, length // 4), 1.0, dtype=torch.float16),
    ):  # fmt: skip
        assert_printed(tensor)
    name = "A" * length
    parameter = torch.tensor([1.0, 2.0])
    text = printing.tensor_str(parameter.numpy(), dtype_name="float32", grad_fn_name=name)
    expected = torch._tensor_str._add_suffixes("tensor([1., 2.]", [f"grad_fn=<{name}>"], 7, False)
    assert text == expected


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.5, 1e8, 1.1e8, 1e-4, 9.9e-5, 1e300, 5e-324,
                                   *SPECIAL, 123456789.0, 0.99999, 1e16])  # fmt: skip
@pytest.mark.parametrize("dtype", FLOATS)
def test_scalars_and_thresholds(value, dtype):
    dtype = getattr(torch, dtype)
    assert_printed(torch.tensor(value, dtype=dtype))
    assert_printed(torch.tensor([value, 1.0], dtype=dtype))
    assert_printed(torch.tensor([value, 1000.0, 0.999], dtype=dtype))
    assert_printed(torch.tensor([[value, value], [0.0, float("inf")]], dtype=dtype))


def test_default_dtype_and_class():
    class Labelled(torch.Tensor):
        pass

    tensor = torch.rand(3, 30).as_subclass(Labelled)
    assert ours(tensor, tensor_class="Labelled") == repr(tensor)
    values = [torch.rand(3), torch.rand(3, dtype=torch.float64), torch.rand(0), torch.zeros(2, 0),
              torch.rand(2, dtype=torch.complex128), torch.rand(2, dtype=torch.complex64),
              torch.zeros(0, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)]  # fmt: skip
    try:
        torch.set_default_dtype(torch.float64)
        for value in values:
            assert ours(value, default_dtype="float64") == repr(value)
    finally:
        torch.set_default_dtype(torch.float32)


def test_indented_contents_are_those_of_a_sparse_tensor():
    dense = torch.eye(40).to_sparse() * 1234.5678
    indices, values = dense.indices(), dense.values()
    first = printing.contents_str(indices.numpy(), dtype_name="int64", indent=22)
    second = printing.contents_str(values.numpy(), dtype_name="float32", indent=21)
    text = f"tensor(indices=tensor({first}),\n       values=tensor({second}),\n       size=(40, 40)"
    assert repr(dense).startswith(text)
    assert printing.tensor_str(indices.numpy(), dtype_name="int64", indent=15) == f"tensor({first})"


def test_printoptions_come_back():
    before = printing.get_printoptions()
    with pytest.raises(KeyError), printing.printoptions(precision=1, sci_mode=True):
        assert printing.get_printoptions()["precision"] == 1
        raise KeyError
    assert printing.get_printoptions() == before
