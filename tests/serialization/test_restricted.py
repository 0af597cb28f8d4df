"""Hostile files: nothing that a file names is imported, called or changed unless it is allowed."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest

import jittensor as torch
from jittensor import serialization
from jittensor.serialization.restricted import RestrictedUnpickler

MARK = "JITTENSOR_RAN_IT"


def archive(data: bytes, **records: bytes) -> io.BytesIO:
    """A file in the zip format with this pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("m/data.pkl", data)
        for name, record in records.items():
            file.writestr("m/" + name.replace("_", "/"), record)
    out.seek(0)
    return out


def word(text: str) -> bytes:
    """The instruction for a text."""
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def call(module: str, name: str, arguments: bytes) -> bytes:
    """A pickle that calls module.name with what `arguments` leave between marks."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + arguments + b"tR."


SET_IT = word(f"import os; os.environ['{MARK}'] = '1'")
CALLS = [
    ("os", "system", word(f"touch {MARK}")), ("posix", "system", word(f"touch {MARK}")),
    ("builtins", "eval", SET_IT), ("builtins", "exec", SET_IT), ("__builtin__", "eval", SET_IT),
    ("builtins", "getattr", word("a") + word("b")), ("builtins", "__import__", word("os")),
    ("builtins", "open", word(MARK) + word("w")), ("subprocess", "Popen", word("true")),
    ("torch", "os.system", word(f"touch {MARK}")), ("torch.serialization", "os.system", word("x")),
    ("torch", "load", word("x")), ("torch", "compile", word("x")), ("torch", "add", b"K\x01K\x02"),
    ("torch._utils", "os.system", word("x")), ("torch._utils", "__builtins__.eval", SET_IT),
    ("torch._utils._rebuild_tensor", "__globals__", b""), ("torch.storage", "sys", b""),
    ("collections", "namedtuple", word("a") + word("b")), ("functools", "partial", word("x")),
    ("jittensor.serialization.rebuild", "_view", word("x")), ("operator", "attrgetter", word("x")),
    ("copyreg", "_reconstructor", b""), ("pickle", "loads", word("x")),
    ("torch.nn.modules.linear", "Linear", b"K\x01K\x01"), ("numpy", "load", word("x")),
    ("builtins", "list", b""), ("builtins", "bytes", b"K\x03"), ("types", "FunctionType", b""),
]


@pytest.mark.parametrize("module,name,arguments", CALLS, ids=lambda v: str(v)[:40])
@pytest.mark.parametrize("stacked", [False, True])
def test_globals_that_are_not_allowed(module, name, arguments, stacked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = call(module, name, arguments)
    if stacked:
        data = b"\x80\x04" + word(module) + word(name) + b"\x93(" + arguments + b"tR."
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(archive(data))
    message = str(caught.value)
    full = f"{module}.{name}".replace("__builtin__.", "builtins.")
    assert full in message
    assert "add_safe_globals" in message or "cannot be allowed" in message
    assert MARK not in os.environ and os.listdir(tmp_path) == []


def test_classes_that_may_be_named_but_not_called():
    for module, name in (("torch", "Tensor"), ("torch", "FloatStorage"),
                         ("torch.storage", "UntypedStorage"), ("torch", "float32"),
                         ("torch.nn.parameter", "Parameter")):
        with pytest.raises(pickle.UnpicklingError, match="reduce for unrecognized function"):
            torch.load(archive(call(module, name, b"J\xff\xff\xff\x7f")))


@pytest.mark.parametrize("name,arguments", [
    ("_rebuild_tensor_v2", b"K\x01K\x02"), ("_rebuild_tensor_v2", word("a") * 6),
    ("_rebuild_parameter", b"K\x01\x89N"), ("_rebuild_sparse_tensor", b"K\x01)"),
    ("_rebuild_qtensor", b""), ("_rebuild_nested_tensor", b""),
    ("_rebuild_tensor", b"")])
def test_allowed_functions_with_bad_arguments(name, arguments):
    with pytest.raises(pickle.UnpicklingError, match="could not be called"):
        torch.load(archive(call("torch._utils", name, arguments)))


@pytest.mark.parametrize("offset,size,stride", [(0, 5, 1), (3, 2, 1), (0, 2, 4), (-1, 1, 1),
                                                (1, 2, -2), (0, -1, 1), (2**40, 1, 1)])
def test_tensors_beyond_their_storage(offset, size, stride):
    def number(n):
        return b"\x8a\x08" + struct.pack("<q", n)

    storage = (b"(" + word("storage") + b"ctorch\nFloatStorage\n" + word("0") + word("cpu")
               + b"K\x04tQ")
    arguments = storage + number(offset) + number(size) + b"\x85" + number(stride) + b"\x85\x89N"
    with pytest.raises(pickle.UnpicklingError, match="out of bounds"):
        torch.load(archive(call("torch._utils", "_rebuild_tensor_v2", arguments),
                           data_0=bytes(16)))


def test_storages_that_claim_more_than_there_is():
    data = (b"\x80\x02(" + word("storage") + b"ctorch\nFloatStorage\n" + word("0") + word("cpu")
            + b"\x8a\x06" + struct.pack("<q", 2**40)[:6] + b"tQ.")
    with pytest.raises(RuntimeError, match="has 16 bytes, its tensor needs"):
        torch.load(archive(data, data_0=bytes(16)))
    for bad in (b"K\x01Q.", b"(" + word("module") + b"K\x01tQ.",
                b"(" + word("storage") + b"c__builtin__\nset\n" + word("0") + word("cpu")
                + b"K\x04tQ."):
        with pytest.raises(pickle.UnpicklingError):
            torch.load(archive(b"\x80\x02" + bad, data_0=bytes(16)))


@pytest.mark.parametrize("data", [
    b"\x80\x02ctorch\nfloat32\n}" + word("name") + word("int64") + b"sb.",     # a dtype's slots
    b"\x80\x02ctorch._utils\n_rebuild_tensor\n}" + word("__code__") + b"Nsb.",
    b"\x80\x02ccollections\nOrderedDict\n}" + word("__len__") + b"Nsb.",       # a class
    b"\x80\x02ctorch\nTensor\n}" + word("storage") + b"Nsb.",
    b"\x80\x02]}" + word("a") + b"Nsb.",
], ids=["dtype", "function", "class", "Tensor", "list"])
def test_state_of_what_is_shared_cannot_be_set(data):
    with pytest.raises(pickle.UnpicklingError, match="Can only build"):
        torch.load(archive(data))
    assert torch.float32.name == "float32" and len(collections.OrderedDict(a=1)) == 1


def test_special_attributes_cannot_be_set():
    data = b"\x80\x02ccollections\nOrderedDict\n)R}" + word("__class__") + b"Nsb."
    with pytest.raises(pickle.UnpicklingError, match="__class__"):
        torch.load(archive(data))


@pytest.mark.parametrize("data", [
    call("builtins", "bytearray", b"\x8a\x05\x00\x00\x00\x00\x10"),
    b"\x80\x02" + b"T\xff\xff\xff\x7fab.", b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"ab.",
    b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".", b"\x80\x02\x8b\xff\xff\xff\x7f.",
    b"\x80\x02\x8b\xff\xff\xff\xff.",
], ids=["bytearray", "string", "unicode", "bytearray8", "long", "negative"])
def test_claims_of_huge_sizes(data):
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        torch.load(archive(data))


BOMBS = """
import io, resource, sys
import jittensor as torch
from jittensor.serialization.restricted import RestrictedUnpickler
resource.setrlimit(resource.RLIMIT_AS, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                                        + (3 << 30),) * 2)
memo = b"\\x80\\x02]" + b"r\\xff\\xff\\xff\\x7f" + b"."          # memo number 2**31 - 1
print(RestrictedUnpickler(io.BytesIO(memo)).load())
nested = b"\\x80\\x02]q\\x00" + b"".join(b"0](" + b"h%c" % k * 10 + b"eq%c" % (k + 1)
                                       for k in range(100)) + b"."
