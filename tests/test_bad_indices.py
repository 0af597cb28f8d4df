"""Random programs with bad indices raise PyTorch's class and touch nothing outside tensors."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from tests.bad_indices import CANARY, NUMBERS, TABLE, WAYS, Guarded, indices, run_programs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_programs(seed) -> None:
    counts = run_programs(75, seed)
    assert counts["refused"] > 40 and counts["answered"] > 5


def test_the_programs_reach_everything() -> None:
    """Every operation is drawn, by every way, among the 10,000 of the command line."""
    rng = np.random.default_rng(0)
    assert len(TABLE) > 40 and len(WAYS) > 10 and len(NUMBERS) > 10
    for entry in TABLE.values():
        good, bad = indices(rng, entry, True)
        assert good.shape == bad.shape == tuple(entry.shape) and (good != bad).any()


def test_the_guard_sees_a_write_outside() -> None:
    guarded = Guarded(shared=False)
    guarded.base[3] = 1.0
    with pytest.raises(AssertionError, match="written outside"):
        guarded.check()


def test_the_guard_sees_a_read_outside() -> None:
    from tests.bad_indices import check_values
    with pytest.raises(AssertionError, match="read outside"):
        check_values(torch.tensor([1.0, CANARY]))
