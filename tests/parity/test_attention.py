"""In: the same attention in jittensor and torch. Out: the same numbers, layouts and errors."""

from __future__ import annotations

import pytest

import jittensor as jt

from .twins import ours, run_twins, same, same_error, twins

torch = pytest.importorskip("torch")
torch.manual_seed(0)
Q, K, V = torch.randn(2, 4, 3, 8), torch.randn(2, 4, 5, 8), torch.randn(2, 4, 5, 8)
BOOL = torch.rand(3, 5) > 0.4
BOOL[1] = False                                 # a query that sees nothing
NUMBERS = torch.randn(2, 4, 3, 5)
TURNED = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (Q, K, V)]
F = "scaled_dot_product_attention"

SDPA = {
    "plain": ((Q, K, V), {}),
    "bool mask": ((Q, K, V, BOOL), {}),
    "bool mask, four dims": ((Q, K, V, BOOL[None, None]), {}),
    "numbers": ((Q, K, V, NUMBERS), {}),
    "numbers, one head": ((Q, K, V, NUMBERS[:, :1].detach()), {}),
    "causal": ((Q, K, V), {"is_causal": True}),
    "mask and causal": ((Q, K, V), {"is_causal": True, "attn_mask": NUMBERS}),
    "scale": ((Q, K, V), {"scale": 0.3}),
    "three dims": ((Q[0], K[0], V[0]), {}),
    "two dims": ((Q[0, 0], K[0, 0], V[0, 0], BOOL), {}),
    "grouped": ((Q, K[:, :2], V[:, :2]), {"enable_gqa": True}),
    "grouped, mask": ((Q, K[:, :2], V[:, :2], NUMBERS), {"enable_gqa": True}),
    "grouped, mask of all heads": ((Q, K[:, :1], V[:, :1], BOOL[None, None]),
                                   {"enable_gqa": True}),
    "dropout": ((Q, K, V), {"dropout_p": 0.5}),
    "dropout of all": ((Q, K, V), {"dropout_p": 1.0}),
    "other value size": ((Q, K, V[..., :6]), {}),
    "double": ((Q.double(), K.double(), V.double(), NUMBERS.double()), {}),
    "by position": (tuple(TURNED), {}),
    "by position, dropout": (tuple(TURNED), {"dropout_p": 0.2}),
    "one batch of keys": ((Q, K[:1], V[:1]), {}),
    "no queries": ((Q[:, :, :0], K, V), {}),
    "no keys": ((Q, K[:, :, :0], V[:, :, :0]), {}),
    "no batch": ((Q[:0], K[:0], V[:0]), {}),
}


@pytest.mark.parametrize("case", SDPA)
def test_scaled_dot_product_attention(case):
    args, kwargs = SDPA[case]
    t, j = getattr(torch.nn.functional, F), getattr(jt.nn.functional, F)
    run_twins(j, t, args, kwargs)
    with torch.no_grad():
        kept = {k: v for k, v in kwargs.items() if k != "dropout_p"}
        same(j(*ours(args), **ours(kept)), t(*args, **kept))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits(dtype):
    args = [x.to(dtype) for x in (Q, K, V)]
    theirs = torch.nn.functional.scaled_dot_product_attention(*args)
    mine = jt.nn.functional.scaled_dot_product_attention(
        *[ours(x.float()).to(ours(dtype)) for x in args])
    assert mine.dtype is ours(dtype)
    same(mine.float(), theirs.float(), 2e-2)


def test_grad_fn_names():
    for args, kwargs in (SDPA["plain"], SDPA["dropout"], SDPA["three dims"]):
        q = args[0].detach().requires_grad_()
        theirs = getattr(torch.nn.functional, F)(q, *args[1:], **kwargs)
        mine = getattr(jt.nn.functional, F)(ours(q), *ours(args[1:]), **kwargs)
        assert mine.grad_fn.name() == theirs.grad_fn.name()