value = RestrictedUnpickler(io.BytesIO(nested)).load()           # 10**100 if it were expanded
print(len(value), value[0] is value[9])
deep = b"\\x80\\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."
value = RestrictedUnpickler(io.BytesIO(deep)).load()
print(type(value).__name__)
while value:
    value = value.pop()
print("done")
"""


def test_memo_bombs_cost_nothing():
    done = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True,
                          timeout=120)
    assert done.stdout.splitlines() == ["[]", "10 True", "list", "done"], done.stderr


@pytest.mark.parametrize("data", [
    b"", b"\x80\x02", b"\x80\x09N.", b"\x80\x02.", b"\x80\x02NN.", b"\x80\x02(N.", b"\x80\x02R.",
    b"\x80\x02h\x07.", b"\x80\x02)h\x07R.", b"\x80\x02\x82\x01.", b"\x80\x02i", b"\x80\x02(oN.",
    b"\x80\x02P1\n.", b"\x80\x02t.", b"\x80\x02\x85.", b"\x80\x02}Na.", b"\x80\x02}]Ns.",
    b"\x80\x02X\x02\x00\x00\x00\xff\xff.", b"\x80\x02Iabc\n.", b"\x80\x02Fabc\n.", b"\x80\x02c",
    b"\x80\x02K\x01K\x02\x93.", b"\x80\x02NNb.", b"\x80\x02(K\x01u.", b"\x80\x02}(K\x01u.",
    b"\x80\x02Sabc\n.", b"\x80\x02(K\x01d.",
])
def test_damaged_pickles(data):
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        RestrictedUnpickler(io.BytesIO(data)).load()


def test_random_damage_never_does_anything_else():
    file = io.BytesIO()
    torch.save({"x": torch.arange(3.0), "o": collections.OrderedDict(a=(1, 2.5, {"s"}))}, file)
    with zipfile.ZipFile(file) as whole:
        data = whole.read("archive/data.pkl")
        records = {"data_0": whole.read("archive/data/0")}
    import random
    draws = random.Random(0)
    for _ in range(400):
        broken = bytearray(data)
        for _ in range(draws.randint(1, 4)):
            broken[draws.randrange(2, len(broken))] = draws.randrange(256)
        try:
            torch.load(archive(bytes(broken), **records))
        except (pickle.UnpicklingError, EOFError, RuntimeError):
            pass


# ── what plain pickles hold ───────────────────────────────────────────────────────────────────
VALUES = [None, True, 0, 255, 65535, -1, 2**31, -(2**70), 1.5, float("inf"), "a", "ü" * 300, b"b",
          b"x" * 300, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], list(range(2000)), {},
          {1: 2}, {k: k for k in range(1500)}, {1, 2}, 1 + 2j, collections.OrderedDict(a=1),
          collections.Counter("ab"), bytearray(b"abc")]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values(protocol):
    for value in VALUES:
        data = pickle.dumps(value, protocol)
        if protocol < 3 and isinstance(value, set):
            data = pickle.dumps(value, 2)
        result = RestrictedUnpickler(io.BytesIO(data), encoding="utf-8").load()
        assert result == value and type(result) is type(value)


def test_shared_and_cyclic_values():
    a: list = [1]
    a.append(a)
    result = RestrictedUnpickler(io.BytesIO(pickle.dumps([a, a]))).load()
    assert result[0] is result[1] and result[0][1] is result[0]


# ── allowing ──────────────────────────────────────────────────────────────────────────────────
class Point:
    """A class of a user's."""

    def __init__(self, x):
        self.x = x


