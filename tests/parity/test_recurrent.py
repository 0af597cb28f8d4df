"""In: the same recurrent networks in jittensor and torch. Out: the same values, gradients, text,
keys, draws and errors."""

from __future__ import annotations

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest

import jittensor as jt

torch = pytest.importorskip("torch")
BOTH = (jt, torch)
STEPS, BATCH, INPUT, HIDDEN = 6, 3, 4, 5
SIZES = np.array([3, 3, 2, 2, 1, 1])          # of a packed sequence
TOLERANCE = {"float32": (2e-6, 2e-5), "float64": (1e-13, 1e-12)}    # of values, of gradients
KINDS = {"RNN": {}, "RNN relu": {"nonlinearity": "relu"}, "LSTM": {}, "GRU": {},
         "LSTM projected": {"proj_size": 2}}
OPTIONS = [dict(zip(("num_layers", "bias", "bidirectional"), values, strict=True))
           for values in itertools.product((1, 2), (True, False), (False, True))]

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


def network(t, kind: str, dtype: str = "float32", **options):
    t.manual_seed(3)
    make = getattr(t.nn, kind.split()[0])
    return make(INPUT, HIDDEN, dtype=getattr(t, dtype), **KINDS[kind], **options)


def draw(t, dtype: str, *shape: int, seed: int = 0):
    values = np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)
    return t.tensor(values, requires_grad=True)


def first_states(t, net, dtype: str, batch: int = BATCH):
    rows = net.num_layers * (1 + net.bidirectional)
    h = draw(t, dtype, rows, batch, net.proj_size or HIDDEN, seed=1)
    return (h, draw(t, dtype, rows, batch, HIDDEN, seed=2)) if net.mode == "LSTM" else h


def states_of(result) -> list:
    output, last = result
    data = output.data if isinstance(output, tuple) else output
    return [data, *(last if isinstance(last, tuple) else (last,))]


def results(t, kind: str, form: str, dtype: str, options: dict) -> tuple[list, list, list]:
    """Values, strides and gradients of one network in one form of input."""
    net = network(t, kind, dtype, batch_first=form == "batch first", **options)
    shape = {"batch first": (BATCH, STEPS, INPUT), "one": (STEPS, INPUT),
             "packed": (SIZES.sum(), INPUT)}.get(form, (STEPS, BATCH, INPUT))
    x = draw(t, dtype, *shape)
    hx = None if form == "no state" else first_states(t, net, dtype)
    leaves = [] if hx is None else list(hx) if isinstance(hx, tuple) else [hx]
    if form == "one":
        hx = tuple(h[:, 0] for h in hx) if isinstance(hx, tuple) else hx[:, 0]
    given = t.nn.utils.rnn.PackedSequence(x, t.tensor(SIZES)) if form == "packed" else x
    out = states_of(net(given, hx))
    sum(((k + 1) * o * o.sin()).sum() for k, o in enumerate(out)).backward()
    grads = [p.grad for p in (x, *leaves, *net.parameters())]
    return [o.detach() for o in out], [o.stride() for o in out], grads


@pytest.mark.parametrize("form", ["padded", "batch first", "one", "packed", "no state"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients(kind: str, form: str) -> None:
    """Every option in float32, the last of them in float64 too."""
    for options, dtype in [*zip(OPTIONS, itertools.repeat("float32"), strict=False),
                           (OPTIONS[-1], "float64"), (OPTIONS[-3], "float64")]:
        mine, theirs = (results(t, kind, form, dtype, options) for t in BOTH)
        assert mine[1] == theirs[1], options
        for part, tolerance in zip((0, 2), TOLERANCE[dtype], strict=True):
            for a, b in zip(mine[part], theirs[part], strict=True):
                a, b = a.numpy(), b.numpy()
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=options)


def test_without_gradients() -> None:
    """What nothing is saved of has the same values."""
    for kind in KINDS:
        found = []
        for t in BOTH:
            net = network(t, kind, num_layers=2, bidirectional=True)
            with t.no_grad():
                found.append(states_of(net(draw(t, "float32", STEPS, BATCH, INPUT))))
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives(kind: str, monkeypatch) -> None:
    """In NumPy, because it is the recorded operations that are in question here."""
    monkeypatch.setattr(jt.config, "backend", "reference")
    for packed in (False, True):
        found = []
        for t in BOTH:
            net = network(t, kind, "float64", bidirectional=True)
            x = draw(t, "float64", *((SIZES.sum(), INPUT) if packed else (2, BATCH, INPUT)))
            given = t.nn.utils.rnn.PackedSequence(x, t.tensor(SIZES)) if packed else x
            hx = first_states(t, net, "float64")
            leaves = [x, *(hx if isinstance(hx, tuple) else (hx,)), *net.parameters()]
            loss = sum((o * o).sum() for o in states_of(net(given, hx)))
            grads = t.autograd.grad(loss, leaves, create_graph=True)
            found.append(t.autograd.grad(sum((g * g).sum() for g in grads), leaves))
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_draws_what_torch_draws(kind: str) -> None:
    for form in ("padded", "packed"):
        found = [results(t, kind, form, "float32", {"num_layers": 3, "dropout": 0.4})
                 for t in BOTH]
        for part in (0, 2):
            for a, b in zip(found[0][part], found[1][part], strict=True):
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_text_keys_and_first_weights(kind: str) -> None:
    for options in (*OPTIONS, {"batch_first": True}, {"num_layers": 2, "dropout": 0.5}):
        mine, theirs = (network(t, kind, **options) for t in BOTH)
        assert repr(mine) == repr(theirs)
        assert list(mine.state_dict()) == list(theirs.state_dict())
        assert mine._flat_weights_names == theirs._flat_weights_names
        assert mine._all_weights == theirs._all_weights
        for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


CELLS = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("GRUCell", {}),
         ("LSTMCell", {}), ("LSTMCell", {"bias": False}), ("GRUCell", {"bias": False})]


