"""Order between groups: ordered groups and their memory in, what each has to wait for out.

Groups run in one order, but threads may begin a group before the ones ahead of it have ended. A
group needs those that it depends on, and those that touch arena memory which it takes over.
"""

from __future__ import annotations

from .graph import Graph
from .groups import Group
from .memory import Memory, extent


def groups_before(graph: Graph, groups: list[Group], memory: Memory) -> list[int]:
    """For each group, how many leading groups must have run before it."""
    step_of = {id(group): step for step, group in enumerate(groups)}
    needs = []
    tenants: list[tuple[int, int, int]] = []     # arena values so far: (offset, end, root)
    touched: dict[int, int] = {}                 # root -> groups up to the last that touches it
    for step, group in enumerate(groups):
        need = max((step_of[id(g)] + 1 for g in group.before()), default=0)
        for root in _taken(graph, group, memory):
            low = memory.offsets[root]
            high = low + extent(graph, root)
            kept = []
            for tenant in tenants:
                if tenant[0] < high and low < tenant[1]:
                    need = max(need, touched[tenant[2]])
                    if low <= tenant[0] and tenant[1] <= high:
                        continue
                kept.append(tenant)
            tenants = [*kept, (low, high, root)]
        for root in _roots(graph, group):
            if root in memory.offsets:
                touched[root] = step + 1
        needs.append(need)
    return needs


def _taken(graph: Graph, group: Group, memory: Memory) -> list[int]:
    """The values to which this group gives a place in the arena."""
    return [e for e in group.stored if graph.root(e) == e and e in memory.offsets]


def _roots(graph: Graph, group: Group) -> set[int]:
    """The entries whose memory a group reads or writes."""
    roots = {graph.root(e) for e in group.stored}
    for e in group.entries:
        roots.update(graph.root(source) for source in graph.entries[e].srcs)
    return roots
