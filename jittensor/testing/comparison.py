"""In: a result and what it should be. Out: nothing, or an AssertionError that says where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..creation import as_tensor
from ..graph.dtypes import BY_NAME
from ..tensor import Tensor

__all__ = ["assert_close"]

# (rtol, atol) where none are given; 0 for what is exact.
TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5),
              "float64": (1e-7, 1e-7), "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7)}
NUMBERS = (bool, int, float, complex)


@dataclass
class _How:
    """The options of a comparison."""

    rtol: float | None
    atol: float | None
    equal_nan: bool
    allow_subclasses: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool


class _Different(Exception):
    """A difference, and the keys and indices that lead to it."""

    def __init__(self, message: str, at: tuple = (), kind: type = AssertionError) -> None:
        super().__init__(message)
        self.message, self.at, self.kind = message, at, kind


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Check that `|actual - expected| <= atol + rtol * |expected|` everywhere.

    Args:
        actual, expected: tensors, arrays, numbers, None, or sequences and mappings of them.
        allow_subclasses: whether two related types may be compared.
        rtol, atol: both or neither; by default as the dtype is precise, 0 for integers.
        equal_nan: whether two NaNs are equal.
        check_device, check_dtype, check_layout, check_stride: whether these must be the same.
        msg: what the error says instead, or a function of what it would say.

    Raises:
        AssertionError: they are not close; says where.
        TypeError: things that cannot be compared.
        ValueError: one of `rtol` and `atol` without the other.

    >>> import jittensor as torch
    >>> torch.testing.assert_close(torch.ones(2) / 3 * 3, torch.ones(2))
    """
    if (rtol is None) != (atol is None):
        raise ValueError("Both 'rtol' and 'atol' must be either specified or omitted, but got no "
                         f"{'rtol' if rtol is None else 'atol'}.")
    how = _How(rtol, atol, equal_nan, allow_subclasses, check_device, check_dtype, check_layout,
               check_stride)
    try:
        _compare(actual, expected, how, ())
    except _Different as found:
        text = found.message
        if found.at:
            text += "\n\nThe failure occurred for item " + "".join(f"[{k!r}]" for k in found.at)
        if found.kind is AssertionError and msg is not None:
            text = msg(text) if callable(msg) else msg
        error = found.kind(text)
    else:
        return
    raise error


def _compare(actual: Any, expected: Any, how: _How, at: tuple) -> None:
    """Compare two things, item by item; the first difference is a `_Different`."""
    plain = (str, bytes)
    both = (actual, expected)
    if all(isinstance(x, Sequence) and not isinstance(x, plain) for x in both):
        if len(actual) != len(expected):
            raise _Different("The length of the sequences mismatch: "
                             f"{len(actual)} != {len(expected)}", at)
        for k, (a, b) in enumerate(zip(actual, expected, strict=True)):
            _compare(a, b, how, (*at, k))
    elif all(isinstance(x, Mapping) for x in both):
        _compare_mappings(actual, expected, how, at)
    elif actual is None or expected is None:
        if actual is not expected:
            raise _Different(f"None mismatch: {actual} is not {expected}", at)
    elif all(isinstance(x, (bool, np.bool_)) for x in both):
        if bool(actual) is not bool(expected):
            raise _Different(f"Booleans mismatch: {actual} is not {expected}", at)
    elif all(isinstance(x, (*NUMBERS, np.number)) for x in both):
        _compare_numbers(actual, expected, how, at)
    elif _comparable(actual, expected, how.allow_subclasses):
        _compare_tensors(as_tensor(actual), as_tensor(expected), how, at)
    else:
        raise _Different("No comparison pair was able to handle inputs of type "
                         f"{type(actual)} and {type(expected)}.", at, TypeError)


def _comparable(actual: Any, expected: Any, subclasses: bool) -> bool:
    kinds = (Tensor, np.ndarray)
    if not isinstance(actual, kinds) or not isinstance(expected, kinds):
        return False
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    return related if subclasses else type(actual) is type(expected)


def _compare_mappings(actual: Mapping, expected: Mapping, how: _How, at: tuple) -> None:
    missing, extra = set(expected) - set(actual), set(actual) - set(expected)
    if missing or extra:
        raise _Different("The keys of the mappings do not match:\n"
                         f"Missing keys in the actual mapping: {sorted(missing)}\n"
                         f"Additional keys in the actual mapping: {sorted(extra)}", at)
    for key in sorted(actual, key=repr):
        _compare(actual[key], expected[key], how, (*at, key))


def _tolerances(how: _How, *names: str) -> tuple[float, float]:
    if how.rtol is not None:
        return how.rtol, how.atol
    found = [TOLERANCES.get(name, (0.0, 0.0)) for name in names]
    return max(r for r, _ in found), max(a for _, a in found)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────
