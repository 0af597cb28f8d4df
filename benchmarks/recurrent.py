"""Training steps and forward passes of recurrent networks in; their times against PyTorch out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import harness
import jittensor
from harness import EAGER, Case, Thunk, torch


@dataclass(frozen=True)
class Shape:
    """A recurrent network on sequences of one length."""

    kind: str
    layers: int
    hidden: int
    batch: int
    length: int
    inputs: int

    def __str__(self) -> str:
        return (f"{self.kind} {self.layers}x{self.hidden}, batch {self.batch}, "
                f"length {self.length}")


SHAPES = (Shape("LSTM", 2, 128, 32, 64, 128), Shape("GRU", 2, 128, 32, 64, 128),
          Shape("RNN", 2, 32, 10, 20, 32), Shape("LSTM", 1, 512, 64, 32, 256),
          Shape("LSTM", 1, 32, 1, 100, 16))


def build(t: Any, shape: Shape) -> tuple[Any, Any]:
    """The network and an input [length, batch, inputs]."""
    t.manual_seed(1)
    net = getattr(t.nn, shape.kind)(shape.inputs, shape.hidden, shape.layers)
    x = t.randn(shape.length, shape.batch, shape.inputs)
    harness.finish(t, x, *net.parameters())
    return net, x


def step_thunk(t: Any, shape: Shape, compiler: Callable[..., Any] | None = None) -> Thunk:
    """One training step (forward, backward, SGD), run to the end."""
    net, x = build(t, shape)
    optimizer = t.optim.SGD(net.parameters(), lr=1e-3)

    def step() -> Any:
        optimizer.zero_grad()
        output, _ = net(x)
        loss = (output * output).mean()
        loss.backward()
        optimizer.step()
        return loss

    if compiler is not None:
        step = compiler(step)
    return (lambda: step().realize()) if t is jittensor else step


def forward_thunk(t: Any, shape: Shape) -> Thunk:
    """A forward pass without gradients."""
    net, x = build(t, shape)

    def forward() -> Any:
        with t.no_grad():
            return harness.finish(t, net(x)[0])

    return forward


def cases(shape: Shape) -> list[Case]:
    """Training, compiled training and inference of one shape."""
    train = step_thunk(torch, shape) if torch is not None else None
    infer = forward_thunk(torch, shape) if torch is not None else None
    wanted = {EAGER: 1.0}
    return [
        Case(f"{shape}: training", step_thunk(jittensor, shape), train, at_least=wanted),
        Case(f"{shape}: jittensor.compile", step_thunk(jittensor, shape, jittensor.compile), train,
             at_least=wanted),
        Case(f"{shape}: forward", forward_thunk(jittensor, shape), infer, at_least=wanted),
    ]


def main() -> None:
    options = harness.parse_options(__doc__ or "")
    rows = harness.run_cases([case for shape in SHAPES for case in cases(shape)], options)
    harness.report("recurrent", rows, [], options)


if __name__ == "__main__":
    main()
