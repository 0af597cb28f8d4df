"""Files written and read back: values, aliasing, places, damage, interrupted writes."""

from __future__ import annotations

import collections
import io
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

import jittensor as torch
from jittensor import serialization

FORMATS = [True, False]


def again(obj, zipped: bool = True, **options):
    """An object, saved and loaded."""
    file = io.BytesIO()
    torch.save(obj, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    return torch.load(file, **options)


def many_values():
    """Values of all kinds that files hold, by name."""
    x = torch.arange(6.0).reshape(2, 3)
    return {
        "plain": x, "turned": x.t(), "part": x[:, 1:], "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 3), "expanded": torch.ones(1, 3).expand(4, 3),
        **{str(d): torch.ones(3).to(d) for d in (
            torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int16,
            torch.int32, torch.bool, torch.complex64, torch.complex128)},
        "leaf": torch.ones(2, requires_grad=True), "parameter": torch.nn.Parameter(torch.ones(2)),
        "list": [1, -2.5, "text", None, True, b"bytes", 10**30, (), (1,), {1, 2}, 1 + 2j],
        "dict": {"a": {1: [x]}}, "ordered": collections.OrderedDict(b=1, a=2),
        "counter": collections.Counter("aab"), "size": x.shape, "dtype": torch.int64,
        "device": torch.device("cpu"), "layout": torch.strided, "state": torch.get_rng_state(),
    }


def alike(a, b) -> None:
    """Two values are the same, tensors with all that belongs to them."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert (a.dtype, a.shape, a.stride(), a.storage_offset(), a.requires_grad) == (
            b.dtype, b.shape, b.stride(), b.storage_offset(), b.requires_grad)
        assert a.tolist() == b.tolist()
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            alike(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for p, q in zip(a, b, strict=True):
            alike(p, q)
    elif isinstance(a, torch.layout):
        assert a is b
    else:
        assert a == b


@pytest.mark.parametrize("zipped", FORMATS)
@pytest.mark.parametrize("weights_only", [True, False])
def test_values_come_back(zipped, weights_only):
    values = many_values()
    loaded = again(values, zipped, weights_only=weights_only)
    alike(values, loaded)
    assert loaded["plain"].storage is loaded["turned"].storage is loaded["part"].storage
    assert loaded["dict"]["a"][1][0].storage is loaded["plain"].storage
    loaded["part"].zero_()
    assert loaded["plain"].tolist() == [[0, 0, 0], [3, 0, 0]]


@pytest.mark.parametrize("zipped", FORMATS)
def test_training_goes_on_where_it_was(zipped):
    def start():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
        return model, torch.optim.Adam(model.parameters(), lr=0.1)

    def step(model, optimizer):
        optimizer.zero_grad()
        model(torch.arange(12.0).reshape(4, 3)).pow(2).sum().backward()
        optimizer.step()

    model, optimizer = start()
    step(model, optimizer)
    state = again({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, zipped)
    assert state["model"]._metadata == model.state_dict()._metadata
    step(model, optimizer)
    other, its_optimizer = start()
    other.load_state_dict(state["model"])
    its_optimizer.load_state_dict(state["optimizer"])
    step(other, its_optimizer)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert a.tolist() == b.tolist()


def test_whole_modules():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.GELU(), torch.nn.Dropout(0.1))
    with pytest.raises(pickle.UnpicklingError, match="torch.nn.modules.container.Sequential"):
        again(model)
    loaded = again(model, weights_only=False)
    assert repr(loaded) == repr(model) and loaded[0].weight.tolist() == model[0].weight.tolist()
    allowed = [torch.nn.Sequential, torch.nn.Linear, torch.nn.GELU, torch.nn.Dropout]
    with serialization.safe_globals(allowed):
        loaded = again(model)
    assert loaded(torch.ones(1, 2)).shape == (1, 3)
    assert serialization.get_safe_globals() == []


def test_generators_and_sparse_tensors():
    generator = torch.Generator().manual_seed(5)
    torch.rand(3, generator=generator)
    loaded = again(generator, weights_only=False)
    assert torch.rand(2, generator=loaded).tolist() == torch.rand(2, generator=generator).tolist()
    x = torch.tensor([[0.0, 2.0], [3.0, 0.0]])
    for sparse in (x.to_sparse(), x.to_sparse_csr()):
        loaded = again(sparse)
        assert loaded.layout is sparse.layout and loaded.to_dense().tolist() == x.tolist()


def test_tensors_with_attributes_and_subclasses():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.note = "kept"
    assert again(parameter).note == "kept"
    x = torch.ones(2)
    x.note = [1]
    assert again(x).note == [1]


def test_lazy_modules():
    model = torch.nn.LazyLinear(2)
    loaded = again(model, weights_only=False)
    assert repr(loaded) == repr(model) and loaded(torch.ones(1, 3)).shape == (1, 2)


def test_one_storage_with_two_dtypes_is_refused():
    x = torch.ones(4)
    with pytest.raises(RuntimeError, match="as different types"):
        again([x, x.view(torch.int32)])


def test_storages():
    x = torch.arange(3.0)
    loaded = again({"typed": torch.FloatStorage(2).fill_(1.5), "x": x}, weights_only=True)
    assert loaded["typed"].tolist() == [1.5, 1.5] and loaded["typed"].dtype is torch.float32
    bytes_of = again(x.untyped_storage())
    assert bytes(bytes_of.tolist()) == x.numpy().tobytes()


# ── the archive ───────────────────────────────────────────────────────────────────────────────
def test_records_of_the_archive(tmp_path):
    path = tmp_path / "a.model.pth"
    torch.save({"x": torch.arange(5.0), "y": torch.ones(3, dtype=torch.int8)}, path)
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.model/" + name for name in (
            "data.pkl", ".format_version", ".storage_alignment", "byteorder", "data/0", "data/1",
            "version", ".data/serialization_id")]
        assert archive.read("a.model/version") == b"3\n"
        assert archive.read("a.model/byteorder") == sys.byteorder.encode()
        for info in archive.infolist():
            file.seek(info.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            assert (info.header_offset + 30 + name + extra) % 64 == 0
            assert info.compress_type == zipfile.ZIP_STORED


def test_files_paths_and_objects(tmp_path):
    x = torch.arange(3)
    for path in (tmp_path / "a.pt", str(tmp_path / "b")):
        torch.save(x, path)
        assert torch.load(path).tolist() == [0, 1, 2]
    with open(tmp_path / "c", "w+b") as file:
        file.write(b"before")
        torch.save(x, file)
    with zipfile.ZipFile(tmp_path / "c") as archive:
        assert "archive/data.pkl" in archive.namelist()

    class OnlyWrites:
        def __init__(self):
            self.data = b""

        def write(self, data):
            self.data += bytes(data)

    sink = OnlyWrites()
    torch.save(x, sink)
    assert torch.load(io.BytesIO(sink.data)).tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="Parent directory .* does not exist"):
        torch.save(x, tmp_path / "none" / "x.pt")
    with pytest.raises(AttributeError):
        torch.save(x, 3)
    with pytest.raises(FileNotFoundError):
        torch.load(tmp_path / "none.pt")


def test_a_compressed_archive_is_read(tmp_path):
    torch.save({"x": torch.arange(100)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(
            tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    for options in ({}, {"mmap": True}):
        assert torch.load(tmp_path / "b.pt", **options)["x"].sum().item() == 4950


def test_mapped_files(tmp_path):
    path = tmp_path / "m.pt"
    torch.save({"x": torch.arange(1000.0), "y": torch.ones(3)}, path)
    before = path.read_bytes()
    loaded = torch.load(path, mmap=True)
    assert isinstance(loaded["x"].storage.block.array.base, np.memmap) or isinstance(
        loaded["x"].storage.block.array, np.memmap)
    loaded["x"].add_(1)
    assert loaded["x"].sum().item() == 500500 and loaded["y"].tolist() == [1, 1, 1]
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="file name"):
        torch.load(io.BytesIO(before), mmap=True)
    torch.save(1, path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only"):
        torch.load(path, mmap=True)


def test_bytes_of_the_other_order(tmp_path):
    for values in (torch.tensor([1.0, 2.0]), torch.tensor([1 + 2j]), torch.tensor([1, 300])):
        torch.save(values, tmp_path / "a.pt")
        with zipfile.ZipFile(tmp_path / "a.pt") as old, zipfile.ZipFile(tmp_path / "b.pt",
                                                                       "w") as new:
            for name in old.namelist():
                data = old.read(name)
                if name.endswith("byteorder"):
                    data = b"big" if sys.byteorder == "little" else b"little"
                if "/data/" in name:
                    width = values.element_size() // (2 if values.is_complex() else 1)
                    data = np.frombuffer(data, f"u{width}").byteswap().tobytes()
                new.writestr(name, data)
        assert torch.load(tmp_path / "b.pt").tolist() == values.tolist()


# ── places ────────────────────────────────────────────────────────────────────────────────────
def on_gpu() -> io.BytesIO:
    """A file whose tensor was on a GPU."""
    file, out = io.BytesIO(), io.BytesIO()
    torch.save(torch.ones(2), file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"X\x03\x00\x00\x00cpu",
                                                      b"X\x06\x00\x00\x00cuda:0"))
    out.seek(0)
    return out


@pytest.mark.parametrize("place", ["cpu", torch.device("cpu"), {"cuda:0": "cpu"},
                                   lambda storage, tag: storage])
def test_map_location(place):
    assert torch.load(on_gpu(), map_location=place).tolist() == [1, 1]


def test_a_place_that_is_not_here():
    with pytest.raises(RuntimeError, match="CUDA device but torch.cuda.is_available"):
        torch.load(on_gpu())
    seen = []
    torch.load(on_gpu(), lambda storage, tag: seen.append((storage.nbytes(), tag)) or storage)
    assert seen == [(8, "cuda:0")]
    with pytest.raises(TypeError, match="map_location"):
        torch.load(on_gpu(), map_location=3)


def test_registered_places():
    from jittensor.serialization import locations
    before = list(locations._packages)
    serialization.register_package(5, lambda storage: "attic",
                                   lambda storage, tag: storage if tag == "attic" else None)
    try:
        file = io.BytesIO()
        torch.save(torch.ones(2), file)
        assert b"attic" in file.getvalue()
        file.seek(0)
        assert torch.load(file).tolist() == [1, 1]
    finally:
        locations._packages[:] = before
    file.seek(0)
    with pytest.raises(RuntimeError, match="attic"):
        torch.load(file)


# ── damaged and foreign files ─────────────────────────────────────────────────────────────────
def saved(zipped: bool) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    torch.save({"x": torch.arange(1000.0)}, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


@pytest.mark.parametrize("zipped", FORMATS)
@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(zipped, part):
    data = saved(zipped)
    with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)):
        torch.load(io.BytesIO(data[:int(part * len(data))]))


@pytest.mark.parametrize("size", [1000, 1_000_000])
@pytest.mark.parametrize("weights_only", [True, False])
def test_flipped_bits_are_noticed(size, weights_only):
    file = io.BytesIO()
    torch.save(torch.arange(size), file)
    data = bytearray(file.getvalue())
    data[data.index(np.arange(100, 200).tobytes())] ^= 1
    with pytest.raises(RuntimeError, match="checksums differ"):
        torch.load(io.BytesIO(bytes(data)), weights_only=weights_only)


@pytest.mark.parametrize("data,error,text", [
    (b"", EOFError, "empty"),
    (b"\x89HDF\r\n\x1a\n" + bytes(99), pickle.UnpicklingError, "HDF5"),
    (b"\x1f\x8b\x08" + bytes(99), pickle.UnpicklingError, "gzip"),
    (b"\x93NUMPY\x01\x00" + bytes(99), pickle.UnpicklingError, "NumPy array"),
    (b"<!DOCTYPE html><html>", pickle.UnpicklingError, "web page"),
    (b'{"a": 1}', pickle.UnpicklingError, "JSON"),
    (b"hello, this is a text\n", pickle.UnpicklingError, "text that begins"),
    (b"version https://git-lfs.github.com/spec/v1\n", pickle.UnpicklingError, "Git LFS"),
    (b"\x10\0\0\0\0\0\0\0" + b'{"a":{"dtype":1}', pickle.UnpicklingError, "safetensors"),
    (pickle.dumps({"a": 1}, 2), RuntimeError, "torch.save did not write it"),
])
def test_foreign_files(data, error, text):
    with pytest.raises(error, match=text):
        torch.load(io.BytesIO(data))


def test_foreign_archives():
    file = io.BytesIO()
    np.savez(file, a=np.ones(2))
    file.seek(0)
    with pytest.raises(RuntimeError, match="NumPy archive"):
        torch.load(file)
    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("m/data.pkl", b"")
        archive.writestr("m/constants.pkl", b"")
    file.seek(0)
    with pytest.raises(RuntimeError, match="TorchScript"):
        torch.load(file)


# ── writes that are interrupted ───────────────────────────────────────────────────────────────
def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(torch.ones(2), path)
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        torch.save([torch.zeros(2), lambda: 0], path)
    assert torch.load(path).tolist() == [1, 1] and os.listdir(tmp_path) == ["x.pt"]


def test_modes_and_links_stay(tmp_path):
    target, link = tmp_path / "real.pt", tmp_path / "link.pt"
    torch.save(1, target)
    target.chmod(0o640)
    link.symlink_to(target)
    torch.save(2, link)
    assert link.is_symlink() and torch.load(target) == 2
    assert target.stat().st_mode & 0o777 == 0o640


KILLED = """
import sys, jittensor as torch
big = torch.zeros(40_000_000)
print("ready", flush=True)
while True:
    torch.save(big, sys.argv[1])
"""


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save(torch.ones(3), path)
    old = path.stat().st_ino
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE,
                               text=True)
    assert process.stdout.readline() == "ready\n"
    while not any(name.endswith(".part") for name in os.listdir(tmp_path)):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    loaded = torch.load(path)                      # the old one, or a whole new one
    assert loaded.tolist() == [1, 1, 1] if path.stat().st_ino == old else (
        loaded.shape == (40_000_000,))


# ── options ───────────────────────────────────────────────────────────────────────────────────
def test_a_pickle_module_of_ones_own(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": torch.ones(1)}, path, pickle_module=pickle, pickle_protocol=4)
    assert torch.load(path, pickle_module=pickle)["a"].item() == 1
    with pytest.raises(RuntimeError, match="pickle_module"):
        torch.load(path, pickle_module=pickle, weights_only=True)


def test_environment_forces_weights_only(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    torch.save(Path("a"), path)
    assert torch.load(path, weights_only=False) == Path("a")
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=False)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.raises(RuntimeError, match="both set"):
        torch.load(path)
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    assert torch.load(path) == Path("a")


def test_default_options():
    assert serialization.get_default_load_endianness() is None
    serialization.set_default_load_endianness(serialization.LoadEndianness.LITTLE)
    assert serialization.get_default_load_endianness() is serialization.LoadEndianness.LITTLE
    serialization.set_default_load_endianness(None)
    with pytest.raises(TypeError):
        serialization.set_default_load_endianness("little")
    with serialization.set_default_mmap_options(serialization.MAP_SHARED):
        assert serialization.get_default_mmap_options() == serialization.MAP_SHARED
    assert serialization.get_default_mmap_options() == serialization.MAP_PRIVATE
    with pytest.raises(ValueError):
        serialization.set_default_mmap_options(77)
