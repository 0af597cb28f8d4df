"""Rewriting: a graph with composites and dead entries in, one of primitive live entries out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from ..graph import dtypes as dt
from ..graph.node import Spec, spec_of
from ..graph.ops import COMPOSITE, ELEMENTWISE, OPS
from ..graph.rules import cast_rule, elementwise_rule, reduce_rule
from ..graph.shapes import expand_strides
from .graph import Entry, Graph, entry_of
from .overwrite import overwrite


def rewrite(graph: Graph) -> tuple[Graph, dict[int, int]]:
    """Drops what nothing visible needs, then spells composites out as primitives.

    Also returns where each live entry went.
    """
    stands = overwrite(graph)
    merge_updates(graph)
    live = _live(graph)
    out = Graph(externals=graph.externals)
    moved: dict[int, int] = {}

    def source(index: int) -> int:
        return moved[index] if index >= 0 else index

    for i, entry in enumerate(graph.entries):
        if i not in live:
            continue
        if i in stands:
            moved[i] = moved[stands[i]]
            out.entries[moved[i]].kept |= entry.kept
            continue
        entry = entry.moved(tuple([source(s) for s in entry.srcs]),
                            None if entry.base is None else source(entry.base))
        if entry.op.kind == COMPOSITE:
            builder = Builder(out, entry)
            result = entry.op.expand(builder, *builder.inputs(), *entry.attrs)
            moved[i] = builder.finish(result)
        else:
            out.entries.append(entry)
            moved[i] = len(out.entries) - 1
    return out, moved


def merge_updates(graph: Graph) -> None:
    """An in-place write that the next one overwrites in full becomes a plain value, so that
    `buffer.mul_(a).add_(b)` writes once. Changes the graph's entries."""
    readers: dict[int, list[tuple[int, int]]] = {}
    for i, entry in enumerate(graph.entries):
        for k, source in enumerate(entry.srcs):
            if source >= 0:
                readers.setdefault(source, []).append((i, k))
    for later in graph.entries:
        if later.base is None or later.base < 0 or later.op.overwrites:
            continue
        first = graph.entries[later.base]
        if first.writes is None or first.op.kind != ELEMENTWISE or not first.writes.dense or (
                first.writes is not later.writes) or first.out_offset != later.out_offset:
            continue
        users = readers.get(later.base, ())
        same = all(
            graph.entries[i].reads[k].strides == first.writes.strides
            and graph.entries[i].reads[k].shape == first.writes.shape
            and graph.entries[i].reads[k].dtype is first.writes.dtype
            and graph.entries[i].offsets[k] == first.out_offset for i, k in users)
        if not same or min(first.writes.strides, default=1) < 0:
            continue
        for i, k in users:
            reader = graph.entries[i]
            reader.offsets = reader.offsets[:k] + (0,) + reader.offsets[k + 1:]
        later.base, later.out_slot = first.base, first.out_slot
        first.base, first.writes, first.kept = None, None, False
        first.out_offset, first.out_slot = 0, -1


def _live(graph: Graph) -> set[int]:
    live: set[int] = set()
    stack = [i for i, e in enumerate(graph.entries) if e.kept]
    while stack:
        i = stack.pop()
        if i in live:
            continue
        live.add(i)
        entry = graph.entries[i]
        stack.extend(s for s in entry.srcs if s >= 0 and s not in live)
        if entry.base is not None and entry.base >= 0:
            stack.append(entry.base)
    return live


@dataclass(slots=True, eq=False)
class Value:
    """A view of an entry or external, as expansions see it; supports + - * / and comparisons."""

    builder: Builder
    source: int
    spec: Spec
    offset: int = 0
    slot: int = -1

    def __add__(self, other):
        return self.builder.map("add", self, other)

    def __sub__(self, other):
        return self.builder.map("sub", self, other)

    def __mul__(self, other):
        return self.builder.map("mul", self, other)

    def __truediv__(self, other):
        return self.builder.map("div", self, other)

    def __neg__(self):
        return self.builder.map("neg", self)

    def expand(self, shape) -> Value:
        """Broadcast to `shape`."""
        spec = self.spec
        strides = expand_strides(spec.shape, spec.strides, shape)
        return replace(self, spec=spec_of(spec.dtype, tuple(shape), strides, spec.device))

    def view(self, shape, strides) -> Value:
        """The same memory under another shape and strides."""
        spec = spec_of(self.spec.dtype, tuple(shape), tuple(strides), self.spec.device)
        return replace(self, spec=spec)


# an expansion's rules come again with the next composite of its kind
_elementwise = lru_cache(4096)(elementwise_rule)
_reduce = lru_cache(4096)(reduce_rule)
_cast = lru_cache(4096)(cast_rule)


class Builder:
    """What a composite's `expand` records with."""

    def __init__(self, graph: Graph, entry: Entry):
        self.graph, self.entry = graph, entry

    def inputs(self) -> list[Value]:
        """The composite's own reads."""
        e = self.entry
        return [Value(self, s, r, o, k)
                for s, r, o, k in zip(e.srcs, e.reads, e.offsets, e.slots, strict=True)]

    def scalar(self, k: int) -> tuple:
        """The composite's k-th scalar, to be handed to `map`."""
        return self.entry.scalars[k]

    def map(self, name: str, *operands, dtype: dt.DType | None = None) -> Value:
        """An elementwise operator on Values, scalars of the composite, and plain numbers."""
        types, scalars = [], []
        for o in operands:
            if isinstance(o, Value):
                types.append(o.spec)
            elif isinstance(o, tuple):
                types.append({"f": float, "i": int}.get(o[0], float))
                scalars.append(o)
            else:
                types.append(type(o))
                scalars.append(("const", o))
        rule = _elementwise(OPS[name], tuple(types), dtype)
        return self._add(rule, [o for o in operands if isinstance(o, Value)], scalars)

    def reduce(self, name: str, value: Value, dims, keepdim: bool = True,
               dtype: dt.DType | None = None) -> Value:
        """A reduction of a Value."""
        return self._add(_reduce(OPS[name], value.spec, dims, keepdim, dtype), [value], [])

    def cast(self, value: Value, dtype: dt.DType) -> Value:
        """`value` in another dtype (itself when it has it already)."""
        if value.spec.dtype is dtype:
            return value
        return self._add(_cast(value.spec, dtype), [value], [])

    def _add(self, rule, values: list[Value], scalars) -> Value:
        self.graph.entries.append(entry_of(
            rule, [v.source for v in values], [v.offset for v in values],
            [v.slot for v in values], scalars, origin=self.entry.origin))
        return Value(self, len(self.graph.entries) - 1, rule.spec)

    def finish(self, result: Value) -> int:
        """Makes `result` stand for the composite: same spec, kept where the composite is."""
        e = self.entry
        last = self.graph.entries[result.source] if result.source >= 0 else None
        fits = (last is not None and result.offset == 0 and result.spec.numel == last.spec.numel
                and result.source == len(self.graph.entries) - 1
                and result.spec.dtype is e.spec.dtype)
        if fits and last.spec.strides == e.spec.strides and last.spec.shape == e.spec.shape:
            last.kept = e.kept
            return result.source
        rule = _cast(result.spec, e.spec.dtype, e.spec.strides)
        final = self._add(rule, [result], [])
        self.graph.entries[final.source].kept = e.kept
        return final.source
