"""Small programs for the tests of the CUDA target: a name in; inputs, the program on tensors, its
NumPy values and the kinds of kernel that its plan is made of out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.special

import jittensor as torch

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
}
