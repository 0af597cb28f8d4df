"""For tests of code generation: a program in, the plan of what it records out, not compiled.

In: a function that records operations and returns their results. Out: the Plan, and the Binding
that a run of it would get. The results are not computed here, and must not be read.
"""

from collections.abc import Callable

from jittensor.compiler.nest import LoopNest
from jittensor.compiler.plan import Plan, make_plan
from jittensor.runtime.realize import PENDING, Binding, realize_all, record, snapshot


def plan_of(program: Callable[[], object]) -> tuple[Plan, Binding, object]:
    """(plan, binding, the program's unread results, which own the nodes)."""
    realize_all()
    results = program()
    nodes = PENDING[:]
    del PENDING[:]
    key, binding = snapshot(nodes)
    assert key is not None, "the program recorded nothing that is kept"
    return make_plan(record(binding)), binding, results


def nests_of(program: Callable[[], object]) -> list[LoopNest]:
    """The generated kernels of a program's plan."""
    plan, _, results = plan_of(program)
    del results
    return [launch.kernel for launch in plan.launches if isinstance(launch.kernel, LoopNest)]
