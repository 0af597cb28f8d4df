"""Pieces of convolution kernels: panels of windows filled under masks, and products of them.

A panel is [k, PANEL]: a row for each (channel, place in the kernel), a column for each window.
In: Numba pointers, int64 sizes, masks as int64 bits. Out: `@intrinsic` functions by name.
"""

from __future__ import annotations

import llvmlite.binding as llvm
import llvmlite.ir as ir
from numba import types
from numba.extending import intrinsic

from .intrinsics import F32, F64, I32, I64, NUMBA

LANES = {"f32": 16, "f64": 8}            # of a vector of 64 bytes
PANEL = {"f32": 32, "f64": 16}           # columns of a panel: two vectors
ROWS = (8, 4, 2, 1)                      # of a product's tile
_ELEMENT = {"f32": F32, "f64": F64}


def _rows_at_once() -> int:
    """Rows whose accumulators fit the registers: 16 of 64 bytes, or 8 of 32."""
    return 8 if llvm.get_host_cpu_features().get("avx512f") else 2


def _declared(module, name: str, result, *operands):
    found = module.globals.get(name)
    if found is None:
        found = ir.Function(module, ir.FunctionType(result, operands), name)
    return found


def _apart(name: str, emit):
    """A codegen whose code is a function of its own, called: a kernel that has the same long code
    in many places would take LLVM half a minute."""
    def codegen(ctx, b, sig, a):
        fn = b.module.globals.get(name)
        void = sig.return_type == types.void
        if fn is None:
            result = ir.VoidType() if void else ctx.get_value_type(sig.return_type)
            fn = ir.Function(b.module, ir.FunctionType(result, [x.type for x in a]), name)
            fn.linkage = "internal"
            fn.attributes.add("noinline")
            inner = ir.IRBuilder(fn.append_basic_block("entry"))
            value = emit(ctx, inner, sig, fn.args)
            if void:
                inner.ret_void()
            else:
                inner.ret(value)
        value = b.call(fn, a)
        return ctx.get_dummy_value() if void else value

    return codegen


def _vector(code: str) -> ir.VectorType:
    return ir.VectorType(_ELEMENT[code], LANES[code])


def _mask(b, bits, lanes: int, first: int = 0):
    """Lanes first.. of a mask of bits."""
    if first:
        bits = b.lshr(bits, ir.Constant(I64, first))
    return b.bitcast(b.trunc(bits, ir.IntType(lanes)), ir.VectorType(ir.IntType(1), lanes))


