"""Named compositions on float32 matrices in; kernels and times against PyTorch out.

Each is run in its named form and in variants written by hand: operands swapped, operands
transposed (the same memory seen through permuted strides), an intermediate kept alive, odd sizes.
A variant is wanted within 1.3 times of its named form: speed must come from the engine, not from
a known pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import harness
import jittensor
from harness import EAGER, Case, Row, torch

ROWS, COLUMNS = 4096, 1024
EPS = 1e-5
Form = Callable[..., Any]


@dataclass(frozen=True)
class Composition:
    """A computation f(module, x, r, w, b): x and r [rows, columns], w and b [columns].

    swapped computes the same from operands in another order, transposed the same from x.t() and
    r.t(), live returns an intermediate beside the result, warm is PyTorch with out= buffers.
    """

    name: str
    form: Form
    swapped: Form
    transposed: Form
    live: Form
    warm: Form | None
    kernels: int
    faster: float


def chain(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return (x * 2 + 1).relu() * x - t.exp(-x * x)


def chain_swapped(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return -t.exp(x * -x) + x * (1 + 2 * x).relu()


def chain_live(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    positive = (x * 2 + 1).relu()
    return positive * x - t.exp(-x * x), positive


def chain_warm(x: Any, r: Any, w: Any, b: Any, one: Any, two: Any) -> Any:
    torch.mul(x, 2, out=one).add_(1).relu_().mul_(x)
    return one.sub_(torch.neg(x, out=two).mul_(x).exp_())


def gelu(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return t.nn.functional.gelu(x + b) + r


def gelu_swapped(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return r + t.nn.functional.gelu(b + x)


def gelu_transposed(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return t.nn.functional.gelu(x + b.unsqueeze(1)) + r


def gelu_live(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    biased = x + b
    return t.nn.functional.gelu(biased) + r, biased


def gelu_warm(x: Any, r: Any, w: Any, b: Any, one: Any, two: Any) -> Any:
    torch._C._nn.gelu(torch.add(x, b, out=one), out=two)
    return two.add_(r)


def rmsnorm(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return x * (x.pow(2).mean(-1, keepdim=True) + EPS).rsqrt() * w


def rmsnorm_swapped(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return w * (t.rsqrt(EPS + (x * x).mean(-1, keepdim=True)) * x)


def rmsnorm_transposed(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return x * (x.pow(2).mean(0, keepdim=True) + EPS).rsqrt() * w.unsqueeze(1)


def rmsnorm_live(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    scale = (x.pow(2).mean(-1, keepdim=True) + EPS).rsqrt()
    return x * scale * w, scale


def rmsnorm_warm(x: Any, r: Any, w: Any, b: Any, one: Any, two: Any) -> Any:
    scale = two.view(-1)[: x.shape[0]].view(-1, 1)
    torch.mean(torch.mul(x, x, out=one), -1, keepdim=True, out=scale)
    return torch.mul(x, scale.add_(EPS).rsqrt_(), out=one).mul_(w)


def layer_norm(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return t.nn.functional.layer_norm(x, x.shape[-1:], w, b, EPS)


def layer_norm_swapped(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    centred = x - x.mean(-1, keepdim=True)
    return b + w * (t.rsqrt(EPS + (centred * centred).mean(-1, keepdim=True)) * centred)


def layer_norm_transposed(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    centred = x - x.mean(0, keepdim=True)
    scale = ((centred * centred).mean(0, keepdim=True) + EPS).rsqrt()
    return centred * scale * w.unsqueeze(1) + b.unsqueeze(1)


def layer_norm_live(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    mean = x.mean(-1, keepdim=True)
    scale = ((x - mean).pow(2).mean(-1, keepdim=True) + EPS).rsqrt()
    return (x - mean) * scale * w + b, mean


def softmax(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return x.softmax(-1)


def softmax_swapped(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    exps = t.exp(-x.amax(-1, keepdim=True) + x)
    return 1 / exps.sum(-1, keepdim=True) * exps


def softmax_transposed(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return x.softmax(0)


def softmax_live(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    largest = x.amax(-1, keepdim=True)
    exps = t.exp(x - largest)
    return exps / exps.sum(-1, keepdim=True), largest


def softmax_warm(x: Any, r: Any, w: Any, b: Any, one: Any, two: Any) -> Any:
    return torch.softmax(x, -1, out=one)


def variance(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return x.var()


def variance_swapped(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    return (x.mean() - x).square().sum() / (x.numel() - 1)


def variance_live(t: Any, x: Any, r: Any, w: Any, b: Any) -> Any:
    mean = x.mean()
    return (x - mean).pow(2).sum() / (x.numel() - 1), mean


def variance_warm(x: Any, r: Any, w: Any, b: Any, one: Any, two: Any) -> Any:
    return torch.var(x, dim=(0, 1), correction=1, out=one.view(-1)[0])


# columns: form, swapped, transposed, live, warm; kernels; wanted over torch eager
COMPOSITIONS = [
    Composition(name, *forms, kernels=kernels, faster=faster)
    for name, forms, kernels, faster in (
        ("chain", (chain, chain_swapped, chain, chain_live, chain_warm), 1, 5.0),
        (
            "bias+gelu+residual",
            (gelu, gelu_swapped, gelu_transposed, gelu_live, gelu_warm),
            1,
            3.0,
        ),
        (
            "rmsnorm",
            (rmsnorm, rmsnorm_swapped, rmsnorm_transposed, rmsnorm_live, rmsnorm_warm),
            1,
            1.0,
        ),
        (
            "layer_norm",  # PyTorch's has no form that writes into a given buffer
            (layer_norm, layer_norm_swapped, layer_norm_transposed, layer_norm_live, None),
            1,
            1.0,
        ),
        (
            "softmax",
            (softmax, softmax_swapped, softmax_transposed, softmax_live, softmax_warm),
            1,
            1.0,
        ),
        ("variance", (variance, variance_swapped, variance, variance_live, variance_warm), 2, 1.0),
    )
]


def inputs(t: Any, rows: int, columns: int) -> tuple[Any, ...]:
    """x, r [rows, columns] and w, b [columns], the same numbers in both libraries."""
    t.manual_seed(1)
    made = [t.randn(*shape) for shape in [(rows, columns)] * 2 + [(columns,)] * 2]
    harness.finish(t, *made)
    return tuple(made)


def thunk(t: Any, form: Form, *operands: Any) -> Callable[[], Any]:
    """`form` on `operands`, run to the end; a tuple that it returns is kept alive whole."""

    def call() -> Any:
        result = form(t, *operands)
        return harness.finish(t, *(result if isinstance(result, tuple) else (result,)))

    return call


def named_case(c: Composition, options: Any) -> Case:
    """The named form against PyTorch's eager mode, torch.compile and out= into warm buffers."""
    columns: dict[str, Any] = harness.both(lambda t: thunk(t, c.form, *inputs(t, ROWS, COLUMNS)))
    if torch is not None:
        operands = inputs(torch, ROWS, COLUMNS)
        one, two = torch.empty(ROWS, COLUMNS), torch.empty(ROWS, COLUMNS)
        if c.warm is not None:
            warm = c.warm
            columns["out"] = lambda: warm(*operands, one, two)
        compiler = harness.inductor(options)
        if compiler is not None:
            fused = compiler(lambda *tensors: c.form(torch, *tensors))
            columns["compiled"] = lambda: fused(*operands)
    wanted = {EAGER: c.faster, harness.COMPILE: 1.0}
    return Case(c.name, **columns, at_least=wanted, kernels=c.kernels)


