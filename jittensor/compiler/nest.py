"""What a kernel is generated from, and what it is launched with.

A `LoopNest` holds no sizes and no scalar values, so it is the key under which kernels are cached;
sizes, strides, pointers and scalars are the words that each `Launch` hands to the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Operand(NamedTuple):
    """A memory operand. `steps` classes its stride over the innermost loop of each nest:
    '0' repeated, '1' next to each other, 'n' any; `level` says 'full' or 'row'."""

    dtype: str
    mode: str
    outer: str
    inner: str
    level: str


class Statement(NamedTuple):
    """`value = op(refs)`. A ref is ('v', statement), ('m', operand) or ('s', scalar, kind).
    `stores` are the operands that the value goes to."""

    op: str
    compute: str
    result: str
    refs: tuple
    level: str
    phase: int
    stores: tuple[int, ...]
    combine: str = ""


class LoopNest(NamedTuple):
    """A kernel, free of sizes: the key of the kernel cache."""

    kind: str
    n_outer: int
    n_inner: int
    operands: tuple[Operand, ...]
    body: tuple[Statement, ...]
    scalars: str


@dataclass(slots=True, eq=False)
class Place:
    """Where an operand lies: `memory` ('slot', k), ('arena', byte offset) or ('out', k), and the
    element offset from there."""

    memory: tuple
    offset: int


@dataclass(slots=True, eq=False)
class Launch:
    """One step of a plan. Words are ints, ('address', memory, byte offset) or
    ('scalar', kind, slot). `total` counts the work items that threads share; `after` the leading
    launches of the plan that must be done before this one."""

    kernel: object
    words: list
    total: int
    grain: int
    finish: bool = False
    scratch: int = 0       # bytes of scratch memory, addressed as ('scratch', offset)
    moved: int = 0         # bytes read and written, for reports
    work: int = 0          # operations beyond one or two a byte (matrix products)
    origin: tuple | None = None
    label: str = ""
    blas: bool = False     # calls the BLAS, whose own threads must be off
    after: int = 0
    tail: Launch | None = None     # elementwise work that follows on what each item has written
    run: int = 0           # elements next to each other that an item writes (the last may be short)
    result: tuple = ()     # (memory, byte offset) where item 0 begins to write
    walked: tuple = ()     # (memory, byte offset) of what a map reads in the order of its items
