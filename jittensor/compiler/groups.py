"""Groups of entries: an entry in, the group that it starts as out; two groups in, the loops and the
kind that they would have as one, or why they stay apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from ..graph.node import Spec
from ..graph.ops import ELEMENTWISE, REDUCE
from .blocking import LONG_ROW
from .graph import Entry
from .loops import Loop, Member, Nest, new_index

FEW_ROWS = 4          # so few long rows are cut over threads


@dataclass(frozen=True, slots=True)
class Why:
    """The reason that two groups stay apart."""

    text: str


@dataclass(slots=True, eq=False)
class Group:
    """Entries that run as one kernel."""

    kind: str
    nest: Nest
    entries: list[int]
    preds: set[Group] = field(default_factory=set)   # groups that must run before
    reads: set[tuple] = field(default_factory=set)   # (source, where in it) from other groups
    bases: set[int] = field(default_factory=set)     # what its in-place writes write into
    stored: list[int] = field(default_factory=list)  # entries whose values go to memory
    serial: int = field(default_factory=count().__next__)
    into: Group | None = None                        # the group that swallowed this one

    def __hash__(self) -> int:       # not by address: sets have one order in every process
        return self.serial

    def find(self) -> Group:
        """This group, or the one that it became part of."""
        group = self
        while group.into is not None:
            group = group.into
        return group

    def before(self) -> set[Group]:
        """The groups that must run before this one."""
        self.preds = {g.find() for g in self.preds} - {self}
        return self.preds


# ── a single entry's group ────────────────────────────────────────────────────────────────────
def single(i: int, entry: Entry) -> Group:
    """The group of one entry, number i."""
    if entry.op.kind == REDUCE:
        return _reduction(i, entry)
    loops, index = new_index(entry.spec.shape)
    kind = "map" if entry.op.kind == ELEMENTWISE else "opaque"
    nest = Nest(loops, [], {i: Member(i, index)})
    return Group(kind, nest, [i])


def _reduction(i: int, entry: Entry) -> Group:
    dims = entry.attrs[0]
    read = entry.reads[0]
    _, index = new_index(read.shape)
    outer = [x for d, part in enumerate(index) if d not in dims for x in part]
    inner = [x for d, part in enumerate(index) if d in dims for x in part]
    nest = Nest(outer, inner, {i: Member(i, index, "row")})
    return Group(reduction_kind(read, dims), nest, [i])


def reduction_kind(read: Spec, dims: tuple[int, ...]) -> str:
    """The skeleton of a reduction. It fixes the order of additions, so it may depend only on
    the reduction's own operand, never on what it is fused with."""
    moving = [(abs(t), d in dims, n) for d, (t, n) in enumerate(
        zip(read.strides, read.shape, strict=True)) if n > 1 and t]
    fastest = min(moving, default=(0, True, 1))
    rows = cols = 1
    for d, n in enumerate(read.shape):
        if d in dims:
            cols *= n
        else:
            rows *= n
    if rows < FEW_ROWS and cols > LONG_ROW:
        return "split"
    if not fastest[1] and rows >= 8 and cols > 1:
        return "col"
    return "row"


# ── two groups as one ─────────────────────────────────────────────────────────────────────────
def apart(mine: Group, theirs: Group) -> Why | None:
    """Why two kinds of kernels cannot be one."""
    if "opaque" in (mine.kind, theirs.kind):
        return Why("a kernel written by hand")
    reducing = {"row", "col", "split"}
    if mine.kind in reducing and theirs.kind in reducing and mine.kind != theirs.kind:
        return Why("reductions that walk memory differently")
    return None


def joined_loops(mine: Group, theirs: Group, pairs: dict[Loop, Loop]):
    """(kind, outer, inner) of the merged group, or (Why, ...)."""
    their_inner = set(theirs.nest.inner)
    my_inner = {pairs.get(x, x) for x in mine.nest.inner}
    if mine.nest.inner and theirs.nest.inner:
        if my_inner != their_inner:
            return Why("reductions over different dims"), [], []
        return theirs.kind, theirs.nest.outer, theirs.nest.inner
    for group, loops in ((mine, their_inner), (theirs, my_inner)):
        if group.kind != "map" and not group.nest.inner and loops & {
                pairs.get(x, x) for x in group.nest.outer}:
            return Why("a reduction of single elements within the rows of another"), [], []
    if mine.nest.inner:
        loops = [pairs.get(x, x) for x in mine.nest.outer]
        return mine.kind, loops, [pairs.get(x, x) for x in mine.nest.inner]
    kind = mine.kind if theirs.kind == "map" else theirs.kind
    return kind, theirs.nest.outer, theirs.nest.inner


def total(loops: list[Loop]) -> int:
    """The elements that loops run over."""
    out = 1
    for loop in loops:
        out *= loop.size
    return out
