"""Every function that a CPU kernel may call by name: vector mathematics, special functions, and
integer functions."""

from __future__ import annotations

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .polynomials import *  # noqa: F403
from .special_math import *  # noqa: F403
from .vector_math import *  # noqa: F403

_INTEGERS = {"i64": types.int64, "i32": types.int32, "i16": types.int16, "i8": types.int8,
             "u8": types.uint8}


def _gcd(code: str, kind):
    signed = code != "u8"

    @intrinsic
    def gcd(typingctx, a, b):
        """Greatest common divisor by Euclid's algorithm; gcd(0, 0) is 0."""
        def codegen(ctx, b, sig, args):
            t = args[0].type
            zero = ir.Constant(t, 0)
            if signed:
                args = [b.select(b.icmp_signed("<", x, zero), b.neg(x), x) for x in args]
            big, small = (cgutils.alloca_once_value(b, x) for x in args)
            head, body, done = (b.append_basic_block(n) for n in ("head", "body", "done"))
            b.branch(head)
            b.position_at_end(head)
            b.cbranch(b.icmp_unsigned("!=", b.load(small), zero), body, done)
            b.position_at_end(body)
            s = b.load(small)
            rest = b.urem(b.load(big), s)
            b.store(s, big)
            b.store(rest, small)
            b.branch(head)
            b.position_at_end(done)
            return b.load(big)

        return kind(kind, kind), codegen

    return gcd


def _int_pow(code: str, kind):
    signed = code != "u8"

    @intrinsic
    def int_pow(typingctx, a, b):
        """a ** b by squaring; a negative power of anything but 1 and -1 is 0."""
        def codegen(ctx, b, sig, args):
            t = args[0].type
            zero, one = ir.Constant(t, 0), ir.Constant(t, 1)
            base = cgutils.alloca_once_value(b, args[0])
            power = cgutils.alloca_once_value(b, args[1])
            out = cgutils.alloca_once_value(b, one)
            negative = (b.icmp_signed("<", args[1], zero) if signed
                        else ir.Constant(ir.IntType(1), 0))
            b.store(b.select(negative, b.and_(args[1], one), args[1]), power)
            head, body, done = (b.append_basic_block(n) for n in ("head", "body", "done"))
            b.branch(head)
            b.position_at_end(head)
            b.cbranch(b.icmp_unsigned("!=", b.load(power), zero), body, done)
            b.position_at_end(body)
            p, x, y = b.load(power), b.load(base), b.load(out)
            odd = b.icmp_unsigned("!=", b.and_(p, one), zero)
            b.store(b.select(odd, b.mul(y, x), y), out)
            b.store(b.mul(x, x), base)
            b.store(b.lshr(p, one), power)
            b.branch(head)
            b.position_at_end(done)
            y = b.load(out)
            unit = b.icmp_unsigned("==", args[0], one)
            if signed:
                unit = b.or_(unit, b.icmp_signed("==", args[0], ir.Constant(t, -1)))
            return b.select(b.and_(negative, b.not_(unit)), zero, y)

        return kind(kind, kind), codegen

    return int_pow


for _code, _kind in _INTEGERS.items():
    globals()[f"gcd_{_code}"] = _gcd(_code, _kind)
    globals()[f"int_pow_{_code}"] = _int_pow(_code, _kind)
