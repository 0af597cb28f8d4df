"""Fusion: a rewritten graph in, groups out, each of which becomes one kernel.

Every entry starts as a group of its own and tries to join the groups of what it reads. Each rule
of refusal is a small function that answers None (yes) or a `Why`. Groups of kind:

- map: elementwise entries over the same elements;
- row: one or more reductions over the inner loops, and elementwise work before, between, after;
- col: a reduction over outer memory dims, vectorised over the kept ones;
- split: reductions over few long rows, cut over threads into partial results;
- opaque: one entry with a kernel written by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.ops import ELEMENTWISE, OPAQUE, REDUCE
from .addresses import out_index, overlaps, read_address, start
from .blocking import TALL
from .graph import Entry, Graph
from .groups import Group, Why, apart, joined_loops, single, total
from .loops import Index, Loop, Member, Nest, address, match, match_repeats

MAX_MEMBERS = 96      # statements of a kernel
MAX_POINTERS = 24     # memory operands that a kernel reads
FEW_POINTERS = 8      # the same where one sum of many terms, or few elements, are all there is
FEW_MEMBERS = 16      # statements of a kernel over few elements
FEW_ELEMENTS = 4
WIDE = 32             # rows and columns from which a transposed result is written in tiles
MANY_COLUMNS = 256    # so many columns have blocks for every thread
BROADCAST = Why("a computed value is broadcast: stored once instead of recomputed")


@dataclass(slots=True, eq=False)
class Fusion:
    """The groups of a graph, which group each entry is in, and every refusal."""

    groups: list[Group]
    of: dict[int, Group]
    whys: list[tuple[int, int, Why]]


def fuse(graph: Graph, enabled: bool = True) -> Fusion:
    """Cuts the graph into groups. With `enabled` false every entry is a group of its own."""
    state = _State(graph, enabled)
    for i in range(len(graph.entries)):
        state.add(i)
    return state.finish()


class _State:
    def __init__(self, graph: Graph, enabled: bool):
        self.graph, self.enabled = graph, enabled
        self.of: dict[int, Group] = {}
        self.newest: Group | None = None     # a group that no other depends on yet
        self.whys: list[tuple[int, int, Why]] = []
        self.readers: dict[int, list[tuple[int, int]]] = {}  # root -> (entry, read) of its content

    # ── adding an entry ───────────────────────────────────────────────────────────────────────
    def add(self, i: int) -> None:
        """Makes a group of entry i and merges it with its producers' where rules allow."""
        entry = self.graph.entries[i]
        group = self.newest = single(i, entry)
        group.reads.update((s, entry.offsets[k] if s >= 0 else entry.slots[k])
                           for k, s in enumerate(entry.srcs))
        self.of[i] = group
        for source in entry.srcs:
            if source >= 0:
                group.preds.add(self.of[source])
        if entry.base is not None:
            group.bases.add(entry.base)
            if entry.base >= 0:
                group.preds.add(self.of[entry.base])
            self._order_write(i, entry, group)
        for k, source in enumerate(entry.srcs):
            self.readers.setdefault(self.graph.root(source), []).append((i, k))
        if not self.enabled:
            return
        for k, source in enumerate(entry.srcs):
            if source >= 0 and self.of[source] is not self.of[i]:
                why = self._try(i, k, source)
                if why is not None:
                    self.whys.append((source, i, why))

    def _order_write(self, i: int, entry: Entry, group: Group) -> None:
        """Whoever read the storage before this write runs before it."""
        root = self.graph.root(entry.base)
        for reader, _ in self.readers.pop(root, ()):
            if self.of[reader] is not group:
                group.preds.add(self.of[reader])

    # ── merging ───────────────────────────────────────────────────────────────────────────────
    def _try(self, i: int, k: int, source: int) -> Why | None:
        mine, theirs = self.of[i], self.of[source]
        entry, producer = self.graph.entries[i], self.graph.entries[source]
        why = (apart(mine, theirs) or self._room(mine, theirs, entry)
               or self._cycle(mine, theirs))
        if why is not None:
            return why
        if entry.offsets[k] != start(producer):
            return Why("the read starts elsewhere than the write")
        if entry.reads[k].dtype is not producer.region.dtype:
            return Why("its bytes are read as another dtype")
        return self._merge(i, k, source, mine, theirs)

    def _cycle(self, mine: Group, theirs: Group) -> Why | None:
        """Refuses where a third group would have to run both before and after the merged one."""
        if _reaches(mine.before() - {theirs}, theirs) or mine is not self.newest and _reaches(
                theirs.before() - {mine}, mine):
            return Why("another kernel needs one's result and gives the other's input")
        return None

    def _merge(self, i: int, k: int, source: int, mine: Group, theirs: Group) -> Why | None:
        entry, producer = self.graph.entries[i], self.graph.entries[source]
        reader, writer = mine.nest.members[i], theirs.nest.members[source]
        if len(mine.entries) == 1 and entry.op.kind == ELEMENTWISE and _alike(entry, k, producer):
            return self._follow(i, entry, out_index(producer, writer), mine, theirs)
        read = read_address(entry, reader, k)
        wrote = address(out_index(producer, writer), producer.region.strides)
        pairs = match(mine.nest, read, theirs.nest, wrote)
        if pairs is None:
            return Why("the value is read in another order, or in part, or repeated")
        free = [x for x in mine.nest.outer + mine.nest.inner if x not in pairs]
        repeated = [x for x in theirs.nest.outer + theirs.nest.inner
                    if x not in pairs.values()]
        lower = None
        if mine.nest.inner and not theirs.nest.inner and set(free) == set(mine.nest.inner):
            return self._join(mine, theirs, pairs, theirs)
        if free and repeated:
            more = match_repeats(mine.nest, free, theirs.nest, repeated)
            if more is None:
                return Why("the broadcast does not run over the reduced dims")
            pairs.update(more)
        elif free:
            return BROADCAST
        elif repeated:
            lower = mine
        return self._join(mine, theirs, pairs, lower)

    def _follow(self, i: int, entry: Entry, index: Index, mine: Group, theirs: Group
                ) -> Why | None:
        """Merges a single elementwise entry into the group of a value that it reads as it was
        written: it runs over that value's loops."""
        own = mine.nest
        loops = [loop for dim in index for loop in dim]
        mine.nest = Nest(loops, [], {i: Member(i, [dim[:] for dim in index])})
        repeated = len(loops) < len(theirs.nest.outer) + len(theirs.nest.inner)
        why = self._join(mine, theirs, {}, mine if repeated else None)
        if why is not None:
            mine.nest = own
        return why

    def _join(self, mine: Group, theirs: Group, pairs: dict[Loop, Loop],
              lower: Group | None) -> Why | None:
        """Moves `mine` into `theirs` under the pairing, if the kinds and phases allow it.

        The members of `lower` come to stand once a row.
        """
        kind, outer, inner = joined_loops(mine, theirs, pairs)
        if isinstance(kind, Why):
            return kind
        if lower is not None and lower.kind != "map":
            return Why("a reduction of another reduction's results")
        members = theirs.nest.members
        back = self._handed(theirs, mine)       # theirs reads what mine computes
        moving = [*theirs.entries, *mine.entries] if back else mine.entries
        levels = {} if lower is None else {
            e: member.level for e, member in lower.nest.members.items()}
        mine.nest.replace(pairs)
        members.update(mine.nest.members)
        for e in levels:
            members[e].level = "row"
        phases = {e: members[e].phase for e in moving}
        why = (self._consistent(mine, theirs, members)
               or (back and self._consistent(theirs, mine, members))
               or self._phases(sorted(moving), members)
               or self._sweeps(members, kind, outer, inner)
               or self._hazard(mine, theirs, members)
               or (kind == "row" and self._across(mine, theirs, members, outer, inner)) or None)
        if why is not None:
            for e, phase in phases.items():
                members[e].phase = phase
            for e, level in levels.items():
                members[e].level = level
            for e in mine.entries:
                del members[e]
            mine.nest.replace({b: a for a, b in pairs.items()})
            return why
        theirs.reads = self._reads(mine, theirs)
        theirs.bases |= mine.bases
        theirs.kind = kind
        theirs.nest = Nest(outer, inner, members)
        theirs.entries = sorted(theirs.entries + mine.entries)
        theirs.preds = (theirs.preds | mine.preds) - {mine, theirs}
        mine.into = theirs
        for e in mine.entries:
            self.of[e] = theirs
        return None

    def _handed(self, readers: Group, writers: Group) -> bool:
        """Whether one group reads values of the other, or writes into their memory."""
        of = self.of
        return any([r[0] >= 0 and of[r[0]] is writers for r in readers.reads]) or any(
            [b >= 0 and of[b] is writers for b in readers.bases])

    def _reads(self, mine: Group, theirs: Group) -> set[tuple]:
        """What two groups together read of others' results."""
        of = self.of
        return {r for r in mine.reads | theirs.reads
                if r[0] < 0 or of[r[0]] is not mine and of[r[0]] is not theirs}

    def _room(self, mine: Group, theirs: Group, entry: Entry) -> Why | None:
        """Sums of as many terms as a program took steps, and work on few elements, which gains
        nothing from large kernels, are cut early: else each number of steps has kernels of its
        own."""
        members = len(mine.entries) + len(theirs.entries)
        if members > MAX_MEMBERS:
            return Why(f"a kernel holds at most {MAX_MEMBERS} statements")
        few = members > FEW_MEMBERS and (
            total(theirs.nest.outer) * total(theirs.nest.inner) <= FEW_ELEMENTS)
        if few:
            return Why(f"a kernel over few elements holds at most {FEW_MEMBERS} statements")
        terms = entry.op.name == "add" and len(entry.srcs) == 2
        most = FEW_POINTERS if terms else MAX_POINTERS
        if len(mine.reads) + len(theirs.reads) > most and len(self._reads(mine, theirs)) > most:
            return Why(f"a kernel reads at most {most} operands")
        return None

    def _across(self, mine: Group, theirs: Group, members: dict[int, Member],
                outer: list[Loop], inner: list[Loop]) -> Why | None:
        """Refuses a result that lies across rows that are too long for a block of them to be
        turned. What already was in a row kernel has been asked."""
        if total(inner) < WIDE or total(outer) < WIDE:
            return None
        turned = self._turned(members, outer, inner)
        for e in [e for group in (mine, theirs) if group.kind != "row" for e in group.entries]:
            entry, member = self.graph.entries[e], members[e]
            if entry.op.kind == REDUCE or member.level == "row":
                continue
            where = address(member.index, entry.region.strides)
            along = min([s for x in inner if (s := where.get(x, 0))], default=1)
            down = min([s for x in outer if (s := where.get(x, 0))], default=along)
            if along > down and (turned is None or where.get(turned) != 1):
                return Why("its result lies across the rows of the reduction")
        return None

    def _turned(self, members: dict[int, Member], outer: list[Loop],
                inner: list[Loop]) -> Loop | None:
        """The loop over the rows of a block that a row kernel can turn: its fastest outer one."""
        if total(inner) > TALL or sum(x.size > 1 for x in inner) > 1:
            return None
        e = next(e for e in members if self.graph.entries[e].op.kind == REDUCE)
        walk = read_address(self.graph.entries[e], members[e], 0)
        return min((x for x in outer if x.size > 1), key=lambda x: abs(walk.get(x, 0)))

    def _consistent(self, readers: Group, writers: Group,
                    members: dict[int, Member]) -> Why | None:
        """Every value that one part of a merged group hands to the other is read where it is
        written."""
        of = self.of
        for e in readers.entries:
            entry = self.graph.entries[e]
            if entry.base is not None and entry.base >= 0 and of[entry.base] is writers:
                return Why("the storage it writes into is filled by the same kernel")
            for k, source in enumerate(entry.srcs):
                if source < 0 or of[source] is not writers:
                    continue
                producer = self.graph.entries[source]
                if _alike(entry, k, producer) and members[e].index == out_index(
                        producer, members[source]):
                    continue
                wrote = address(out_index(producer, members[source]), producer.region.strides)
                read = read_address(entry, members[e], k)
                if {x: s for x, s in read.items() if s} != wrote or (
                        entry.offsets[k] != start(producer)):
                    return Why("one value is read in two orders")
                if entry.reads[k].dtype is not producer.region.dtype:
                    return Why("its bytes are read as another dtype")
        return None

    def _phases(self, entries: list[int], members: dict[int, Member]) -> None:
        """Works out in which sweep over the inner loops the given members run."""
        every = self.graph.entries
        for e in entries:
            phase = 0
            for source in every[e].srcs:
                producer = members.get(source)
                if producer is not None:
                    phase = max(phase, producer.phase + (every[source].op.kind == REDUCE))
            members[e].phase = phase

    def _sweeps(self, members: dict[int, Member], kind: str, outer: list[Loop],
                inner: list[Loop]) -> Why | None:
        """Refuses a second sweep where the kind of kernel has none."""
        if kind not in ("split", "col") or not any(
                member.phase and (self.graph.entries[e].op.kind == REDUCE or member.level == "full")
                for e, member in members.items()):
            return None
        if kind == "split":
            return Why("the rows are too long for a second sweep in the same kernel")
        if not self._again(members, outer, inner):
            return Why("a column reduction sweeps once")
        return None

    def _again(self, members: dict[int, Member], outer: list[Loop], inner: list[Loop]) -> bool:
        """Whether a column kernel may sweep its blocks again: they stay in the cache, there are
        many, and what waits for a later sweep, once a column, is a float of a tile."""
        if total(inner) > TALL or total(outer) < MANY_COLUMNS:
            return False
        for e, member in members.items():
            entry = self.graph.entries[e]
            reduces = entry.op.kind == REDUCE
            if (reduces or member.level == "row") and {
                    entry.spec.dtype.code, entry.attrs[2 if reduces else 1].code} - {"f32", "f64"}:
                return False
            if reduces:
                walk = read_address(entry, member, 0)
                if not any(x.size >= WIDE and walk.get(x) == 1 for x in outer):
                    return False
        return True

    def _hazard(self, mine: Group, theirs: Group, members: dict[int, Member]) -> Why | None:
        """A kernel that writes a storage in place may read it only at the very same elements."""
        if not mine.bases and not theirs.bases:
            return None
        graph = self.graph
        for u in members:
            update = graph.entries[u]
            if update.writes is None:
                continue
            root = graph.root(u)
            wrote = address(out_index(update, members[u]), update.writes.strides)
            for e in members:
                entry = graph.entries[e]
                for k, source in enumerate(entry.srcs):
                    if source == u or graph.root(source) != root or not overlaps(entry, k, update):
                        continue
                    read = read_address(entry, members[e], k)
                    same = {x: s for x, s in read.items() if s} == {
                        x: s for x, s in wrote.items() if s}
                    if not same or entry.offsets[k] != update.out_offset or (
                            entry.reads[k].dtype is not update.writes.dtype):
                        return Why("it reads other elements of the storage that it writes")
                    if members[e].level != members[u].level or members[e].phase > members[u].phase:
                        return Why("the old value is needed after the write")
                if e != u and entry.writes is not None and graph.root(e) == root:
                    return Why("two writes to one storage")
        return None

    # ── the result ────────────────────────────────────────────────────────────────────────────
    def finish(self) -> Fusion:
        """Marks what is stored, and orders the groups.

        A value that was refused because it is broadcast gets a second try: the reader may have
        come into a group whose rows it is repeated over.
        """
        self.newest = None
        for source, i, why in list(self.whys):
            if why is BROADCAST and self.of[source] is not self.of[i]:
                for k, other in enumerate(self.graph.entries[i].srcs):
                    if other == source and self.of[source] is not self.of[i]:
                        self._try(i, k, source)
        groups = sorted(set(self.of.values()), key=lambda g: g.entries[0])
        outside: set[int] = set()      # entries whose values another group reads
        based: set[int] = set()
        for i, entry in enumerate(self.graph.entries):
            group = self.of[i]
            outside.update([s for s in entry.srcs if s >= 0 and self.of[s] is not group])
            if entry.base is not None:
                based.add(entry.base)
        for g in groups:
            for e in g.entries:
                entry = self.graph.entries[e]
                if entry.kept or entry.writes is not None or e in outside or e in based or (
                        entry.op.kind == OPAQUE):
                    g.stored.append(e)
        return Fusion(_in_order(groups), self.of, self.whys)


