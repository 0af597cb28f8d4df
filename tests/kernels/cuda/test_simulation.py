"""CUDA kernels run in Numba's simulator: values of maps, reductions and row kernels against NumPy.

One process, started with NUMBA_ENABLE_CUDASIM=1, runs every program; it needs no CUDA package.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.cuda.programs import PROGRAMS
from tests.kernels.planned import nests_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def errors():
    environment = dict(os.environ, NUMBA_ENABLE_CUDASIM="1", PYTHONPATH=str(ROOT))
    script = Path(__file__).with_name("simulate.py")
    done = subprocess.run([sys.executable, str(script), *PROGRAMS], env=environment, cwd=ROOT,
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_numpys(errors, name):
    error = errors[name]
    assert not isinstance(error, str), error
    assert error <= PROGRAMS[name].tolerance


@pytest.mark.parametrize("name", PROGRAMS)
def test_skeletons_of_the_plan(name):
    import jittensor as torch
    program = PROGRAMS[name]
    tensors = [torch.tensor(a) for a in program.inputs()]
    kinds = {nest.kind for nest in nests_of(lambda: program.run(*tensors))}
    assert kinds == set(program.kinds)
