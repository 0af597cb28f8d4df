"""In: a function of one step length, with values and slopes. Out: a length that satisfies the
strong Wolfe conditions (Nocedal, Wright 2006, algorithms 3.5 and 3.6).

Slopes are NumPy scalars of the parameters' dtype, so that every number is rounded as PyTorch's
tensors without dimensions are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tensor import Tensor

__all__ = ["Point", "strong_wolfe"]

DECREASE, CURVATURE = 1e-4, 0.9     # of the two Wolfe conditions
NARROWEST = 1e-9                    # a bracket that moves no element further than this is done
_ONE_POINT = 1


@dataclass
class Point:
    """What is known of one step length: the loss, the gradient, and its slope along the line."""

    length: Any
    loss: float
    grad: Tensor
    slope: Any


def cubic_minimum(a: Point, b: Point, bounds: tuple[Any, Any] | None = None) -> Any:
    """Where the cubic through two points with their slopes is least, within the bounds (those of
    the two unless given); the middle of the bounds where it has no minimum."""
    low, high = bounds or sorted((a.length, b.length))
    shift = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
    square = shift**2 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    root = np.sqrt(square)
    left, right = (a, b) if a.length <= b.length else (b, a)
    share = (right.slope + root - shift) / (right.slope - left.slope + 2 * root)
    return min(max(right.length - (right.length - left.length) * share, low), high)


def _bracket(
    at: Callable[[Any], Point], start: Point, length: Any, limit: int
) -> tuple[list[Point], int]:
    """Longer and longer steps until one is good (then it alone is given) or a good one must lie
    between the last two; and how many were tried after the first."""
    before, now = start, at(length)
    for tries in range(max(limit, 0)):
        too_high = now.loss > start.loss + DECREASE * now.length * start.slope
        if too_high or (tries > 1 and now.loss >= before.loss):
            return [before, now], tries
        if abs(now.slope) <= -CURVATURE * start.slope:
            return [now], tries
        if now.slope >= 0:
            return [before, now], tries
        bounds = (now.length + 0.01 * (now.length - before.length), now.length * 10)
        before, now = now, at(cubic_minimum(before, now, bounds))
    return [start, now], limit


def _inside(bracket: list[Point], stuck: bool) -> tuple[Any, bool]:
    """The next length to try: the cubic's minimum, pushed away from the ends of the bracket when
    that was too close to one before (`stuck`); and whether it is too close this time."""
    length = cubic_minimum(*bracket)
    low, high = sorted(point.length for point in bracket)
    margin = 0.1 * (high - low)
    if not min(high - length, length - low) < margin:
        return length, False
    if not stuck and low < length < high:
        return length, True
    return (high - margin if abs(length - high) < abs(length - low) else low + margin), False


def strong_wolfe(
    at: Callable[[Any], Point], start: Point, length: Any, largest: Any, limit: int = 25
) -> tuple[Point, int]:
    """A step along a line that lowers the loss enough and is flat enough there.

    Args:
        at: evaluates a length.
        start: length 0, where the slope is negative.
        length: the first length to try.
        largest: the largest absolute element of the direction.
        limit: how many lengths may be tried after the first.

    Returns:
        The best point, and how often `at` was called.
    """
    bracket, tries = _bracket(at, start, length, limit)
    if len(bracket) == _ONE_POINT:
        return bracket[0], tries + 1
    low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
    stuck = False
    while tries < limit:
        if abs(bracket[1].length - bracket[0].length) * largest < NARROWEST:
            break
        length, stuck = _inside(bracket, stuck)
        new = at(length)
        tries += 1
        too_high = new.loss > start.loss + DECREASE * length * start.slope
        if too_high or new.loss >= bracket[low].loss:
            bracket[high] = new
            low, high = (0, 1) if bracket[0].loss <= bracket[1].loss else (1, 0)
            continue
        done = abs(new.slope) <= -CURVATURE * start.slope
        if not done and new.slope * (bracket[high].length - bracket[low].length) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = new
        if done:
            break
    return bracket[low], tries + 1
