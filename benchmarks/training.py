"""Training steps of small networks in; their times against PyTorch and against the hardware out.

The floor of a step is what cannot be saved: its matrix products, run alone through SciPy's BLAS
into warm buffers, and the bytes of its elementwise work at the bandwidth measured at that size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg.blas import sgemm

import harness
import jittensor
from harness import EAGER, Case, Figure, Row, Thunk, torch


@dataclass(frozen=True)
class Shape:
    """A network inputs-hidden-classes with one relu, at a batch size."""

    inputs: int
    hidden: int
    classes: int
    batch: int

    def __str__(self) -> str:
        return f"{self.inputs}-{self.hidden}-{self.classes}, batch {self.batch}"


LARGE, SMALL = Shape(784, 256, 10, 64), Shape(64, 32, 10, 16)


def build_step(t: Any, shape: Shape) -> tuple[Callable[[Any, Any], Any], Any, Any]:
    """A training step as one writes it, and a batch x [batch, inputs], y [batch] for it."""
    t.manual_seed(1)
    model = t.nn.Sequential(
        t.nn.Linear(shape.inputs, shape.hidden),
        t.nn.ReLU(),
        t.nn.Linear(shape.hidden, shape.classes),
    )
    loss_fn = t.nn.CrossEntropyLoss()
    optimizer = t.optim.SGD(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    x, y = t.randn(shape.batch, shape.inputs), t.randint(0, shape.classes, (shape.batch,))
    harness.finish(t, x, y, *model.parameters())
    return step, x, y


def step_thunk(t: Any, shape: Shape, compiler: Callable[..., Any] | None = None,
               looks: bool = False) -> Thunk:
    """One step of a training loop, through `compiler` if one is given; with `looks` the loop reads
    every loss, so that nothing of a step is left in flight when the next begins."""
    step, x, y = build_step(t, shape)
    if compiler is not None:
        step = compiler(step)
    if looks:
        return lambda: step(x, y).item()
    return lambda: step(x, y)


def products(shape: Shape) -> list[tuple[int, int, int, bool, bool]]:
    """The products of a step as the BLAS is called for them: (m, k, n, a transposed, b transposed).

    Tensors lie row after row, which the BLAS takes for transposed: it is asked for y' = W x' of
    y = x W', for x' dy of W's gradient dy' x, and for W' dy' of x's gradient dy W.
    """
    i, h, c, b = shape.inputs, shape.hidden, shape.classes, shape.batch
    return [(h, i, b, True, False), (c, h, b, True, False),    # forward
            (h, b, c, False, True), (h, c, b, False, False),   # the second layer's gradients
            (i, b, h, False, True)]                            # the first weight's


def blas_thunk(shape: Shape) -> Thunk:
    """The products of a step through sgemm, from and into buffers that are warm."""
    rng = np.random.default_rng(0)
    calls = []
    for m, k, n, ta, tb in products(shape):
        a, b = (np.asfortranarray(rng.random(s[::-1] if t else s, np.float32))
                for s, t in (((m, k), ta), ((k, n), tb)))
        c = np.zeros((m, n), np.float32, order="F")
        calls.append(partial(sgemm, 1.0, a, b, c=c, trans_a=ta, trans_b=tb, overwrite_c=1))
        if calls[-1]() is not c:
            raise RuntimeError("sgemm copied its output: the floor would be too high")

    def call() -> None:
        for product in calls:
            product()

    return call


def one_blas_thread(sampler: Thunk) -> Thunk:
    """A sampler during which the BLAS has one thread."""
    from threadpoolctl import threadpool_limits

    def limited() -> float:
        with threadpool_limits(1, user_api="blas"):
            return sampler()

    return limited


def step_bytes(shape: Shape) -> int:
    """Bytes that the elementwise work of a step reads and writes, float32, each value once.

    Forward: bias and relu on the hidden layer in its product's output (read and write), the bias
    and log-softmax of the logits. Backward: the logits' gradient (write), the relu's (read the
    gradient and the mask's source, write), two bias gradients (read). Update: every parameter and
    its gradient read, the parameter written.
    """
    hidden, logits = shape.batch * shape.hidden, shape.batch * shape.classes
    parameters = (shape.inputs + 1) * shape.hidden + (shape.hidden + 1) * shape.classes
    forward = 2 * hidden + 2 * logits
    backward = logits + 3 * hidden + hidden + logits
    return 4 * (forward + backward + 3 * parameters)


def bytes_thunks(total: int) -> list[Thunk]:
    """p -= g over `total` bytes (two thirds read, one written) in warm buffers, in two ways."""
    count = max(1, total // 12)
    p, g = np.ones(count, np.float32), np.zeros(count, np.float32)
    thunks: list[Thunk] = [lambda: np.subtract(p, g, out=p)]
    if torch is not None:  # which has threads
        a, b = torch.from_numpy(p), torch.from_numpy(g)
        thunks.append(lambda: torch.sub(a, b, out=a))
    return thunks


def floor_figures(shape: Shape) -> list[Figure]:
    """The floor of a step, its two parts, and how far above it the compiled step is, all measured
    alternately. The floor's parts take the better of the ways to reach them."""
    moved, blas = step_bytes(shape), harness.sampler(blas_thunk(shape))
    samplers = {
        "step": [harness.sampler(step_thunk(jittensor, shape, jittensor.compile))],
        "blas": [blas],
        "bytes": [harness.sampler(thunk) for thunk in bytes_thunks(moved)],
    }
    with contextlib.suppress(ImportError):
        samplers["blas"].append(one_blas_thread(blas))
    us = {name: s * 1e6 for name, s in harness.alternate(samplers).items()}
    over = us["step"] / (us["blas"] + us["bytes"])
    return [
        harness.figure(f"{shape}: its BLAS calls alone", us["blas"], "us"),
        harness.figure(f"{shape}: its bytes, {moved / 1e6:.2f} MB", us["bytes"], "us"),
        harness.figure(f"{shape}: bandwidth at that size", moved / us["bytes"] / 1e3, "GB/s"),
        harness.figure(f"{shape}: compiled step", us["step"], "us"),
        harness.figure(f"{shape}: compiled step over that sum", over, "x",
                       1.25 if shape == LARGE else None),
    ]


def counters(shape: Shape, steps: int = 20) -> list[Figure]:
    """Realizes, kernels launched, kernels compiled and plans built per step from step 3 on."""
    step, x, y = build_step(jittensor, shape)
    for _ in range(2):
        step(x, y).item()
    names = ("realizes", "kernels_launched", "kernels_compiled", "plans_built")
    before = {name: getattr(jittensor.stats(), name) for name in names}
    for _ in range(steps):
        step(x, y)
    after = jittensor.stats()
    limits = {"realizes": 1.0, "kernels_compiled": 0.0, "plans_built": 0.0}
    return [
        harness.figure(
            f"{shape}: {name.replace('_', ' ')} a step",
            (getattr(after, name) - before[name]) / steps,
            "",
            limits.get(name),
        )
        for name in names
    ]


def cases(shape: Shape, options: Any) -> list[Case]:
    eager = step_thunk(torch, shape) if torch is not None else None
    compiler = harness.inductor(options)
    inductor = step_thunk(torch, shape, compiler) if compiler is not None else None
    wanted = {LARGE: (1.0, 1.5), SMALL: (None, 3.0)}[shape]
    lazy, compiled = ({} if ratio is None else {EAGER: ratio} for ratio in wanted)
    return [
        Case(f"{shape}: lazy", step_thunk(jittensor, shape), eager, inductor, at_least=lazy),
        Case(
            f"{shape}: lazy, every loss read",
            step_thunk(jittensor, shape, looks=True),
            step_thunk(torch, shape, looks=True) if torch is not None else None,
            at_least=lazy,
        ),
        Case(
            f"{shape}: jittensor.compile",
            step_thunk(jittensor, shape, jittensor.compile),
            eager,
            inductor,
            at_least=compiled,
        ),
    ]


def main() -> None:
    options = harness.parse_options(__doc__ or "")
    rows: list[Row] = []
    figures: list[Figure] = []
    for shape in (LARGE, SMALL):
        measured = harness.run_cases(cases(shape, options), options)
        rows += measured
        if measured:
            figures += floor_figures(shape) + counters(shape)
    harness.report("training", rows, figures, options)


if __name__ == "__main__":
    main()
