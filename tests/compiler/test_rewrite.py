"""Rewriting: dead work is dropped, composites become the operators that they stand for."""

from __future__ import annotations

import numpy as np

import jittensor as torch
from jittensor.compiler.rewrite import rewrite
from jittensor.graph.ops import COMPOSITE
from jittensor.runtime.realize import record
from tests.kernels.planned import plan_of

X = torch.tensor(np.ones((5, 6), np.float32))


def rewritten(program):
    _, binding, results = plan_of(program)
    recorded = record(binding)
    graph, moved = rewrite(recorded)
    del results
    return recorded, graph, moved


def test_what_nothing_visible_needs_is_dropped() -> None:
    def program():
        y = X + 1
        (y * 3).exp()
        return y * 2

    recorded, graph, moved = rewritten(program)
    assert len(recorded.entries) == 4
    assert [e.op.name for e in graph.entries] == ["add", "mul"]
    assert sorted(moved) == [0, 3]


def test_writes_are_never_dropped() -> None:
    x = torch.tensor(np.ones(4, np.float32))

    def program():
        x.add_(1)
        return X + 1

    _, graph, _ = rewritten(program)
    assert [e.op.name for e in graph.entries] == ["add", "add"]


def test_composites_become_primitives() -> None:
    recorded, graph, moved = rewritten(lambda: torch.softmax(X, 1))
    assert recorded.entries[0].op.kind == COMPOSITE
    assert [e.op.name for e in graph.entries] == ["amax", "sub", "exp", "sum", "div"]
    last = graph.entries[moved[0]]
    assert last.kept and last.spec is recorded.entries[0].spec
    assert [e.kept for e in graph.entries] == [False] * 4 + [True]


def test_a_composite_keeps_its_own_origin() -> None:
    recorded, graph, _ = rewritten(lambda: torch.log_softmax(X, 0))
    assert {e.origin for e in graph.entries} == {recorded.entries[0].origin}


def test_a_composite_of_half_precision_is_computed_in_float32_and_cast_back() -> None:
    _, graph, moved = rewritten(lambda: torch.softmax(X.half().realize(), 1))
    names = [e.op.name for e in graph.entries]
    assert names[0] == "cast" and names[-1] == "cast"
    assert graph.entries[-1].spec.dtype is torch.float16
    assert all(e.spec.dtype is torch.float32 for e in graph.entries[:-1])
