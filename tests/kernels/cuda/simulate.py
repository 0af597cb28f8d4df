"""Runs the CUDA source of `programs` in Numba's simulator, in a process of its own.

In: names of programs, or `operators:CODE` for the operators of a dtype, as arguments, and
NUMBA_ENABLE_CUDASIM=1 in the environment. Out: one JSON object on stdout: for each name (and each
`CODE:operator`) the largest error beside 1 + |expected|, or the traceback of what failed.
"""

import ctypes
import json
import os
import sys
import traceback

import numpy as np

THREADS = 64          # of a block: each is an operating-system thread here
MOST_BLOCKS = 4       # fewer than the work, so that the loops over the grid turn


def simulate(launch, addresses: dict[str, list[int]]) -> None:
    """Runs one launch. `addresses` are of the plan's memories."""
    from numba import cuda

    from jittensor.kernels.cuda.compile import load
    from jittensor.kernels.cuda.emit import blocks_of, emit

    source = emit(launch.kernel, THREADS)
    functions = load(source)
    nest = launch.kernel
    sizes = launch.words[:nest.n_outer + nest.n_inner]
    for entry in source.entries:
        arguments = [_argument(p, launch, addresses) for p in entry.parameters]
        blocks = min(MOST_BLOCKS, blocks_of(entry, nest, sizes, source.threads))
        cuda.jit(functions[entry.name])[blocks, THREADS](*arguments)


def _argument(parameter, launch, addresses):
    """The value of a kernel parameter; pointers become arrays over the same memory."""
    word = launch.words[parameter.word]
    if parameter.code[0] == "*":
        memory = word[1]
        start = addresses[memory[0]][0 if memory[0] == "arena" else memory[1]] + word[2]
        return _array(start, parameter.code[1:], _extent(parameter, launch))
    if isinstance(word, int):
        return word
    kind = {"f32": np.float32, "f64": np.float64, "i64": np.int64}[parameter.code]
    return kind(word[2] if word[0] == "const" else addresses["f" if word[1] == "f" else "slot"]
                [word[2]])


def _extent(parameter, launch) -> int:
    """Elements from a pointer to the last that its launch reaches."""
    nest, words = launch.kernel, launch.words
    rank = nest.n_outer + nest.n_inner
    if parameter.word >= rank + len(nest.operands) * (rank + 1):
        return launch.scratch
    strides = words[parameter.word + 1:parameter.word + 1 + rank]
    return 1 + sum((n - 1) * s for n, s in zip(words[:rank], strides, strict=True))


def _array(address: int, code: str, count: int):
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    kind = np.dtype({"f32": "f4", "f64": "f8", "f16": "f2", "bf16": "u2", "b8": "u1", "u8": "u1",
                     "i8": "i1", "i16": "i2", "i32": "i4", "i64": "i8"}[code])
    memory = (ctypes.c_char * (count * kind.itemsize)).from_address(address)
    return FakeCUDAArray(np.frombuffer(memory, kind))


def run(name: str) -> float:
    """The largest error of a program's results."""
    import jittensor as torch
    from tests.kernels.cuda.programs import PROGRAMS
    from tests.kernels.planned import plan_of

    program = PROGRAMS[name]
    arrays = program.inputs()
    expected = program.expect(*(a.copy() for a in arrays))
    tensors = [torch.tensor(a) for a in arrays]
    plan, binding, results = plan_of(lambda: program.run(*tensors))
    out = [np.zeros(-(-nbytes // 64) * 64, np.uint8) for _, nbytes in plan.outputs]
    arena = np.zeros(plan.arena + 64, np.uint8)
    addresses = {"slot": binding.addresses, "f": binding.floats, "arena": [arena.ctypes.data],
                 "storage": [s.block.address for s in binding.storages],
                 "out": [a.ctypes.data for a in out]}
    for launch in plan.launches:
        simulate(launch, addresses)
    if not plan.outputs:                       # an update in place: the input holds the result
        return _error(tensors[0].numpy(), expected)
    expected = expected if isinstance(expected, tuple) else (expected,)
    graph = plan.graph.entries
    kept = [e.spec for e in graph if e.kept]
    assert len(kept) == len(out) == len(expected)
    return max(_error(_view(memory, spec), value)
               for memory, spec, value in zip(out, kept, expected, strict=True))


def _view(memory: np.ndarray, spec) -> np.ndarray:
    flat = memory.view(spec.dtype.numpy)
    strides = [s * flat.itemsize for s in spec.strides]
    return np.lib.stride_tricks.as_strided(flat, spec.shape, strides)


def run_operators(code: str) -> dict[str, float]:
    """The largest error of each operator of a dtype, on the same inputs."""
    from numba import cuda

    from jittensor.kernels.cuda.compile import load
    from jittensor.kernels.cuda.emit import emit
    from tests.kernels.cuda.programs import (
        DTYPES,
        operator_inputs,
        operator_nests,
        operator_values,
        result_code,
    )

    errors, inputs = {}, operator_inputs(code)
    count = len(inputs[0])
    for nest, ops in operator_nests(code):
        outputs = [np.zeros(count, DTYPES[result_code(op, code)].numpy) for op in ops]
        source = emit(nest, THREADS)
        (entry,) = source.entries
        memory = [_as_memory(a) for a in inputs + outputs]
        words = [count, *(word for a in memory for word in (a, 1))]
        with np.errstate(all="ignore"):
            cuda.jit(load(source)[entry.name])[1, THREADS](*(words[p.word]
                                                            for p in entry.parameters))
        for op, got in zip(ops, outputs, strict=True):
            errors[f"{code}:{op.name}"] = _error(got, operator_values(op, code, inputs))
    return errors


def _as_memory(array: np.ndarray):
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    raw = {"bool": np.uint8, "bfloat16": np.uint16}.get(array.dtype.name)
    return FakeCUDAArray(array.view(raw) if raw else array)


def _error(got, expected) -> float:
    kind = np.complex128 if np.iscomplexobj(expected) else np.float64
    got, expected = np.asarray(got).astype(kind), np.asarray(expected).astype(kind)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    off = np.where(same, 0.0, np.abs(got - expected) / (1 + np.abs(expected)))
    return float(np.where(np.isnan(off), np.inf, off).max())


def main(names: list[str]) -> None:
    """Prints the errors of the named programs."""
    assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    errors: dict[str, object] = {}
    for name in names:
        try:
            if name.startswith("operators:"):
                errors.update(run_operators(name.partition(":")[2]))
            else:
                errors[name] = run(name)
        except Exception:
            errors[name] = traceback.format_exc()
    json.dump(errors, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
