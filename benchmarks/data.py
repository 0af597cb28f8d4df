"""Batches and files: time for a batch of a DataLoader, and for saving and loading a state_dict.

    python benchmarks/data.py [--quick] [--only NAME] [--json FILE]
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import Case, Thunk, both, parse_options, report, run_cases

ROWS, WIDTH, BATCH = 8192, 784, 64
BATCHES = ROWS // BATCH


class Samples:
    """A user's dataset: a tensor and a number for each index."""

    def __init__(self, module: Any):
        self.x = module.rand(ROWS, WIDTH)

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> tuple:
        return self.x[index], index


class Images:
    """Samples of which a batch has 2.4 MB, so that moving them is what is measured."""

    def __init__(self, module: Any):
        self.x = module.rand(64, 3, 56, 56)

    def __len__(self) -> int:
        return 32 * BATCH

    def __getitem__(self, index: int) -> Any:
        return self.x[index % 64]


def tensor_dataset(module: Any) -> Any:
    """Rows and labels."""
    return module.utils.data.TensorDataset(module.rand(ROWS, WIDTH),
                                           module.randint(0, 10, (ROWS,)))


def epoch(loader: Any) -> Thunk:
    """One pass over a loader."""
    def run() -> None:
        for _ in loader:
            pass

    return run


def loading(make: Any, **options: Any) -> dict[str, Thunk]:
    """A pass over a dataset in batches."""
    return both(lambda m: epoch(m.utils.data.DataLoader(make(m), BATCH, **options)))


def state(module: Any) -> dict[str, Any]:
    """The parameters of twelve layers: 100 MB."""
    layers = [module.nn.Linear(1024, 2048) for _ in range(12)]
    return module.nn.Sequential(*layers).state_dict()


def files(folder: Path) -> Iterator[Case]:
    """Saving and loading."""
    def saving(module: Any) -> Thunk:
        tensors = state(module)
        return lambda: module.save(tensors, folder / f"{module.__name__}.pt")

    def reading(mmap: bool) -> Any:
        def build(module: Any) -> Thunk:
            path = folder / f"{module.__name__}.read.pt"
            module.save(state(module), path)
            return lambda: module.load(path, mmap=mmap)

        return build

    def many(module: Any) -> Thunk:
        tensors = {f"layer.{k}.weight": module.ones(4) for k in range(1000)}
        path = folder / f"{module.__name__}.many.pt"

        def run() -> None:
            module.save(tensors, path)
            module.load(path)

        return run

    yield Case("save 100 MB", **both(saving), at_least={"torch eager": 1.0})
    # checksums are compared here, which PyTorch leaves out
    yield Case("load 100 MB", **both(reading(False)), at_least={"torch eager": 0.5})
    yield Case("load 100 MB, mapped", **both(reading(True)))
    yield Case("save and load 1000 small tensors", **both(many))


def cases(folder: Path) -> Iterator[Case]:
    """All cases; times are for one batch, or for one file."""
    want = {"at_least": {"torch eager": 1.0}, "per": BATCHES}
    yield Case("TensorDataset, in order", **loading(tensor_dataset), **want)
    yield Case("TensorDataset, shuffled", **loading(tensor_dataset, shuffle=True), **want)
    yield Case("own dataset, in order", **loading(Samples), **want)
    yield Case("own dataset, 2 workers",
               **loading(Samples, num_workers=2, persistent_workers=True), **want)
    yield Case("2.4 MB batches, 2 workers",
               **loading(Images, num_workers=2, persistent_workers=True),
               at_least={"torch eager": 1.0}, per=32)
    yield from files(folder)


def main() -> None:
    """Runs the cases."""
    options = parse_options(__doc__.splitlines()[0])
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        report("data", run_cases(cases(Path(folder)), options), [], options)


if __name__ == "__main__":
    main()
