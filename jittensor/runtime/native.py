"""What the driver compiles: tables of launches in, kernels called by one or many threads.

This file is not imported from here: `driver` copies it into the kernel cache and imports it there,
so that Numba keeps its machine code beside the kernels'. All tables are int64 words.

A job is a run of steps by the caller and any workers that are awake. Every thread walks the steps
in order and claims chunks through atomic counters; whoever ends the last chunk of a step finishes
it. So a thread that comes late, or never, holds nobody up. Each thread begins with its own part of
a step's chunks and then takes what others left: what a core has in its cache it meets again.
"""

import platform

import llvmlite.ir as ir
from numba import int64, njit, types
from numba.extending import intrinsic

from jittensor.kernels.cpu.intrinsics import udiv
from jittensor.kernels.pipeline import KernelCompiler

# words of a table: words, moves, their count, float moves, their count, steps, done steps, large
# words of a step: kernel, items, grain, its first word, whether to finish, steps needed before it;
# of what follows each item (or 0): kernel, its first word, its items for one of these, its items
STEP = 10
# words of a step's state: chunks done, finished; then the chunks claimed of each thread's part
LINE = 8         # a cache line, so that threads do not share one
# words of a pool: job number, whether one is open, workers inside, workers asleep, whether to quit,
# looks for a job before a worker falls asleep, the job
OPEN, INSIDE, ASLEEP, QUIT, PATIENCE, JOB = 8, 16, 24, 32, 33, 40
OPENED = -1      # done steps of a table whose job is open
FINER = 8        # how much smaller than its grain a chunk may be: the threads are awake already
PAUSE = "llvm.x86.sse2.pause" if platform.machine() in ("x86_64", "AMD64") else ""


def inner(function):
    """A function that only others here call: it needs no way in from Python, and is compiled when
    one that calls it is not found on the disk. An argument that is a literal (0, not int64(0))
    would have it compiled once more."""
    return njit(function, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True,
                pipeline_class=KernelCompiler)


def entry(result, count):
    """Compiles a function of `count` words that Python calls, and keeps its code."""
    signature = result(*(types.int64,) * count)
    return njit(signature, nogil=True, cache=True, no_cfunc_wrapper=True,
                pipeline_class=KernelCompiler)


def _pointer(b, address, k=None):
    pointer = b.inttoptr(address, ir.IntType(64).as_pointer())
    return pointer if k is None else b.gep(pointer, [k])


@intrinsic
def at(typingctx, base, k):
    """Word k of a table."""
    def codegen(ctx, b, sig, a):
        return b.load(_pointer(b, *a))
    return types.int64(types.int64, types.int64), codegen


@intrinsic
def put(typingctx, base, k, value):
    """Sets word k of a table."""
    def codegen(ctx, b, sig, a):
        b.store(a[2], _pointer(b, a[0], a[1]))
        return ctx.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def peek(typingctx, base, k):
    """Word k of a table, in order with what other threads write."""
    def codegen(ctx, b, sig, a):
        return b.load_atomic(_pointer(b, *a), "seq_cst", 8)
    return types.int64(types.int64, types.int64), codegen


@intrinsic
def add(typingctx, base, k, value):
    """Adds to word k of a table, at once for all threads; what it was before."""
    def codegen(ctx, b, sig, a):
        return b.atomic_rmw("add", _pointer(b, a[0], a[1]), a[2], "seq_cst")
    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def breathe(typingctx):
    """Tells the processor that this is a waiting loop."""
    def codegen(ctx, b, sig, a):
        if PAUSE:
            kind = ir.FunctionType(ir.VoidType(), [])
            b.call(b.module.declare_intrinsic(PAUSE, (), kind), [])
        return ctx.get_dummy_value()
    return types.void(), codegen


@intrinsic
def call(typingctx, address, begin, end, args):
    """Calls a kernel."""
    def codegen(ctx, b, sig, a):
        i64 = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [i64, i64, i64])
        b.call(b.inttoptr(a[0], kind.as_pointer()), [a[1], a[2], a[3]])
        return ctx.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


@inner
def bind(table, addresses, floats):
    """Writes a run's addresses and scalars into the launches' words."""
    words = at(table, 0)
    moves = at(table, 1)
    for k in range(at(table, 2)):
        put(words, at(moves, 3 * k), at(addresses, at(moves, 3 * k + 1)) + at(moves, 3 * k + 2))
    moves = at(table, 3)
    for k in range(at(table, 4)):
        put(words, at(moves, 2 * k), at(floats, at(moves, 2 * k + 1)))


@inner
def items(words, step, begin, end):
    """Items begin..end of a step, each with what follows it."""
    kernel = at(step, 0)
    args = words + 8 * at(step, 3)
    tail = at(step, 6)
    if tail == 0:
        call(kernel, begin, end, args)
    else:
        length = at(step, 8)
        total = at(step, 9)
        for i in range(begin, end):
            call(kernel, i, i + 1, args)
            end_of_run = i * length + length
            call(tail, i * length, end_of_run if end_of_run < total else total,
                 words + 8 * at(step, 7))