@pytest.mark.parametrize("name, options", CELLS)
def test_cells(name: str, options: dict) -> None:
    for batched, given in itertools.product((True, False), (True, False)):
        found = []
        for t in BOTH:
            t.manual_seed(5)
            cell = getattr(t.nn, name)(INPUT, HIDDEN, **options)
            lead = (BATCH,) if batched else ()
            x = draw(t, "float32", *lead, INPUT)
            hx = tuple(draw(t, "float32", *lead, HIDDEN, seed=k) for k in range(2))
            out = cell(x, (hx if name == "LSTMCell" else hx[0]) if given else None)
            out = out if isinstance(out, tuple) else (out,)
            sum((o * o.sin()).sum() for o in out).backward()
            grads = [p.grad for p in (x, *cell.parameters())]
            found.append(([*(o.detach().numpy() for o in out), *(g.numpy() for g in grads)],
                          repr(cell), list(cell.state_dict())))
        assert found[0][1:] == found[1][1:]
        for a, b in zip(found[0][0], found[1][0], strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


def test_functions_of_the_package() -> None:
    """`torch.lstm` and the like with both forms of arguments, by position and by name."""
    for kind in ("RNN", "RNN relu", "LSTM", "GRU"):
        found = []
        for t in BOTH:
            net = network(t, kind, num_layers=2, bidirectional=True)
            function = getattr(t, net.mode.lower())
            hx = first_states(t, net, "float32")
            x, rows = draw(t, "float32", STEPS, BATCH, INPUT), draw(t, "float32", 12, INPUT)
            flat = net._flat_weights
            found.append([*function(x, hx, flat, True, 2, 0.0, False, True, False),
                          *function(rows, t.tensor(SIZES), hx, flat, True, 2, 0.0, False, True),
                          *function(input=x, hx=hx, params=flat, has_biases=True, num_layers=2,
                                    dropout=0.0, train=False, bidirectional=True,
                                    batch_first=False)])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=2e-6,
                                       atol=2e-6)


# ── errors ────────────────────────────────────────────────────────────────────────────────────
def _x(t, *shape, **options):
    return t.zeros(*shape, **options)