def _compare_numbers(actual: Any, expected: Any, how: _How, at: tuple) -> None:
    if how.check_dtype and type(actual) is not type(expected):
        raise _Different(f"The (d)types do not match: {type(actual)} != {type(expected)}.", at)
    names = [{float: "float64", complex: "complex128"}.get(type(x), "int64")
             for x in (actual, expected)]
    rtol, atol = _tolerances(how, *names)
    _check_number(actual, expected, rtol, atol, how, at)


def _check_number(actual: Any, expected: Any, rtol: float, atol: float, how: _How, at: tuple
                  ) -> None:
    apart = abs(actual - expected)
    if actual == expected or (np.isfinite(apart) and apart <= atol + rtol * abs(expected)):
        return
    if how.equal_nan and actual != actual and expected != expected:
        return
    if expected == 0:
        relative = float("inf") if apart else 0.0
    else:
        relative = apart / abs(expected)
    exact = rtol == 0 and atol == 0
    up_to = ("", "") if exact else (f" (up to {atol} allowed)", f" (up to {rtol} allowed)")
    raise _Different(f"Scalars are not {'equal' if exact else 'close'}!\n\n"
                     f"Expected {expected} but got {actual}.\n"
                     f"Absolute difference: {apart}{up_to[0]}\n"
                     f"Relative difference: {relative}{up_to[1]}", at)


# ── tensors ───────────────────────────────────────────────────────────────────────────────────
def _compare_tensors(actual: Tensor, expected: Tensor, how: _How, at: tuple) -> None:
    def same(name: str, a: Any, b: Any) -> None:
        if a != b:
            raise _Different(f"The values for attribute '{name}' do not match: {a} != {b}.", at)

    same("shape", actual.shape, expected.shape)
    if how.check_device:
        same("device", actual.device, expected.device)
    if how.check_layout:
        same("layout", actual.layout, expected.layout)
    if how.check_dtype:
        same("dtype", actual.dtype, expected.dtype)
    if how.check_stride and actual.layout == expected.layout:
        same("stride()", actual.stride(), expected.stride())
    rtol, atol = _tolerances(how, actual.dtype.name, expected.dtype.name)
    x, y = (_values(t) for t in (actual, expected))
    with np.errstate(all="ignore"):
        if x.dtype.kind in "bui" and y.dtype.kind in "bui" and rtol == 0 and atol == 0:
            close = x == y
        else:
            apart = np.abs(x - y)
            close = (x == y) | (np.isfinite(apart) & (apart <= atol + rtol * np.abs(y)))
            if how.equal_nan:
                close |= np.isnan(x) & np.isnan(y)
        if close.all():
            return
        if not actual.ndim:
            _check_number(x.item(), y.item(), rtol, atol, how, at)
        _report(x, y, close, (rtol, atol), actual.dtype, at)


def _values(x: Tensor) -> np.ndarray:
    """A tensor's values, in a dtype that NumPy computes with."""
    x = x.detach()
    x = x if str(x.layout) == "torch.strided" else x.to_dense()
    if x.dtype in (BY_NAME["bfloat16"], BY_NAME["float16"]):
        x = x.float()
    out = x.resolve_conj().numpy() if x.is_complex() else x.numpy()
    return out.astype(np.int64) if out.dtype.kind in "bui" else out


def _report(x: np.ndarray, y: np.ndarray, close: np.ndarray, tolerances: tuple[float, float],
            dtype: Any, at: tuple) -> None:
    rtol, atol = tolerances
    apart = np.abs(x - y)
    divisor = np.abs(y).astype(np.float32) if x.dtype.kind in "bui" else np.abs(y)
    relative = apart.astype(divisor.dtype) / divisor
    if dtype in (BY_NAME["bfloat16"], BY_NAME["float16"]):      # rounded as the dtype's own
        relative = as_tensor(relative).to(dtype).float().numpy()
    apart, relative = (np.where(close, 0, d).astype(d.dtype) for d in (apart, relative))
    wrong, total = int((~close).sum()), close.size
    exact = rtol == 0 and atol == 0
    lines = [f"Tensor-likes are not {'equal' if exact else 'close'}!", "",
             f"Mismatched elements: {wrong} / {total} ({wrong / total:.1%})"]
    for name, values, allowed in (("absolute", apart, atol), ("relative", relative, rtol)):
        place = int(np.argmax(values))
        index = tuple(int(k) for k in np.unravel_index(place, values.shape))
        line = f"Greatest {name} difference: {values.reshape(-1)[place].item()} at index {index}"
        lines.append(line if exact else f"{line} (up to {allowed} allowed)")
    raise _Different("\n".join(lines), at)