@inner
def alone(words, steps, first, last):
    """Steps first..last by the caller alone."""
    for s in range(first, last):
        step = steps + 8 * STEP * s
        total = at(step, 1)
        if total > 0:
            items(words, step, int64(0), total)
        if at(step, 4):
            call(at(step, 0), -1, 0, words + 8 * at(step, 3))


@inner
def state_of(state, s, threads):
    """The state of step s."""
    return state + 8 * LINE * (threads + 1) * s


@inner
def clear(state, first, last, threads):
    """States of steps that nobody has begun."""
    for s in range(first, last):
        mine = state_of(state, s, threads)
        put(mine, 1, 0)
        for k in range(threads + 1):
            put(mine, LINE * k, 0)


@inner
def wait(state, known, needs, threads):
    """Returns when the first `needs` steps are done; the first `known` are known to be."""
    while known < needs:
        if peek(state_of(state, known, threads), 1) != 0:
            known += 1
        else:
            breathe()
    return known


@inner
def take_part(words, steps, state, first, last, threads, me):
    """What thread `me` does of a job."""
    known = first
    for s in range(first, last):
        mine = state_of(state, s, threads)
        if peek(mine, 1) != 0:
            continue
        step = steps + 8 * STEP * s
        total = at(step, 1)
        least = udiv(total + 4 * threads - 1, 4 * threads)
        size = udiv(at(step, 2), FINER)
        size = size if size > least else least
        size = size if size > 1 else 1
        chunks = udiv(total + size - 1, size) if total > 0 else 1
        known = wait(state, known, at(step, 5), threads)
        for j in range(threads):
            part = me + j if me + j < threads else me + j - threads
            low = udiv(part * chunks + threads - 1, threads)
            count = udiv(part * chunks + chunks + threads - 1, threads) - low
            while peek(mine, LINE * (part + 1)) < count:
                c = add(mine, LINE * (part + 1), 1)
                if c >= count:
                    break
                begin = (low + c) * size
                if total > 0:
                    items(words, step, begin, begin + size if begin + size < total else total)
                if add(mine, 0, 1) == chunks - 1:
                    if at(step, 4):
                        call(at(step, 0), -1, 0, words + 8 * at(step, 3))
                    add(mine, 1, 1)


@entry(types.void, 5)
def run(table, addresses, floats, first, last):
    """Binds a plan (when it begins) and runs its steps first..last on the caller's thread."""
    if first == 0:
        bind(table, addresses, floats)
    alone(at(table, 0), at(table, 5), first, last)
    put(table, 6, last)


@entry(types.void, 8)
def start(table, addresses, floats, first, last, threads, state, pool):
    """Binds a plan (when it begins) and opens a job of its steps first..last to the workers."""
    if first == 0:
        bind(table, addresses, floats)
    clear(state, first, last, threads)
    put(pool, JOB, at(table, 0))
    put(pool, JOB + 1, at(table, 5))
    put(pool, JOB + 2, state)
    put(pool, JOB + 3, first)
    put(pool, JOB + 4, last)
    put(pool, JOB + 5, threads)
    put(table, 6, OPENED)
    add(pool, 0, 1)
    add(pool, OPEN, 1)


@entry(types.void, 2)
def join(table, pool):
    """The caller takes part in the open job until it is done."""
    last = at(pool, JOB + 4)
    take_part(at(pool, JOB), at(pool, JOB + 1), at(pool, JOB + 2), at(pool, JOB + 3), last,
              at(pool, JOB + 5), int64(0))
    add(pool, OPEN, -1)
    while peek(pool, INSIDE) != 0:
        breathe()
    put(table, 6, last)


@entry(types.int64, 3)
def serve(pool, me, joined):
    """What worker `me` does while it is awake: takes part in each job once. Returns the last
    job that it joined after looking in vain for a while, or -1 when it shall end."""
    add(pool, ASLEEP, -1)
    spins = 0
    while spins < at(pool, PATIENCE):
        if peek(pool, QUIT) != 0:
            add(pool, ASLEEP, 1)
            return -1
        job = peek(pool, 0)
        if job != joined and peek(pool, OPEN) != 0:
            add(pool, INSIDE, 1)
            if peek(pool, OPEN) != 0:       # the caller waits for whoever it finds inside
                job = peek(pool, 0)
                if me < at(pool, JOB + 5):
                    take_part(at(pool, JOB), at(pool, JOB + 1), at(pool, JOB + 2),
                              at(pool, JOB + 3), at(pool, JOB + 4), at(pool, JOB + 5), me)
                joined = job
            add(pool, INSIDE, -1)
            spins = 0
        breathe()
        spins += 1
    add(pool, ASLEEP, 1)
    return joined
