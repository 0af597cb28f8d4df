"""What the tests of the CUDA target run: small programs (inputs, the program on tensors, its NumPy
values, the kinds of kernel that its plan is made of) and kernels of all elementwise operators."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.special

import jittensor as torch
from jittensor.compiler.nest import LoopNest, Operand, Statement
from jittensor.graph.dtypes import ALL
from jittensor.graph.ops import ELEMENTWISE, OPS, Op
from jittensor.kernels.cuda.formula import CudaFormulas
from jittensor.kernels.reference.formulas import apply_operator

F = torch.nn.functional


@dataclass(frozen=True)
class Program:
    """`run` takes tensors of `inputs()`, `expect` the same arrays; `kinds` are the skeletons."""

    inputs: Callable[[], list[np.ndarray]]
    run: Callable
    expect: Callable
    kinds: tuple[str, ...]
    tolerance: float = 1e-5


def _normal(*shapes: tuple[int, ...]) -> Callable[[], list[np.ndarray]]:
    return lambda: [np.random.default_rng(7 + k).standard_normal(shape).astype(np.float32)
                    for k, shape in enumerate(shapes)]


def _whole(*shapes: tuple[int, ...]) -> Callable[[], list[np.ndarray]]:
    return lambda: [np.random.default_rng(k).integers(-9, 10, shape)
                    for k, shape in enumerate(shapes)]


def _layer_norm(x, w, b):
    off = x - x.mean(1, keepdims=True)
    return off / np.sqrt((off * off).mean(1, keepdims=True) + 1e-5) * w + b


def _bfloat16(x):
    import ml_dtypes
    half = (x * np.float32(2)).astype(ml_dtypes.bfloat16).astype(np.float32)
    return (half + np.float32(1)).astype(ml_dtypes.bfloat16).astype(np.float32)


def _add_in_place(x, y):
    x.add_(y, alpha=0.5)
    return x


def _scale_rows(x):
    total = x.sum(1, keepdim=True)
    return total, x / (total * total + 1)


PROGRAMS = {
    "map": Program(_normal((300,), (300,)), lambda x, y: (x * 2.5 + y).relu().exp(),
                   lambda x, y: np.exp(np.maximum(x * 2.5 + y, 0)), ("map",)),
    "map broadcast": Program(
        _normal((6, 50), (50,), (6, 1)), lambda x, y, z: torch.where(x > y, x.tanh(), z - y),
        lambda x, y, z: np.where(x > y, np.tanh(x), z - y), ("map",)),
    "map strided": Program(_normal((8, 9, 10)), lambda x: x.permute(2, 0, 1)[::3].sigmoid() - 1,
                           lambda x: scipy.special.expit(x.transpose(2, 0, 1)[::3]) - 1, ("map",)),
    "map integers": Program(
        _whole((70,), (70,)), lambda x, y: (x // 3 + y % 5) * (x & y) - torch.gcd(x, y),
        lambda x, y: (x // 3 + y % 5) * (x & y) - np.gcd(x, y), ("map",), 0),
    "map booleans": Program(_normal((64,), (64,)), lambda x, y: (x > 0) ^ torch.isfinite(y),
                            lambda x, y: (x > 0) ^ np.isfinite(y), ("map",), 0),
    "map float16": Program(
        _normal((100,)), lambda x: (x.half() * 3).float(),
        lambda x: (x.astype(np.float16) * np.float16(3)).astype(np.float32), ("map",), 0),
    "map bfloat16": Program(_normal((100,)), lambda x: ((x * 2).bfloat16() + 1).float(),
                            _bfloat16, ("map",), 0),
    "map special": Program(
        _normal((90,)), lambda x: torch.digamma(x) + torch.i0(x) + torch.erfinv(x.tanh()),
        lambda x: (scipy.special.digamma(x.astype(np.float64)) + scipy.special.i0(x)
                   + scipy.special.erfinv(np.tanh(x).astype(np.float64))), ("map",), 1e-4),
    "map in place": Program(_normal((80,), (80,)), _add_in_place,
                            lambda x, y: x + np.float32(0.5) * y, ("map",)),
    "row sum": Program(_normal((5, 90)), lambda x: (x * x).sum(1), lambda x: (x * x).sum(1),
                       ("row",)),
    "row over two dims": Program(
        _normal((4, 3, 5, 11)), lambda x: x.transpose(1, 2).amax((1, 3)),
        lambda x: x.max((2, 3)), ("row",), 0),
    "row booleans": Program(_normal((4, 70)), lambda x: (x > 2).any(1), lambda x: (x > 2).any(1),
                            ("row",), 0),
    "row and its sums": Program(
        _normal((6, 40)), _scale_rows,
        lambda x: (x.sum(1, keepdims=True), x / (x.sum(1, keepdims=True) ** 2 + 1)), ("row",)),
    "row in place": Program(
        _normal((6,), (6, 80)), lambda m, x: m.mul_(0.9).add_(x.mean(1)),
        lambda m, x: m * np.float32(0.9) + x.mean(1), ("row",)),
    "softmax": Program(_normal((3, 200)), lambda x: torch.softmax(x, 1),
                       lambda x: scipy.special.softmax(x, 1), ("row",)),
    "layer norm": Program(_normal((4, 100), (100,), (100,)),
                          lambda x, w, b: F.layer_norm(x, (100,), w, b), _layer_norm, ("row",)),
    "full sum": Program(_normal((1, 140_000)), lambda x: (x * x).sum(),
                        lambda x: (x.astype(np.float64) ** 2).sum(), ("split",)),
    "full maximum and sum": Program(
        _whole((2, 70_000)), lambda x: (x.amax(1), x.sum(1)), lambda x: (x.max(1), x.sum(1)),
        ("split",), 0),
    "column mean": Program(_normal((50, 70)), lambda x: (x + 1).mean(0), lambda x: (x + 1).mean(0),
                           ("col",)),
    "column sum of three dims": Program(
        _normal((3, 20, 41)), lambda x: x.exp().sum(1), lambda x: np.exp(x).sum(1), ("col",)),
    "columns swept again": Program(
        _normal((6, 256)), lambda x: ((x - x.mean(0)) / (x.var(0) + 1).sqrt(), x.amax(0)),
        lambda x: ((x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 1), x.max(0)), ("wide",)),
    "wide column sum": Program(_normal((20, 200)), lambda x: x.exp().sum(0),
                               lambda x: np.exp(x).sum(0), ("wide",)),
}


# ── every elementwise operator ────────────────────────────────────────────────────────────────
DTYPES = {d.code: d for d in ALL}
OPERANDS = 3          # inputs that the operators of a kernel share
BATCH = 12            # operators of a kernel
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 1e-20, 3e4]
WHOLE = ("bitwise", "integer")      # dtype rules of operators on integers alone
REFUSED = {"f32": WHOLE, "f64": WHOLE, "f16": WHOLE, "bf16": WHOLE,
           "b8": (*WHOLE, "no_bool", "same", "float", "floating", "first", "real", "real_no_bool",
                  "real_float", "float_out")}


def lacking(op: Op, code: str) -> str:
    """The function without which CUDA does not have an operator, or nothing."""
    formulas = CudaFormulas([], set(), {})
    try:
        formulas.operator(op.name, code, result_code(op, code),
                          [(f"a{k}", code) for k in range(len(op.args))])
    except NotImplementedError as error:
        return str(error).split("_" + code)[0]
    return ""


def operators(code: str) -> list[Op]:
    """The elementwise operators that compute in a dtype and that CUDA has."""
    return [op for op in operators_of(code) if not lacking(op, code)]


def operators_of(code: str) -> list[Op]:
    """The elementwise operators that compute in a dtype."""
    whole = code not in ("f32", "f64", "f16", "bf16", "c64")
    found = []
    for op in OPS.values():
        if op.kind != ELEMENTWISE or op.dtypes in REFUSED.get(code, ()):
            continue
        if whole and (op.dtypes in ("float", "real_float", "to_complex") or "(" in op.formula
                      and not op.int_formula):
            continue
        if op.name == "_kept" and code != "i64":       # a counter's generator works on 64 bits
            continue
        if code == "c64" and not op.complex_ok or op.dtypes == "to_complex" and "16" in code:
            continue
        found.append(op)
    return found


def result_code(op: Op, code: str) -> str:
    """The dtype of an operator's result."""
    if op.dtypes in ("compare", "predicate", "logical"):
        return "b8"
    if op.dtypes == "to_complex":
        return {"f32": "c64", "f64": "c128"}[code]
    return "f32" if code == "c64" and op.dtypes in ("real", "real_float") else code


