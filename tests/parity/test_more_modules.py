"""In: the rarer modules of jittensor.nn and torch.nn. Out: the same text, weights and numbers; and
no public module of torch.nn that is missing.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from collections import OrderedDict

import pytest

import jittensor as jt

from .twins import both, ours, run_twins, same, same_error, same_modules, twins

torch = pytest.importorskip("torch")
torch.manual_seed(4)
X, IMAGE = torch.randn(6, 8), torch.randn(2, 6, 3, 3)
CLASSES = torch.tensor([0, 3, 7, 12, 19, 4])
OUT_OF_SCOPE = {"ScalingType", "SwizzleType", "assert_int_or_pair", "boolean_dispatch",
                "grouped_mm", "scaled_grouped_mm", "scaled_mm"}


@pytest.mark.parametrize("path", ["", ".modules", ".utils", ".init", ".functional"])
def test_nothing_is_missing(path):
    theirs, mine = torch.nn, jt.nn
    for name in path.split(".")[1:]:
        theirs, mine = getattr(theirs, name), getattr(mine, name)
    public = {name for name in dir(theirs) if not name.startswith("_")
              and "torch.nn" in (getattr(getattr(theirs, name), "__module__", None) or "")}
    assert not public - set(dir(mine)) - OUT_OF_SCOPE


ARGUMENTS = {
    "in_features": 4, "in1_features": 3, "in2_features": 4, "out_features": 3,
    "in_channels": 4, "out_channels": 4, "kernel_size": 3, "num_features": 4, "num_channels": 4,
    "num_groups": 2, "num_embeddings": 5, "embedding_dim": 3, "embed_dim": 4, "num_heads": 2,
    "input_size": 3, "hidden_size": 4, "d_model": 4, "nhead": 2, "dim_feedforward": 8,
    "num_encoder_layers": 1, "num_decoder_layers": 1, "normalized_shape": 4, "n_classes": 9,
    "num_classes": 5, "cutoffs": [3, 5], "output_size": 3, "norm_type": 2.0, "padding": 1,
    "size": 3, "lambd": 0.3, "threshold": 0.2, "value": 1.0, "upscale_factor": 2,
    "downscale_factor": 2, "groups": 2, "dim": 1, "unflattened_size": (2, 2), "bias": True,
    "num_layers": 2,
}
OTHERWISE = {
    "Module": None, "Container": None, "RNNBase": ("LSTM", 3, 4), "RNNCellBase": (3, 4, True, 4),
    "TransformerEncoder": None, "TransformerDecoder": None, "DataParallel": None,
    "RNN": (3, 4, 2), "LSTM": (3, 4), "GRU": (3, 4, 2, False), "Upsample": (3,),
    "FractionalMaxPool2d": (2, 3), "FractionalMaxPool3d": (2, 3),
}


def names_of_modules():
    return [n for n in dir(torch.nn) if isinstance(getattr(torch.nn, n), type)
            and issubclass(getattr(torch.nn, n), torch.nn.Module)
            and OTHERWISE.get(n, ()) is not None and not n.startswith("Lazy")]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", names_of_modules())
def test_made_alike(name):
    """One seed: one text, one state, one stream of draws after it; twice, with all arguments."""
    signature = inspect.signature(getattr(torch.nn, name).__init__).parameters.values()
    needed = [p.name for p in signature if p.default is p.empty and p.name != "self"
              and p.kind is p.POSITIONAL_OR_KEYWORD]
    if name in OTHERWISE:
        twins(name, *OTHERWISE[name])
        return
    twins(name, *[ARGUMENTS[n] for n in needed])
    more = {p.name: ARGUMENTS[p.name] for p in signature
            if p.name in ("groups", "padding", "num_layers") and p.default is not p.empty}
    if more:
        twins(name, *[ARGUMENTS[n] for n in needed], **more)


MODULES = {
    "CrossMapLRN2d": ((3, 0.1), {}, (IMAGE,)),
    "CrossMapLRN2d, even": ((4, 0.1, 0.5, 2), {}, (IMAGE,)),
    "SyncBatchNorm": ((6,), {}, (IMAGE,)),
    "SyncBatchNorm, plain": ((6, 1e-3, None, False), {}, (IMAGE,)),
    "AdaptiveLogSoftmaxWithLoss": ((8, 20, [4, 10]), {"div_value": 2.0}, (X, CLASSES)),
    "AdaptiveLogSoftmaxWithLoss, bias": ((8, 20, (5,)), {"head_bias": True}, (X, CLASSES)),
    "AdaptiveLogSoftmaxWithLoss, one": ((8, 20, (5,)), {}, (X[0], CLASSES[3])),
    "AdaptiveLogSoftmaxWithLoss, head": ((8, 20, (13,)), {}, (X[:4], CLASSES[:4])),
    "LinearCrossEntropyLoss": ((8, 20), {"bias": True}, (X, CLASSES)),
    "LinearCrossEntropyLoss, more": ((8, 20), {"label_smoothing": 0.1, "ignore_index": 3,
                                               "reduction": "sum"}, (X, CLASSES)),
    "NLLLoss2d": ((), {}, (IMAGE, torch.ones(2, 3, 3).long())),
}


@pytest.mark.filterwarnings("ignore:NLLLoss2d")
@pytest.mark.parametrize("case", MODULES)
def test_module(case):
    args, kwargs, inputs = MODULES[case]
    j, t = twins(case.split(",")[0], *args, **kwargs)
    run_twins(j, t, inputs, strides=False)
    same_modules(j, t, 1e-6)
    j.eval(), t.eval()
    run_twins(j, t, inputs, strides=False)


def test_adaptive_predictions():
    for cutoffs in ([4, 10], [15]):
        j, t = twins("AdaptiveLogSoftmaxWithLoss", 8, 20, cutoffs, 2.0)
        same(j.log_prob(ours(X)), t.log_prob(X))
        same(j.predict(ours(X)), t.predict(X))


def test_container():
    made = [lib.nn.Container(a=lib.nn.ReLU(), b=lib.nn.Linear(2, 2, bias=False))
            for lib in (jt, torch)]
    assert repr(made[0]) == repr(made[1])


def test_convert_sync_batchnorm():
    def make(lib):
        net = lib.nn.Sequential(lib.nn.BatchNorm2d(6), lib.nn.Sequential(
            lib.nn.BatchNorm1d(6, affine=False).eval(), lib.nn.LayerNorm(3)))
        return net, lib.nn.SyncBatchNorm.convert_sync_batchnorm(net)

    (before, j), (_, t) = both(make)
    same_modules(j, t)
    assert j[0].weight is before[0].weight and not j[1][0].training
    run_twins(j[0], t[0], (IMAGE,))


def test_parallel():
    j, t = (lib.nn.DataParallel(m) for lib, m in zip((jt, torch), twins("Linear", 8, 2),
                                                     strict=True))
    same_modules(j, t)
    run_twins(j, t, (X,))
    same_error(lambda lib: lib.nn.parallel.DistributedDataParallel(lib.nn.Linear(1, 1)))
    same_error(lambda lib: lib.nn.parallel.data_parallel(lib.nn.Linear(1, 1), lib.ones(1, 1)))


def test_attention_kernels():
    theirs, mine = torch.nn.attention, jt.nn.attention
    assert [repr(k) for k in mine.SDPBackend] == [
        repr(k) for k in theirs.SDPBackend.__members__.values()]

    def run(lib, name, rank):
        kinds = mine if lib is jt else theirs
        q = lib.ones(*(1, 1, 2, 4)[4 - rank:])
        with kinds.sdpa_kernel([getattr(kinds.SDPBackend, name)]):
            return lib.nn.functional.scaled_dot_product_attention(q, q, q)

    for name in ("MATH", "FLASH_ATTENTION"):
        same(run(jt, name, 4), run(torch, name, 4))
    same_error(lambda lib: run(lib, "EFFICIENT_ATTENTION", 4))
    same_error(lambda lib: run(lib, "FLASH_ATTENTION", 3))
    assert jt.backends.cuda.math_sdp_enabled()


def test_gradients_of_convolutions():
    x, w = torch.randn(2, 4, 7), torch.randn(6, 2, 3)
    g = torch.nn.functional.conv1d(x, w, None, 2, 1, 1, 2)
    same(jt.nn.grad.conv1d_input(x.shape, ours(w), ours(g), 2, 1, 1, 2),
         torch.nn.grad.conv1d_input(x.shape, w, g, 2, 1, 1, 2), 1e-5)
    same(jt.nn.grad.conv1d_weight(ours(x), w.shape, ours(g), 2, 1, 1, 2),
         torch.nn.grad.conv1d_weight(x, w.shape, g, 2, 1, 1, 2), 1e-5)


def test_prefix_and_tuples():
    for lib, utils in ((jt, jt.nn.modules.utils), (torch, torch.nn.modules.utils)):
        state = lib.nn.DataParallel(lib.nn.Linear(2, 1)).state_dict()
        utils.consume_prefix_in_state_dict_if_present(state, "module.")
        assert list(state) == ["weight", "bias"] and list(state._metadata) == [""]
        assert utils._pair(2) == utils._pair([2, 2]) == (2, 2)
        assert utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)


def test_factory_kwargs():
    assert jt.nn.factory_kwargs({"dtype": 1, "factory_kwargs": {"device": 2}}) == {
        "dtype": 1, "device": 2}
    same_error(lambda lib: lib.nn.factory_kwargs({"size": 3}))
    same_error(lambda lib: lib.nn.factory_kwargs({"dtype": 1, "factory_kwargs": {"dtype": 2}}))


ERRORS = {
    "cutoffs": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [10, 4]),
    "no cutoffs": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(8, 20, []),
    "class": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])(
        lib.ones(2, 8), lib.tensor([1, 20])),
    "targets": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])(
        lib.ones(2, 8), lib.tensor([[1, 2]])),
    "batch": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])(
        lib.ones(2, 8), lib.tensor([1])),
    "input": lambda lib: lib.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])(
        lib.ones(2, 1, 8), lib.tensor([1, 2])),
    "sync": lambda lib: lib.nn.SyncBatchNorm(3)(lib.ones(3)),
    "sync, no channels": lambda lib: lib.nn.SyncBatchNorm(3)(lib.ones(3, 0)),
    "lrn": lambda lib: lib.nn.CrossMapLRN2d(3)(lib.ones(3, 2, 2)),
    "policy": lambda lib: lib.nn.LinearCrossEntropyOptions(acc_policy="fast"),
    "chunks": lambda lib: lib.nn.LinearCrossEntropyOptions(batch_chunk_size=0),
    "method": lambda lib: lib.nn.LinearCrossEntropyOptions(chunking_method="rows"),
    "smoothing": lambda lib: lib.nn.LinearCrossEntropyLoss(3, 2, label_smoothing=2),
    "class weight": lambda lib: lib.nn.LinearCrossEntropyLoss(3, 2, weight=lib.ones(3)),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    same_error(ERRORS[case])


# ── state ─────────────────────────────────────────────────────────────────────────────────────
def net(lib):
    return lib.nn.Sequential(OrderedDict(a=lib.nn.Linear(3, 2), b=lib.nn.BatchNorm1d(2),
                                         c=lib.nn.MultiheadAttention(2, 1)))


def test_load_lists_everything_at_once():
    def load(lib):
        state = OrderedDict(net(lib).state_dict())
        del state["a.bias"], state["c.out_proj.weight"]
        state["a.weight"] = lib.ones(4, 3)
        state["b.running_var"] = lib.ones(1)
        state["d.weight"] = state["extra"] = lib.ones(1)
        net(lib).load_state_dict(state)

    same_error(load, RuntimeError)


def test_load_assign_and_hooks():
    def run(lib):
        made, state = net(lib), net(lib).state_dict()
        seen = []
        made.register_load_state_dict_post_hook(lambda m, keys: seen.append(list(keys)))
        made.a.register_load_state_dict_pre_hook(lambda m, *rest: seen.append(rest[1]))
        made.a.register_state_dict_post_hook(lambda m, d, p, meta: seen.append((p, sorted(d))))
        given = made.load_state_dict({**state, "a.bias": lib.ones(2) * 3}, assign=True)
        made.state_dict()
        kept = made.a.bias.tolist(), type(made.a.bias).__name__, made.a.bias.requires_grad
        return seen, str(given), kept, made.a.weight.data_ptr() == state["a.weight"].data_ptr()

    mine, theirs = both(run)
    assert mine == theirs


def test_pickle_and_deepcopy_of_modules():
    j, _ = both(net)
    for made in (copy.deepcopy(j), pickle.loads(pickle.dumps(j))):
        assert repr(made) == repr(j) and made.a.weight is not j.a.weight
        for key, value in j.state_dict().items():
            assert bool((made.state_dict()[key] == value).all())
            assert type(made.state_dict()[key]) is type(value)
        assert [type(p) for p in made.parameters()] == [type(p) for p in j.parameters()]


def test_files_without_the_count_of_batches():
    for lib in (jt, torch):
        made = lib.nn.BatchNorm1d(2)
        state = made.state_dict()
        del state["num_batches_tracked"]
        state._metadata[""]["version"] = 1
        made.load_state_dict(state)


# ── values that do not fit ────────────────────────────────────────────────────────────────────
VALUES = {
    "class too large": lambda lib: lib.nn.functional.cross_entropy(
        lib.zeros(2, 3), lib.tensor([1, 3])),
    "class below zero": lambda lib: lib.nn.functional.nll_loss(
        lib.zeros(2, 3), lib.tensor([-1, 0])),
    "class of an image": lambda lib: lib.nn.functional.cross_entropy(
        lib.zeros(1, 3, 2, 2), lib.full((1, 2, 2), 5)),
    "class of floats": lambda lib: lib.nn.functional.nll_loss(
        lib.zeros(2, 3), lib.tensor([1.0, 0.0])),
    "class of int32": lambda lib: lib.nn.functional.cross_entropy(
        lib.zeros(2, 3), lib.tensor([1, 0], dtype=lib.int32)),
    "classes of booleans": lambda lib: lib.nn.functional.cross_entropy(
        lib.zeros(2, 3), lib.tensor([True, False])),
    "batch": lambda lib: lib.nn.functional.cross_entropy(lib.zeros(2, 3), lib.tensor([1])),
    "probability": lambda lib: lib.nn.functional.binary_cross_entropy(
        lib.tensor([0.5, 1.5]), lib.tensor([0.0, 1.0])),
    "negative probability": lambda lib: lib.nn.functional.binary_cross_entropy(
        lib.tensor([-0.5, 0.5]), lib.tensor([0.0, 1.0])),
    "label dtype": lambda lib: lib.nn.functional.binary_cross_entropy(
        lib.tensor([0.5, 0.5]), lib.tensor([0, 1])),
    "label size": lambda lib: lib.nn.functional.binary_cross_entropy(
        lib.tensor([0.5, 0.5]), lib.tensor([0.0])),
    "logits' label size": lambda lib: lib.nn.functional.binary_cross_entropy_with_logits(
        lib.tensor([0.5, 0.5]), lib.tensor([0.0])),
    "index": lambda lib: lib.nn.functional.embedding(lib.tensor([4]), lib.zeros(3, 2)),
    "negative index": lambda lib: lib.nn.functional.embedding(lib.tensor([-1]), lib.zeros(3, 2)),
    "index of floats": lambda lib: lib.nn.functional.embedding(
        lib.tensor([1.0]), lib.zeros(3, 2)),
    "one_hot": lambda lib: lib.nn.functional.one_hot(lib.tensor([3]), 2),
    "reduction": lambda lib: lib.nn.functional.mse_loss(lib.zeros(2), lib.zeros(2),
                                                        reduction="average"),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_that_do_not_fit(case):
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        VALUES[case](torch)
    with pytest.raises(type(theirs.value)) as mine:
        VALUES[case](jt).numpy()        # what only shows in the values may show when looked at
    assert type(mine.value) is type(theirs.value)


@pytest.mark.parametrize("freeze", [True, False])
def test_bags_over_a_given_table(freeze):
    def answers(lib):
        table = lib.arange(6.0).view(3, 2)
        bags = lib.nn.EmbeddingBag.from_pretrained(table, freeze, mode="sum", padding_idx=0)
        return repr(bags), bags.weight.requires_grad, bags(lib.tensor([[0, 1], [2, 2]])).tolist()

    assert answers(jt) == answers(torch)
