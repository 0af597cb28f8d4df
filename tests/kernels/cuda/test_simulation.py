"""CUDA kernels run in Numba's simulator: values of maps, reductions and row kernels against NumPy,
and of every elementwise operator against the reference backend.

One process, started with NUMBA_ENABLE_CUDASIM=1, runs every program; it needs no CUDA package.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.cuda.programs import PROGRAMS, operators
from tests.kernels.planned import nests_of

ROOT = Path(__file__).resolve().parents[3]
CODES = {"f32": 1e-5, "f64": 1e-12, "f16": 1e-3, "bf16": 1e-2, "c64": 1e-5, "i64": 0, "i32": 0,
         "u8": 0, "b8": 0}      # dtype: the largest error beside 1 + |expected|


@pytest.fixture(scope="module")
def errors():
    environment = dict(os.environ, NUMBA_ENABLE_CUDASIM="1", PYTHONPATH=str(ROOT))
    script = Path(__file__).with_name("simulate.py")
    done = subprocess.run([sys.executable, "-W", "ignore", str(script), *PROGRAMS,
                           *(f"operators:{code}" for code in CODES)], env=environment, cwd=ROOT,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_numpys(errors, name):
    error = errors[name]
    assert not isinstance(error, str), error
    assert error <= PROGRAMS[name].tolerance


@pytest.mark.parametrize("code", CODES)
def test_operators_values_are_the_references(errors, code):
    assert f"operators:{code}" not in errors, errors[f"operators:{code}"]
    found = {op.name: errors[f"{code}:{op.name}"] for op in operators(code)}
    assert {name: error for name, error in found.items() if error > CODES[code]} == {}


@pytest.mark.parametrize("name", PROGRAMS)
def test_skeletons_of_the_plan(name):
    import jittensor as torch
    program = PROGRAMS[name]
    tensors = [torch.tensor(a) for a in program.inputs()]
    kinds = {nest.kind for nest in nests_of(lambda: program.run(*tensors))}
    assert kinds == set(program.kinds)
