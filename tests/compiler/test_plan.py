"""Planning: kernels without sizes, memory that is shared, launches that fit their words."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.compiler.loops import Loop, Nest, address, match, match_repeats, new_index
from jittensor.compiler.memory import ALIGN
from jittensor.compiler.nest import LoopNest
from tests.kernels.planned import nests_of, plan_of


def tensor(*shape, dtype=np.float32):
    return torch.tensor(np.ones(shape, dtype))


PROGRAMS = {
    "map": lambda m, n, s: tensor(m, n) * s + tensor(n),
    "row": lambda m, n, s: torch.softmax(tensor(m, n) * s, 1),
    "col": lambda m, n, s: (tensor(m, n) * s).sum(0),
    "split": lambda m, n, s: (tensor(m * 7000, n) * s).sum(),
    "strided": lambda m, n, s: tensor(m, n).t() * s + tensor(n, m),
    "write": lambda m, n, s: tensor(m, n)[1:, ::2].mul_(s),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels_hold_no_sizes_and_no_numbers(name) -> None:
    program = PROGRAMS[name]
    first = nests_of(lambda: program(40, 40, 0.5))
    assert first == nests_of(lambda: program(48, 56, 1.25))
    assert first and hash(first[0]) == hash(nests_of(lambda: program(40, 40, 2.5))[0])


def test_dtypes_and_strides_are_part_of_a_kernel() -> None:
    plain = nests_of(lambda: tensor(8, 8) + tensor(8, 8))
    wide = tensor(8, 8, dtype=np.float64)
    assert plain != nests_of(lambda: wide + wide)
    assert plain != nests_of(lambda: tensor(8, 8) + tensor(8, 8).t())
    assert plain == nests_of(lambda: tensor(64) + tensor(64))      # one loop in both


def test_words_of_a_launch_fit_its_kernel() -> None:
    for program in PROGRAMS.values():
        plan, _, results = plan_of(lambda program=program: program(40, 40, 0.5))
        del results
        for launch in plan.launches:
            if isinstance(launch.kernel, LoopNest):
                nest = launch.kernel
                rank = nest.n_outer + nest.n_inner
                extra = 2 if nest.kind == "split" else 0
                assert len(launch.words) == (
                    rank + len(nest.operands) * (rank + 1) + len(nest.scalars) + extra)


def test_dying_inputs_are_taken_over() -> None:
    x = tensor(64, 64)

    def program():
        y = torch.matmul(x, x)
        return torch.matmul(y + 1, x)

    plan, _, results = plan_of(program)
    del results
    assert plan.arena == 64 * 64 * 4              # y + 1 lies where y lay
    assert len(plan.outputs) == 1


def test_a_value_that_is_still_needed_is_not_taken_over() -> None:
    x = tensor(64, 64)

    def program():
        y = torch.matmul(x, x)
        z = torch.matmul(y + 1, x)
        return torch.matmul(z, y)

    plan, _, results = plan_of(program)
    del results
    assert plan.arena >= 2 * 64 * 64 * 4 and plan.arena % ALIGN == 0


def test_arena_values_that_live_together_are_apart() -> None:
    def program():
        a, b = (torch.matmul(tensor(16, 16), tensor(16, 16)) for _ in range(2))
        return torch.matmul(a, b) + torch.matmul(b, a)

    plan, _, results = plan_of(program)
    del results
    places = {w[2] for launch in plan.launches for w in launch.words
              if isinstance(w, tuple) and w[0] == "address" and w[1][0] == "arena"}
    assert len(places) >= 3 and all(p % ALIGN == 0 for p in places)


# ── loops ─────────────────────────────────────────────────────────────────────────────────────
def nest_of(shape, strides):
    loops, index = new_index(shape)
    return Nest(loops, []), address(index, strides)


def test_loops_of_equal_walks_are_paired() -> None:
    reader, read = nest_of((3, 4), (4, 1))
    writer, wrote = nest_of((3, 4), (4, 1))
    pairs = match(reader, read, writer, wrote)
    assert [pairs[x] for x in reader.outer] == writer.outer


def test_a_merged_loop_is_split() -> None:
    reader, read = nest_of((12,), (1,))
    writer, wrote = nest_of((3, 4), (4, 1))
    pairs = match(reader, read, writer, wrote)
    assert [x.size for x in reader.outer] == [3, 4]
    assert [pairs[x] for x in reader.outer] == writer.outer


@pytest.mark.parametrize("shape,strides", [((4, 3), (1, 4)), ((3, 2), (4, 1)), ((3, 4), (4, 0)),
                                           ((2, 4), (4, 1)), ((0, 4), (4, 1))])
def test_other_walks_are_refused(shape, strides) -> None:
    reader, read = nest_of(shape, strides)
    writer, wrote = nest_of((3, 4), (4, 1))
    pairs = match(reader, read, writer, wrote)
    same = shape == (4, 3) and strides == (1, 4)      # the transposed view: the same elements
    assert (pairs is not None) == same


def test_repeats_of_empty_loops_are_refused() -> None:
    assert match_repeats(Nest([]), [Loop(4)], Nest([]), [Loop(0)]) is None
    assert match_repeats(Nest([]), [Loop(0)], Nest([]), [Loop(4)]) is None
