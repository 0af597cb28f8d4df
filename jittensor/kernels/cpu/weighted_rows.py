"""Sums of weighted rows in registers: pointers to weights, row numbers and rows in, a sum out.

`weighted_rows_<dtype>_<n>` adds up weights[k] * rows[numbers[k] * width + c] over k for n vectors
of 64 bytes of columns c, each column in the order of k, and stores the sums.
"""

from __future__ import annotations

import llvmlite.ir as ir
from numba import types
from numba.extending import intrinsic

from .intrinsics import I32, I64, LLVM, LLVM_ALIGN, NUMBA
from .lanes import VECTOR


def _weighted_rows(code: str, count: int):
    vector = ir.VectorType(LLVM[code], VECTOR[code])

    @intrinsic
    def weighted(typingctx, target, weights, numbers, rows, first, last, width):
        """target[c] = the sum over first <= k < last of weights[k] * rows[numbers[k] * width + c]
        """
        def codegen(ctx, b, sig, a):
            target, weights, numbers, rows, first, last, width = a
            head, body, done = (b.append_basic_block(x) for x in ("rows", "row", "end"))
            before = b.block
            b.branch(head)
            b.position_at_end(head)
            k = b.phi(I64)
            sums = [b.phi(vector) for _ in range(count)]
            b.cbranch(b.icmp_signed("<", k, last), body, done)
            b.position_at_end(body)
            weight = b.insert_element(ir.Constant(vector, ir.Undefined),
                                      b.load(b.gep(weights, [k])), I32(0))
            weight = b.shuffle_vector(weight, weight, ir.Constant(
                ir.VectorType(I32, vector.count), [0] * vector.count))
            row = b.gep(rows, [b.mul(b.load(b.gep(numbers, [k])), width)])
            added = []
            for n, total in enumerate(sums):
                part = b.gep(row, [I64(n * vector.count)])
                value = b.load(b.bitcast(part, vector.as_pointer()))
                value.align = LLVM_ALIGN[code]
                added.append(b.fadd(total, b.fmul(weight, value)))
            following = b.add(k, I64(1))
            b.branch(head)
            k.add_incoming(first, before)
            k.add_incoming(following, body)
            for total, new in zip(sums, added, strict=True):
                total.add_incoming(ir.Constant(vector, [0.0] * vector.count), before)
                total.add_incoming(new, body)
            b.position_at_end(done)
            for n, total in enumerate(sums):
                part = b.gep(target, [I64(n * vector.count)])
                b.store(total, b.bitcast(part, vector.as_pointer())).align = LLVM_ALIGN[code]
            return ctx.get_dummy_value()

        pointer, number = types.CPointer(NUMBA[code]), types.int64
        return types.void(pointer, pointer, types.CPointer(number), pointer, number, number,
                          number), codegen

    return weighted


for _code in VECTOR:
    for _count in (1, 4):
        globals()[f"weighted_rows_{_code}_{_count}"] = _weighted_rows(_code, _count)
