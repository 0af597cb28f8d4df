"""Programs whose arithmetic is next to nothing in; what recording, planning and dispatch cost out.

Eight numbers a tensor: whatever time is measured is the library's own. --profile prints where
jittensor's goes, by function.
"""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable
from typing import Any

import harness
import jittensor
from harness import EAGER, Case, Thunk, torch

CHAIN = 100


def twenty(x: Any, y: Any) -> Any:
    """Twenty operations, each on the result of the one before; x and y [8]."""
    for _ in range(4):
        x = ((x * 0.5 + y).tanh() - 0.25).abs()
    return x


def eight(t: Any) -> tuple[Any, Any]:
    """Two tensors of eight numbers, realized."""
    t.manual_seed(1)
    x, y = t.rand(8), t.rand(8)
    harness.finish(t, x, y)
    return x, y


def realized_thunk(t: Any, function: Callable[..., Any]) -> Thunk:
    """`function` on eight numbers, run to the end."""
    x, y = eight(t)
    if t is jittensor:
        return lambda: function(x, y).realize()
    return lambda: function(x, y)


def adds_thunk(t: Any) -> Thunk:
    """Seconds to call a chain of adds: recorded only in jittensor, run in PyTorch's eager mode."""
    x, y = eight(t)

    def timed() -> float:
        z = x
        began = time.perf_counter()
        for _ in range(CHAIN):
            z = z + y
        seconds = time.perf_counter() - began
        harness.finish(t, z)  # outside the clock
        return seconds

    return timed


def network(t: Any) -> tuple[Any, Any, Any, Any]:
    """A model of eight modules, its loss function, and a batch x [2, 8], y [2]."""
    t.manual_seed(1)
    nn = t.nn
    model = nn.Sequential(
        *(layer for _ in range(4) for layer in (nn.Linear(8, 8), nn.ReLU())),
    )
    x, y = t.randn(2, 8), t.randint(0, 8, (2,))
    harness.finish(t, x, y, *model.parameters())
    return model, nn.CrossEntropyLoss(), x, y


FORWARD_OPS = 9  # four linear, four relu, the loss


def pass_thunk(t: Any, backward: bool) -> Thunk:
    """Seconds for the forward pass alone, or for the backward pass alone, of `network`."""
    model, loss_fn, x, y = network(t)

    def timed() -> float:
        model.zero_grad()
        began = time.perf_counter()
        loss = loss_fn(model(x), y)
        middle = time.perf_counter()
        loss.backward()
        end = time.perf_counter()
        harness.finish(t, loss, *(p.grad for p in model.parameters()))
        return end - middle if backward else middle - began

    return timed


def cases(options: Any) -> list[Case]:
    compiled = jittensor.compile(twenty)
    eager = realized_thunk(torch, twenty) if torch is not None else None
    compiler = harness.inductor(options)
    inductor = realized_thunk(torch, compiler(twenty)) if compiler is not None else None
    return [
        Case(
            "twenty dependent operations",
            realized_thunk(jittensor, twenty),
            eager,
            inductor,
            at_least={EAGER: 1 / 4},
        ),
        Case(
            "the same under jittensor.compile",
            realized_thunk(jittensor, compiled),
            eager,
            inductor,
            at_least={EAGER: 1.0},
        ),
        Case(
            "a known plan of one kernel",
            **harness.both(lambda t: realized_thunk(t, lambda x, y: x + y)),
            limit_us=30.0,
        ),
        Case(
            "per operation: recording adds",
            **harness.both(adds_thunk),
            per=CHAIN,
            self_timed=True,
        ),
        Case(
            "per operation: recording a forward pass",
            **harness.both(lambda t: pass_thunk(t, False)),
            per=FORWARD_OPS,
            self_timed=True,
        ),
        Case(
            "per forward operation: recording its backward pass",
            **harness.both(lambda t: pass_thunk(t, True)),
            per=FORWARD_OPS,
            self_timed=True,
        ),
    ]


def split_of_twenty(options: Any) -> list[harness.Figure]:
    """What recording, and what realizing, contributes to one operation of the twenty."""
    x, y = eight(jittensor)
    recording, realizing = [], []
    for _ in range(50 if options.quick else 1000):
        began = time.perf_counter()
        z = twenty(x, y)
        middle = time.perf_counter()
        z.realize()
        realizing.append(time.perf_counter() - middle)
        recording.append(middle - began)
    recorded, realized = (sorted(s)[len(s) // 2] * 1e6 / 20 for s in (recording, realizing))
    return [
        harness.figure("twenty: recording, per operation", recorded, "us", 4.0),
        harness.figure("twenty: key, bind and run, per operation", realized, "us", 2.0),
    ]


def profile(name: str, thunk: Thunk, calls: int) -> None:
    """Print the functions of `calls` calls of `thunk` by the time spent in each."""
    thunk()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(calls):
        thunk()
    profiler.disable()
    print(f"\n-- profile: {name}, {calls} calls")
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    options = harness.parse_options(
        __doc__ or "", lambda parser: parser.add_argument("--profile", action="store_true")
    )
    rows = harness.run_cases(cases(options), options)
    figures = [] if options.only else split_of_twenty(options)
    harness.report("overhead", rows, figures, options)
    if options.profile:
        profile("twenty operations, realized", realized_thunk(jittensor, twenty), 500)
        profile("forward and backward pass", pass_thunk(jittensor, True), 100)


if __name__ == "__main__":
    main()
