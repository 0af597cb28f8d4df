"""The operator table in; how many kernels it takes, and how long compiling them, out.

    python benchmarks/compile_counts.py [--every 8] [--dtypes float32 int64]

Every elementwise operator of the table runs forwards and, where it has a gradient, backwards on a
contiguous and a transposed tensor, in a process with an empty kernel cache. A second process does
the same again and should compile nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile

from compile_time import ROOT, environment


def run_table(every: int, dtypes: list[str]) -> dict[str, float]:
    """Runs every `every`-th operator; the counters of this process."""
    import jittensor as torch
    from jittensor.graph.ops import ELEMENTWISE, OPS
    from jittensor.record import elementwise

    refused = 0
    rows = [op for op in OPS.values() if op.kind == ELEMENTWISE and op.args][::every]
    for name in dtypes:
        dtype = getattr(torch, name)
        for op in rows:
            for turned in (False, True):
                low, high = op.domain
                x = torch.linspace(max(low, -3), min(high, 3), 12).to(dtype).view(3, 4)
                x = x.t() if turned else x
                operands = [x.clone() for _ in op.args]
                floating = dtype.is_floating_point
                for operand in operands:
                    operand.requires_grad_(floating and bool(op.grads))
                try:
                    out = elementwise(op, *operands)
                    if out.requires_grad:
                        out.sum().backward()
                    torch.realize()
                except (RuntimeError, TypeError, NotImplementedError):
                    refused += 1        # this dtype is not the operator's
    stats = torch.stats()
    return {"operators": len(rows), "refused": refused, "compiled": stats.kernels_compiled,
            "loaded": stats.kernels_loaded, "launched": stats.kernels_launched,
            "seconds": round(stats.compile_seconds, 2)}


def measured(every: int, dtypes: list[str], cache: str) -> dict[str, float]:
    """The counters of a fresh process with the kernel cache in `cache`."""
    command = [sys.executable, __file__, "--inside", "--every", str(every), "--dtypes", *dtypes]
    run = subprocess.run(command, env=environment(cache), cwd=ROOT, capture_output=True, text=True,
                         check=True)
    return json.loads(run.stdout.splitlines()[-1])


def main() -> int:
    """The command line; 1 when a second process compiled something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="only each n-th operator")
    parser.add_argument("--dtypes", nargs="+", default=["float32"])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        print(json.dumps(run_table(given.every, given.dtypes)))
        return 0
    with tempfile.TemporaryDirectory() as cache:
        first = measured(given.every, given.dtypes, cache)
        again = measured(given.every, given.dtypes, cache)
    names = ", ".join(given.dtypes)
    print(f"{first['operators']} operators in {names}: {first['compiled']} kernels"
          f" compiled in {first['seconds']} s, {first['launched']} launches")
    print(f"second process: {again['compiled']} compiled, {again['loaded']} loaded, "
          f"{again['launched']} launches")
    return int(again["compiled"] > 0)


if __name__ == "__main__":
    sys.exit(main())