def _load(b, code: str, pointer, mask):
    """A vector, zeros where the mask has none."""
    vector = _vector(code)
    masks = ir.VectorType(ir.IntType(1), vector.count)
    name = f"llvm.masked.load.v{vector.count}{code}.p0"
    found = _declared(b.module, name, vector, vector.as_pointer(), I32, masks, vector)
    zero = ir.Constant(vector, [0.0] * vector.count)
    size = ir.Constant(I32, 64 // vector.count)
    return b.call(found, [b.bitcast(pointer, vector.as_pointer()), size, mask, zero])


def _store(b, code: str, value, pointer, mask) -> None:
    vector = _vector(code)
    masks = ir.VectorType(ir.IntType(1), vector.count)
    name = f"llvm.masked.store.v{vector.count}{code}.p0"
    found = _declared(b.module, name, ir.VoidType(), vector, vector.as_pointer(), I32, masks)
    size = ir.Constant(I32, 64 // vector.count)
    b.call(found, [value, b.bitcast(pointer, vector.as_pointer()), size, mask])


def _splat(b, value, count: int):
    kind = ir.VectorType(value.type, count)
    undefined = ir.Constant(kind, ir.Undefined)
    first = b.insert_element(undefined, value, ir.Constant(I32, 0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(I32, count), [0] * count))


def _inside(code: str):
    count = PANEL[code]

    @intrinsic
    def inside(typingctx, places, move, size):
        """The bits of those of a panel's int32 places that lie in 0..size-1 when moved on."""
        def codegen(ctx, b, sig, a):
            vector = ir.VectorType(I32, count)
            values = b.load(b.bitcast(a[0], vector.as_pointer()))
            values.align = 4
            moved = b.add(values, _splat(b, b.trunc(a[1], I32), count))
            flags = b.icmp_unsigned("<", moved, _splat(b, b.trunc(a[2], I32), count))
            return b.zext(b.bitcast(flags, ir.IntType(count)), I64)

        return types.int64(types.CPointer(types.int32), types.int64, types.int64), codegen

    return inside


def _place(code: str):
    @intrinsic
    def place(typingctx, target, source, lanes, valid):
        """The vector at `source` goes to `target`: of `lanes` those that are `valid`, zeros for
        the others of them."""
        def codegen(ctx, b, sig, a):
            target, source, lanes, valid = a
            value = _load(b, code, source, _mask(b, b.and_(lanes, valid), LANES[code]))
            _store(b, code, value, target, _mask(b, lanes, LANES[code]))
            return ctx.get_dummy_value()

        p = types.CPointer(NUMBA[code])
        return types.void(p, p, types.int64, types.int64), codegen

    return place


def _place_second(code: str):
    @intrinsic
    def place(typingctx, target, source, lanes, valid):
        """As `place`, of every second element from `source` on."""
        def codegen(ctx, b, sig, a):
            target, source, lanes, valid = a
            n = LANES[code]
            bits = b.and_(lanes, valid)
            for move, keep in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
                moved = b.or_(bits, b.shl(bits, ir.Constant(I64, move)))
                bits = b.and_(moved, ir.Constant(I64, keep))
            parts = [_load(b, code, b.gep(source, [ir.Constant(I64, p * n)]),
                           _mask(b, bits, n, p * n)) for p in range(2)]
            order = ir.Constant(ir.VectorType(I32, n), list(range(0, 2 * n, 2)))
            _store(b, code, b.shuffle_vector(*parts, order), target, _mask(b, lanes, n))
            return ctx.get_dummy_value()

        p = types.CPointer(NUMBA[code])
        return types.void(p, p, types.int64, types.int64), _apart(f"second_{code}", codegen)

    return place


def _taps(code: str):
    @intrinsic
    def taps(typingctx, count, source, moves, masks, move, lanes, weights, target):
        """target = the sum over t < count of weights[t] * the vector at source + moves[t], zeros
        where the mask masks[t] >> move has none; only `lanes` are read and written."""
        def codegen(ctx, b, sig, a):
            count, source, moves, masks, move, lanes, weights, target = a
            vector, n = _vector(code), LANES[code]
            fma = _declared(b.module, f"llvm.fma.v{n}{code}", vector, vector, vector, vector)
            before = b.block
            head, body, done = (b.append_basic_block(x) for x in ("taps", "tap", "end"))
            b.branch(head)
            b.position_at_end(head)
            t, total = b.phi(I64), b.phi(vector)
            b.cbranch(b.icmp_signed("<", t, count), body, done)
            b.position_at_end(body)
            bits = b.and_(b.lshr(b.load(b.gep(masks, [t])), move), lanes)
            value = _load(b, code, b.gep(source, [b.load(b.gep(moves, [t]))]), _mask(b, bits, n))
            added = b.call(fma, [_splat(b, b.load(b.gep(weights, [t])), n), value, total])
            following = b.add(t, ir.Constant(I64, 1))
            b.branch(head)
            t.add_incoming(ir.Constant(I64, 0), before)
            t.add_incoming(following, body)
            total.add_incoming(ir.Constant(vector, [0.0] * n), before)
            total.add_incoming(added, body)
            b.position_at_end(done)
            _store(b, code, total, target, _mask(b, lanes, n))
            return ctx.get_dummy_value()

        p, words, n = types.CPointer(NUMBA[code]), types.CPointer(types.int64), types.int64
        return types.void(n, p, words, words, n, n, p, p), _apart(f"taps_{code}", codegen)

    return taps


def _turn(code: str):
    @intrinsic
    def turn(typingctx, target, step, source, row, rows, columns, wide):
        """target[j * step + i] = source[i * row + j] for i < wide and j < columns, zeros for i
        from `rows` on; all three are at most a vector's number of elements."""
        def codegen(ctx, b, sig, a):
            target, step, source, row, rows, columns, wide = a
            n = LANES[code]
            ones = b.sub(b.shl(ir.Constant(I64, 1), wide), ir.Constant(I64, 1))
            have = b.sub(b.shl(ir.Constant(I64, 1), columns), ir.Constant(I64, 1))
            none = ir.Constant(I64, 0)
            lines = []
            for i in range(n):
                at = ir.Constant(I64, i)
                mask = b.select(b.icmp_signed("<", at, rows), have, none)
                lines.append(_load(b, code, b.gep(source, [b.mul(row, at)]), _mask(b, mask, n)))
            kind, s = ir.VectorType(I32, n), 1
            while s < n:
                low = ir.Constant(kind, [k if not k & s else n + k - s for k in range(n)])
                high = ir.Constant(kind, [k + s if not k & s else n + k for k in range(n)])
                for i in range(n):
                    if not i & s:
                        x, y = lines[i], lines[i + s]
                        lines[i] = b.shuffle_vector(x, y, low)
                        lines[i + s] = b.shuffle_vector(x, y, high)
                s *= 2
            for j, line in enumerate(lines):
                at = ir.Constant(I64, j)
                mask = b.select(b.icmp_signed("<", at, columns), ones, none)
                _store(b, code, line, b.gep(target, [b.mul(step, at)]), _mask(b, mask, n))
            return ctx.get_dummy_value()

        p, n = types.CPointer(NUMBA[code]), types.int64
        return types.void(p, n, p, n, n, n, n), _apart(f"turn_{code}", codegen)

    return turn


def _dot(code: str):
    @intrinsic
    def dot(typingctx, count, left, right, sums):
        """sums[k % lanes] += left[k] * right[k] for k < count."""
        def codegen(ctx, b, sig, a):
            count, left, right, sums = a
            vector, n = _vector(code), LANES[code]
            fma = _declared(b.module, f"llvm.fma.v{n}{code}", vector, vector, vector, vector)
            place = b.bitcast(sums, vector.as_pointer())
            first = b.load(place)
            first.align = 64 // n
            before = b.block
            head, body, done = (b.append_basic_block(x) for x in ("dot", "step", "end"))
            b.branch(head)
            b.position_at_end(head)
            k, total = b.phi(I64), b.phi(vector)
            b.cbranch(b.icmp_signed("<", k, count), body, done)
            b.position_at_end(body)
            rest, many = b.sub(count, k), ir.Constant(I64, n)
            rest = b.select(b.icmp_signed("<", rest, many), rest, many)
            bits = b.sub(b.shl(ir.Constant(I64, 1), rest), ir.Constant(I64, 1))
            mask = _mask(b, bits, n)
            added = b.call(fma, [_load(b, code, b.gep(left, [k]), mask),
                                 _load(b, code, b.gep(right, [k]), mask), total])
            following = b.add(k, many)
            b.branch(head)
            k.add_incoming(ir.Constant(I64, 0), before)
            k.add_incoming(following, body)
            total.add_incoming(first, before)
            total.add_incoming(added, body)
            b.position_at_end(done)
            b.store(total, place).align = 64 // n
            return ctx.get_dummy_value()

        p = types.CPointer(NUMBA[code])
        return types.void(types.int64, p, p, p), codegen

    return dot


def _pick(code: str):
    @intrinsic
    def pick(typingctx, target, source, index, valid):
        """target[k] = source[index[k]] for a vector of int32 indices, zeros unless `valid`."""
        def codegen(ctx, b, sig, a):
            target, source, index, valid = a
            vector, n = _vector(code), LANES[code]
            at = b.load(b.bitcast(index, ir.VectorType(I32, n).as_pointer()))
            at.align = 4
            wide = b.mul(b.sext(at, ir.VectorType(I64, n)),
                         ir.Constant(ir.VectorType(I64, n), [64 // n] * n))
            wide = b.add(wide, _splat(b, b.ptrtoint(source, I64), n))
            pointers = ir.VectorType(_ELEMENT[code].as_pointer(), n)
            masks = ir.VectorType(ir.IntType(1), n)
            found = _declared(b.module, f"llvm.masked.gather.v{n}{code}.v{n}p0", vector, pointers,
                              I32, masks, vector)
            value = b.call(found, [b.inttoptr(wide, pointers), ir.Constant(I32, 64 // n),
                                   _mask(b, valid, n), ir.Constant(vector, [0.0] * n)])
            b.store(value, b.bitcast(target, vector.as_pointer())).align = 64 // n
            return ctx.get_dummy_value()

        p = types.CPointer(NUMBA[code])
        places = types.CPointer(types.int32)
        return types.void(p, p, places, types.int64), _apart(f"pick_{code}", codegen)

    return pick


def _block(b, code: str, k, lefts: list, along, w, goals: list, ldc, old, new) -> None:
    """c += a @ w for rows that begin at `lefts`; the accumulators are in registers over the whole
    of k. `goals` are where the two vectors of the first row of c lie, `along(i)` the place of
    a[i] from the begin of a row. Where the mask `old` has none, c counts as zero; only the columns
    of the mask `new` are written."""
    vector, lanes, rows = _vector(code), LANES[code], len(lefts)
    fma = _declared(b.module, f"llvm.fma.v{lanes}{code}", vector, vector, vector, vector)
    zero = ir.Constant(vector, [0.0] * lanes)
    before = b.block
    head, body, done = (b.append_basic_block(x) for x in ("tile", "step", "end"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I64)
    live = [[b.phi(vector) for _ in range(2)] for _ in range(rows)]
    b.cbranch(b.icmp_signed("<", i, k), body, done)
    b.position_at_end(body)
    panel = b.gep(w, [b.mul(i, ir.Constant(I64, PANEL[code]))])
    columns = []
    for p in range(2):
        at = b.gep(panel, [ir.Constant(I64, p * lanes)])
        column = b.load(b.bitcast(at, vector.as_pointer()))
        column.align = 64 // lanes
        columns.append(column)
    here = along(i)
    fresh = []
    for r in range(rows):
        splat = _splat(b, b.load(b.gep(lefts[r], [here])), lanes)
        fresh.append([b.call(fma, [splat, columns[p], live[r][p]]) for p in range(2)])
    following = b.add(i, ir.Constant(I64, 1))
    b.branch(head)
    i.add_incoming(ir.Constant(I64, 0), before)
    i.add_incoming(following, body)
    for r in range(rows):
        for p in range(2):
            live[r][p].add_incoming(zero, before)
            live[r][p].add_incoming(fresh[r][p], body)
    b.position_at_end(done)
    for p in range(2):
        have, put = (_mask(b, m, lanes, p * lanes) for m in (old, new))
        for r in range(rows):
            at = b.gep(goals[p], [b.mul(ldc, ir.Constant(I64, r))])
            _store(b, code, b.fadd(_load(b, code, at, have), live[r][p]), at, put)


def _product(code: str, rows: int):
    @intrinsic
    def product(typingctx, k, a, lda, w, first, second, ldc, old, new):
        """c[rows, PANEL] += a[rows, k] @ panel w; `lda` and `ldc` are strides of rows, `first` and
        `second` where the halves of c's first row lie. Of c only the columns of the mask `old`
        count, and those of `new` are written."""
        def codegen(ctx, b, sig, args):
            k, a, lda, w, first, second, ldc, old, new = args
            once = min(rows, _rows_at_once())
            for r in range(0, rows, once):
                lefts = [b.gep(a, [b.mul(lda, ir.Constant(I64, r + n))]) for n in range(once)]
                move = b.mul(ldc, ir.Constant(I64, r))
                _block(b, code, k, lefts, lambda i: i, w,
                       [b.gep(first, [move]), b.gep(second, [move])], ldc, old, new)
            return ctx.get_dummy_value()

        p, n = types.CPointer(NUMBA[code]), types.int64
        return types.void(n, p, n, p, p, p, n, n, n), _apart(f"product{rows}_{code}", codegen)

    return product


def _walk(code: str, rows: int):
    @intrinsic
    def walk(typingctx, k, a, starts, places, w, c, old):
        """c[rows, PANEL] += left @ panel w with left[r, i] = a[starts[r] + places[i]]; c counts as
        zero where the mask `old` has none."""
        def codegen(ctx, b, sig, args):
            k, a, starts, places, w, c, old = args
            once, width = min(rows, _rows_at_once()), PANEL[code]
            for r in range(0, rows, once):
                lefts = [b.gep(a, [b.load(b.gep(starts, [ir.Constant(I64, r + n)]))])
                         for n in range(once)]
                goals = [b.gep(c, [ir.Constant(I64, r * width + half)])
                         for half in (0, LANES[code])]
                _block(b, code, k, lefts, lambda i: b.load(b.gep(places, [i])), w, goals,
                       ir.Constant(I64, width), old, ir.Constant(I64, (1 << width) - 1))
            return ctx.get_dummy_value()

        p, words, n = types.CPointer(NUMBA[code]), types.CPointer(types.int64), types.int64
        return types.void(n, p, words, words, p, p, n), _apart(f"walk{rows}_{code}", codegen)

    return walk


for _code in _ELEMENT:
    globals()[f"inside_{_code}"] = _inside(_code)
    globals()[f"place_{_code}"] = _place(_code)
    globals()[f"place_second_{_code}"] = _place_second(_code)
    globals()[f"pick_{_code}"] = _pick(_code)
    globals()[f"taps_{_code}"] = _taps(_code)
    globals()[f"turn_{_code}"] = _turn(_code)
    globals()[f"dot_{_code}"] = _dot(_code)
    for _rows in ROWS:
        globals()[f"product{_rows}_{_code}"] = _product(_code, _rows)
        globals()[f"walk{_rows}_{_code}"] = _walk(_code, _rows)
