"""In: the example scripts, with small data and few steps. Out: what they print and write."""

from __future__ import annotations

import gzip
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jittensor as torch

ROOT = Path(__file__).parent.parent
PICTURE = b"\x89PNG\r\n"


def example(name: str, *arguments, as_torch: bool = True, fails: bool = False) -> str:
    """What an example prints, run with `python -m jittensor` or, without as_torch, `python`; what
    it prints to stderr where it is to fail."""
    command = [sys.executable, *(("-m", "jittensor") if as_torch else ()),
               str(ROOT / "examples" / name), *map(str, arguments)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def write_idx(path: Path, values: np.ndarray) -> None:
    """An IDX file of bytes; gzipped where the path ends with .gz."""
    head = struct.pack(f">BBBB{values.ndim}i", 0, 0, 8, values.ndim, *values.shape)
    data = head + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def mnist(tmp_path) -> Path:
    """A folder with 48 + 24 pictures of two kinds: a bright left half, a bright right half."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for part, count, end in (("train", 48, ".gz"), ("t10k", 24, "")):
        labels = np.arange(count) % 2
        images = np.zeros((count, 28, 28))
        images[labels == 0, :, :14] = 200
        images[labels == 1, :, 14:] = 200
        write_idx(folder / f"{part}-images-idx3-ubyte{end}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{end}", labels)
    return folder


def test_mnist_cnn(mnist, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    out = example("mnist_cnn.py", "--data", mnist, "--steps", 12, "--batch", 16, "--lr", 0.01,
                  "--out", tmp_path)
    assert f"MNIST in {mnist}: 48 pictures to train on, 24 to test on" in out
    first, last = map(float, re.search(r"first step (.*), last step (.*)", out).groups())
    assert 1.8 < first < 2.8 and last < 0.5 * first
    assert "test accuracy 1.000" in out
    assert (tmp_path / "mnist_cnn.png").read_bytes().startswith(PICTURE)
    saved = torch.load(tmp_path / "mnist_cnn.pth")
    assert len(saved["losses"]) == 12 and saved["model"]["conv2.weight"].shape == (32, 16, 3, 3)

    loaded = example("load_pytorch_checkpoint.py", tmp_path / "mnist_cnn.pth", "--model",
                     "mnist_cnn:Net", as_torch=False)
    assert re.search(r"^model.conv2.weight +float32 +\[32, 16, 3, 3\]$", loaded, re.M)
    assert loaded.endswith("loaded 8 tensors into Net\n")


def test_mnist_cnn_says_what_is_missing(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"")
    assert "does not hold train-images-idx3-ubyte" in example(
        "mnist_cnn.py", "--data", tmp_path, fails=True)


def test_char_gpt(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("tqdm")
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 40)
    out = example("char_gpt.py", text, "--steps", 20, "--batch", 4, "--context", 8, "--width", 16,
                  "--heads", 2, "--layers", 1, "--sample", 12, "--lr", 0.02, "--out", tmp_path)
    lines = out.splitlines()
    assert lines[0].startswith("1,800 characters, 28 different ones; ")
    checks = [float(line.split()[-1]) for line in lines if line.startswith("step ")]
    assert len(checks) == 4 and checks[-1] < checks[0] < np.log(28) + 0.2
    assert len(lines[-1]) == len("sample: ") + 13 and set(lines[-1]) <= set(text.read_text() + ":")
    assert (tmp_path / "char_gpt.png").read_bytes().startswith(PICTURE)
    saved = torch.load(tmp_path / "char_gpt.pth")
    assert saved["config"]["layers"] == 1 and len(saved["losses"]) == 20
    assert saved["model"]["token.weight"].shape == (28, 16)


def test_load_pytorch_checkpoint(tmp_path):
    out = example("load_pytorch_checkpoint.py", as_torch=False)
    assert re.search(r"^epoch +int +7$", out, re.M)
    assert re.search(r"^model.1.num_batches_tracked +int64 +\[\]$", out, re.M)
    assert out.endswith("loaded 9 tensors into Example\n")

    whole = tmp_path / "whole.pth"
    torch.save(torch.nn.Linear(2, 3), whole)
    said = example("load_pytorch_checkpoint.py", whole, as_torch=False, fails=True)
    assert "Linear was not an allowed global" in said and "weights_only=False" in said
    out = example("load_pytorch_checkpoint.py", whole, "--trust", as_torch=False)
    assert re.search(r"^weight +float32 +\[3, 2\]$", out, re.M) and out.endswith("9 elements\n")
    assert "there is no file" in example("load_pytorch_checkpoint.py", tmp_path / "none.pth",
                                         as_torch=False, fails=True)


def test_fusion():
    out = example("fusion.py", as_torch=False)
    assert "1 kernel, 1,050,624 bytes moved" in out and "── source of kernel 0 ──" in out
    assert out.splitlines()[-1] == "mean +0.2853, standard deviation 0.5869"
