"""Running sums and products of rows side by side: rows in, their scans out.

A row's additions wait for each other, so eight rows go at once, a vector lane each. Four elements
of each of four rows are turned in registers, so that a lane is a row, and turned back to be
written. Each row is added up in its own order and in float64: the bits are those of a plain loop.
"""

from __future__ import annotations

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .intrinsics import F64, I32, I64, LLVM, LLVM_ALIGN, NUMBA, combine
from .turning import turned

SIDE = 4             # rows, and elements of each, that are turned at once
BESIDE = 8           # rows that go side by side


def _scan(how: str, code: str):
    kind, wide = LLVM[code], ir.VectorType(F64, SIDE)
    narrow, half = ir.VectorType(kind, SIDE), 2 if code == "f64" else 4

    def widened(b, value):
        return value if code == "f64" else b.fpext(value, wide)

    def narrowed(b, value):
        return value if code == "f64" else b.fptrunc(value, narrow)

    @intrinsic
    def scan(typingctx, source, target, count):
        """target[r, i] = the scan of source[r, :i + 1], for eight rows of `count` elements."""
        def codegen(ctx, b, sig, a):
            start = ir.Constant(wide, [0.0 if how == "add" else 1.0] * SIDE)
            totals = [cgutils.alloca_once_value(b, start) for _ in range(BESIDE // SIDE)]
            rows = [[[b.gep(data, [b.mul(a[2], ir.Constant(I64, group * SIDE + r))])
                      for r in range(SIDE)] for data in a[:2]] for group in range(len(totals))]
            blocks = b.udiv(a[2], ir.Constant(I64, SIDE))
            with cgutils.for_range(b, blocks) as loop:
                at = b.mul(loop.index, ir.Constant(I64, SIDE))
                for total, (read, written) in zip(totals, rows, strict=True):
                    block = []
                    for row in read:
                        v = b.load(b.bitcast(b.gep(row, [at]), narrow.as_pointer()))
                        v.align = LLVM_ALIGN[code]
                        block.append(v)
                    sums = []
                    for column in turned(b, block, half):
                        b.store(combine(b, how, "f64", b.load(total), widened(b, column)), total)
                        sums.append(narrowed(b, b.load(total)))
                    for row, v in zip(written, turned(b, sums, half), strict=True):
                        b.store(v, b.bitcast(b.gep(row, [at]), narrow.as_pointer())
                                ).align = LLVM_ALIGN[code]
            first = b.mul(blocks, ir.Constant(I64, SIDE))
            with cgutils.for_range(b, b.sub(a[2], first)) as loop:
                at = b.add(first, loop.index)
                for total, (read, written) in zip(totals, rows, strict=True):
                    column = ir.Constant(narrow, ir.Undefined)
                    for r, row in enumerate(read):
                        column = b.insert_element(column, b.load(b.gep(row, [at])),
                                                  ir.Constant(I32, r))
                    b.store(combine(b, how, "f64", b.load(total), widened(b, column)), total)
                    sums = narrowed(b, b.load(total))
                    for r, row in enumerate(written):
                        b.store(b.extract_element(sums, ir.Constant(I32, r)), b.gep(row, [at]))
            return ctx.get_dummy_value()

        p = types.CPointer(NUMBA[code])
        return types.void(p, p, types.int64), codegen

    return scan


for _how in ("add", "mul"):
    for _code in ("f32", "f64"):
        globals()[f"scan_{_how}_{_code}"] = _scan(_how, _code)
