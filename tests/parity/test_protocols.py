"""Protocols beside PyTorch's: DLPack both ways, NumPy's functions, Python's numbers."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import jittensor

torch = pytest.importorskip("torch")

DTYPES = ("uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64", "complex64",
          "bool")


@pytest.mark.parametrize("name", DTYPES)
def test_dlpack_from_pytorch(name) -> None:
    theirs = torch.arange(6).view(2, 3).to(getattr(torch, name)).t()
    ours = jittensor.from_dlpack(theirs)
    assert ours.dtype is getattr(jittensor, name)
    assert ours.stride() == theirs.stride() and ours.tolist() == theirs.tolist()
    theirs[0, 1] = 1
    assert ours[0, 1].item() == 1
    ours[2, 0] = 0
    assert theirs[2, 0].item() == 0
    assert ours.data_ptr() == theirs.data_ptr()


@pytest.mark.parametrize("name", DTYPES)
def test_dlpack_to_pytorch(name) -> None:
    ours = jittensor.arange(6).view(2, 3).to(getattr(jittensor, name))[:, 1:]
    theirs = torch.from_dlpack(ours)
    assert theirs.dtype is getattr(torch, name)
    assert ours.stride() == theirs.stride() and ours.tolist() == theirs.tolist()
    theirs[0, 0] = 0
    assert ours[0, 0].item() == 0
    ours += ours
    assert ours.tolist() == theirs.tolist()
    assert torch.utils.dlpack.from_dlpack(jittensor.to_dlpack(ours)).tolist() == ours.tolist()


def outcome(call):
    """(class, dtype, values) of a call's result, or the class of what it raised."""
    try:
        got = call()
    except Exception as error:
        return type(error)
    if hasattr(got, "tolist"):
        kind = "Tensor" if type(got).__name__ == "Tensor" else type(got).__name__
        return kind, str(got.dtype), got.tolist()
    return type(got), got


def numpy_calls(t) -> dict:
    """Calls on a library's tensors, by name."""
    x, i, s, z = t.tensor([1.0, 2.0, 3.0]), t.tensor([1, 2, 3]), t.tensor(3), t.tensor(2.5)
    a = np.array([10.0, 20.0, 30.0])
    calls = {}
    for name in ("add", "subtract", "multiply", "divide", "maximum", "less", "equal", "matmul"):
        function = getattr(np, name)
        calls[f"{name}(x, a)"] = lambda f=function: f(x, a)
        calls[f"{name}(a, x)"] = lambda f=function: f(a, x)
    for name in ("sqrt", "negative", "isnan", "abs", "floor", "cumsum", "argmax", "transpose",
                 "ndim", "stack", "asarray"):
        function = getattr(np, name)
        calls[name] = lambda f=function: f(x) if f is not np.stack else f([x, x])
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lt", "eq"):
        function = getattr(operator, name)
        calls[f"float64 {name} x"] = lambda f=function: f(np.float64(2), x)
        calls[f"x {name} float32"] = lambda f=function: f(x, np.float32(2))
        calls[f"int64 {name} i"] = lambda f=function: f(np.int64(2), i)
    calls.update({
        "x @ a": lambda: x @ a, "a @ x": lambda: a @ x, "a[i - 1]": lambda: a[i - 1],
        "zeros(s)": lambda: np.zeros(s), "full": lambda: np.full(3, z), "list": lambda: [1] * s,
        "priority": lambda: x.__array_priority__, "index": lambda: operator.index(s),
        "index float": lambda: operator.index(z), "int several": lambda: int(x),
        "bool several": lambda: bool(x), "bool empty": lambda: bool(t.tensor([])),
        "format": lambda: f"{z:.1f} {s:05d}", "format several": lambda: f"{x:.2f}",
        "round": lambda: round(z),
        "round to": lambda: round(t.tensor(2.567), 2), "divmod": lambda: divmod(s, 2),
        "contains": lambda: 2.0 in x, "contains text": lambda: "a" in x, "len": lambda: len(s),
        "iteration": lambda: list(s), "hash": lambda: hash(x) == hash(x),
        "memoryview": lambda: memoryview(x), "complex": lambda: complex(z),
        "int32": lambda: np.asarray(x, dtype=np.int32), "grad": lambda: np.asarray(
            t.ones(2, requires_grad=True)), "capsule once": lambda: (lambda c: (
                t.from_dlpack(c), t.from_dlpack(c)))(x.__dlpack__()),
        "dlpack of a number": lambda: t.from_dlpack(3),
        "dlpack of a gradient": lambda: np.from_dlpack(t.ones(2, requires_grad=True))})
    return calls


OURS, THEIRS = numpy_calls(jittensor), numpy_calls(torch)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", OURS)
def test_as_pytorch(case) -> None:
    assert outcome(OURS[case]) == outcome(THEIRS[case])


@pytest.mark.parametrize("library", [jittensor, torch])
def test_an_array_of_a_parameter_where_nothing_is_recorded(library) -> None:
    weight = library.nn.Parameter(library.ones(2))
    with library.no_grad():
        assert weight.numpy().tolist() == np.asarray(weight).tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="requires grad"):
        weight.numpy()
