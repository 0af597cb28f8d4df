"""Running plans without compiling: a Plan and its binding in, memory written by NumPy out.

Takes the compiler's final product (launches with loop nests, strides, addresses and scalars) and
evaluates each statement on whole arrays over the bound memory. What it finds wrong is wrong in
rewriting, fusion, order, memory planning or lowering; what only the compiled kernels get wrong is
in their emission.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager

import numpy as np

from jittensor.compiler.nest import LoopNest
from jittensor.compiler.plan import Plan
from jittensor.graph import dtypes as dt
from jittensor.graph.ops import OPS
from jittensor.kernels.compile import kernel_address
from jittensor.kernels.reference.formulas import apply_operator, convert
from jittensor.runtime import blocks, realize

CODES = {d.code: d for d in dt.ALL}
COMBINE = {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
           "or": np.logical_or, "and": np.logical_and}


def execute(plan: Plan, binding) -> None:
    """One run of a plan."""
    outputs = [blocks.take(nbytes) for _, nbytes in plan.outputs]
    arena = blocks.take(max(plan.arena, 64))
    # a value that is read before it is written shows
    ctypes.memset(arena.address, 0x7B, max(plan.arena, 64))
    bases = {"slot": lambda k: binding.addresses[k],
             "storage": lambda k: binding.storages[k].block.address,
             "out": lambda k: outputs[k].address, "arena": lambda k: arena.address}
    for launch in (x for head in plan.launches for x in (head, head.tail) if x is not None):
        words = [_word(w, bases, binding) for w in launch.words]
        if isinstance(launch.kernel, LoopNest):
            if launch.total:
                interpret(launch.kernel, words)
        else:
            _native(launch, words)
    del realize.PENDING[:len(binding.nodes)]
    realize.publish(plan, binding, outputs)


def _word(word, bases, binding):
    if not isinstance(word, tuple):
        return int(word)
    if word[0] == "address":
        return bases[word[1][0]](word[1][1]) + word[2]
    if word[0] == "const":
        return word[2]
    return binding.addresses[word[2]] if word[1] == "i" else binding.floats[word[2]]


def _native(launch, words: list) -> None:
    """A kernel written by hand runs as it is."""
    table = np.array(words, np.int64)
    kernel = launch.kernel if isinstance(launch.kernel, int) else kernel_address(launch.kernel)
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(kernel)
    if launch.total:
        call(0, launch.total, table.ctypes.data)
    if launch.finish:
        call(-1, 0, table.ctypes.data)


class _Window:
    def __init__(self, address: int, kind: str, shape, strides):
        self.__array_interface__ = {"data": (address, False), "typestr": kind, "version": 3,
                                    "shape": tuple(shape), "strides": tuple(strides)}


def interpret(nest: LoopNest, words: list) -> None:
    """Evaluates a loop nest's statements in their order, over all of its loops."""
    rank = nest.n_outer + nest.n_inner
    sizes = words[:rank]
    inner = tuple(range(nest.n_outer, rank))
    operands = []
    for k, operand in enumerate(nest.operands):
        at = rank + k * (rank + 1)
        shape = sizes if operand.level == "full" else (
            sizes[:nest.n_outer] + [1] * nest.n_inner)
        strides = words[at + 1:at + 1 + rank]
        operands.append(_operand(CODES[operand.dtype], words[at], shape, strides))
    scalars = words[rank + len(nest.operands) * (rank + 1):]
    values: list = []
    for s in nest.body:
        def value(ref):
            if ref[0] == "s":
                return scalars[ref[1]]
            if ref[0] == "m":
                return operands[ref[1]].copy()
            return values[ref[1]]

        refs = [value(ref) for ref in s.refs]
        if s.combine:
            given = np.broadcast_to(convert(np.asarray(refs[0]), CODES[s.compute]), sizes)
            with np.errstate(all="ignore"):
                # a loop of one turn is left out; a sum begins with 0, which -0 added to gives 0
                out = COMBINE[s.combine].reduce(given[..., None], axis=(*inner, rank),
                                                dtype=CODES[s.compute].numpy, keepdims=True)[..., 0]
            out = convert(out, CODES[s.result])
        else:
            out = apply_operator(OPS[s.op], CODES[s.compute], CODES[s.result], refs)
        values.append(out)
        for k in s.stores:
            new = convert(out, CODES[nest.operands[k].dtype])
            operands[k][...] = new


def _operand(dtype, address: int, sizes, strides) -> np.ndarray:
    plain = np.dtype(np.uint16) if dtype is dt.bfloat16 else dtype.numpy
    if 0 in sizes:
        return np.empty(sizes, dtype.numpy)
    window = _Window(int(address), plain.str, sizes, [t * dtype.itemsize for t in strides])
    array = np.asarray(window)
    return array.view(dtype.numpy) if dtype is dt.bfloat16 else array


@contextmanager
def interpreted():
    """Plans are interpreted while this lasts."""
    before = realize.execute, realize.Bound
    realize.forget_plans()
    realize.execute, realize.Bound = execute, lambda plan, slots: plan     # nothing is compiled
    try:
        yield
    finally:
        realize.execute, realize.Bound = before
        realize.forget_plans()
