"""In: twin transformers of jittensor and torch. Out: the same text, weights, numbers, errors."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

import jittensor as jt

from .twins import ours, run_twins, same, same_error, same_modules, twins

torch = pytest.importorskip("torch")
torch.manual_seed(1)
SRC, TGT = torch.randn(5, 3, 8), torch.randn(4, 3, 8)
PAD = torch.zeros(3, 5).bool()
PAD[0, 3:] = PAD[1, 4:] = True
HOLES = PAD.clone()
HOLES[2, 1] = True
CAUSAL = torch.nn.Transformer.generate_square_subsequent_mask(5)
CAUSAL4 = CAUSAL[:4, :4]
pytestmark = [
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:Support for mismatched"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested"),
]

MODELS = {
    "encoder layer": ("TransformerEncoderLayer", (8, 2, 16), {}, (SRC,), {}),
    "norm first": ("TransformerEncoderLayer", (8, 2, 16), {"norm_first": True}, (SRC,), {}),
    "gelu": ("TransformerEncoderLayer", (8, 2, 16), {"activation": "gelu"}, (SRC,), {}),
    "callable": ("TransformerEncoderLayer", (8, 2, 16), {"activation": torch.nn.functional.silu},
                 (SRC,), {}),
    "no bias": ("TransformerEncoderLayer", (8, 2, 16), {"bias": False}, (SRC,), {}),
    "masks": ("TransformerEncoderLayer", (8, 2, 16), {"dropout": 0.0}, (SRC,),
              {"src_mask": CAUSAL, "src_key_padding_mask": PAD}),
    "causal": ("TransformerEncoderLayer", (8, 2, 16), {}, (SRC,),
               {"src_mask": CAUSAL, "is_causal": True}),
    "batch first": ("TransformerEncoderLayer", (8, 2, 16), {"batch_first": True},
                    (SRC.transpose(0, 1).contiguous(),), {"src_key_padding_mask": PAD}),
    "no batch": ("TransformerEncoderLayer", (8, 2, 16), {}, (SRC[:, 0],), {"src_mask": CAUSAL}),
    "double": ("TransformerEncoderLayer", (8, 2, 16), {"dtype": torch.float64},
               (SRC.double(),), {}),
    "decoder layer": ("TransformerDecoderLayer", (8, 2, 16), {}, (TGT, SRC), {}),
    "decoder masks": ("TransformerDecoderLayer", (8, 2, 16), {"norm_first": True}, (TGT, SRC),
                      {"tgt_mask": CAUSAL4, "tgt_is_causal": True, "memory_mask": CAUSAL[:4],
                       "tgt_key_padding_mask": PAD[:, :4], "memory_key_padding_mask": PAD}),
    "decoder batch first": ("TransformerDecoderLayer", (8, 2, 16), {"batch_first": True},
                            (TGT.transpose(0, 1).contiguous(), SRC.transpose(0, 1).contiguous()),
                            {}),
    "transformer": ("Transformer", (8, 2, 2, 1, 16), {}, (SRC, TGT),
                    {"tgt_mask": CAUSAL4, "src_key_padding_mask": PAD}),
    "transformer, batch first": ("Transformer", (8, 2, 1, 2, 16), {
        "batch_first": True, "norm_first": True, "activation": "gelu"},
        (SRC.transpose(0, 1).contiguous(), TGT.transpose(0, 1).contiguous()),
        {"src_mask": CAUSAL, "tgt_is_causal": True, "tgt_mask": CAUSAL4}),
    "transformer, no batch": ("Transformer", (8, 2, 1, 1, 16), {}, (SRC[:, 0], TGT[:, 0]), {}),
}


@pytest.mark.parametrize("case", MODELS)
def test_model(case):
    name, made, options, args, kwargs = MODELS[case]
    j, t = twins(name, *made, **options)
    run_twins(j, t, args, kwargs)
    j.eval(), t.eval()
    with torch.no_grad(), jt.no_grad():
        same(j(*ours(args), **ours(kwargs)), t(*args, **kwargs), 1e-5, "evaluation")


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(("mask", "check"), [(PAD, True), (HOLES, True), (PAD, False)])
def test_encoder_zeroes_padding_in_evaluation(norm, mask, check):
    def make(lib):
        lib.manual_seed(0)
        layer = lib.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        last = lib.nn.LayerNorm(8) if norm else None
        return lib.nn.TransformerEncoder(layer, 2, last, mask_check=check)

    j, t = make(jt), make(torch)
    same_modules(j, t)
    x = SRC.transpose(0, 1).contiguous()
    run_twins(j, t, (x,), {"src_key_padding_mask": mask})
    j.eval(), t.eval()
    run_twins(j, t, (x,), {"src_key_padding_mask": mask})
    with torch.no_grad(), jt.no_grad():
        same(j(ours(x), src_key_padding_mask=ours(mask)), t(x, src_key_padding_mask=mask), 1e-5)


def test_custom_parts_and_attributes():
    class Two(jt.nn.Module):
        def forward(self, x, *args, **kwargs):
            return x * 2

    made = jt.nn.Transformer(8, 2, custom_encoder=Two(), custom_decoder=Two())
    same(made(ours(SRC), ours(TGT)), TGT * 2)
    j, t = twins("Transformer", 8, 2, 1, 1, 16)
    for a, b in ((j, t), (j.encoder, t.encoder), (j.encoder.layers[0], t.encoder.layers[0]),
                 (j.decoder.layers[0].self_attn, t.decoder.layers[0].self_attn)):
        assert set(b.__dict__) <= set(a.__dict__)


def test_mask():
    for size, dtype in ((3, None), (1, torch.float64), (0, None)):
        same(jt.nn.Transformer.generate_square_subsequent_mask(size, dtype=ours(dtype)),
             torch.nn.Transformer.generate_square_subsequent_mask(size, dtype=dtype), 0)


def test_pickle_and_deepcopy():
    j, t = twins("Transformer", 8, 2, 1, 1, 16)
    for made in (copy.deepcopy(j), pickle.loads(pickle.dumps(j))):
        same_modules(made, t)
        made.load_state_dict(j.state_dict())
        j.eval(), made.eval()
        same(made(ours(SRC), ours(TGT)), torch.from_numpy(
            j(ours(SRC), ours(TGT)).detach().numpy()), 0)
    held = io.BytesIO()
    pickle.dump(j.state_dict(), held)


ERRORS = {
    "batches": lambda lib, x, y: lib.nn.Transformer(8, 2, 1, 1, 16)(x, y[:, :2]),
    "ranks": lambda lib, x, y: lib.nn.Transformer(8, 2, 1, 1, 16)(x, y[:, 0]),
    "features": lambda lib, x, y: lib.nn.Transformer(8, 2, 1, 1, 16)(x[..., :6], y),
    "activation": lambda lib, x, y: lib.nn.TransformerEncoderLayer(8, 2, activation="tanh"),
    "heads": lambda lib, x, y: lib.nn.TransformerDecoderLayer(8, 3),
    "mask": lambda lib, x, y: lib.nn.TransformerEncoderLayer(8, 2)(x, y[0]),
    "mask of integers": lambda lib, x, y: lib.nn.TransformerEncoderLayer(8, 2)(x, x.int()),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    same_error(lambda lib: ERRORS[case](lib, *((SRC, TGT) if lib is torch else ours((SRC, TGT)))))


def test_warns_without_nested_tensors():
    for options in ({}, {"batch_first": True, "norm_first": True},
                    {"batch_first": True, "bias": False}, {"batch_first": True, "nhead": 1}):
        texts = []
        for lib in (torch, jt):
            layer = lib.nn.TransformerEncoderLayer(**{"d_model": 8, "nhead": 2, **options})
            with pytest.warns(UserWarning, match="enable_nested_tensor") as caught:
                lib.nn.TransformerEncoder(layer, 1)
            texts.append(str(caught[0].message))
        assert texts[0] == texts[1]
