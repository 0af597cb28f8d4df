"""LLVM pieces of generated CPU kernels: words, loads and stores with alias scopes, 16-bit floats,
selection, stack tiles, and reductions in a fixed number of lanes.

In: Numba types and IR values. Out: `@intrinsic` functions that kernels import by name.
"""

from __future__ import annotations

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import LANES, TILE

VERSION = 1
SCOPES = 24            # stores of one kernel that get an alias scope of their own

I64, I8, I16, I32 = ir.IntType(64), ir.IntType(8), ir.IntType(16), ir.IntType(32)
F32, F64 = ir.FloatType(), ir.DoubleType()
NUMBA = {"f32": types.float32, "f64": types.float64, "i64": types.int64, "i32": types.int32,
         "i16": types.int16, "i8": types.int8, "u8": types.uint8, "b8": types.uint8,
         "f16": types.uint16, "bf16": types.uint16, "c64": types.complex64,
         "c128": types.complex128}
LLVM = {"f32": F32, "f64": F64, "i64": I64, "i32": I32, "i16": I16, "i8": I8, "u8": I8, "b8": I8}


def _word_pointer(b, args, k):
    base = b.inttoptr(args, I64.as_pointer())
    return b.gep(base, [k])


@intrinsic
def word(typingctx, args, k):
    """The k-th word of the argument array, an int64."""
    def codegen(ctx, b, sig, a):
        return b.load(_word_pointer(b, a[0], a[1]))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def fword(typingctx, args, k):
    """The k-th word of the argument array, read as a float64."""
    def codegen(ctx, b, sig, a):
        return b.load(b.bitcast(_word_pointer(b, a[0], a[1]), F64.as_pointer()))

    return types.float64(types.int64, types.int64), codegen


def _pointer(code: str):
    @intrinsic
    def pointer(typingctx, args, k):
        out = types.CPointer(NUMBA[code])

        def codegen(ctx, b, sig, a):
            set.add(b.function.attributes, '"prefer-vector-width"="512"')
            target = ctx.get_value_type(out)
            return b.inttoptr(b.load(_word_pointer(b, a[0], a[1])), target)

        return out(types.int64, types.int64), codegen

    return pointer


for _code in NUMBA:
    globals()[f"ptr_{_code}"] = _pointer(_code)


@intrinsic
def shift(typingctx, pointer, count):
    """The pointer moved on by `count` elements."""
    def codegen(ctx, b, sig, a):
        return b.gep(a[0], [a[1]])

    return pointer(pointer, types.int64), codegen


# ── loads and stores ──────────────────────────────────────────────────────────────────────────
def _scopes(module):
    """Metadata of the alias scopes: one for each store slot."""
    domain = module.add_metadata(["jittensor"])
    return [module.add_metadata([f"store{k}", domain]) for k in range(SCOPES)]


@intrinsic
def load(typingctx, pointer, i):
    """`pointer[i]` of memory that no store of this kernel writes."""
    def codegen(ctx, b, sig, a):
        value = b.load(b.gep(a[0], [a[1]]))
        value.set_metadata("noalias", b.module.add_metadata(_scopes(b.module)))
        return _loaded(ctx, b, sig.args[0].dtype, value)

    return pointer.dtype(pointer, types.int64), codegen


@intrinsic
def peek(typingctx, pointer, i):
    """`pointer[i]` of memory that this kernel may also write (at the same element)."""
    def codegen(ctx, b, sig, a):
        return _loaded(ctx, b, sig.args[0].dtype, b.load(b.gep(a[0], [a[1]])))

    return pointer.dtype(pointer, types.int64), codegen


def _loaded(ctx, b, dtype, value):
    return value


def _store(k: int):
    @intrinsic
    def store(typingctx, pointer, i, value):
        def codegen(ctx, b, sig, a):
            put = b.store(a[2], b.gep(a[0], [a[1]]))
            scopes = _scopes(b.module)
            put.set_metadata("alias.scope", b.module.add_metadata([scopes[k]]))
            put.set_metadata("noalias", b.module.add_metadata(scopes[:k] + scopes[k + 1:]))
            return ctx.get_dummy_value()

        return types.void(pointer, types.int64, pointer.dtype), codegen

    return store


for _k in range(SCOPES):
    globals()[f"store{_k}"] = _store(_k)


@intrinsic
def poke(typingctx, pointer, i, value):
    """`pointer[i] = value` with no promise about aliases."""
    def codegen(ctx, b, sig, a):
        b.store(a[2], b.gep(a[0], [a[1]]))
        return ctx.get_dummy_value()

    return types.void(pointer, types.int64, pointer.dtype), codegen


