"""Random programs against NumPy: the engine's answers in, differences from NumPy's out.

`python -m pytest tests/test_random_programs.py --programs 2000` runs two thousand. Each is run by
the reference backend and through the interpreter of compiled plans; some are compiled, with and
without fusion, with one thread and two, eagerly and lazily, and all of these must agree bit by
bit. A failure prints the program; its seed makes it again.
"""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import jittensor
from jittensor.config import config
from jittensor.runtime import pieces, realize
from tests.random_programs.generator import Program
from tests.random_programs.interpreter import interpreted
from tests.random_programs.runner import run


@contextlib.contextmanager
def settings(**values):
    """Settings of the engine for a while; nothing stays pending afterwards."""
    before = {name: getattr(config, name) for name in values}
    for name, value in values.items():
        setattr(config, name, value)
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            realize.realize_all()
        del realize.PENDING[:]
        for name, value in before.items():
            setattr(config, name, value)


def seen_by(program: Program, **values) -> list[np.ndarray]:
    """What the program's checks saw under some settings; they are compared with NumPy's."""
    with settings(**values):
        return run(program, jittensor, jittensor.realize, lambda x: x.detach()._array())


def seeds(request, compiled: bool) -> range:
    """The seeds of a test."""
    count = request.config.getoption("--programs")
    if compiled:
        given = request.config.getoption("--compiled-programs")
        count = given if given is not None else max(1, count // 20)
    first = request.config.getoption("--first-program")
    return range(first, first + count)


def note(request, way: str, program: Program) -> None:
    """Counts a program for the report at the end."""
    plugin = next(p for p in request.config.pluginmanager.get_plugins()
                  if hasattr(p, "COVERAGE") and hasattr(p, "PROGRAMS"))
    plugin.COVERAGE.update(program.counts)
    plugin.PROGRAMS[way] += 1


def test_programs_of_the_reference_backend(request) -> None:
    for seed in seeds(request, compiled=False):
        program = Program(seed)
        seen_by(program, backend="reference", eager=False)
        note(request, "by the reference backend", program)


def test_programs_through_the_interpreter(request) -> None:
    with interpreted():
        for seed in seeds(request, compiled=False):
            program = Program(seed)
            seen_by(program, eager=False, fusion=True, backend="numba")
            note(request, "interpreted after fusion", program)


def test_programs_in_pieces(request, monkeypatch) -> None:
    """Pending work cut wherever its content says so, every few nodes."""
    for name, value in {"WHOLE": 6, "LEAST": 2, "MOST": 5}.items():
        monkeypatch.setattr(pieces, name, value)
    with interpreted():
        for seed in seeds(request, compiled=False)[::4]:
            program = Program(seed)
            seen_by(program, eager=False, fusion=True, backend="numba")
            note(request, "interpreted in pieces", program)


def test_compiled_programs(request) -> None:
    """Fused and unfused, lazy and eager: NumPy's values, and the same bits."""
    for seed in seeds(request, compiled=True):
        program = Program(seed)
        fused = seen_by(program, eager=False, fusion=True, backend="numba")
        for way in ({"fusion": False, "eager": False}, {"fusion": True, "eager": True}):
            same_bits(program, fused, seen_by(program, backend="numba", **way), way)
        note(request, "compiled in three ways", program)


def test_programs_on_one_thread_and_two(request) -> None:
    """Large tensors, whose loops are cut into parts."""
    for seed in seeds(request, compiled=True):
        program = Program(seed, length=12, large=True)
        one = seen_by(program, eager=False, fusion=True, backend="numba", threads=1)
        two = seen_by(program, eager=False, fusion=True, backend="numba", threads=2)
        same_bits(program, one, two, {"threads": 2})
        note(request, "on one thread and two", program)


def same_bits(program: Program, a: list, b: list, way: dict) -> None:
    """Asserts that two runs saw the same bytes."""
    for k, (x, y) in enumerate(zip(a, b, strict=True)):
        assert x.tobytes() == y.tobytes(), (
            f"check {k} differs in its bits under {way}:\n{x}\n{y}\n\n{program.source}")


def test_a_wrong_answer_is_found() -> None:
    """The comparison itself: a program whose expectation is off by one bit fails."""
    program = Program(0)
    k = next(k for k, (values, *_) in enumerate(program.expected)
             if values.size and values.dtype == np.float32)
    values, strides, _, offset = program.expected[k]
    values = values.copy()
    values.reshape(-1)[0] = np.nextafter(values.reshape(-1)[0], np.float32(np.inf))
    program.expected[k] = (values, strides, 0.0, offset)
    with pytest.raises(AssertionError, match="values, first at"):
        seen_by(program, backend="reference", eager=False)