class Slotted:
    """One with a state of its own."""

    def __init__(self, x):
        self.x = x

    def __getstate__(self):
        return {"y": self.x}

    def __setstate__(self, state):
        self.x = state["y"] + 1


def test_allowed_classes(tmp_path):
    torch.save({"p": Point(3), "s": Slotted(4)}, tmp_path / "x.pt")
    names = [f"{__name__}.Point", f"{__name__}.Slotted"]
    assert serialization.get_unsafe_globals_in_checkpoint(tmp_path / "x.pt") == names
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        torch.load(tmp_path / "x.pt")
    with serialization.safe_globals([Point]):
        with serialization.safe_globals([Slotted]):
            loaded = torch.load(tmp_path / "x.pt")
            assert serialization.get_unsafe_globals_in_checkpoint(tmp_path / "x.pt") == []
        assert serialization.get_safe_globals() == [Point]
    assert loaded["p"].x == 3 and loaded["s"].x == 5
    serialization.add_safe_globals([(Point, names[0]), Slotted])
    try:
        assert torch.load(tmp_path / "x.pt")["p"].x == 3
    finally:
        serialization.clear_safe_globals()
    assert serialization.get_safe_globals() == []
    with pytest.raises(ValueError):
        serialization.add_safe_globals([3])
    torch.save(1, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="zip format"):
        serialization.get_unsafe_globals_in_checkpoint(tmp_path / "old.pt")


class Weight(torch.Tensor):
    """A user's tensor class."""


def test_tensor_subclasses():
    x = torch.ones(2)
    weight = torch.Tensor._make_subclass(Weight, x)
    weight.note = "n"
    file = io.BytesIO()
    torch.save(weight, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Weight"):
        torch.load(file)
    file.seek(0)
    with serialization.safe_globals([Weight]):
        loaded = torch.load(file)
    assert type(loaded) is Weight and loaded.note == "n" and loaded.tolist() == [1, 1]
