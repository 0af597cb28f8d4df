"""Realize: pending nodes in, their storages filled.

A run may still be in flight when `realize_all` returns: the workers compute while the caller
records what comes next. Whoever looks at memory waits for it (`bind.settle`).

What is pending is one graph, in program order (a long one is cut into pieces, see `pieces`). Its
key (rules, wiring, what is visible; no scalars, addresses or offsets of realized memory) finds the
plan; the run binds addresses and scalars to the plan's tables and makes one native call.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from itertools import accumulate, chain

from ..compiler.graph import Entry, Graph
from ..compiler.plan import make_plan
from ..config import config
from ..graph.node import Node, Storage, user_frame, where
from ..kernels.compile import stats
from . import alone, blocks
from .bind import Bound, begin, finish_interrupted, interrupted, lock, proceed, settle
from .pieces import Loose, crossing, cut, written_storage

PENDING: list[Node] = []     # every recorded node that has not run, in program order
PLANS: OrderedDict = OrderedDict()
MAX_PLANS = 2048
NONE: frozenset = frozenset()
loose = Loose()
_getrefcount = sys.getrefcount
_AGAIN = -1 << 40             # in a key: a place that was named before
capturing = None             # what notes a step that is being captured (see `capture`)


class Binding:
    """What one run of a plan is given: addresses, scalars, storages."""

    __slots__ = ("addresses", "floats", "storages", "nodes", "kept")

    def __init__(self, nodes: list[Node]):
        self.nodes = nodes
        self.addresses: list[int] = []
        self.floats: list[float] = []
        self.storages: list[Storage] = []
        self.kept: list[int] = []        # nodes whose results somebody may look at


def realize_all() -> None:
    """Runs everything that is pending."""
    if not PENDING and not interrupted:
        return
    if capturing is not None and capturing.thread == threading.get_ident():
        capturing.flush(user_frame())
    with lock:
        if interrupted:
            finish_interrupted()
            PENDING[:] = [n for n in PENDING if n.index >= 0]
        if len(PENDING) == 1 and alone.run(PENDING):
            return
        nodes = PENDING[:]
        if not nodes:
            return
        ends = cut(nodes)
        if len(ends) == 1:
            _run(nodes)
        else:
            _run_pieces(nodes, ends, crossing(nodes, ends))


def _run_pieces(nodes: list[Node], ends: list[int], needed: set[Node]) -> None:
    """Runs the leading pending nodes, those up to each of `ends` as one."""
    begin = 0
    for end in ends:
        _run(nodes[begin:end], needed)
        begin = end


def _run(nodes: list[Node], needed: set[Node] = NONE) -> None:
    """Runs the leading pending nodes; `needed` are those that later ones read."""
    key, binding = snapshot(nodes, needed)
    if key is None:
        del PENDING[:len(nodes)]
    elif config.backend == "reference":
        run_reference(binding)
        del PENDING[:len(nodes)]
    else:
        bound = PLANS.get(key)
        if bound is None:
            parts = loose.parts(key, nodes)
            if parts is not None:
                PENDING[:len(nodes)] = chain.from_iterable(parts)
                _run_pieces(PENDING[:len(nodes)], list(accumulate(map(len, parts))), needed)
                return
            try:
                bound = _planned(key, binding)
            except Exception as error:
                _fail(PENDING[:], error)
                raise
        _note_use(key)
        if len(nodes) == 1 and nodes[0].base is None:
            alone.remember(nodes[0], bound, len(binding.addresses), len(binding.floats))
        try:
            execute(bound, binding)
        except OverflowError as error:          # an integer that no dtype holds
            _fail(nodes, error)
            raise


def _fail(nodes: list[Node], error: Exception) -> None:
    """Gives up on nodes that cannot be compiled, so that later work is not held up by them;
    whoever looks at one of their results gets the error."""
    file, line = where(nodes[0].origin)
    for node in nodes:
        node.storage.error = (error, f"{file}:{line}")
    publish_nodes(nodes)
    del PENDING[:len(nodes)]


def plan_for(key: tuple, binding: Binding) -> Bound:
    """The plan of a key as its tables, made on first use."""
    bound = PLANS.get(key)
    if bound is None:
        bound = _planned(key, binding)
    _note_use(key)
    return bound


def forget_plans() -> None:
    """Forgets every plan."""
    PLANS.clear()
    alone.forget()


def _planned(key: tuple, binding: Binding) -> Bound:
    """A new plan as its tables; what it was compiled from is let go."""
    bound = PLANS[key] = Bound(make_plan(record(binding), config.fusion), len(binding.addresses))
    stats.plans_built += 1
    if len(PLANS) > MAX_PLANS:
        PLANS.popitem(last=False)
    return bound


def _note_use(key: tuple) -> None:
    stats.realizes += 1
    if not stats.realizes % 64:
        PLANS.move_to_end(key)


def snapshot(nodes: list[Node], needed: set[Node] = NONE) -> tuple[tuple | None, Binding]:
    """The plan key of pending nodes, and what a run would be bound to. `needed` are those whose
    values have to be kept though nobody but later nodes sees them."""
    binding = Binding(nodes)
    addresses, floats, storages = binding.addresses, binding.floats, binding.storages
    kept = binding.kept
    known: dict[int, int] = {}         # id of a storage -> its number
    slots: dict = {}                   # id of a storage, or (id, byte offset) -> address slot
    key: list = [config.fusion]
    add = key.append
    written: set[int] | None = None
    places = False       # a storage is named at two offsets
    chained = False      # a read (or write) of what a pending in-place write leaves
    for i, node in enumerate(nodes):
        node.index = i
        rule = node.rule
        add(rule.id)
        offsets, settled = node.offsets, False
        for k, source in enumerate(node.srcs):
            if source.__class__ is Node:
                if source.index >= 0:
                    add(source.index)
                    chained = chained or source.base is not None
                    if offsets is not None and offsets[k]:
                        add(("o", offsets[k]))
                    continue
                source, settled = source.storage, True
            place = id(source)
            start = 0
            if offsets is not None and offsets[k]:
                start = offsets[k] * rule.reads[k].dtype.itemsize
                place = place, start
            slot = slots.get(place)
            if slot is not None:       # the same place was named before
                add(_AGAIN - slot)
                continue
            at = known.get(id(source))
            if at is None:
                at = known[id(source)] = len(storages)
                storages.append(source)
            else:
                places = True
            add(-1 - at)
            slots[place] = len(addresses)
            addresses.append(source.block.address + start)
        if settled:
            node.srcs = tuple([_settled(s) for s in node.srcs])
        if rule.scalars:
            for kind, value in zip(rule.scalars, node.scalars, strict=True):
                if kind == "i":
                    addresses.append(value)
                else:
                    floats.append(value)
        storage = node.storage
        if node.base is not None:
            at, moved = _note_base(node, binding, key, known, slots)
            if at is None:
                chained = chained or moved
            else:
                places = places or moved
                written = written or set()
                written.add(at)
            kept.append(i)
        elif storage.node is node and _getrefcount(storage) > alone.UNSEEN or node in needed:
            kept.append(i)
    if not kept:
        publish_nodes(nodes)
        return None, binding
    add(tuple(kept))
    if written and (places or chained):
        add(_overlaps(nodes, known, written, chained))
    return tuple(key), binding


def _note_base(node: Node, binding: Binding, key: list, known: dict, slots: dict) -> tuple:
    """Adds where an in-place node writes to the key and the binding. (number of the storage,
    whether at an offset of its own), or (None, whether into a pending write) where the storage
    was never realized."""
    base = node.base = _settled(node.base)
    storage = written_storage(node)
    if storage is None:
        key.append(("b", base.index, node.out_offset))
        return None, base.base is not None
    start = node.out_offset * node.rule.writes.dtype.itemsize
    place = (id(storage), start) if start else id(storage)
    slot = slots.get(place)
    at, moved = known.get(id(storage)), False
    if at is None:
        at = known[id(storage)] = len(binding.storages)
        binding.storages.append(storage)
    else:
        moved = slot is None
    key.append(("b", base.index if base.__class__ is Node else -1 - at, slot))
    if slot is None:
        slots[place] = len(binding.addresses)
        binding.addresses.append(storage.block.address + start)
    return at, moved


def _settled(source):
    """A source, or the storage of one that has run meanwhile."""
    return source.storage if source.__class__ is Node and source.index < 0 else source


def _overlaps(nodes, known, written, absolute: bool) -> tuple:
    """Offsets of all accesses to storages that are written in place: relative to the first one
    (so that `x[i] += 1` in a loop is one plan), or absolute where reads through a pending write,
    whose offsets are absolute, have to be compared with them."""
    first: dict[int, int] = {}
    out = []
    for node in nodes:
        sources = list(zip(node.srcs, node.offsets or (0,) * len(node.srcs), strict=True))
        if node.base is not None:
            sources.append((written_storage(node), node.out_offset))
        for source, offset in sources:
            at = known.get(id(source)) if source.__class__ is Storage else None
            if at in written:
                out.append(offset if absolute else offset - first.setdefault(at, offset))
    return tuple(out)


def record(binding: Binding) -> Graph:
    """The compiler's graph of pending nodes: the same walk as `snapshot`, in full."""
    graph = Graph()
    known = {id(s): k for k, s in enumerate(binding.storages)}
    address_slot = float_slot = 0
    kept = set(binding.kept)
    places: dict[tuple[int, int], int] = {}

    def slot_of(source, start: int) -> int:
        nonlocal address_slot
        slot = places.get((id(source), start))
        if slot is None:
            slot = places[id(source), start] = address_slot
            address_slot += 1
        return slot

    for i, node in enumerate(binding.nodes):
        rule = node.rule
        offsets = node.offsets or (0,) * len(node.srcs)
        srcs, offs, slots, scalars = [], [], [], []
        for source, offset, spec in zip(node.srcs, offsets, rule.reads, strict=True):
            offs.append(offset)
            if source.__class__ is Node:
                srcs.append(source.index)
                slots.append(-1)
            else:
                srcs.append(-1 - known[id(source)])
                slots.append(slot_of(source, offset * spec.dtype.itemsize))
        for kind in rule.scalars:
            if kind == "i":
                scalars.append(("i", address_slot))
                address_slot += 1
            else:
                scalars.append(("f", float_slot))
                float_slot += 1
        entry = Entry(rule.op, rule.reads, tuple(srcs), tuple(offs), tuple(slots),
                      tuple(scalars), rule.attrs, rule.spec, i in kept, origin=node.origin)
        if node.base is not None:
            entry.writes, entry.out_offset = rule.writes, node.out_offset
            base, storage = node.base, written_storage(node)
            entry.base = base.index if base.__class__ is Node else -1 - known[id(base)]
            if storage is not None:
                entry.out_slot = slot_of(storage, node.out_offset * rule.writes.dtype.itemsize)
        graph.entries.append(entry)
    graph.externals = len(binding.storages)
    return graph