CONSTRUCTORS = {
    "dropout 2": lambda t: t.nn.LSTM(4, 5, dropout=2),
    "dropout True": lambda t: t.nn.LSTM(4, 5, dropout=True),
    "dropout text": lambda t: t.nn.LSTM(4, 5, dropout="a"),
    "bias": lambda t: t.nn.GRU(4, 5, bias=1),
    "batch first": lambda t: t.nn.GRU(4, 5, batch_first=1),
    "input type": lambda t: t.nn.GRU(4.0, 5),
    "hidden type": lambda t: t.nn.GRU(4, 5.0),
    "input size": lambda t: t.nn.GRU(0, 5),
    "hidden size": lambda t: t.nn.GRU(4, 0),
    "layers": lambda t: t.nn.GRU(4, 5, 0),
    "projection": lambda t: t.nn.LSTM(4, 5, proj_size=5),
    "negative projection": lambda t: t.nn.LSTM(4, 5, proj_size=-1),
    "projected GRU": lambda t: t.nn.GRU(4, 5, proj_size=2),
    "projected RNN": lambda t: t.nn.RNN(4, 5, proj_size=2),
    "nonlinearity": lambda t: t.nn.RNN(4, 5, nonlinearity="gelu"),
    "mode": lambda t: t.nn.RNNBase("MGU", 4, 5),
}
CALLS = {
    "input size": lambda t: t.nn.LSTM(4, 5)(_x(t, 6, 3, 3)),
    "input dims": lambda t: t.nn.LSTM(4, 5)(_x(t, 4)),
    "input dims of GRU": lambda t: t.nn.GRU(4, 5)(_x(t, 1, 2, 3, 4)),
    "input dtype": lambda t: t.nn.GRU(4, 5)(_x(t, 6, 3, 4, dtype=t.float64)),
    "integers": lambda t: t.nn.GRU(4, 5)(_x(t, 6, 3, 4, dtype=t.int64)),
    "state dims": lambda t: t.nn.GRU(4, 5)(_x(t, 6, 3, 4), _x(t, 3, 5)),
    "state dims of one": lambda t: t.nn.GRU(4, 5)(_x(t, 6, 4), _x(t, 1, 1, 5)),
    "state batch": lambda t: t.nn.GRU(4, 5)(_x(t, 6, 3, 4), _x(t, 1, 2, 5)),
    "state size": lambda t: t.nn.RNN(4, 5)(_x(t, 6, 3, 4), _x(t, 1, 3, 4)),
    "state layers": lambda t: t.nn.RNN(4, 5, 2)(_x(t, 6, 3, 4), _x(t, 1, 3, 5)),
    "memory": lambda t: t.nn.LSTM(4, 5)(_x(t, 6, 3, 4), (_x(t, 1, 3, 5), _x(t, 1, 3, 4))),
    "output": lambda t: t.nn.LSTM(4, 5)(_x(t, 6, 3, 4), (_x(t, 1, 2, 5), _x(t, 1, 3, 5))),
    "pair dims": lambda t: t.nn.LSTM(4, 5)(_x(t, 6, 3, 4), (_x(t, 3, 5), _x(t, 3, 5))),
    "pair of one": lambda t: t.nn.LSTM(4, 5)(_x(t, 6, 4), (_x(t, 1, 1, 5), _x(t, 1, 1, 5))),
    "no steps": lambda t: t.nn.GRU(4, 5)(_x(t, 0, 3, 4)),
    "cell dims": lambda t: t.nn.GRUCell(4, 5)(_x(t, 1, 1, 4)),
    "cell state dims": lambda t: t.nn.LSTMCell(4, 5)(_x(t, 2, 4), (_x(t, 1, 2, 5),) * 2),
    "cell input size": lambda t: t.nn.GRUCell(4, 5)(_x(t, 2, 3)),
    "cell state size": lambda t: t.nn.RNNCell(4, 5)(_x(t, 2, 4), _x(t, 2, 4)),
    "cell batch": lambda t: t.nn.RNNCell(4, 5)(_x(t, 2, 4), _x(t, 3, 5)),
    "cell nonlinearity": lambda t: t.nn.RNNCell(4, 5, nonlinearity="gelu")(_x(t, 2, 4)),
    "no arguments": lambda t: t.lstm(),
    "one state": lambda t: t.lstm(_x(t, 6, 3, 4), (_x(t, 1, 3, 5),), t.nn.LSTM(4, 5)._flat_weights,
                                  True, 1, 0.0, False, False, False),
}


@pytest.mark.parametrize("case", [*(("made", name) for name in CONSTRUCTORS),
                                  *(("called", name) for name in CALLS)])
def test_errors(case: tuple) -> None:
    call = (CONSTRUCTORS if case[0] == "made" else CALLS)[case[1]]
    with pytest.raises(Exception) as theirs:
        call(torch)
    with pytest.raises(theirs.type):
        call(jt)


def test_dropout_of_a_single_layer_warns() -> None:
    for t in BOTH:
        with pytest.warns(UserWarning, match="dropout"):
            t.nn.GRU(4, 5, dropout=0.5)


# ── packing ───────────────────────────────────────────────────────────────────────────────────
LENGTHS = [(4, 3, 1), (2, 5, 5, 1)]


def sequences(t, lengths, dtype: str = "float32"):
    return [draw(t, dtype, n, 2, seed=k) for k, n in enumerate(lengths)]


def fields(x) -> list:
    """The arrays in a structure of tensors."""
    if isinstance(x, (tuple, list)):
        return [y for part in x for y in fields(part)]
    return [None if x is None else x.detach().numpy()]


