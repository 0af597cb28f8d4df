"""A .pth file that PyTorch wrote in, its names, shapes and dtypes (and a model with them) out.

python examples/load_pytorch_checkpoint.py [file.pth] [--key model] [--model mnist_cnn:Net]

`--model module:class` names a model to load the tensors into; it may be written with
`import torch`. Without a file, one is written first, to a temporary folder.
"""

import argparse
import importlib
import pickle
import tempfile
from pathlib import Path

import jittensor as torch
from jittensor import nn

ADVICE = """
A pickle can run any code, so by default only tensors, numbers, text and containers of them are
loaded. Either allow the class that is named above, or, if you trust whoever wrote the file, load
all of it with torch.load(path, weights_only=False) (here: --trust) and save its state_dict()."""


class Example(nn.Sequential):
    """[batch, 4] in, [batch, 3] out: what is saved and loaded where no file is given."""

    def __init__(self):
        super().__init__(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def write_example(folder: Path) -> Path:
    """A checkpoint as training scripts save it: model, optimizer, counters."""
    model = Example()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    path = folder / "checkpoint.pth"
    torch.save({"epoch": 7, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return path


def load(path: Path, trust: bool):
    """What the file holds; advice where it holds what is not loaded unasked."""
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        raise SystemExit(f"{error}\n{ADVICE}") from None
    except FileNotFoundError:
        raise SystemExit(f"there is no file {path}") from None


def show(value, name: str = "") -> int:
    """Prints what stands under a name, level by level; the number of tensors' elements."""
    if isinstance(value, nn.Module):
        value = value.state_dict()
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        print(f"{name:40} {dtype:10} {list(value.shape)}")
        return value.numel()
    if isinstance(value, (dict, list, tuple)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        if not value or not _holds_tensors(value):
            print(f"{name:40} {type(value).__name__} of {len(value)}")
            return 0
        return sum(show(v, f"{name}.{k}" if name else str(k)) for k, v in items)
    print(f"{name:40} {type(value).__name__:10} {value!r:.60}")
    return 0


def _holds_tensors(value) -> bool:
    """Whether a container is one to be shown item by item."""
    items = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict) or any(
        isinstance(v, (torch.Tensor, nn.Module, dict, list, tuple)) for v in items)


def state_dict_in(checkpoint, key: str | None) -> dict:
    """The model's tensors: the file itself, or what stands under a key that is usual."""
    if isinstance(checkpoint, nn.Module):
        return checkpoint.state_dict()
    if not isinstance(checkpoint, dict):
        raise SystemExit(f"the file holds no state_dict but a {type(checkpoint).__name__}")
    if key is not None:
        if key not in checkpoint:
            raise SystemExit(f"no {key!r} in the file: it has {', '.join(map(str, checkpoint))}")
        return checkpoint[key]
    for usual in ("state_dict", "model_state_dict", "model", "net"):
        if isinstance(checkpoint.get(usual), dict):
            return checkpoint[usual]
    return checkpoint


def class_named(name: str) -> type:
    """The class that 'module:class' names; its module may say `import torch`."""
    torch.as_torch()
    module, _, cls = name.partition(":")
    return getattr(importlib.import_module(module), cls)


def load_into(model: nn.Module, state: dict) -> nn.Module:
    """The model with the tensors in it, for evaluation; RuntimeError names what does not fit."""
    state = {k.removeprefix("module."): v for k, v in state.items()}  # of DataParallel
    model.load_state_dict(state)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--key", help="where the model's tensors stand in the file")
    parser.add_argument("--model", help="module:class, made without arguments, to load into")
    parser.add_argument("--trust", action="store_true", help="load objects of any class")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        path = args.file or write_example(Path(folder))
        checkpoint = load(path, args.trust)
        if args.file is None:
            print("no file given: this one was written by jittensor itself")
    elements = show(checkpoint)
    print(f"{elements:,} elements")
    if args.model or args.file is None:
        state = state_dict_in(checkpoint, args.key)
        model = load_into(class_named(args.model)() if args.model else Example(), state)
        print(f"loaded {len(state)} tensors into {type(model).__name__}")


if __name__ == "__main__":
    main()
