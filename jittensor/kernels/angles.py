"""Loops over angles: the lines of an element loop in, the lines of a guarded loop out.

`sin`, `cos` and `tan` of the whole range cost ten times what they cost for |x| <= NEAR, and large
angles are rare. So a loop that calls them goes over blocks: a first pass works out the angles
alone, then the block is done by the near functions, or, if an angle is large, infinite or NaN, by
the full ones. Both give the same bits for near angles, so an element's result does not depend on
its neighbours.
"""

from __future__ import annotations

import re

BLOCK = 1024  # elements: what they read stays in the first cache between the passes
_ANGLE = re.compile(r"\b(sin|cos|tan)_(f32|f64)\((\w+)\)")
_ASSIGNMENT = re.compile(r"(v\d+) = (.*)")
_NAME = re.compile(r"\bv\d+\b")


def has_angles(body: list[str]) -> bool:
    """Whether a line calls a function of an angle."""
    return any(_ANGLE.search(line) for line in body)


def guarded(
    index: str, start: str, stop: str, body: list[str], imports: set[str]
) -> list[tuple[int, str]]:
    """(depth, line) of the loop `for index in range(start, stop)` over `body` with the guard.

    `body` is straight-line code without indentation, each name `v<k>` assigned once; what the new
    lines call is added to `imports`.
    """
    near = [_ANGLE.sub(r"\1_near_\2(\3)", line) for line in body]
    angles = {m.group(3): m.group(2) for line in body for m in _ANGLE.finditer(line)}
    for line in body:
        for m in _ANGLE.finditer(line):
            imports |= {f"{m[1]}_near_{m[2]}", f"or_far_{m[2]}"}
    loop = f"for {index} in range(g0, g1):"
    return [
        (0, f"for g0 in range({start}, {stop}, {BLOCK}):"),
        (1, f"g1 = min({stop}, g0 + {BLOCK})"),
        (1, "far = int32(0)"),
        (1, loop),
        *((2, line) for line in _needed(near, set(angles))),
        *((2, f"far = or_far_{code}(far, {name})") for name, code in angles.items()),
        (1, "if far == 0:"),
        (2, loop),
        *((3, line) for line in near),
        (1, "else:"),
        (2, loop),
        *((3, line) for line in body),
    ]


def _needed(body: list[str], names: set[str]) -> list[str]:
    """The assignments that `names` depend on, in order."""
    lines, wanted = [], set(names)
    for line in reversed(body):
        made = _ASSIGNMENT.fullmatch(line)
        if made and made.group(1) in wanted:
            wanted.update(_NAME.findall(made.group(2)))
            lines.append(line)
    return lines[::-1]
