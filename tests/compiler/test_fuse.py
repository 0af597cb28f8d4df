"""Fusion without compiling: programs in, their groups, refusals and order checked."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.compiler.fuse import MAX_MEMBERS, fuse
from jittensor.compiler.graph import Graph
from jittensor.compiler.rewrite import rewrite
from jittensor.runtime.realize import record
from tests.kernels.planned import plan_of


def tensor(*shape):
    """A realized tensor of a shape."""
    return torch.tensor(np.ones(shape, np.float32))


def groups_of(program) -> list[list[str]]:
    """The operators of each group, in the order in which groups run."""
    plan, _, results = plan_of(program)
    del results
    return [[plan.graph.entries[e].op.name for e in g.entries] for g in plan.fusion.groups]


def whys_of(program) -> set[str]:
    """The reasons of every refusal."""
    plan, _, results = plan_of(program)
    del results
    return {why.text for _, _, why in plan.fusion.whys}


X, Y, W, B = tensor(64, 32), tensor(64, 32), tensor(32, 48), tensor(48)

ONE_GROUP = {
    "chain": lambda: ((X + 1) * Y).tanh() - X,
    "broadcast rows": lambda: X * tensor(32) + 1,
    "softmax": lambda: torch.softmax(X, 1),
    "log_softmax": lambda: torch.log_softmax(X * 2, 1),
    "layer_norm": lambda: torch.layer_norm(X, (32,), tensor(32), tensor(32)),
    "variance of rows": lambda: X.var(1),
    "prologue, sum, epilogue": lambda: ((X * Y).sum(1) + 1).sqrt(),
    "two results": lambda: (lambda e: (e, e + Y))(X.exp()),
    "column sum": lambda: (X * 2).sum(0),
    "sum of a transposed view": lambda: (X.t() + Y.t()).sum(0),
}


@pytest.mark.parametrize("name", ONE_GROUP)
def test_one_kernel(name) -> None:
    assert len(groups_of(ONE_GROUP[name])) == 1


def test_bias_gelu_residual_after_a_product() -> None:
    r = tensor(64, 48)
    groups = groups_of(lambda: torch.nn.functional.gelu(X @ W + B) + r)
    assert len(groups) == 2
    assert groups[1] == ["add", "gelu", "add"]


def test_variance_of_everything_is_two_sweeps_of_long_rows() -> None:
    long = tensor(70_000)
    groups = groups_of(lambda: long.var())
    assert [("sum" in g) for g in groups] == [True, True]


def test_without_fusion_every_entry_is_a_group() -> None:
    plan, binding, results = plan_of(lambda: torch.softmax(X, 1))
    graph, _ = rewrite(record(binding))
    assert all(len(g.entries) == 1 for g in fuse(graph, False).groups)
    assert len(fuse(graph, True).groups) == 1
    del plan, results


REFUSALS = {
    "a kernel written by hand": lambda: X @ W + 1,
    "the read starts elsewhere than the write": lambda: (X + 1)[1:] * 2,
    "the value is read in another order, or in part, or repeated": lambda: (X + 1)[:, ::2] * 2,
    "a computed value is broadcast: stored once instead of recomputed":
        lambda: (tensor(32) + 1) * X,
    "reductions over different dims": lambda: X.sum(1) + X[:, 0] * (X * 2).sum((0, 1)),
    "its bytes are read as another dtype": lambda: _bits(),
    "one value is read in two orders": lambda: _two_orders(),
    "reductions that walk memory differently": lambda: _both_ways(),
}


def _bits():
    x = tensor(8)
    bits = x.view(torch.int32)
    x += 1
    return bits * 1


def _two_orders():
    square = tensor(16, 16) + 1
    return square + square.t()


def _both_ways():
    y = X + 1
    return y.sum(0), y.sum(1)


@pytest.mark.parametrize("text", [t for t in REFUSALS if t != "reductions over different dims"])
def test_refusals_say_why(text) -> None:
    assert text in whys_of(REFUSALS[text])


def test_a_kernel_has_a_limit() -> None:
    def long_chain():
        x = X
        for _ in range(3 * MAX_MEMBERS):
            x = x + 1
        return x

    groups = groups_of(long_chain)
    assert len(groups) == 3 and max(map(len, groups)) == MAX_MEMBERS
    assert f"a kernel holds at most {MAX_MEMBERS} statements" in whys_of(long_chain)


# ── order ─────────────────────────────────────────────────────────────────────────────────────
def run_order(program) -> tuple[list[int], Graph]:
    plan, _, results = plan_of(program)
    del results
    at = {e: k for k, g in enumerate(plan.fusion.groups) for e in g.entries}
    return at, plan.graph


def test_readers_run_before_the_write_and_later_readers_after() -> None:
    x = tensor(6, 6)

    def program():
        before = x.sum(0)
        x[1:] += 5
        after = x.sum(0)
        x.mul_(2)
        return before, after

    at, graph = run_order(program)
    writes = [i for i, e in enumerate(graph.entries) if e.writes is not None]
    sums = [i for i, e in enumerate(graph.entries) if e.op.name == "sum"]
    assert at[sums[0]] < at[writes[0]] < at[sums[1]] < at[writes[1]]


def test_a_write_in_place_joins_the_reads_of_the_very_same_elements() -> None:
    x, y = tensor(64), tensor(64)

    def program():
        x.add_(y).mul_(2)
        return x * 3

    at, graph = run_order(program)
    assert [e.op.name for e in graph.entries] == ["add", "mul", "mul"]
    assert len(set(at.values())) == 1
    assert graph.entries[1].writes is not None and graph.entries[2].writes is None


def test_writes_to_parts_of_a_storage_are_kernels_of_their_own() -> None:
    x = tensor(64)

    def program():
        x[:40].add_(1)
        x[20:].mul_(2)
        return x * 3

    at, graph = run_order(program)
    assert [at[e] for e in range(3)] == [0, 1, 2]


def test_no_group_depends_on_itself() -> None:
    def diamond():
        a = X + 1
        total = a.sum()                        # all of a is needed before b
        b = a * total
        return b + a

    groups = groups_of(diamond)
    assert ["add"] != groups[-1] and sum(map(len, groups)) == 4
