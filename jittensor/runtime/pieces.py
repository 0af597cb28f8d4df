"""Pieces: many pending nodes in, the leading ones that are planned and run together out.

A plan of everything would be a new one for each length of a loop that the program unrolls (an
episode, a sentence). So what is long is cut where its own content says so: at the node before
which a hash of the last few operators is least. In a repeated part that is the same place of each
repetition, so that most pieces are alike and share a plan. The hash knows operators by their names
only: no size, and nothing that differs from process to process, moves a cut.
"""

from __future__ import annotations

import zlib

from ..graph.node import Node

WHOLE = 512            # so many nodes are planned as one
LEAST, MOST = 128, 256     # nodes of a piece
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


def last_readers(nodes: list[Node]) -> list[int]:
    """For each node, the last one that reads it or writes over it (its own number: none)."""
    last = list(range(len(nodes)))
    for i, node in enumerate(nodes):
        node.index = i
        for source in node.srcs if node.base is None else (*node.srcs, node.base):
            if source.__class__ is Node and source.index >= 0:
                last[source.index] = i
    return last
