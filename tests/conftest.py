"""Options of the test suite, and the coverage that random programs report at its end."""

from __future__ import annotations

from collections import Counter

COVERAGE: Counter = Counter()     # operator -> how often random programs used it
PROGRAMS: Counter = Counter()     # way of running -> programs compared without a difference


def pytest_addoption(parser) -> None:
    """`--programs N`: how many random programs run in NumPy and through the interpreter;
    `--compiled-programs N`: how many are compiled (a twentieth of them unless given)."""
    parser.addoption("--programs", type=int, default=100)
    parser.addoption("--compiled-programs", type=int, default=None)
    parser.addoption("--first-program", type=int, default=0, help="seed of the first one")


def pytest_terminal_summary(terminalreporter) -> None:
    """How many random programs agreed, and how often each operator was in one."""
    if not PROGRAMS:
        return
    write = terminalreporter.write_line
    terminalreporter.section("random programs")
    write("without a difference: " + ", ".join(f"{n} {way}" for way, n in PROGRAMS.items()))
    write(f"{sum(COVERAGE.values())} operations of {len(COVERAGE)} kinds: " + ", ".join(
        f"{name} {n}" for name, n in COVERAGE.most_common()))