def variant_cases(c: Composition) -> list[Case]:
    """The variants, each beside the named form, which is the column to be within 1.3 times of."""
    x, r, w, b = inputs(jittensor, ROWS, COLUMNS)
    odd = inputs(jittensor, ROWS - 1, COLUMNS - 1)
    reference = thunk(jittensor, c.form, x, r, w, b)
    forms = {
        "operands swapped": thunk(jittensor, c.swapped, x, r, w, b),
        "operands transposed": thunk(jittensor, c.transposed, x.t(), r.t(), w, b),
        "live intermediate": thunk(jittensor, c.live, x, r, w, b),
        f"{ROWS - 1}x{COLUMNS - 1}": thunk(jittensor, c.form, *odd),
    }
    return [
        Case(
            f"{c.name}, {what}",
            call,
            extra={"named form": reference},
            at_least={"named form": 1 / 1.3},
            kernels=c.kernels,
        )
        for what, call in forms.items()
    ]


def main() -> None:
    options = harness.parse_options(__doc__ or "")
    rows: list[Row] = []
    for composition in COMPOSITIONS:  # built one by one: inputs and buffers of one at a time
        if not options.only or options.only in composition.name:
            cases = [named_case(composition, options), *variant_cases(composition)]
            rows += [harness.measure(case, options) for case in cases]
    harness.report("fusion", rows, [], options)


if __name__ == "__main__":
    main()
