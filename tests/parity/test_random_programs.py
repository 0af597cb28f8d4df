"""Random programs in PyTorch: the same source, so that the expected dtypes, strides and values
that the engine is held to are PyTorch's own."""

from __future__ import annotations

import warnings

import pytest

from tests.random_programs.generator import Program
from tests.random_programs.runner import run

torch = pytest.importorskip("torch")


def array_of(x):
    """A tensor's values; NumPy has no bfloat16."""
    return (x.float() if x.dtype is torch.bfloat16 else x).detach().numpy()


def test_pytorch_gives_what_programs_expect(request) -> None:
    warnings.simplefilter("ignore")
    for seed in range(request.config.getoption("--programs")):
        run(Program(seed, overlap=False), torch, lambda *x: None, array_of, loose=True)