@intrinsic
def prefetch(typingctx, pointer, i):
    """Asks for the cache line of `pointer[i]`, which need not be memory of ours."""
    def codegen(ctx, b, sig, a):
        place = b.bitcast(b.gep(a[0], [a[1]]), I8.as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, I32, I32, I32])
        ask = b.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        b.call(ask, [place, I32(0), I32(3), I32(1)])      # to read, to keep, data
        return ctx.get_dummy_value()

    return types.void(pointer, types.int64), codegen


# ── 16-bit floats are kept as uint16 and computed in float32 ──────────────────────────────────
def _f32_of_bf16(b, bits):
    return b.bitcast(b.shl(b.zext(bits, I32), ir.Constant(I32, 16)), F32)


def _bf16_of_f32(b, value):
    bits = b.bitcast(value, I32)
    odd = b.and_(b.lshr(bits, ir.Constant(I32, 16)), ir.Constant(I32, 1))
    rounded = b.lshr(b.add(bits, b.add(odd, ir.Constant(I32, 0x7FFF))), ir.Constant(I32, 16))
    nan = b.fcmp_unordered("uno", value, value)
    return b.trunc(b.select(nan, ir.Constant(I32, 0x7FC0), rounded), I16)


def _f32_of_f16(b, bits):
    return b.fpext(b.bitcast(bits, ir.HalfType()), F32)


def _f16_of_f32(b, value):
    return b.bitcast(b.fptrunc(value, ir.HalfType()), I16)


def _llvm(b, name: str, *operands):
    """IR of an LLVM intrinsic on operands of one type, which is its result's too."""
    function = b.module.globals.get(name)
    if function is None:
        kind = operands[0].type
        function = ir.Function(b.module, ir.FunctionType(kind, [kind] * len(operands)), name)
    return b.call(function, operands)


@intrinsic
def rounded(typingctx, value):
    """A float32 that was a float64 and will be a float16. LLVM takes two roundings in a row for
    one, and calls a function for it that no library here has; an infinity in place of what will
    be one anyway stands between them."""
    def codegen(ctx, b, sig, a):
        size = _llvm(b, "llvm.fabs.f32", a[0])
        infinity = _llvm(b, "llvm.copysign.f32", ir.Constant(F32, float("inf")), a[0])
        return b.select(b.fcmp_ordered(">=", size, ir.Constant(F32, 131072.0)), infinity, a[0])

    return types.float32(types.float32), codegen


def _widen(convert):
    @intrinsic
    def widen(typingctx, bits):
        return types.float32(types.uint16), lambda ctx, b, sig, a: convert(b, a[0])

    return widen


def _narrow(convert):
    @intrinsic
    def narrow(typingctx, value):
        return types.uint16(types.float32), lambda ctx, b, sig, a: convert(b, a[0])

    return narrow


f32_of_bf16, f32_of_f16 = _widen(_f32_of_bf16), _widen(_f32_of_f16)
bf16_of_f32, f16_of_f32 = _narrow(_bf16_of_f32), _narrow(_f16_of_f32)


# ── selection ─────────────────────────────────────────────────────────────────────────────────
@intrinsic
def select(typingctx, condition, yes, no):
    """`yes if condition else no` without a branch; both of one type."""
    def codegen(ctx, b, sig, a):
        flag = ctx.cast(b, a[0], sig.args[0], types.boolean)
        return b.select(flag, a[1], ctx.cast(b, a[2], sig.args[2], sig.args[1]))

    return yes(condition, yes, no), codegen


@intrinsic
def fabs(typingctx, x):
    """|x| of a float, by its sign bit."""
    def codegen(ctx, b, sig, a):
        t = a[0].type
        return b.call(b.module.declare_intrinsic("llvm.fabs", [t]), [a[0]])

    return x(x), codegen


@intrinsic
def sign_bit(typingctx, x):
    """Whether a float's sign bit is set."""
    def codegen(ctx, b, sig, a):
        wide = I32 if a[0].type == F32 else I64
        return b.icmp_signed("<", b.bitcast(a[0], wide), ir.Constant(wide, 0))

    return types.boolean(x), codegen


# ── stack tiles ───────────────────────────────────────────────────────────────────────────────
def _tile(code: str):
    @intrinsic
    def tile(typingctx, count):
        """A stack block of `count` (a literal) elements."""
        if not isinstance(count, types.IntegerLiteral):
            return None
        size = count.literal_value
        out = types.CPointer(NUMBA[code])

        def codegen(ctx, b, sig, a):
            # not cgutils.alloca_once: it fills with zeros, an element at a time in LLVM's eyes
            with b.goto_entry_block():
                block = b.alloca(ir.ArrayType(ctx.get_value_type(NUMBA[code]), size))
            block.align = 64
            return b.bitcast(block, ctx.get_value_type(out))

        return out(count), codegen

    tile.__name__ = f"tile_{code}"
    return tile


