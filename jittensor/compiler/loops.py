"""Loops of a group: members' dims and the matching of one member's strides against another's."""

from __future__ import annotations

from dataclasses import dataclass, field


class Loop:
    """One loop of a kernel. Loops are compared by identity."""

    __slots__ = ("size",)

    def __init__(self, size: int):
        self.size = size

    def __repr__(self) -> str:
        return f"L{self.size}"


Index = list[list[Loop]]  # for each dim of a member, the loops that make it up, major first


@dataclass(slots=True, eq=False)
class Member:
    """An entry in a group: how its dims lie over the loops, 'full' or 'row' level, its phase."""

    entry: int
    index: Index
    level: str = "full"
    phase: int = 0


@dataclass(slots=True, eq=False)
class Nest:
    """The loops of a group, outer ones and (for reductions) inner ones, and their members."""

    outer: list[Loop]
    inner: list[Loop] = field(default_factory=list)
    members: dict[int, Member] = field(default_factory=dict)

    def split(self, loop: Loop, minor: int) -> tuple[Loop, Loop]:
        """Splits a loop in two (major, minor) wherever it stands."""
        parts = [Loop(loop.size // minor), Loop(minor)]
        for loops in (self.outer, self.inner):
            if loop in loops:
                at = loops.index(loop)
                loops[at:at + 1] = parts
        for member in self.members.values():
            for dim in member.index:
                if loop in dim:
                    at = dim.index(loop)
                    dim[at:at + 1] = parts
        return parts[0], parts[1]

    def replace(self, loops: dict[Loop, Loop]) -> None:
        """Renames loops."""
        if not loops:
            return
        self.outer = [loops.get(x, x) for x in self.outer]
        self.inner = [loops.get(x, x) for x in self.inner]
        for member in self.members.values():
            member.index = [[loops.get(x, x) for x in dim] for dim in member.index]


def address(index: Index, strides: tuple[int, ...]) -> dict[Loop, int]:
    """Element stride of each loop, for a view with `strides` over a member's dims."""
    out: dict[Loop, int] = {}
    for dim, stride in zip(index, strides, strict=True):
        for loop in reversed(dim):
            out[loop] = stride
            stride *= loop.size
    return out


def new_index(shape: tuple[int, ...]) -> tuple[list[Loop], Index]:
    """Fresh loops for a shape: one a dim, none for dims of size 1."""
    loops, index = [], []
    for size in shape:
        if size == 1:
            index.append([])
        else:
            loop = Loop(size)
            loops.append(loop)
            index.append([loop])
    return loops, index


def match(reader: Nest, read: dict[Loop, int], writer: Nest,
          wrote: dict[Loop, int]) -> dict[Loop, Loop] | None:
    """Pairs loops of the reader with loops of the writer that step through the same elements.

    `read` and `wrote` are strides over each side's loops in one storage. Loops are split where
    one side has them merged. Returns {reader loop: writer loop}; unmatched loops have stride 0
    on their side. None where the two do not walk the storage alike.
    """
    pairs: dict[Loop, Loop] = {}
    if any(s < 0 or not loop.size for walk in (read, wrote) for loop, s in walk.items()):
        return None
    if any(loop.size == 0 for loop in (*read, *wrote)):
        return None     # an empty region has no order to compare
    left = sorted(((s, i, l) for i, (l, s) in enumerate(read.items()) if s), reverse=True)
    right = sorted(((s, i, l) for i, (l, s) in enumerate(wrote.items()) if s), reverse=True)
    while left and right:
        s, i, a = left.pop()
        t, j, b = right.pop()
        if s != t:
            return None
        if a.size > b.size:
            if a.size % b.size:
                return None
            major, a = reader.split(a, b.size)
            left.append((s * b.size, i, major))
        elif b.size > a.size:
            if b.size % a.size:
                return None
            major, b = writer.split(b, a.size)
            right.append((t * a.size, j, major))
        pairs[a] = b
    return None if left or right else pairs


def match_repeats(reader: Nest, left: list[Loop], writer: Nest,
                  right: list[Loop]) -> dict[Loop, Loop] | None:
    """Pairs the loops over which both sides repeat their elements, in order, splitting."""
    pairs: dict[Loop, Loop] = {}
    if any(loop.size == 0 for loop in (*left, *right)):
        return None
    left, right = list(left), list(right)
    while left and right:
        a, b = left.pop(), right.pop()
        if a.size > b.size:
            if a.size % b.size:
                return None
            major, a = reader.split(a, b.size)
            left.append(major)
        elif b.size > a.size:
            if b.size % a.size:
                return None
            major, b = writer.split(b, a.size)
            right.append(major)
        pairs[a] = b
    return None if left or right else pairs