WRONG = {
    "dtypes": lambda q, k, v, m: ((q, k.double(), v), {}),
    "mask of other dtype": lambda q, k, v, m: ((q, k, v, m.double()), {}),
    "mask of integers": lambda q, k, v, m: ((q, k, v, m.int()), {}),
    "mask and causal": lambda q, k, v, m: ((q[0], k[0], v[0], m), {"is_causal": True}),
    "one dim": lambda q, k, v, m: ((q[0, 0, 0], k[0, 0, 0], v[0, 0, 0]), {}),
    "complex": lambda q, k, v, m: ((q + 0j, k + 0j, v + 0j), {}),
    "dropout": lambda q, k, v, m: ((q, k, v), {"dropout_p": 1.5}),
    "no tensor": lambda q, k, v, m: ((1, k, v), {}),
    "mask of one dim": lambda q, k, v, m: ((q, k, v, m[0]), {}),
}
WRONG_CLASS = {
    "heads": lambda q, k, v, m: ((q, k[:, :3], v[:, :3]), {}),
    "heads in groups": lambda q, k, v, m: ((q, k[:, :3], v[:, :3]), {"enable_gqa": True}),
    "mask shape": lambda q, k, v, m: ((q, k, v, m[:2]), {}),
    "features": lambda q, k, v, m: ((q[..., :7], k, v), {}),
    "key and value": lambda q, k, v, m: ((q[0], k[0], v[0, :, :4]), {}),
    "integers": lambda q, k, v, m: ((q.int(), k.int(), v.int()), {}),
}


@pytest.mark.parametrize("case", [*WRONG, *WRONG_CLASS])
def test_errors(case):
    def call(lib):
        tensors = (Q, K, V, BOOL.float()) if lib is torch else ours((Q, K, V, BOOL.float()))
        args, kwargs = {**WRONG, **WRONG_CLASS}[case](*tensors)
        return getattr(lib.nn.functional, F)(*args, **kwargs)

    same_error(call, text=case in WRONG)


# ── several heads ─────────────────────────────────────────────────────────────────────────────
X, Y = torch.randn(3, 2, 8), torch.randn(5, 2, 8)
PAD = torch.tensor([[False, False, False, False, True], [False, False, True, True, True]])
CAUSAL = torch.nn.Transformer.generate_square_subsequent_mask(3)
UPPER = CAUSAL != 0
WIDE = torch.randn(4, 3, 5)

MHA = {
    "self": ({}, (X, X, X), {}),
    "self, no weights": ({}, (X, X, X), {"need_weights": False}),
    "memory": ({}, (X, Y, Y), {}),
    "three inputs": ({}, (X, Y, Y * 2), {}),
    "all weights": ({}, (X, Y, Y), {"average_attn_weights": False}),
    "padding": ({}, (X, Y, Y), {"key_padding_mask": PAD}),
    "padding in numbers": ({}, (X, Y, Y), {"key_padding_mask": PAD.float()}),
    "padding, no weights": ({}, (X, Y, Y), {"key_padding_mask": PAD, "need_weights": False}),
    "mask": ({}, (X, X, X), {"attn_mask": CAUSAL}),
    "bool mask": ({}, (X, X, X), {"attn_mask": UPPER, "need_weights": False}),
    "mask by head": ({}, (X, Y, Y), {"attn_mask": WIDE}),
    "mask by head and padding": ({}, (X, Y, Y), {"attn_mask": WIDE, "need_weights": False,
                                                 "key_padding_mask": PAD.float()}),
    "causal": ({}, (X, X, X), {"attn_mask": UPPER, "is_causal": True, "need_weights": False}),
    "causal and weights": ({}, (X, X, X), {"attn_mask": UPPER, "is_causal": True}),
    "nothing to see": ({}, (X, X, X), {"attn_mask": torch.ones(3, 3).bool()}),
    "nothing to see, no weights": ({}, (X, X, X), {"attn_mask": torch.ones(3, 3).bool(),
                                                   "need_weights": False}),
    "bias_kv": ({"add_bias_kv": True}, (X, Y, Y), {
        "key_padding_mask": PAD, "attn_mask": UPPER.new_zeros(3, 5)}),
    "zero attn": ({"add_zero_attn": True}, (X, Y, Y), {"key_padding_mask": PAD,
                                                       "need_weights": False}),
    "both": ({"add_zero_attn": True, "add_bias_kv": True}, (X, Y, Y), {"attn_mask": WIDE}),
    "no bias": ({"bias": False}, (X, X, X), {}),
    "kdim": ({"kdim": 5, "vdim": 6}, (X, Y[..., :5], Y[..., :6]), {}),
    "kdim, no bias": ({"kdim": 5, "bias": False}, (X, Y[..., :5], Y), {"need_weights": False}),
    "dropout": ({"dropout": 0.4}, (X, X, X), {}),
    "dropout, no weights": ({"dropout": 0.4}, (X, X, X), {"need_weights": False}),
    "batch first": ({"batch_first": True}, (X, X, X), {}),
    "batch first, no weights": ({"batch_first": True}, (X, X, X), {"need_weights": False}),
    "batch first, memory": ({"batch_first": True}, (X, X.repeat(1, 3, 1), X.repeat(1, 3, 1)), {}),
    "no batch": ({}, (X[:, 0], X[:, 0], X[:, 0]), {}),
    "no batch, memory": ({}, (X[:, 0], Y[:, 0], Y[:, 0]), {"key_padding_mask": PAD[0],
                                                          "attn_mask": WIDE[:2]}),
    "double": ({"dtype": torch.float64}, (X.double(), X.double(), X.double()), {}),
}