def operator_nests(code: str) -> list[tuple[LoopNest, list[Op]]]:
    """Map kernels that apply every operator to the same inputs, each storing its result."""
    ops = operators(code)
    out = []
    for first in range(0, len(ops), BATCH):
        batch = ops[first:first + BATCH]
        operands = [Operand(code, "r", "1", "", "full") for _ in range(OPERANDS)]
        body = []
        for k, op in enumerate(batch):
            result = result_code(op, code)
            compute = "b8" if op.dtypes == "logical" else code
            refs = tuple(("m", i % OPERANDS) for i in range(len(op.args)))
            operands.append(Operand(result, "w", "1", "", "full"))
            body.append(Statement(op.name, compute, result, refs, "full", 0, (OPERANDS + k,)))
        out.append((LoopNest("map", 1, 0, tuple(operands), tuple(body), ""), batch))
    return out


def operator_inputs(code: str) -> list[np.ndarray]:
    """Inputs of an operator kernel: small values of both signs, for floats the special ones."""
    rng, kind = np.random.default_rng(3), DTYPES[code].numpy
    if code == "b8":
        return [rng.integers(0, 2, 64).astype(bool) for _ in range(OPERANDS)]
    if code[0] in "iu":
        return [rng.integers(0 if code[0] == "u" else -9, 10, 64).astype(kind)
                | np.array(k > 0, kind) for k in range(OPERANDS)]    # no divisor is zero
    if code == "c64":
        return [(rng.standard_normal(64) + 1j * rng.standard_normal(64)).astype(kind)
                for _ in range(OPERANDS)]
    return [np.concatenate([rng.permutation(SPECIAL), 3 * rng.standard_normal(64)]).astype(kind)
            for _ in range(OPERANDS)]


def operator_values(op: Op, code: str, inputs: list[np.ndarray]) -> np.ndarray:
    """The operator's values, by the reference backend where it has the operator."""
    if op.dtypes == "to_complex":
        return np.stack([inputs[0], inputs[1]], -1).view(DTYPES[result_code(op, code)].numpy)[:, 0]
    compute = "b8" if op.dtypes == "logical" else code
    values = [inputs[i % OPERANDS] for i in range(len(op.args))]
    got = apply_operator(op, DTYPES[compute], DTYPES[result_code(op, code)], values)
    return np.broadcast_to(got, inputs[0].shape)
