"""Products with a weight that is used at every step: intrinsics for the kernels of recurrent
layers.

The weight is packed once a launch into panels of `PANEL` columns, [panels, k, PANEL], the last one
filled up with zeros. `tile<rows>_<code>(k, a, lda, w, c, ldc)` computes [rows, PANEL] of
c = a @ panel; each element is one chain of fused multiply-adds over k, so that its bits depend
neither on the rows computed together nor on the width of the machine's vectors.
`again<n>_` reads memory that of all stores only `store<n>` writes.
"""

from __future__ import annotations

import llvmlite.binding as llvm
import llvmlite.ir as ir
from numba import types
from numba.extending import intrinsic

from jittensor.kernels.cpu.intrinsics import F32, F64, I64, NUMBA, SCOPES, _scopes

BYTES = 128            # of a row of a panel
ROWS = (8, 4, 2, 1)
_LLVM = {"f32": F32, "f64": F64}


def _rows_at_once() -> int:
    """Rows whose accumulators fit the registers: 16 of 64 bytes, or 8 of 32."""
    return 8 if llvm.get_host_cpu_features().get("avx512f") else 2


def _fused(module, vector: ir.VectorType, code: str):
    """LLVM's fused multiply-add on vectors."""
    name = f"llvm.fma.v{vector.count}{code}"
    found = module.globals.get(name)
    if found is None:
        found = ir.Function(module, ir.FunctionType(vector, [vector] * 3), name)
    return found


def _prefetch(b, address) -> None:
    """Asks for the cache line of an address that will be read soon."""
    i32, byte = ir.IntType(32), ir.IntType(8).as_pointer()
    name = "llvm.prefetch.p0"
    found = b.module.globals.get(name)
    if found is None:
        kind = ir.FunctionType(ir.VoidType(), [byte, i32, i32, i32])
        found = ir.Function(b.module, kind, name)
    b.call(found, [b.inttoptr(address, byte), ir.Constant(i32, 0), ir.Constant(i32, 3),
                   ir.Constant(i32, 1)])


def _block(b, code: str, rows: int, k, a, lda, w, c, ldc, ahead, pace) -> None:
    """[rows, PANEL] of c, its accumulators in registers over the whole of k."""
    element = _LLVM[code]
    lanes = 64 // (4 if code == "f32" else 8)
    vector, parts = ir.VectorType(element, lanes), BYTES // 64
    fma = _fused(b.module, vector, code)
    zero = ir.Constant(vector, [0.0] * lanes)
    starts = [b.gep(a, [b.mul(lda, ir.Constant(I64, r))]) for r in range(rows)]
    before = b.block
    head, body, done = (b.append_basic_block(x) for x in ("tile", "step", "end"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I64)
    live = [[b.phi(vector) for _ in range(parts)] for _ in range(rows)]
    b.cbranch(b.icmp_signed("<", i, k), body, done)
    b.position_at_end(body)
    panel = b.gep(w, [b.mul(i, ir.Constant(I64, parts * lanes))])
    columns = []
    for p in range(parts):
        at = b.gep(panel, [ir.Constant(I64, p * lanes)])
        column = b.load(b.bitcast(at, vector.as_pointer()))
        column.align = 4
        columns.append(column)
    _prefetch(b, b.add(ahead, b.mul(i, pace)))
    undefined, mask = ir.Constant(vector, ir.Undefined), ir.VectorType(ir.IntType(32), lanes)
    new = []
    for r in range(rows):
        value = b.load(b.gep(starts[r], [i]))
        splat = b.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        splat = b.shuffle_vector(splat, undefined, ir.Constant(mask, [0] * lanes))
        new.append([b.call(fma, [splat, columns[p], live[r][p]]) for p in range(parts)])
    following = b.add(i, ir.Constant(I64, 1))
    b.branch(head)
    i.add_incoming(ir.Constant(I64, 0), before)
    i.add_incoming(following, body)
    for r in range(rows):
        for p in range(parts):
            live[r][p].add_incoming(zero, before)
            live[r][p].add_incoming(new[r][p], body)
    b.position_at_end(done)
    for r in range(rows):
        for p in range(parts):
            at = b.gep(c, [b.add(b.mul(ldc, ir.Constant(I64, r)), ir.Constant(I64, p * lanes))])
            b.store(live[r][p], b.bitcast(at, vector.as_pointer())).align = 4


def _tile(code: str, rows: int):
    @intrinsic
    def tile(typingctx, k, a, lda, w, c, ldc, ahead, pace):
        """c[rows, PANEL] = a[rows, k] @ panel w; `lda` and `ldc` are strides of rows. Meanwhile
        the memory at the address `ahead` is fetched, `pace` bytes for each of k."""
        def codegen(ctx, b, sig, args):
            k, a, lda, w, c, ldc, ahead, pace = args
            once = min(rows, _rows_at_once())
            for r in range(0, rows, once):
                at = ir.Constant(I64, r)
                _block(b, code, once, k, b.gep(a, [b.mul(lda, at)]), lda, w,
                       b.gep(c, [b.mul(ldc, at)]), ldc, ahead, pace)
            return ctx.get_dummy_value()

        pointer = types.CPointer(NUMBA[code])
        return types.void(types.int64, pointer, types.int64, pointer, pointer,
                          types.int64, types.int64, types.int64), codegen

    return tile


def _again(n: int):
    @intrinsic
    def again(typingctx, pointer, i):
        """`pointer[i]` of memory that `store<n>` writes, and no other store."""
        def codegen(ctx, b, sig, a):
            value = b.load(b.gep(a[0], [a[1]]))
            scopes = _scopes(b.module)
            value.set_metadata("noalias", b.module.add_metadata(scopes[:n] + scopes[n + 1:]))
            return value

        return pointer.dtype(pointer, types.int64), codegen

    return again


for _code in _LLVM:
    for _rows in ROWS:
        globals()[f"tile{_rows}_{_code}"] = _tile(_code, _rows)
for _n in range(SCOPES):
    globals()[f"again{_n}"] = _again(_n)
