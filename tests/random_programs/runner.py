"""Running a random program: its source and a tensor library in, differences from NumPy out."""

from __future__ import annotations

import numpy as np

from tests.random_programs.generator import Program, values


def run(program: Program, library, realize, array_of, loose: bool = False) -> list[np.ndarray]:
    """Executes a program; raises AssertionError, with its source, at the first difference.

    `library` takes the place of torch, `array_of(x)` gives a tensor's values as an array.
    With `loose`, strides of dims of size 1 are not compared. Returns the values checked.
    """
    seen: list[np.ndarray] = []

    def check(k: int, x) -> None:
        expected, strides, error, offset = program.expected[k]
        array = array_of(x)
        seen.append(array.copy())
        if loose:
            strides = tuple(have if n == 1 else want
                            for n, have, want in zip(x.shape, x.stride(), strides, strict=True))
        message = difference(x, array, expected, strides, error, offset)
        if message:
            raise AssertionError(f"check {k}: {message}")

    space = {"torch": library, "values": values, "check": check, "realize": realize, "np": np}
    code = compile(program.source, f"<program {program.seed}>", "exec")
    try:
        exec(code, space)
    except Exception as problem:
        where, trace = "", problem.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == code.co_filename:
                number = trace.tb_lineno
                where = f"line {number}: {program.lines[number - 1]}"
            trace = trace.tb_next
        raise AssertionError(f"program {program.seed}, {where}\n{type(problem).__name__}: {problem}"
                             f"\n\n{program.source}") from problem
    return seen


def difference(x, array: np.ndarray, expected: np.ndarray, strides, error: float,
               offset: int) -> str:
    """What is wrong with a tensor, or ''."""
    dtype = str(x.dtype).removeprefix("torch.")
    if dtype != expected.dtype.name:
        return f"dtype {dtype}, not {expected.dtype.name}"
    if tuple(x.shape) != expected.shape:
        return f"shape {tuple(x.shape)}, not {expected.shape}"
    if tuple(x.stride()) != tuple(strides) and expected.size:
        return f"strides {tuple(x.stride())}, not {tuple(strides)}"
    if x.storage_offset() != offset and expected.size:
        return f"offset {x.storage_offset()}, not {offset}"
    if not expected.size:
        return ""
    wide = np.complex128 if expected.dtype.kind == "c" else (
        np.float64 if expected.dtype.kind not in "biu" else expected.dtype)
    a, b = array.astype(wide), expected.astype(wide)
    with np.errstate(invalid="ignore"):
        bad = a != b if error == 0.0 else ~(np.abs(a - b) <= error)
    if wide is not expected.dtype:
        bad &= ~(np.isnan(a) & np.isnan(b))
    if bad.any():
        at = tuple(int(k[0]) for k in np.nonzero(bad)) if bad.ndim else ()
        return (f"{int(bad.sum())} of {bad.size} values, first at {at}: {a[at]}, not {b[at]} "
                f"(error bound {error:.3g})\n{a}\n{b}")
    return ""