@pytest.mark.filterwarnings("ignore:Support for mismatched")
@pytest.mark.parametrize("case", MHA)
def test_multihead_attention(case):
    made, args, kwargs = MHA[case]
    j, t = twins("MultiheadAttention", 8, 2, **made)
    shared = {id(a): a.detach().clone() for a in args}
    args = [shared[id(a)] for a in args]
    mine, theirs = run_twins(j, t, args, kwargs)
    same(mine[1], theirs[1], 1e-5, "shares")
    j.eval(), t.eval()
    with torch.no_grad(), jt.no_grad():
        args_j = {id(a): ours(a) for a in args}
        mine = j(*[args_j[id(a)] for a in args], **ours(kwargs))
        theirs = t(*args, **kwargs)
        same(mine, theirs, 1e-5, "evaluation")
        assert mine[0].stride() == theirs[0].stride()


MHA_ERRORS = {
    "1-D": lambda x, y: ((x[0, 0],) * 3, {}),
    "4-D": lambda x, y: ((x[None], y, y), {}),
    "key of other rank": lambda x, y: ((x, y[:, 0], y[:, 0]), {}),
    "key of other rank, no batch": lambda x, y: ((x[:, 0], y, y), {}),
    "features": lambda x, y: ((x[..., :7],) * 3, {}),
    "value length": lambda x, y: ((x, y, y[:4]), {}),
    "mask of 2 dims": lambda x, y: ((x, y, y), {"attn_mask": x[:, 0, :3]}),
    "mask of 3 dims": lambda x, y: ((x, y, y), {"attn_mask": x[:, :, :5]}),
    "mask of 4 dims": lambda x, y: ((x, y, y), {"attn_mask": x[None]}),
    "padding length": lambda x, y: ((x, y, y), {"key_padding_mask": y[:2, 0, :3] > 0}),
    "padding of 1 dim": lambda x, y: ((x, y, y), {"key_padding_mask": y[:, 0, 0] > 0}),
    "padding of integers": lambda x, y: ((x, y, y), {"key_padding_mask": y[:2, 0, :5].int()}),
    "causal without mask": lambda x, y: ((x, x, x), {"is_causal": True}),
    "no batch, mask": lambda x, y: ((x[:, 0], x[:, 0], x[:, 0]), {"attn_mask": x[:1, :, :3]}),
}


@pytest.mark.parametrize("case", MHA_ERRORS)
def test_multihead_errors(case):
    def call(lib):
        args, kwargs = MHA_ERRORS[case](*((X, Y) if lib is torch else ours((X, Y))))
        return lib.nn.MultiheadAttention(8, 2)(*args, **kwargs)

    same_error(call)


def test_multihead_construction_errors():
    same_error(lambda lib: lib.nn.MultiheadAttention(0, 1), ValueError)
    same_error(lambda lib: lib.nn.MultiheadAttention(5, 2), AssertionError)


def test_functional_static_keys():
    j, t = twins("MultiheadAttention", 8, 2)
    static = torch.randn(4, 6, 4)
    rest = dict(training=True, need_weights=True)

    def call(lib, module, x, held):
        return lib.nn.functional.multi_head_attention_forward(
            x, x, x, 8, 2, module.in_proj_weight, module.in_proj_bias, None, None, False, 0.0,
            module.out_proj.weight, module.out_proj.bias, static_k=held, static_v=held, **rest)

    same(call(jt, j, ours(X), ours(static)), call(torch, t, X, static), 1e-5)


def test_mismatched_masks_warn():
    j = jt.nn.MultiheadAttention(8, 2)
    with pytest.warns(UserWarning, match="mismatched key_padding_mask and attn_mask"):
        j(*[ours(X), ours(Y), ours(Y)], key_padding_mask=ours(PAD), attn_mask=ours(WIDE))