# ── reductions in lanes ───────────────────────────────────────────────────────────────────────
def combine(b, how: str, code: str, acc, value):
    """IR of one combining step; works on scalars and on vectors."""
    floats = code in ("f32", "f64")
    if how == "add":
        return b.fadd(acc, value) if floats else b.add(acc, value)
    if how == "mul":
        return b.fmul(acc, value) if floats else b.mul(acc, value)
    if how in ("or", "and"):
        return b.or_(acc, value) if how == "or" else b.and_(acc, value)
    more = ">" if how == "maximum" else "<"
    if not floats:
        compare = b.icmp_unsigned if code in ("u8", "b8") else b.icmp_signed
        return b.select(compare(more, value, acc), value, acc)
    # not a compare and a select: one that is stored over its own operand becomes a masked store,
    # which is slow on many processors. Of a negative and a positive zero it takes the greater.
    width = f"v{acc.type.count}" if isinstance(acc.type, ir.VectorType) else ""
    return _llvm(b, f"llvm.{how}.{width}{code}", acc, value)


def identity(how: str, code: str):
    """What combining starts from."""
    if how == "add" or how == "or":
        return 0
    if how == "mul" or how == "and":
        return 1
    if code in ("f32", "f64"):
        return float("-inf") if how == "maximum" else float("inf")
    bits = LLVM[code].width
    if code in ("u8", "b8"):
        return 0 if how == "maximum" else (1 << bits) - 1
    return -(1 << bits - 1) if how == "maximum" else (1 << bits - 1) - 1


def _vectors(code: str) -> tuple[int, ir.Type]:
    """(number of vectors, vector type): vectors of 64 bytes, whatever the CPU."""
    width = 64 // {"f32": 4, "f64": 8, "i64": 8, "i32": 4, "i16": 2}.get(code, 1)
    width = min(width, LANES[code])
    return LANES[code] // width, ir.VectorType(LLVM[code], width)


def _lanes_start(how: str, code: str):
    @intrinsic
    def start(typingctx, acc):
        """Fills the lanes with the identity."""
        def codegen(ctx, b, sig, a):
            n, vector = _vectors(code)
            base = b.bitcast(a[0], vector.as_pointer())
            for k in range(n):
                fill = ir.Constant(vector, [identity(how, code)] * vector.count)
                b.store(fill, b.gep(base, [ir.Constant(I64, k)])).align = 64
            return ctx.get_dummy_value()

        return types.void(types.CPointer(NUMBA[code])), codegen

    return start


def _steps(b, how: str, code: str, data, start: list, first, stop) -> list:
    """IR of a loop: `start`, one value a vector, combined with steps first..stop-1 of all lanes."""
    width = _vectors(code)[1].count
    head, body, done = (b.append_basic_block(x) for x in ("lanes", "step", "end"))
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    i, live = b.phi(I64), [b.phi(v.type) for v in start]
    b.cbranch(b.icmp_unsigned("<", i, stop), body, done)
    b.position_at_end(body)
    at = b.gep(data, [b.mul(i, ir.Constant(I64, LANES[code]))])
    for k, acc in enumerate(live):
        v = b.load(b.bitcast(b.gep(at, [ir.Constant(I64, k * width)]), acc.type.as_pointer()))
        v.align = LLVM_ALIGN[code]
        acc.add_incoming(start[k], before)
        acc.add_incoming(combine(b, how, code, acc, v), body)
    i.add_incoming(first, before)
    i.add_incoming(b.add(i, ir.Constant(I64, 1)), body)
    b.branch(head)
    b.position_at_end(done)
    return live


