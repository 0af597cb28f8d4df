"""How often Python's collector looks: less often than by default, or as the user has it."""

from __future__ import annotations

import gc

import pytest

from jittensor import collector


@pytest.mark.parametrize("had,want", [((700, 10, 10), (7000, 10, 10)), ((0, 10, 10), (0, 10, 10)),
                                      ((50000, 5, 5), (50000, 5, 5))])
def test_only_defaults_are_changed(had, want) -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(*had)
        collector.ease()
        assert gc.get_threshold() == want
    finally:
        gc.set_threshold(*before)
