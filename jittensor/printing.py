"""A NumPy array and what is known of its tensor come in; PyTorch's printed form goes out.

The text is PyTorch 2.13's character for character. The choice of a format looks at all numbers
that will be shown: integers among floats are shown as `1.`, numbers that span more than a factor of
1000, exceed 1e8 or fall below 1e-4 in scientific notation, everything else with four decimals, and
all elements get the width of the widest finite one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["contents_str", "get_printoptions", "printoptions", "set_printoptions", "tensor_str"]


@dataclasses.dataclass
class _PrintOptions:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}

_options = _PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are printed; what is None stays, but for `sci_mode`, which None resets.

    Args:
        precision: digits after the point.
        threshold: a tensor of more elements than this is summarised.
        edgeitems: elements shown at both ends of each dimension of a summary.
        linewidth: columns after which a line is broken; rows of a summary too.
        profile: "default", "short" or "full" sets the four above; what else is given overrides it.
        sci_mode: scientific notation always (True), never (False), or by the numbers (None).

    >>> set_printoptions(precision=2)
    >>> tensor_str(np.array([1.12345], dtype=np.float32), dtype_name="float32")
    'tensor([1.12])'
    >>> set_printoptions(profile="default")
    """
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    chosen = dict(_PROFILES.get(profile, {})) if profile is not None else {}
    chosen.update((name, value) for name, value in given.items() if value is not None)
    for name, value in chosen.items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options in force, as keyword arguments for `set_printoptions`."""
    return dataclasses.asdict(_options)


@contextlib.contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """`set_printoptions(**options)` inside a with statement; what was in force comes back after."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


@dataclasses.dataclass(frozen=True)
class _ElementFormat:
    """How one number is written: its style, and the width to which it is filled from the left."""

    style: str  # "plain": str(); "integral": 1.; "fixed": 1.2000; "scientific": 1.2000e+00
    width: int
    precision: int

    def text(self, value: Any) -> str:
        if self.style == "plain":
            written = str(value)
        elif self.style == "scientific":
            written = f"{value:.{self.precision}e}"
        elif self.style == "fixed":
            written = f"{value:.{self.precision}f}"
        else:
            written = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        return written.rjust(self.width)


def _choose_format(values: np.ndarray, floating: bool) -> _ElementFormat:
    """The format for `values`, of any shape: those which will be shown."""
    precision = _options.precision
    if not floating:
        width = max((len(str(value)) for value in values.reshape(-1).tolist()), default=1)
        return _ElementFormat("plain", width, precision)
    numbers = values.astype(np.float64).reshape(-1)
    numbers = numbers[np.isfinite(numbers) & (numbers != 0)]
    if numbers.size == 0:
        return _ElementFormat("integral", 1, precision)
    if _options.sci_mode is None:
        sizes = np.abs(numbers)
        least, most = float(sizes.min()), float(sizes.max())
        # the quotient overflows to infinity for float64 extremes, which is the right answer
        scientific = most > 1e8 or least < 1e-4 or most / least > 1000.0
    else:
        scientific = _options.sci_mode
    if scientific:
        style = "scientific"
    else:
        style = "integral" if np.all(numbers == np.ceil(numbers)) else "fixed"
    bare = _ElementFormat(style, 0, precision)
    width = max(len(bare.text(value)) for value in numbers.tolist())
    return dataclasses.replace(bare, width=width)


def _shown_part(array: np.ndarray) -> np.ndarray:
    """What a summary of `array` shows: both ends of each dimension that is longer than them."""
    edge = _options.edgeitems
    if edge == 0:
        return array if array.ndim < 2 else array[(slice(0, 0),) * array.ndim]
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            ends = np.r_[0:edge, size - edge : size]
            array = np.take(array, ends, axis=axis)
    return array


def _join_complex(real: _ElementFormat, imaginary: _ElementFormat) -> Callable[[complex], str]:
    def text(value: complex) -> str:
        second = imaginary.text(value.imag).lstrip() + "j"
        return real.text(value.real) + ("" if second[0] in "+-" else "+") + second

    return text