def _alike(entry: Entry, k: int, producer: Entry) -> bool:
    """Whether an entry reads a value just as it lies in memory, from beginning to end."""
    region = producer.region
    return entry.reads[k] is region and entry.offsets[k] == start(producer) and (
        region.dense and region.numel > 0 and min(region.strides, default=1) > 0)


def _reaches(groups: set[Group], goal: Group) -> bool:
    """Whether some of the groups are `goal` or must run after it."""
    stack, seen = list(groups), set()
    while stack:
        g = stack.pop()
        if g.into is not None:
            g = g.find()
        if g is goal:
            return True
        if g.serial not in seen:
            seen.add(g.serial)
            stack.extend(g.preds)
    return False


def _in_order(groups: list[Group]) -> list[Group]:
    """Topological order; among the ready, the one recorded first."""
    import heapq

    waiting = {g: len(g.before()) for g in groups}
    users: dict[Group, list[Group]] = {}
    for g in groups:
        for p in g.preds:
            users.setdefault(p, []).append(g)
    ready = [(g.entries[0], g.serial, g) for g in groups if not waiting[g]]
    heapq.heapify(ready)
    out = []
    while ready:
        _, _, g = heapq.heappop(ready)
        out.append(g)
        for user in users.get(g, ()):
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, (user.entries[0], user.serial, user))
    assert len(out) == len(groups), "groups depend on each other in a circle"
    return out
