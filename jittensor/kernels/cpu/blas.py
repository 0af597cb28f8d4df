"""Calls of the BLAS from inside kernels: row-major products by Fortran's column-major routine."""

from __future__ import annotations

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

I64, I32, I8 = ir.IntType(64), ir.IntType(32), ir.IntType(8)
_ONE = {"f32": (ir.FloatType(), 1), "f64": (ir.DoubleType(), 1),
        "c64": (ir.FloatType(), 2), "c128": (ir.DoubleType(), 2)}


def _gemm(code: str):
    part, parts = _ONE[code]

    @intrinsic
    def gemm(typingctx, address, ta, tb, m, n, k, a, lda, b, ldb, c, ldc):
        """c[m, n] = op(a) @ op(b), all row-major; addresses and sizes are int64."""
        def codegen(ctx, bld, sig, args):
            address, ta, tb, m, n, k, a, lda, b, ldb, c, ldc = args
            pointer = ir.PointerType(I8)

            def spill(value, kind):
                slot = cgutils.alloca_once(bld, kind)
                bld.store(value, slot)
                return bld.bitcast(slot, pointer)

            def integer(value):
                return spill(bld.trunc(value, I32), I32)

            def letter(flag):
                yes = bld.icmp_unsigned("!=", flag, ir.Constant(I64, 0))
                return spill(bld.select(yes, ir.Constant(I8, ord("T")),
                                        ir.Constant(I8, ord("N"))), I8)

            def number(value):
                kind = ir.ArrayType(part, parts)
                return spill(ir.Constant(kind, [value] + [0.0] * (parts - 1)), kind)

            def at(value):
                return bld.inttoptr(value, pointer)

            fn = ir.FunctionType(ir.VoidType(), [pointer] * 13)
            bld.call(bld.inttoptr(address, fn.as_pointer()), [
                letter(tb), letter(ta), integer(n), integer(m), integer(k), number(1.0),
                at(b), integer(ldb), at(a), integer(lda), number(0.0), at(c), integer(ldc)])
            return ctx.get_dummy_value()

        return types.void(*[types.int64] * 12), codegen

    return gemm


for _code in _ONE:
    globals()[f"gemm_{_code}"] = _gemm(_code)