def _row(array: np.ndarray, indent: int, summarize: bool, text: Any, width: int) -> str:
    """One dimension in brackets, broken into lines that begin at column indent + 1."""
    edge = _options.edgeitems
    if summarize and edge == 0:
        elements = ["..."]
    elif summarize and array.size > 2 * edge:
        elements = [text(value) for value in array[:edge].tolist()]
        elements.append(" ...")
        elements.extend(text(value) for value in array[-edge:].tolist())
    else:
        elements = [text(value) for value in array.tolist()]
    per_line = max(1, (_options.linewidth - indent) // (width + 2))
    lines = [
        ", ".join(elements[start : start + per_line]) for start in range(0, len(elements), per_line)
    ]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(array: np.ndarray, indent: int, summarize: bool, text: Any, width: int) -> str:
    if array.ndim == 0:
        return text(array.item())
    if array.ndim == 1:
        return _row(array, indent, summarize, text, width)
    edge, size = _options.edgeitems, array.shape[0]
    shown = range(size)
    if summarize and size > 2 * edge:
        shown = [*range(edge), None, *range(size - edge, size)]
    slices = [
        "..." if i is None else _nested(array[i], indent + 1, summarize, text, width) for i in shown
    ]
    # one empty line more for each dimension that ends
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(slices) + "]"


def contents_str(array: np.ndarray, *, dtype_name: str, indent: int = 0) -> str:
    """The brackets and numbers alone, as they stand after `indent` columns of other text.

    Args:
        array: the numbers; bfloat16 and other dtypes that NumPy lacks, as float32 values.
        dtype_name: the tensor's dtype without the module, "float32" for instance.
        indent: the column at which the text will begin; its further lines are moved by it.
    """
    array = np.asarray(array)
    if array.size == 0:
        return "[]"
    summarize = array.size > _options.threshold
    shown = _shown_part(array) if summarize else array
    if dtype_name.startswith("complex"):
        real = _choose_format(shown.real, True)
        imaginary = _choose_format(shown.imag, True)
        text, width = _join_complex(real, imaginary), real.width + imaginary.width + 1
    else:
        chosen = _choose_format(shown, dtype_name.startswith(("float", "bfloat")))
        text, width = chosen.text, chosen.width
    return _nested(array, indent, summarize, text, width)


def tensor_str(
    array: np.ndarray,
    *,
    dtype_name: str,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    indent: int = 0,
    tensor_class: str = "tensor",
    device: str | None = None,
    default_dtype: str = "float32",
) -> str:
    """The printed form of a dense tensor, `repr(tensor)`.

    Args:
        array: the numbers; bfloat16 and other dtypes that NumPy lacks, as float32 values.
        dtype_name: the dtype without the module; shown unless it is what the numbers suggest
            (the default float, its complex dtype, int64, bool).
        requires_grad: shown where there is no `grad_fn_name`.
        grad_fn_name: the name of the gradient function's class, "AddBackward0" for instance.
        indent: the column at which the text will begin; its further lines are moved by it.
        tensor_class: the word before the parenthesis, a subclass's name for instance.
        device: shown where it is given: leave it out for the default device.
        default_dtype: the default floating dtype, without the module.

    >>> print(tensor_str(np.eye(2, dtype=np.float32), dtype_name="float32", requires_grad=True))
    tensor([[1., 0.],
            [0., 1.]], requires_grad=True)
    """
    array = np.asarray(array)
    default_complex = "complex128" if default_dtype == "float64" else "complex64"
    suffixes = [] if device is None else [f"device='{device}'"]
    if array.size == 0:
        if array.ndim != 1:
            suffixes.append(f"size={array.shape}")
        implied: tuple[str, ...] = (default_dtype,)
    else:
        if _options.edgeitems == 0:
            suffixes.append(f"size={array.shape}")
        implied = (default_dtype, default_complex, "int64", "bool")
    if dtype_name not in implied:
        suffixes.append(f"dtype=torch.{dtype_name}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    prefix = tensor_class + "("
    indent += len(prefix)
    contents = contents_str(array, dtype_name=dtype_name, indent=indent)
    return prefix + contents + _suffix_str(contents, suffixes, indent) + ")"


def _suffix_str(contents: str, suffixes: list[str], indent: int) -> str:
    """The suffixes after `contents`, each on a new line where it would go over the width.

    PyTorch counts two columns more than there are on the line that ends the numbers.
    """
    before, _, last = contents.rpartition("\n")
    column = len(last) + 2 + (0 if before else indent)
    written = []
    for suffix in suffixes:
        if column + len(suffix) + 2 > _options.linewidth:
            written.append(",\n" + " " * indent + suffix)
            column = indent + len(suffix)
        else:
            written.append(", " + suffix)
            column += len(suffix) + 2
    return "".join(written)
