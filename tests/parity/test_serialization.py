"""Files of PyTorch read here and files written here read by PyTorch, in both formats."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile

import pytest

import jittensor as jt

torch = pytest.importorskip("torch")
PAIRS = [(torch, jt), (jt, torch), (jt, jt)]
NAMES = ["PyTorch's file", "our file in PyTorch", "our file"]
each_way = pytest.mark.parametrize("writer,reader", PAIRS, ids=NAMES)
each_format = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:TypedStorage is deprecated")
DTYPES = ("float32 float64 float16 bfloat16 int8 uint8 int16 int32 int64 bool complex64 "
          "complex128").split()


def through(obj, writer, reader, zipped: bool = True, **options):
    """An object, saved by one library and loaded by another."""
    file = io.BytesIO()
    writer.save(obj, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    return reader.load(file, **options)


def plain(value, module):
    """What is to be the same on both sides."""
    if isinstance(value, module.Tensor):
        if str(value.layout) != "torch.strided":
            return str(value.layout), tuple(value.shape), value.to_dense().tolist()
        return (type(value).__name__, str(value.dtype), tuple(value.shape), tuple(value.stride()),
                value.storage_offset(), value.requires_grad, value.tolist(),
                value.untyped_storage().nbytes(), dict(value.__dict__))
    if isinstance(value, dict):
        attributes = {k: plain(v, module) for k, v in getattr(value, "__dict__", {}).items()}
        return (type(value).__name__, {k: plain(v, module) for k, v in value.items()}, attributes)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(v, module) for v in value]
    return repr(value)


def contents(module):
    """What files hold, made by a module."""
    module.manual_seed(0)
    x = module.arange(6.0).reshape(2, 3)
    parameter = module.nn.Parameter(module.ones(2))
    parameter.note = "kept"
    return {
        "plain": x, "turned": x.t(), "part": x[:, 1:], "expanded": module.ones(1, 3).expand(4, 3),
        **{name: module.ones(3).to(getattr(module, name)) for name in DTYPES},
        "empty": module.zeros(0, 3), "scalar": module.tensor(3.0), "parameter": parameter,
        "leaf": module.ones(2, requires_grad=True), "frozen": module.nn.Parameter(
            module.ones(1), requires_grad=False), "buffer": module.nn.Buffer(module.ones(2)),
        "dtype": module.float32, "device": module.device("cpu"), "size": x.shape,
        "layout": module.strided, "state": module.get_rng_state(), "sparse": x.to_sparse(),
        "csr": x.to_sparse_csr(), "values": [1, 2.5, "s", None, True, b"x", (1,), 10**30, {1, 2}],
        "ordered": collections.OrderedDict(a=1), "counter": collections.Counter("aab"),
        "complex": 1 + 2j, "storage": module.ones(3).double().untyped_storage().nbytes(),
    }


@each_way
@each_format
@pytest.mark.parametrize("weights_only", [True, False])
def test_contents(writer, reader, zipped, weights_only):
    values = contents(writer)
    loaded = through(values, writer, reader, zipped, weights_only=weights_only)
    assert list(loaded) == list(values)
    for name, value in values.items():
        assert plain(loaded[name], reader) == plain(value, writer), name
    loaded["turned"].zero_()
    assert loaded["plain"].sum().item() == 0


def model_of(module):
    """A small convolutional network."""
    nn = module.nn
    return nn.Sequential(
        collections.OrderedDict(conv=nn.Conv2d(1, 2, 3, bias=False), norm=nn.BatchNorm2d(2),
                                act=nn.GELU(), flat=nn.Flatten(),
                                head=nn.Linear(18, 2, bias=False)))


@each_way
@each_format
@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_training_goes_on_in_the_other_library(writer, reader, zipped, kind):
    def start(module):
        model = model_of(module)
        options = {"momentum": 0.9} if kind == "SGD" else {}
        optimizer = getattr(module.optim, kind)(model.parameters(), lr=0.01, **options)
        return model, optimizer, module.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    def step(module, model, optimizer, schedule):
        x = module.arange(50.0).reshape(2, 1, 5, 5) / 50
        optimizer.zero_grad()
        model(x).pow(2).sum().backward()
        optimizer.step()
        schedule.step()
        return [p.detach().tolist() for p in model.parameters()]

    writer.manual_seed(1)
    parts = start(writer)
    step(writer, *parts)
    states = through([part.state_dict() for part in parts], writer, reader, zipped)
    others = start(reader)
    for part, state in zip(others, states, strict=True):
        part.load_state_dict(state)
    expected, got = step(writer, *parts), step(reader, *others)
    for a, b in zip(expected, got, strict=True):
        assert torch.allclose(torch.tensor(a), torch.tensor(b), atol=2e-6)


def modules(module):
    """Modules that are saved whole."""
    nn = module.nn
    return [model_of(module), nn.ConvTranspose1d(1, 2, 3), nn.MaxPool2d(2), nn.LayerNorm(4),
            nn.GroupNorm(1, 4), nn.Embedding(5, 4), nn.EmbeddingBag(5, 4), nn.CrossEntropyLoss(),
            nn.MultiheadAttention(4, 2), nn.TransformerEncoderLayer(4, 2, 8), nn.LSTM(3, 4),
            nn.GRUCell(3, 4), nn.InstanceNorm2d(3), nn.PReLU(), nn.Upsample(scale_factor=2),
            nn.PixelShuffle(2), nn.CosineSimilarity(), nn.LocalResponseNorm(2), nn.Unfold(2),
            nn.ModuleDict({"a": nn.ModuleList([nn.Tanh()])}),
            nn.ParameterList([nn.Parameter(module.ones(2))]), nn.TripletMarginLoss(), nn.Bilinear(
                2, 3, 4)]


@pytest.mark.parametrize("writer,reader", PAIRS[:2], ids=NAMES[:2])
def test_whole_modules(writer, reader):
    for original, twin in zip(modules(writer), modules(reader), strict=True):
        loaded = through(original, writer, reader, weights_only=False)
        assert type(loaded) is type(twin) and repr(loaded) == repr(twin)
        for (name, a), (other, b) in zip(original.state_dict().items(),
                                         loaded.state_dict().items(), strict=True):
            assert name == other and a.tolist() == b.tolist()


@pytest.mark.parametrize("writer,reader", PAIRS[:2], ids=NAMES[:2])
def test_a_module_loaded_whole_computes_the_same(writer, reader):
    model = model_of(writer).eval()
    loaded = through(model, writer, reader, weights_only=False)
    x = [[[[0.1 * i * j for i in range(5)] for j in range(5)]]]
    a, b = model(writer.tensor(x)), loaded(reader.tensor(x))
    assert torch.allclose(torch.tensor(a.tolist()), torch.tensor(b.tolist()), atol=1e-6)


@each_way
def test_generators(writer, reader):
    generator = writer.Generator().manual_seed(7)
    writer.rand(3, generator=generator)
    loaded = through(generator, writer, reader, weights_only=False)
    assert reader.rand(3, generator=loaded).tolist() == writer.rand(3,
                                                                    generator=generator).tolist()


def test_archives_have_the_same_records(tmp_path):
    names, heads = [], []
    for module, name in ((torch, "a.x.pt"), (jt, "b.x.pt")):
        module.save(contents(module), tmp_path / name)
        with zipfile.ZipFile(tmp_path / name) as archive:
            names.append([n.split("/", 1) for n in archive.namelist()])
            heads.append([archive.read(f"{name[0]}.x/{record}") for record in (
                "version", "byteorder", ".format_version", ".storage_alignment")])
    assert [n for _, n in names[0]] == [n for _, n in names[1]]
    assert {n for n, _ in names[0]} == {"a.x"} and {n for n, _ in names[1]} == {"b.x"}
    assert heads[0] == heads[1]


def test_mapped_files_of_pytorch(tmp_path):
    torch.save({"x": torch.arange(1000.0)}, tmp_path / "t.pt")
    jt.save({"x": jt.arange(1000.0)}, tmp_path / "j.pt")
    assert jt.load(tmp_path / "t.pt", mmap=True)["x"].sum().item() == 499500
    assert torch.load(tmp_path / "j.pt", mmap=True)["x"].sum().item() == 499500


def test_errors_are_of_the_same_class():
    class Local:
        pass

    cases = [
        lambda m: m.load(io.BytesIO(b"")), lambda m: m.load(io.BytesIO(b"what is this?")),
        lambda m: m.load(io.BytesIO(pickle.dumps(3, 2))), lambda m: m.load(3),
        lambda m: m.load("no such file"), lambda m: m.save(1, 3),
        lambda m: m.save(1, "no such folder/x.pt"),
        lambda m: m.load(io.BytesIO(b"PK\x03\x04 and nothing more")),
        lambda m: m.save(m.ones(2), None), lambda m: m.load(io.BytesIO(b"x"), mmap=True),
        lambda m: m.load(io.BytesIO(b"x"), pickle_module=pickle, weights_only=True),
        lambda m: through([m.ones(2), m.ones(2)[:1].view(m.int32), Local], m, m),
        lambda m: (lambda x: through([x, x.view(m.int32)], m, m))(m.ones(2)),
        lambda m: through(collections.deque([1]), m, m),
        lambda m: through(m.nn.Linear(1, 1), m, m),
    ]
    for k, case in enumerate(cases):
        raised = []
        for module in (torch, jt):
            with pytest.raises(Exception) as caught:  # noqa: PT011
                case(module)
            raised.append(caught.type)
        assert raised[1] is raised[0] or issubclass(raised[1], raised[0]), (k, raised)


def test_what_is_allowed_by_default_is_pytorchs():
    from torch._weights_only_unpickler import _get_allowed_globals

    from jittensor.serialization.allowed import is_allowed
    theirs = set(_get_allowed_globals())
    ours = {name for name in theirs if is_allowed(name)}
    absent = theirs - ours
    known = ("Tensor", "Q", "cuda", "quint", "qint", "bits", "per_", "float8", "float4", "uint",
             "int1", "int2", "int3", "int4", "int5", "int6", "int7", "complex32")
    assert not [name for name in absent if not any(part in name for part in known)]


def test_safetensors(tmp_path):
    theirs = pytest.importorskip("safetensors.torch")
    ours = jt.safetensors

    def tensors(module):
        return {"a": module.arange(6.0).reshape(2, 3), "b": module.ones(3).to(module.bfloat16),
                "c": module.tensor([True]), "d": module.tensor(3), "e": module.zeros(0, 2),
                "h": module.ones(2).half(), "z": module.ones(2).to(module.complex64)}

    ours.save_file(tensors(jt), tmp_path / "j", {"key": "value"})
    theirs.save_file(tensors(torch), tmp_path / "t")
    for a, b in ((theirs.load_file(tmp_path / "j"), ours.load_file(tmp_path / "t")),
                 (theirs.load(ours.save(tensors(jt))), ours.load(theirs.save(tensors(torch))))):
        assert {k: (str(v.dtype), tuple(v.shape), v.tolist()) for k, v in a.items()} == {
            k: (str(v.dtype), tuple(v.shape), v.tolist()) for k, v in b.items()}

    def tied(module):
        model = module.nn.Sequential(module.nn.Linear(2, 2), module.nn.Linear(2, 2))
        model[1].weight = model[0].weight
        return model

    ours.save_model(tied(jt), tmp_path / "m")
    assert theirs.load_model(tied(torch), tmp_path / "m") == ours.load_model(tied(jt),
                                                                             tmp_path / "m")
