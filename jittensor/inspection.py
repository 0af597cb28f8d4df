"""Seeing what happens: pending tensors in, readable text of their graph, groups and kernels out."""

from __future__ import annotations

from .compiler.fuse import Fusion
from .compiler.graph import Graph
from .compiler.nest import LoopNest
from .compiler.plan import Plan, make_plan
from .config import config
from .graph.node import where
from .kernels.emit import emit
from .runtime import realize
from .tensor import Tensor


def _recorded() -> Graph | None:
    """The graph of all that is pending, without running it."""
    with realize.lock:
        nodes = realize.PENDING[:]
        key, binding = realize.snapshot(nodes) if nodes else (None, None)
        return None if key is None else realize.record(binding)


def graph(x: Tensor) -> str:
    """The pending operations that x needs, one a line, in the order they were recorded.

    >>> import jittensor as torch
    >>> torch.realize()
    >>> print((torch.ones(2) + 1).graph())  # doctest: +ELLIPSIS
    %0 = fill(scalar) -> float32[2]  ...
    %1 = add(%0, scalar) -> float32[2]  ... kept
    """
    if x.storage.node is None:
        return "nothing is pending: the tensor is realized"
    recorded = _recorded()
    target = x.storage.node.index
    needed, stack = set(), [target]
    while stack:
        i = stack.pop()
        if i in needed or i < 0:
            continue
        needed.add(i)
        entry = recorded.entries[i]
        stack += [*entry.srcs, *([entry.base] if entry.base is not None else [])]
    return "\n".join(describe(recorded, i) for i in sorted(needed))


def describe(recorded: Graph, i: int) -> str:
    """One entry as a line of text."""
    entry = recorded.entries[i]
    names = [f"%{s}" if s >= 0 else f"memory{-1 - s}" for s in entry.srcs]
    names += ["scalar"] * len(entry.scalars)
    file, line = where(entry.origin)
    text = f"%{i} = {entry.op.name}({', '.join(names)}) -> {entry.spec.dtype.name}"
    text += f"{list(entry.spec.shape)}"
    if entry.base is not None:
        text += f" written into {f'%{entry.base}' if entry.base >= 0 else 'memory'}"
    return f"{text}  {file.rsplit('/', 1)[-1]}:{line}" + (" kept" if entry.kept else "")


def explain(x: Tensor | None = None, source: bool = True) -> str:
    """What the next realize will run: kernels, what each holds, the bytes it moves, why groups
    stay apart, and (with `source`) the generated source.

    >>> import jittensor as torch
    >>> torch.realize()
    >>> print(torch.explain((torch.ones(4) * 2).exp(), source=False))  # doctest: +ELLIPSIS
    1 kernel, 16 bytes moved
    kernel 0 · map: fill mul exp · 16 bytes
    ...
    """
    recorded = _recorded()
    if recorded is None:
        return "nothing is pending"
    plan = make_plan(recorded, config.fusion)
    total = sum(launch.moved for launch in plan.launches)
    count = len(plan.launches)
    lines = [f"{count} kernel{'s' if count != 1 else ''}, {total:,} bytes moved"]
    for k, launch in enumerate(plan.launches):
        file, line = where(launch.origin)
        lines.append(f"kernel {k} · {launch.label} · {launch.moved:,} bytes · "
                     f"{file.rsplit('/', 1)[-1]}:{line}")
    lines += boundaries(plan.graph, plan.fusion)
    if source:
        lines += _sources(plan)
    return "\n".join(lines)


def boundaries(compiled: Graph, fusion: Fusion) -> list[str]:
    """Why values cross from one kernel to another."""
    number = {g.serial: k for k, g in enumerate(fusion.groups)}
    lines = []
    for source, reader, why in fusion.whys:
        a, b = fusion.of[source], fusion.of[reader]
        if a is not b:
            lines.append(f"kernel {number[a.serial]} | kernel {number[b.serial]}: "
                         f"{compiled.entries[source].op.name} → {compiled.entries[reader].op.name}:"
                         f" {why.text}")
    return lines


def _sources(plan: Plan) -> list[str]:
    out, seen = [], set()
    for k, launch in enumerate(plan.launches):
        if launch.kernel in seen:
            continue
        seen.add(launch.kernel)
        text = emit(launch.kernel) if isinstance(launch.kernel, LoopNest) else str(launch.kernel)
        out += ["", f"── source of kernel {k} ──", text.rstrip()]
    return out


Tensor.graph = graph
