"""The floors of the house: what each package may import, and what importing the whole costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jittensor

ROOT = Path(jittensor.__file__).parent
ENGINE = ("graph", "compiler", "kernels", "runtime")
OUTSIDE = {"numba", "llvmlite"}
ALLOWED = {"config"} | set(ENGINE)      # what the engine may name of this package, at the top


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, whether at the top of the file) of every import, relative ones made absolute."""
    package = ["jittensor", *path.relative_to(ROOT).parts[:-1]]
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            name = ".".join(base + ([node.module] if node.module else []))
            names = [name] if node.module else [f"{name}.{a.name}" for a in node.names]
            found += [(n, id(node) in top) for n in names]
    return found


def files(*packages: str):
    """The Python files of some packages of the engine."""
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


def floor(module: str) -> str:
    """The part of this package that a module belongs to ('' for others)."""
    parts = module.split(".")
    return parts[1] if parts[0] == "jittensor" and len(parts) > 1 else ""


@pytest.mark.parametrize("path", list(files(*ENGINE)), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_engine_imports_nothing_above_it(path) -> None:
    above = {m for m, top in imports(path) if top and floor(m) and floor(m) not in ALLOWED}
    assert not above


@pytest.mark.parametrize("package,below", [("graph", {"graph", "config"}),
                                           ("compiler", {"graph", "compiler", "config"}),
                                           ("kernels", {"graph", "compiler", "kernels", "config"})])
def test_a_floor_imports_only_from_lower_ones(package, below) -> None:
    for path in files(package):
        wrong = {m for m, top in imports(path) if top and floor(m) and floor(m) not in below}
        assert not wrong, (path, wrong)


def test_the_compiler_needs_no_numba() -> None:
    for path in files("graph", "compiler"):
        outside = {m.split(".")[0] for m, _ in imports(path)} & (OUTSIDE | {"scipy", "cuda"})
        assert not outside, path


def run(code: str, env: dict[str, str] | None = None) -> str:
    """What a fresh Python prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          check=True, cwd=ROOT.parent, env=env).stdout


def test_importing_brings_in_no_compiler() -> None:
    code = ("import sys, jittensor; print([m for m in ('numba', 'llvmlite', 'scipy', 'torch', "
            "'multiprocessing', 'jittensor.nn', 'jittensor.optim') if m in sys.modules])")
    assert run(code).strip() == "[]"


def test_importing_is_fast(tmp_path) -> None:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    run("import jittensor", env)              # its bytecode is there from now on
    code = ("import numpy, ml_dtypes, time; t = time.process_time(); import jittensor; "
            "print(time.process_time() - t)")
    assert min(float(run(code, env)) for _ in range(5)) < 0.3


def test_recording_brings_in_no_compiler() -> None:
    code = ("import sys, jittensor as torch; x = (torch.ones(3) + 1).sum(); "
            "print('numba' in sys.modules, x.shape)")
    assert run(code).strip() == "False torch.Size([])"
