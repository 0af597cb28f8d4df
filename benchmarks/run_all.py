"""Every benchmark script in, each run in a process of its own; one table and one JSON file out."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
from harness import Figure, Row

SCRIPTS = ("fusion", "overhead", "training", "compile_time", "operators", "recurrent")


def run_script(name: str, options: Any, folder: Path) -> dict[str, Any]:
    """Run benchmarks/<name>.py with this run's options and return what it wrote."""
    result = folder / f"{name}.json"
    command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), "--json", str(result)]
    command += ["--quick"] * options.quick + ["--no-compile"] * options.no_compile
    command += ["--only", options.only] if options.only else []
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return json.loads(result.read_text())


def main() -> None:
    options = harness.parse_options(__doc__ or "")
    rows: list[Row] = []
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in SCRIPTS:
            result = run_script(name, options, Path(folder))
            rows += [Row(**row) for row in result["rows"]]
            figures += [Figure(**f) for f in result["figures"]]
    harness.report("all benchmarks", rows, figures, options)


if __name__ == "__main__":
    main()
