"""Python's garbage collector: how often it looks in, how often it looks from now on.

An operation is recorded as about ten objects that the collector counts, where PyTorch makes one
that it sees. So that a program is interrupted as often as with PyTorch, and not for a fifth of its
time, the count at which the collector looks is ten times the interpreter's own. What the user has
set is left alone.
"""

from __future__ import annotations

import gc

OBJECTS = 10                # of an operation, on average
DEFAULTS = (700, 2000)      # of the interpreters


def ease() -> None:
    """Makes the collector look less often, unless somebody has said how often it is to."""
    first, *others = gc.get_threshold()
    if first in DEFAULTS:
        gc.set_threshold(first * OBJECTS, *others)
