"""`out=` beside PyTorch's: dtypes, shapes, overlaps and gradients are accepted or refused alike."""

from __future__ import annotations

import warnings

import pytest

import jittensor

torch = pytest.importorskip("torch")

# functions of (library, x [3, 3], index [3, 3], out)
CALLS = {
    "add": lambda t, x, i, o: t.add(x, 1, out=o), "exp": lambda t, x, i, o: t.exp(x, out=o),
    "abs": lambda t, x, i, o: t.abs(x, out=o), "floor": lambda t, x, i, o: t.floor(x, out=o),
    "clamp": lambda t, x, i, o: t.clamp(x, 0, out=o), "eq": lambda t, x, i, o: t.eq(x, x, out=o),
    "where": lambda t, x, i, o: t.where(x > 0, x, x, out=o),
    "lerp": lambda t, x, i, o: t.lerp(x, x, 0.5, out=o),
    "mm": lambda t, x, i, o: t.mm(x, x, out=o), "addmm": lambda t, x, i, o: t.addmm(x, x, x, out=o),
    "sum": lambda t, x, i, o: t.sum(x, 1, out=o), "mean": lambda t, x, i, o: t.mean(x, 1, out=o),
    "amax": lambda t, x, i, o: t.amax(x, 1, out=o), "argmax": lambda t, x, i, o: t.argmax(
        x, 1, out=o),
    "cumsum": lambda t, x, i, o: t.cumsum(x, 0, out=o),
    "softmax": lambda t, x, i, o: t.softmax(x, 0, out=o),
    "gather": lambda t, x, i, o: t.gather(x, 0, i, out=o),
    "scatter": lambda t, x, i, o: t.scatter(x, 0, i, x, out=o),
    "index_select": lambda t, x, i, o: t.index_select(x, 0, i[0], out=o),
    "index_add": lambda t, x, i, o: t.index_add(x, 0, i[0], x.clone(), out=o),
    "take": lambda t, x, i, o: t.take(x, i, out=o), "cat": lambda t, x, i, o: t.cat([x, x], out=o),
    "stack": lambda t, x, i, o: t.stack([x, x], out=o),
    "masked_select": lambda t, x, i, o: t.masked_select(x, x > -9, out=o),
    "tril": lambda t, x, i, o: t.tril(x, out=o), "diag": lambda t, x, i, o: t.diag(x, out=o),
    "zeros": lambda t, x, i, o: t.zeros(3, 3, out=o),
    "full": lambda t, x, i, o: t.full((3, 3), 2.0, out=o), "eye": lambda t, x, i, o: t.eye(
        3, out=o),
    "inv": lambda t, x, i, o: t.linalg.inv(x, out=o), "fft": lambda t, x, i, o: t.fft.fft(x, out=o),
    "nonzero": lambda t, x, i, o: t.nonzero(x, out=o), "isin": lambda t, x, i, o: t.isin(
        x, x, out=o),
    "transpose_copy": lambda t, x, i, o: t.transpose_copy(x, 0, 1, out=o),
    "erf": lambda t, x, i, o: t.special.erf(x, out=o), "cov": lambda t, x, i, o: t.complex(
        x, x, out=o),
}
DTYPES = ("float32", "float64", "float16", "int64", "bool", "complex64")
SHAPES = {"fits": (3, 3), "empty": (0,), "other": (5, 2)}


def outcome(t, call, dtype: str, shape, kind: str):
    x = t.tensor([[2.0, -1.5, 0.25], [1.0, 3.0, -0.5], [0.5, 1.0, 4.0]])
    i = t.tensor([[0, 2, 1]] * 3)
    out = t.zeros(shape, dtype=getattr(t, dtype))
    if kind == "requires_grad":
        x.requires_grad_(True)
    elif kind != "plain":                      # memory of the operand's
        memory = t.zeros(20)
        memory[2:11] = x.reshape(-1)
        x = memory[2:11].view(3, 3)
        out = memory[2:11].view(3, 3) if kind == "same memory" else memory[4:13].view(3, 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            got = call(t, x, i, out)
        except Exception as error:
            return type(error).__name__.strip("_")
        values = [[round(float(v), 2) for v in row.reshape(-1).tolist()] if not out.is_complex()
                  else None for row in (out,)]
        return got is out, tuple(out.shape), values, any("resized" in str(w.message)
                                                        for w in caught)


# PyTorch adds truth values up in no kernel of its own; here they are counted first
COUNTED = {("sum", "bool"), ("cumsum", "bool")}


@pytest.mark.parametrize("name, dtype", [(n, d) for n in CALLS for d in DTYPES
                                         if (n, d) not in COUNTED])
def test_dtypes(name, dtype) -> None:
    ours, theirs = (outcome(t, CALLS[name], dtype, (0,), "plain") for t in (jittensor, torch))
    assert ours == theirs


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CALLS)
def test_shapes(name, shape) -> None:
    dtype = {"argmax": "int64", "nonzero": "int64", "isin": "bool", "fft": "complex64",
             "cov": "complex64"}.get(name, "float32")
    ours, theirs = (outcome(t, CALLS[name], dtype, SHAPES[shape], "plain")
                    for t in (jittensor, torch))
    assert ours == theirs


# in-place results over an operand's memory that PyTorch leaves undefined
UNDEFINED = {"mm", "addmm", "softmax", "index_add", "scatter", "fft", "inv", "tril", "diag", "amax",
             "sum", "mean", "cumsum", "eye", "zeros", "full", "transpose_copy"}


@pytest.mark.parametrize("kind", ["requires_grad", "same memory", "part of its memory"])
@pytest.mark.parametrize("name", [n for n in CALLS if n not in UNDEFINED])
def test_operands(name, kind) -> None:
    ours, theirs = (outcome(t, CALLS[name], "float32", (3, 3), kind) for t in (jittensor, torch))
    assert (ours if isinstance(ours, str) else "ok") == (
        theirs if isinstance(theirs, str) else "ok")
