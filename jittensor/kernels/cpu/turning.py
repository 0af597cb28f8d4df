"""Turning tiles: a block of memory that lies across in, the same block row by row out, and back.

Element [r, c] of a tile stands at `tile[r * width + c]`, that of memory at
`memory[r * down + c * across]`. Where `down` is 1, squares are turned in registers: vectors along
r on one side, vectors along c on the other. What is left at the edges, and everything where `down`
is not 1, is copied element by element.
"""

from __future__ import annotations

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .intrinsics import F64, I8, I16, I32, I64

# bytes of an element -> (type that carries its bits, side of a square that fits in registers)
SQUARES = {1: (I8, 16), 2: (I16, 8), 4: (ir.FloatType(), 8), 8: (F64, 4)}


def _shuffle(b, x, y, order: list[int]):
    return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(order)), order))


def turned(b, rows: list, half: int) -> list:
    """The columns of n vectors of n elements, `half` of which (n, or n / 2) make 16 bytes: x86
    interleaves within those at no cost, and exchanges halves at the end."""
    n = len(rows)
    low = [k // 2 + n * (k % 2) + g for g in range(0, n, half) for k in range(half)]
    high = [k + half // 2 for k in low]
    groups = []
    for first in range(0, n, half):
        group = rows[first:first + half]
        for _ in range(half.bit_length() - 1):
            group = [_shuffle(b, x, y, order)
                     for x, y in zip(group[:half // 2], group[half // 2:], strict=True)
                     for order in (low, high)]
        groups.append(group)
    if half == n:
        return groups[0]
    first = [*range(half), *range(n, n + half)]
    return [_shuffle(b, x, y, [k + move for k in first])
            for move in (0, half) for x, y in zip(*groups, strict=True)]


def _turn(inward: bool):
    @intrinsic
    def turn(typingctx, tile, width, memory, down, across, rows, columns):
        """Fills a tile from memory, or memory from a tile."""
        def codegen(ctx, b, sig, a):
            tile, width, memory, down, across, rows, columns = a
            size = ctx.get_abi_sizeof(ctx.get_data_type(sig.args[0].dtype))
            plain = _single(tile, width, memory, down, across, inward)
            if size not in SQUARES:
                _each(b, I64(0), rows, I64(0), columns, plain)
                return ctx.get_dummy_value()
            kind, side = SQUARES[size]
            straight = b.icmp_signed("==", down, I64(1))
            whole = b.select(straight, b.and_(rows, I64(-side)), I64(0))
            full = b.and_(columns, I64(-side))
            tiles, cells = (b.bitcast(p, kind.as_pointer()) for p in (tile, memory))
            half = min(side, 16 // size)

            def square(c, r):
                tile_rows = [b.gep(tiles, [b.add(b.mul(b.add(r, I64(k)), width), c)])
                             for k in range(side)]
                lines = [b.gep(cells, [b.add(r, b.mul(b.add(c, I64(k)), across))])
                         for k in range(side)]
                source, target = (lines, tile_rows) if inward else (tile_rows, lines)
                vector = ir.VectorType(kind, side)
                values = []
                for p in source:
                    value = b.load(b.bitcast(p, vector.as_pointer()))
                    value.align = size
                    values.append(value)
                for p, value in zip(target, turned(b, values, half), strict=True):
                    b.store(value, b.bitcast(p, vector.as_pointer())).align = size

            with cgutils.for_range_slice(b, I64(0), full, I64(side)) as (c, _):
                with cgutils.for_range_slice(b, I64(0), whole, I64(side)) as (r, _):
                    square(c, r)
            _each(b, I64(0), whole, full, columns, plain)
            _each(b, whole, rows, I64(0), columns, plain)
            return ctx.get_dummy_value()

        i = types.int64
        return types.void(tile, i, memory, i, i, i, i), codegen

    return turn


def _single(tile, width, memory, down, across, inward: bool):
    """What copies the element at (r, c)."""
    def copy(b, r, c):
        inside = b.gep(tile, [b.add(b.mul(r, width), c)])
        outside = b.gep(memory, [b.add(b.mul(r, down), b.mul(c, across))])
        source, target = (outside, inside) if inward else (inside, outside)
        b.store(b.load(source), target)

    return copy


def _each(b, r0, r1, c0, c1, copy) -> None:
    """The loops over elements r0..r1 of columns c0..c1."""
    with cgutils.for_range_slice(b, c0, c1, I64(1)) as (c, _):
        with cgutils.for_range_slice(b, r0, r1, I64(1)) as (r, _):
            copy(b, r, c)


turn_in, turn_out = _turn(True), _turn(False)
