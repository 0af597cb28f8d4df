"""Single operators on a million float32 elements in; times against PyTorch eager out.

Each operator is wanted at no less than 0.9 of PyTorch's speed, and the median of the table at
1.5 times. The row for CSR @ dense has SciPy beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

import harness
import jittensor
from harness import EAGER, Case, Figure, torch

SIDE = 1024
COUNT = SIDE * SIDE
SLOWEST, MEDIAN = 0.9, 1.5


def inputs(t: Any) -> dict[str, Any]:
    """The operands, the same numbers for both libraries, in memory of each library's own."""
    rng = np.random.default_rng(0)

    def own(array: np.ndarray) -> Any:
        return t.tensor(array)

    square = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    return {
        "x": own(square), "y": own(rng.standard_normal((SIDE, SIDE), dtype=np.float32)),
        "flat": own(square.reshape(-1).copy()),
        "columns": own(rng.integers(0, SIDE, (SIDE, SIDE))),
        "places": own(rng.integers(0, COUNT, COUNT)),
        "rows": own(rng.integers(0, SIDE, SIDE)),
        "table": own(rng.standard_normal((50_000, 64), dtype=np.float32)),
        "tokens": own(rng.integers(0, 50_000, (128, 128))),
    }


def operators() -> dict[str, Callable[[Any, dict[str, Any]], Any]]:
    """Operator name to f(module, operands)."""
    return {
        "sort": lambda t, v: t.sort(v["x"], dim=-1)[0],
        "sort flat": lambda t, v: t.sort(v["flat"])[0],
        "topk 32": lambda t, v: t.topk(v["x"], 32, dim=-1)[0],
        "cumsum rows": lambda t, v: t.cumsum(v["x"], 1),
        "cumsum columns": lambda t, v: t.cumsum(v["x"], 0),
        "gather": lambda t, v: t.gather(v["x"], 1, v["columns"]),
        "scatter_add": lambda t, v: t.zeros(SIDE, SIDE).scatter_add_(1, v["columns"], v["x"]),
        "index_put": lambda t, v: t.zeros(COUNT).index_put_((v["places"],), v["flat"]),
        "index_select": lambda t, v: v["x"][v["rows"]],
        "cat": lambda t, v: t.cat([v["x"], v["y"]], 1),
        "transposed add": lambda t, v: v["x"].t() + v["y"],
        "column sums": lambda t, v: v["x"].sum(0),
        "row sums": lambda t, v: v["x"].sum(1),
        "embedding": lambda t, v: t.nn.functional.embedding(v["tokens"], v["table"]),
        "where": lambda t, v: t.where(v["x"] > 0, v["x"], v["y"]),
        "comparison": lambda t, v: v["x"] < v["y"],
        "argmax": lambda t, v: v["x"].argmax(1),
        "exp": lambda t, v: v["x"].exp(),
        "add": lambda t, v: v["x"] + v["y"],
    }


def thunk(t: Any, operands: dict[str, Any], function: Callable) -> Callable[[], Any]:
    """A call of the operator that leaves nothing pending."""
    if t is jittensor:
        return lambda: function(t, operands).realize()
    return lambda: function(t, operands)


def csr_case() -> Case:
    """CSR @ dense: 1 % of [8192, 8192] times [8192, 64]; SciPy beside PyTorch."""
    import scipy.sparse

    rng = np.random.default_rng(1)
    a = scipy.sparse.random(8192, 8192, density=0.01, format="csr", dtype=np.float32, rng=rng)
    dense = rng.standard_normal((8192, 64), dtype=np.float32)

    def build(t: Any) -> Callable[[], Any]:
        matrix = t.sparse_csr_tensor(t.tensor(a.indptr.astype(np.int64)),
                                     t.tensor(a.indices.astype(np.int64)), t.tensor(a.data),
                                     size=a.shape)
        right = t.tensor(dense)
        return thunk(t, {}, lambda _t, _v: matrix @ right)

    return Case("CSR @ dense", **harness.both(build), extra={"scipy": lambda: a @ dense},
                at_least={EAGER: SLOWEST})


def cases() -> list[Case]:
    """A case an operator."""
    ours = inputs(jittensor)
    theirs = inputs(torch) if torch is not None else None
    out = []
    for name, function in operators().items():
        eager = None if theirs is None else thunk(torch, theirs, function)
        out.append(Case(name, thunk(jittensor, ours, function), eager,
                        at_least={EAGER: SLOWEST}))
    return [*out, csr_case()]


def main() -> None:
    options = harness.parse_options(__doc__ or "")
    rows = harness.run_cases(cases(), options)
    ratios = [row.ratio[EAGER] for row in rows if EAGER in row.ratio]
    figures = []
    if ratios:
        median = statistics.median(ratios)
        figures.append(Figure("median speed against torch eager", median, "times",
                              ok=median >= MEDIAN))
    harness.report("operators", rows, figures, options)


if __name__ == "__main__":
    main()
