"""An operation that is pending alone, on realized operands: its rule in, one run out.

Programs that look at every result realize operations one by one. What such a run needs to know
beside addresses and scalars is in the rule: it finds the plan without a key, and its addresses
stand in an array that is written anew each time.
"""

from __future__ import annotations

import sys
from array import array

from ..config import config
from ..graph.node import Node, Rule
from . import bind, blocks
from .bind import Bound

MOST = 2048
_known: dict[Rule, _Alone] = {}
_getrefcount = sys.getrefcount
UNSEEN = 3        # references that a pending node's storage has from the engine alone


class _Alone:
    """A plan of one node, and the arrays that its runs are given."""

    __slots__ = ("bound", "fusion", "nbytes", "addresses", "floats")

    def __init__(self, bound: Bound, addresses: int, floats: int):
        self.bound, self.fusion, self.nbytes = bound, config.fusion, bound.outputs[0][1]
        self.addresses, self.floats = array("q", [0] * addresses), array("d", [0.0] * floats)


def remember(node: Node, bound: Bound, addresses: int, floats: int) -> None:
    """Notes the plan that a node had alone: it read so many addresses and integers, and floats."""
    if (bound.__class__ is Bound and len(bound.outputs) == 1 and not bound.arena
            and not bound.storages and addresses + floats == len(node.rule.reads) + len(
                node.rule.scalars)):
        if len(_known) >= MOST:
            _known.clear()
        _known[node.rule] = _Alone(bound, addresses + 1, floats)


def forget() -> None:
    """Forgets all plans."""
    _known.clear()


def run(pending: list[Node]) -> bool:
    """Runs the only pending node where its plan is known from an earlier run, and says whether it
    did; where it did not, the node is still pending. `bind.lock` is held."""
    node = pending[0]
    rule, storage = node.rule, node.storage
    found = _known.get(rule)
    if (found is None or node.base is not None or found.fusion is not config.fusion
            or config.backend == "reference" or _getrefcount(storage) <= UNSEEN):
        return False
    bind.settle()
    srcs, addresses, wait, at = node.srcs, found.addresses, False, 0
    for source in srcs:
        if source.__class__ is Node:
            source = source.storage
        if source.external is not None:
            wait = True
        addresses[at] = source.block.address
        at += 1
    if node.offsets is not None:
        for k, (offset, spec) in enumerate(zip(node.offsets, rule.reads, strict=True)):
            addresses[k] += offset * spec.dtype.itemsize
    if at > 1 and len({*addresses[:at]}) < at:      # a place that is read twice: another plan
        return False
    if rule.scalars and not _put_scalars(found, rule.scalars, node.scalars, at):
        return False
    block = blocks.take(found.nbytes)
    addresses[-1] = block.address

    def publish() -> None:
        storage.block, node.index, node.srcs = block, -1, ()
        if storage.node is node:
            storage.node = None

    state = bind.begin_bound(found.bound, addresses, found.floats, [block], srcs, publish)
    bind.stats.realizes += 1
    if pending and pending[0] is node:      # what others record meanwhile stays
        del pending[0]
    bind.proceed(state, wait)
    return True


def _put_scalars(found: _Alone, kinds: str, scalars: tuple, at: int) -> bool:
    """Writes the scalars; whether they fit."""
    floats = 0
    for kind, value in zip(kinds, scalars, strict=True):
        if kind == "i":
            if not -1 << 63 <= value < 1 << 63:
                return False
            found.addresses[at] = value
            at += 1
        else:
            found.floats[floats] = value
            floats += 1
    return True