def same(make) -> None:
    mine, theirs = fields(make(jt)), fields(make(torch))
    for a, b in zip(mine, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("lengths", LENGTHS)
def test_packing_and_padding(lengths: tuple) -> None:
    falling = list(lengths) == sorted(lengths, reverse=True)

    def pack(t):
        return t.nn.utils.rnn.pack_sequence(sequences(t, lengths), enforce_sorted=falling)

    same(pack)
    for first, side in itertools.product((False, True), ("left", "right")):
        same(lambda t, f=first, s=side: t.nn.utils.rnn.pad_sequence(
            sequences(t, lengths), f, 7.0, s))
        same(lambda t, f=first: t.nn.utils.rnn.pad_packed_sequence(pack(t), f, 9.0))
    same(lambda t: t.nn.utils.rnn.pad_packed_sequence(pack(t), total_length=8))
    same(lambda t: t.nn.utils.rnn.unpack_sequence(pack(t)))
    same(lambda t: t.nn.utils.rnn.pack_padded_sequence(
        t.ones(len(lengths), 6, 2).cumsum(1), t.tensor(lengths), True, falling))
    same(lambda t: t.nn.utils.rnn.unpad_sequence(
        t.ones(6, len(lengths), 2), t.tensor(lengths)))
    same(lambda t: pack(t).double())
    same(lambda t: pack(t).to(t.float16).cpu())
    assert repr(pack(jt)).replace(", requires_grad=True", "").partition("grad_fn")[0] == repr(
        pack(torch)).partition("grad_fn")[0]


def test_gradients_of_packing() -> None:
    found = []
    for t in BOTH:
        parts = sequences(t, LENGTHS[1])
        packed = t.nn.utils.rnn.pack_sequence(parts, enforce_sorted=False)
        padded, _ = t.nn.utils.rnn.pad_packed_sequence(packed)
        (padded * padded * padded).sum().backward()
        found.append([p.grad.numpy() for p in parts])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_in_any_order(kind: str) -> None:
    found = []
    for t in BOTH:
        net = network(t, kind, bidirectional=True)
        parts = [draw(t, "float32", n, INPUT, seed=k) for k, n in enumerate(LENGTHS[1])]
        packed = t.nn.utils.rnn.pack_sequence(parts, enforce_sorted=False)
        output, last = net(packed, first_states(t, net, "float32", 4))
        padded, lengths = t.nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
        found.append(fields([padded, lengths, last]))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)


PACKINGS = {
    "rising": lambda r, t: r.pack_sequence([t.ones(2), t.ones(3)]),
    "zero": lambda r, t: r.pack_padded_sequence(t.ones(3, 2), t.tensor([2, 0])),
    "count": lambda r, t: r.pack_padded_sequence(t.ones(3, 2), t.tensor([2])),
    "dims": lambda r, t: r.pack_padded_sequence(t.ones(3, 2), t.tensor([[4, 2]])),
    "total": lambda r, t: r.pad_packed_sequence(r.pack_sequence([t.ones(3)]), total_length=2),
    "none": lambda r, t: r.pad_sequence([]),
    "number": lambda r, t: r.pad_sequence(3),
    "sizes": lambda r, t: r.pad_sequence([t.ones(2, 3), t.ones(2, 4)]),
    "side": lambda r, t: r.pad_sequence([t.ones(2)], padding_side="up"),
    "alone": lambda r, t: r.PackedSequence(t.ones(3)),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_errors_of_packing(name: str) -> None:
    with pytest.raises(Exception) as theirs:
        PACKINGS[name](torch.nn.utils.rnn, torch)
    with pytest.raises(theirs.type):
        PACKINGS[name](jt.nn.utils.rnn, jt)


# ── weights that are replaced, copied, converted ──────────────────────────────────────────────
def test_weights_that_are_replaced_are_used() -> None:
    for t in BOTH:
        net, x = network(t, "GRU"), draw(t, "float32", STEPS, BATCH, INPUT)
        before = net(x)[0].sum().item()
        raw = net.weight_hh_l0
        del net.weight_hh_l0
        net.weight_hh_l0 = t.nn.functional.dropout(raw, 0.0, True) * 2    # a plain tensor
        assert net(x)[0].sum().item() != before
        net.weight_hh_l0 = raw * 1
        assert abs(net(x)[0].sum().item() - before) < 1e-5


def test_copies_and_conversions() -> None:
    for t in BOTH:
        net, x = network(t, "LSTM", num_layers=2), draw(t, "float32", STEPS, BATCH, INPUT)
        want = net(x)[0].detach().numpy()
        for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            np.testing.assert_array_equal(other(x)[0].detach().numpy(), want)
            assert other._flat_weights[0] is other.weight_ih_l0
        wide = net.double()
        assert wide._flat_weights[0] is wide.weight_ih_l0
        assert wide(x.double())[0].dtype == t.float64


def test_16_bit_floats() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = []
        for t in BOTH:
            net = network(t, "GRU").to(t.bfloat16)
            found.append(net(draw(t, "float32", STEPS, BATCH, INPUT).to(t.bfloat16))[0])
    assert str(found[0].dtype) == str(found[1].dtype)
    np.testing.assert_allclose(found[0].float().detach().numpy(),
                               found[1].float().detach().numpy(), atol=0.02)
