"""Convolutions, pooling, batch norm and attention in; their times against PyTorch out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import harness
import jittensor
from harness import EAGER, Case, Thunk, both


def forward(make: Callable[[Any], Any], shape: tuple[int, ...]) -> Callable[[Any], Thunk]:
    """A forward pass without gradients of a module on noise."""
    def build(t: Any) -> Thunk:
        net, x = make(t), t.randn(*shape)
        harness.finish(t, x, *net.parameters())

        def run() -> Any:
            with t.no_grad():
                return harness.finish(t, net(x))

        return run

    return build


def training(make: Callable[[Any], Any], shape: tuple[int, ...]) -> Callable[[Any], Thunk]:
    """A forward and backward pass; its results are the output, which is kept so that nobody leaves
    it out, and the gradients of the input and all parameters."""
    def build(t: Any) -> Thunk:
        net, x = make(t), t.randn(*shape, requires_grad=True)
        leaves = [x, *net.parameters()]
        grad = t.randn(*net(x).shape)
        harness.finish(t, grad, *leaves)

        def run() -> Any:
            for leaf in leaves:
                leaf.grad = None
            out = net(x)
            out.backward(grad)
            return harness.finish(t, out, *[leaf.grad for leaf in leaves])

        return run

    return build


def attention(shape: tuple[int, ...], causal: bool, backward: bool) -> Callable[[Any], Thunk]:
    """Attention of queries, keys and values of one shape."""
    def build(t: Any) -> Thunk:
        q, k, v = (t.randn(*shape, requires_grad=backward) for _ in range(3))
        grad = t.randn(*shape)
        harness.finish(t, q, k, v, grad)

        def run() -> Any:
            out = t.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
            if not backward:
                return harness.finish(t, out)
            q.grad = k.grad = v.grad = None
            out.backward(grad)
            return harness.finish(t, out, q.grad, k.grad, v.grad)

        return run

    return build


def conv(*args: Any, dims: int = 2, **options: Any) -> Callable[[Any], Any]:
    """A maker of a convolution."""
    return lambda t: getattr(t.nn, f"Conv{dims}d")(*args, **options)


def block(t: Any) -> Any:
    """A convolution, batch norm, ReLU."""
    return t.nn.Sequential(t.nn.Conv2d(32, 64, 3, padding=1), t.nn.BatchNorm2d(64), t.nn.ReLU())


def lenet(t: Any) -> Any:
    """LeCun et al. 1998, with ReLU and maxima."""
    n = t.nn
    return n.Sequential(n.Conv2d(1, 6, 5, padding=2), n.ReLU(), n.MaxPool2d(2), n.Conv2d(6, 16, 5),
                        n.ReLU(), n.MaxPool2d(2), n.Flatten(), n.Linear(400, 120), n.ReLU(),
                        n.Linear(120, 84), n.ReLU(), n.Linear(84, 10))


MODULES = (
    ("3x3 32 to 64, 32x32", conv(32, 64, 3, padding=1), (16, 32, 32, 32)),
    ("3x3 32 to 64, 32x32, one picture", conv(32, 64, 3, padding=1), (1, 32, 32, 32)),
    ("3x3 3 to 64, 32x32", conv(3, 64, 3, padding=1), (32, 3, 32, 32)),
    ("3x3 64 to 64, 16x16", conv(64, 64, 3, padding=1), (32, 64, 16, 16)),
    ("3x3 128 to 256, 16x16, stride 2", conv(128, 256, 3, stride=2, padding=1), (32, 128, 16, 16)),
    ("3x3 256 to 256, 4x4", conv(256, 256, 3, padding=1), (32, 256, 4, 4)),
    ("1x1 64 to 256, 32x32", conv(64, 256, 1), (8, 64, 32, 32)),
    ("1x1 64 to 128, stride 2", conv(64, 128, 1, stride=2), (16, 64, 32, 32)),
    ("3x3 by channel, 64", conv(64, 64, 3, padding=1, groups=64), (16, 64, 32, 32)),
    ("7x7 3 to 64, 224x224, stride 2", conv(3, 64, 7, stride=2, padding=3), (1, 3, 224, 224)),
    ("conv1d 16 to 32, 200", conv(16, 32, 5, dims=1, padding=2), (32, 16, 200)),
    ("conv, batch norm, relu", block, (16, 32, 32, 32)),
    ("batch norm 64, 32x32", lambda t: t.nn.BatchNorm2d(64), (16, 64, 32, 32)),
    ("max pool 2, 32x32", lambda t: t.nn.MaxPool2d(2), (16, 32, 32, 32)),
    ("max pool 3, stride 2", lambda t: t.nn.MaxPool2d(3, 2, 1), (16, 64, 32, 32)),
    ("mean pool 2, 32x32", lambda t: t.nn.AvgPool2d(2), (16, 32, 32, 32)),
    ("LeNet, batch 64", lenet, (64, 1, 28, 28)),
)
ATTENTION = (((8, 6, 64, 64), True), ((8, 6, 64, 64), False), ((4, 8, 256, 64), False))


def cases() -> list[Case]:
    """All cases; each should be no slower than PyTorch."""
    wanted = {EAGER: 1.0}
    found = []
    for name, make, shape in MODULES:
        found.append(Case(f"{name}: forward", **both(forward(make, shape)), at_least=wanted))
        found.append(Case(f"{name}: training", **both(training(make, shape)), at_least=wanted))
    for shape, causal in ATTENTION:
        name = f"attention {'x'.join(map(str, shape))}{', causal' if causal else ''}"
        for backward, what in ((False, "forward"), (True, "training")):
            found.append(Case(f"{name}: {what}", **both(attention(shape, causal, backward)),
                              at_least=wanted))
    return found


def main() -> None:
    options = harness.parse_options(__doc__ or "")
    jittensor.manual_seed(0)
    harness.report("convolution", harness.run_cases(cases(), options), [], options)


if __name__ == "__main__":
    main()