def _blocks(b, code: str, data, start: list, stop) -> list:
    """IR of a loop over blocks of a sum, each added up from zero: the error of a long sum of
    floats grows with the number of blocks, not of elements."""
    head, body, done = (b.append_basic_block(x) for x in ("blocks", "block", "added"))
    before = b.block
    b.branch(head)
    b.position_at_end(head)
    first, total = b.phi(I64), [b.phi(v.type) for v in start]
    b.cbranch(b.icmp_unsigned("<", first, stop), body, done)
    b.position_at_end(body)
    end = b.add(first, ir.Constant(I64, TILE // LANES[code]))
    end = b.select(b.icmp_unsigned("<", end, stop), end, stop)
    zeros = [ir.Constant(v.type, [0] * v.type.count) for v in start]
    sums = _steps(b, "add", code, data, zeros, first, end)
    for k, acc in enumerate(total):
        acc.add_incoming(start[k], before)
        acc.add_incoming(b.fadd(acc, sums[k]), b.block)
    first.add_incoming(ir.Constant(I64, 0), before)
    first.add_incoming(end, b.block)
    b.branch(head)
    b.position_at_end(done)
    return total


def _lanes_sweep(how: str, code: str):
    @intrinsic
    def sweep(typingctx, acc, values, count):
        """acc[k % lanes] is combined with values[k], for k in 0..count-1."""
        def codegen(ctx, b, sig, a):
            n, vector = _vectors(code)
            accs, data, lanes = a[0], a[1], ir.Constant(I64, LANES[code])
            steps = b.udiv(a[2], lanes)
            wide = b.bitcast(accs, vector.as_pointer())
            live = []
            for k in range(n):
                v = b.load(b.gep(wide, [ir.Constant(I64, k)]))
                v.align = 64
                live.append(v)
            if how == "add" and code in ("f32", "f64"):
                live = _blocks(b, code, data, live, steps)
            else:
                live = _steps(b, how, code, data, live, ir.Constant(I64, 0), steps)
            for k in range(n):
                b.store(live[k], b.gep(wide, [ir.Constant(I64, k)])).align = 64
            full = b.mul(steps, lanes)
            with cgutils.for_range(b, b.sub(a[2], full)) as loop:
                slot = b.gep(accs, [loop.index])
                v = b.load(b.gep(data, [b.add(full, loop.index)]))
                b.store(combine(b, how, code, b.load(slot), v), slot)
            return ctx.get_dummy_value()

        p = types.CPointer(NUMBA[code])
        return types.void(p, p, types.int64), codegen

    return sweep


def _lanes_end(how: str, code: str):
    @intrinsic
    def end(typingctx, acc):
        """Combines the lanes in a fixed tree."""
        def codegen(ctx, b, sig, a):
            n, vector = _vectors(code)
            base = b.bitcast(a[0], vector.as_pointer())
            vs = []
            for k in range(n):
                v = b.load(b.gep(base, [ir.Constant(I64, k)]))
                v.align = 64
                vs.append(v)
            while len(vs) > 1:
                half = len(vs) // 2
                vs = [combine(b, how, code, vs[k], vs[k + half]) for k in range(half)]
            v, width = vs[0], vector.count
            while width > 1:
                width //= 2
                mask = ir.VectorType(I32, width)
                low = b.shuffle_vector(v, v, ir.Constant(mask, list(range(width))))
                high = b.shuffle_vector(v, v, ir.Constant(mask, list(range(width, 2 * width))))
                v = combine(b, how, code, low, high)
            return b.extract_element(v, ir.Constant(I32, 0))

        return NUMBA[code](types.CPointer(NUMBA[code])), codegen

    return end


def _fold(how: str, code: str):
    @intrinsic
    def fold(typingctx, acc, value):
        """One combining step on scalars."""
        def codegen(ctx, b, sig, a):
            return combine(b, how, code, a[0], a[1])

        t = NUMBA[code]
        return t(t, t), codegen

    return fold


LLVM_ALIGN = {"f32": 4, "f64": 8, "i64": 8, "i32": 4, "i16": 2, "i8": 1, "u8": 1, "b8": 1}
for _code in LANES:
    globals()[f"tile_{_code}"] = _tile(_code)
    for _how in ("add", "mul", "maximum", "minimum", "or", "and"):
        if _how in ("or", "and") and _code != "b8":
            continue
        globals()[f"start_{_how}_{_code}"] = _lanes_start(_how, _code)
        globals()[f"sweep_{_how}_{_code}"] = _lanes_sweep(_how, _code)
        globals()[f"end_{_how}_{_code}"] = _lanes_end(_how, _code)
        globals()[f"fold_{_how}_{_code}"] = _fold(_how, _code)
for _code in ("f16", "bf16", "c64", "c128"):
    globals()[f"tile_{_code}"] = _tile(_code)


# ── small helpers of indices ──────────────────────────────────────────────────────────────────
@intrinsic
def udiv(typingctx, a, n):
    """a // n of non-negative int64 values."""
    def codegen(ctx, b, sig, args):
        return b.udiv(args[0], args[1])

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def as_byte(typingctx, flag):
    """A truth value as the byte that memory holds."""
    def codegen(ctx, b, sig, a):
        if sig.args[0] == types.boolean:
            return b.zext(a[0], I8) if a[0].type != I8 else a[0]
        return b.zext(b.icmp_unsigned("!=", a[0], ir.Constant(a[0].type, 0)), I8)

    return types.uint8(flag), codegen
