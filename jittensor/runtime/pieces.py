"""Pieces: many pending nodes in, those that are planned and run together out.

A plan of everything would be a new one for each length of a loop that the program unrolls (an
episode, a sentence). So what is long is cut where its own content says so: at the node before
which a hash of the last few operators is least. In a repeated part that is the same place of each
repetition, so that most pieces are alike and share a plan. The hash knows operators by their names
only: no size, and nothing that differs from process to process, moves a cut.

And work that has nothing to do with each other (the samples of a batch, each of its own length) is
planned apart where one plan of all of it would be a new one each time.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict

from ..graph.node import Node, Storage

WHOLE = 512            # so many nodes are planned as one
LEAST, MOST = 128, 256     # nodes of a piece
LOOSE, SMALL = 16, 8       # nodes of a graph that may be taken apart, and of its parts on average
REMEMBERED = 1024          # graphs that were taken apart once
_SHIFT, _MASK = 2, 0xFFFFFFFF      # an operator is out of the hash after 16 others
_marks: dict[str, int] = {}


def cut(nodes: list[Node]) -> list[int]:
    """Where each piece ends; [len(nodes)] where they are one."""
    n = len(nodes)
    if n <= WHOLE:
        return [n]
    ends, begin, least, value, best = [], 0, _MASK + 1, 0, 0
    for i, node in enumerate(nodes):
        size = i - begin
        if size >= LEAST and value < least:
            least, best = value, i
        if size == MOST:
            ends.append(best)
            begin, least = best, _MASK + 1
            if n - begin <= MOST:
                break
        name = node.rule.op.name
        mark = _marks.get(name)
        if mark is None:
            mark = _marks[name] = zlib.crc32(name.encode())
        value = ((value << _SHIFT) + mark) & _MASK
    return [*ends, n]


def crossing(nodes: list[Node], ends: list[int]) -> set[Node]:
    """The nodes whose values a later piece than their own reads or writes over."""
    piece, number = [], 0
    for i, node in enumerate(nodes):
        if i == ends[number]:
            number += 1
        piece.append(number)
        node.index = i
    out = set()
    for i, node in enumerate(nodes):
        for source in node.srcs if node.base is None else (*node.srcs, node.base):
            if source.__class__ is Node and source.index >= 0 and piece[source.index] < piece[i]:
                out.add(source)
    return out


class Loose:
    """Which graphs of many small independent parts are taken apart.

    One of the first with its operators is planned as one, and so is one that has come before: its
    parts have the same kernels, so that nothing is compiled anew.
    """

    def __init__(self):
        self.operators: set[frozenset] = set()
        self.apart: OrderedDict[tuple, None] = OrderedDict()

    def parts(self, key: tuple, nodes: list[Node]) -> list[list[Node]] | None:
        """The parts of a graph whose plan is not known, or None to plan it as one. The nodes'
        indices are their places."""
        if not LOOSE <= len(nodes) <= WHOLE:
            return None
        if self.apart.pop(key, False) is None:
            return None
        operators = frozenset([node.rule.op.name for node in nodes])
        if operators not in self.operators:
            self.operators.add(operators)
            return None
        parts = independent(nodes)
        if len(nodes) > SMALL * len(parts):
            return None
        self.apart[key] = None
        if len(self.apart) > REMEMBERED:
            self.apart.popitem(last=False)
        return parts


def independent(nodes: list[Node]) -> list[list[Node]]:
    """Nodes of a `snapshot` in groups that share no value and no memory that is written, each in
    program order."""
    leader = list(range(len(nodes)))

    def find(i: int) -> int:
        while leader[i] != i:
            leader[i] = i = leader[leader[i]]
        return i

    written = {id(storage) for node in nodes if node.base is not None
               and (storage := written_storage(node)) is not None}
    users: dict[int, int] = {}         # written storage -> a node that reads or writes it
    for i, node in enumerate(nodes):
        for source in node.srcs if node.base is None else (*node.srcs, node.base):
            if source.__class__ is Node:
                leader[find(source.index)] = find(i)
            elif id(source) in written:
                leader[find(users.setdefault(id(source), i))] = find(i)
        if node.base is not None and (storage := written_storage(node)) is not None:
            leader[find(users.setdefault(id(storage), i))] = find(i)
    parts: dict[int, list[Node]] = {}
    for i, node in enumerate(nodes):
        parts.setdefault(find(i), []).append(node)
    return list(parts.values())


def written_storage(node: Node) -> Storage | None:
    """The realized storage that an in-place node writes to, perhaps after other pending writes."""
    base = node.base
    if base.__class__ is Node:
        return base.storage if base.storage.block is not None else None
    return base