def execute(bound: Bound, binding: Binding) -> None:
    """Runs a plan, publishes its results to the storages and takes its nodes off the list.

    Until the run is noted as begun the nodes stay pending, so that a Ctrl-C loses nothing.
    """
    settle()             # what it held goes back to the pool first, still in the cache
    outputs = [blocks.take(nbytes) for _, nbytes in bound.outputs]
    state = begin(bound, binding, outputs, lambda: publish(bound, binding, outputs))
    if PENDING and PENDING[0] is binding.nodes[0]:
        del PENDING[:len(binding.nodes)]
    proceed(state, wait=any([s.external is not None for s in binding.storages]))


def run_reference(binding: Binding) -> None:
    """Runs pending nodes in NumPy, one by one."""
    from ..kernels.reference import executor  # imports SciPy, which only this backend needs
    settle()
    results = executor.run(record(binding), binding.addresses, binding.floats,
                           [s.block.address if s.block is not None else 0
                            for s in binding.storages], blocks.take)
    for entry, block in results.items():
        binding.nodes[entry].storage.block = block
    stats.realizes += 1
    publish_nodes(binding.nodes)


def publish(bound: Bound, binding: Binding, outputs: list) -> None:
    """Hands the output blocks to their storages and drops the nodes."""
    nodes = binding.nodes
    for (entry, _), block in zip(bound.outputs, outputs, strict=True):
        nodes[entry].storage.block = block
    publish_nodes(nodes)


def publish_nodes(nodes: list[Node]) -> None:
    """Marks nodes as run."""
    for node in nodes:
        storage = node.storage
        if storage.node is node:
            storage.node = None
        node.index = -1          # done: whoever still names the node means its storage
        node.srcs = ()
        node.base = None


def fork_prepare() -> None:
    """Before a fork: nothing is left that both processes would run."""
    realize_all()
    lock.acquire()
    settle()


os.register_at_fork(before=fork_prepare, after_in_parent=lambda: lock.release(),
                    after_in_child=lambda: lock.release())
