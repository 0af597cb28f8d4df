"""In: recurrent networks. Out: NumPy's values, derivatives by differences, what a changed length
costs, and what is kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import jittensor as jt
from jittensor import nn
from jittensor.nn.functional.recurrent_layer import RecurrentLayer, unrolled
from jittensor.nn.utils import rnn
from jittensor.runtime.realize import forget_plans

CELLS = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
MODES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN,
         "rnn_relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k)}


def draw(*shape: int, dtype: str = "float32", grad: bool = False):
    values = np.random.default_rng(shape).normal(size=shape).astype(dtype) * 0.5
    return jt.tensor(values, requires_grad=grad)


def flat(result) -> list:
    return [y for x in result for y in (x if isinstance(x, tuple) else (x,))]


def layer(cell: str, hidden: int = 5, width: int = 4, batch: int = 3, state: int = 0,
          grad: bool = True) -> list:
    """First states and weights of a layer in float64, as `unrolled` takes them."""
    rows, state = CELLS[cell] * hidden, state or hidden
    shapes = [(batch, state), (batch, hidden) if cell == "lstm" else None, (rows, width),
              (rows, state), (rows,), (rows,), (state, hidden) if state != hidden else None]
    return [None if s is None else draw(*s, dtype="float64", grad=grad) for s in shapes]


SIZES = {"padded": None, "packed": [3, 3, 2, 1]}


@pytest.mark.parametrize("form, reverse", list(itertools.product(SIZES, (False, True))))
@pytest.mark.parametrize("cell", CELLS)
def test_the_loop_is_the_recorded_steps(cell: str, form: str, reverse: bool) -> None:
    """Values and gradients of the operator against the layer recorded step by step."""
    for state in (0, 2) if cell == "lstm" else (0,):
        sizes = SIZES[form]
        steps = sizes or [3] * 4
        x = draw(sum(steps), 4, dtype="float64", grad=True)
        given = layer(cell, state=state)
        leaves = [x, *(t for t in given if t is not None)]
        packed = None if sizes is None else jt.tensor(sizes)
        found = []
        for result in (RecurrentLayer.apply(cell, reverse, packed, x, *given),
                       unrolled(cell, reverse, steps, x, *given)):
            outputs = [o for o in result if o is not None]
            loss = sum(((k + 1) * o * o).sum() for k, o in enumerate(outputs))
            found.append([*outputs, *jt.autograd.grad(loss, leaves)])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "rnn_tanh"])
def test_derivatives_by_differences(cell: str, monkeypatch) -> None:
    monkeypatch.setattr(jt.config, "backend", "reference")
    h, _, *weights, _ = layer(cell, hidden=2, width=1, batch=2)
    x = draw(2, 2, 1, dtype="float64", grad=True)

    def run(x, h, *weights):
        return getattr(jt, cell)(x, h[None], list(weights), True, 1, 0.0, False, False, False)

    assert jt.autograd.gradcheck(run, (x, h, *weights))
    assert jt.autograd.gradgradcheck(run, (x, h, *weights))


@pytest.mark.parametrize("cell", CELLS)
def test_the_reference_backend_agrees(cell: str, monkeypatch) -> None:
    found = []
    for backend in ("numba", "reference"):
        monkeypatch.setattr(jt.config, "backend", backend)
        jt.manual_seed(0)
        net = MODES[cell](4, 5, 2, bidirectional=True)
        parts = [draw(n, 4) for n in (2, 4, 1)]
        packed = rnn.pack_sequence(parts, enforce_sorted=False)
        output, last = net(packed)
        padded, _ = rnn.pad_packed_sequence(output)
        sum((o * o).sum() for o in flat((padded, last))).backward()
        found.append([t.detach().numpy() for t in flat((padded, last))]
                     + [p.grad.numpy() for p in net.parameters()])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def train(net, length: int, batch: int) -> None:
    net.zero_grad()
    output, _ = net(draw(length, batch, 4))
    output.sum().backward()
    jt.realize(*[p.grad for p in net.parameters()])


def test_another_length_or_batch_compiles_nothing() -> None:
    net = nn.LSTM(4, 20, 2)
    train(net, 9, 3)
    train(net, 8, 4)                  # sizes of 1 and of more than 16 are kernels of their own
    before = jt.stats().kernels_compiled + jt.stats().kernels_loaded
    for length, batch in ((11, 5), (12, 6), (10, 10)):
        train(net, length, batch)
    assert jt.stats().kernels_compiled + jt.stats().kernels_loaded == before


def test_a_long_sequence_records_no_more_than_a_short_one() -> None:
    counts = []
    for length in (3, 300):
        net, before = nn.GRU(4, 5), jt.stats().kernels_launched
        train(net, length, 2)
        counts.append(jt.stats().kernels_launched - before)
    assert counts[0] == counts[1]


def test_threads_change_no_bits() -> None:
    x, threads, found = draw(20, 7, 40), jt.get_num_threads(), []
    try:
        for count in (1, 2):
            jt.set_num_threads(count)
            forget_plans()            # a plan is cut for the threads that there were
            jt.manual_seed(0)
            net = nn.LSTM(40, 50)
            output, _ = net(x)
            (output * output).sum().backward()
            found.append([output.detach().numpy(), net.weight_hh_l0.grad.numpy()])
    finally:
        jt.set_num_threads(threads)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("hidden", [1, 7, 16, 31, 33])
def test_units_that_fill_no_panel(hidden: int) -> None:
    """Sizes around the 16 and 32 columns that the kernels take at a time, batches around 8."""
    for batch in (1, 2, 5, 9, 16):
        net = nn.GRU(3, hidden)
        weights = [w.detach().numpy().astype("float64") for w in net.parameters()]
        x, h = draw(4, batch, 3), np.zeros((batch, hidden))
        with jt.no_grad():
            output, last = net(x)
        for t, row in enumerate(x.numpy()):
            xr, xz, xn = np.split(row @ weights[0].T + weights[2], 3, 1)
            sr, sz, sn = np.split(h @ weights[1].T + weights[3], 3, 1)
            r, z = 1 / (1 + np.exp(-xr - sr)), 1 / (1 + np.exp(-xz - sz))
            h = (1 - z) * np.tanh(xn + r * sn) + z * h
            np.testing.assert_allclose(output[t].numpy(), h, atol=2e-6)
        np.testing.assert_allclose(last[0].numpy(), h, atol=2e-6)


def test_results_are_tensors_of_their_own() -> None:
    """Nothing of what is kept for backward stays with the results, and they may be written."""
    net = nn.LSTM(4, 5)
    output, (h, c) = net(draw(6, 3, 4))
    assert output.untyped_storage().nbytes() == 6 * 3 * 5 * 4
    assert h.untyped_storage().nbytes() == c.untyped_storage().nbytes() == 3 * 5 * 4
    with jt.no_grad():
        h.mul_(0)
    output.mul_(2)
    output.sum().backward()
    first, twice = net.bias_ih_l0.grad.clone(), net.bias_hh_l0.grad
    twice.mul_(2)                    # gradients that agree are not one tensor
    assert jt.equal(net.bias_ih_l0.grad, first)


def test_backward_frees_what_was_saved() -> None:
    net = nn.GRU(4, 5)
    loss = net(draw(6, 3, 4))[0].sum()
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_an_empty_batch_and_unused_results() -> None:
    net = nn.LSTM(4, 5)
    output, (h, c) = net(jt.zeros(3, 0, 4))
    assert output.shape == (3, 0, 5) and h.shape == c.shape == (1, 0, 5)
    net(draw(6, 3, 4))[1][1].sum().backward()             # nothing but the last memory
    assert float(net.weight_hh_l0.grad.abs().sum()) > 0


@pytest.mark.parametrize("start, value, slope", [(-np.inf, "0.0", 0.0), (-1.0, "0.0", 0.0),
                                                 (np.nan, "nan", np.inf)])
def test_relu_at_the_edges(start: float, value: str, slope: float) -> None:
    x = jt.tensor([[[start]]], requires_grad=True)
    weights = [jt.ones(1, 1), jt.zeros(1, 1)]
    output, _ = jt.rnn_relu(x, jt.zeros(1, 1, 1), weights, False, 1, 0.0, False, False, False)
    output.backward(jt.full((1, 1, 1), np.inf))
    assert str(output.item()) == value and x.grad.item() == slope


def test_lengths_beyond_the_input_are_refused() -> None:
    with pytest.raises(RuntimeError, match="at most 3"):
        rnn.pack_padded_sequence(jt.ones(3, 2), jt.tensor([4, 2]))


def test_a_compiled_step_is_the_step() -> None:
    found = []
    for wrap in (lambda f: f, jt.compile):
        jt.manual_seed(0)
        net = nn.LSTM(4, 5, 2)
        optimizer = jt.optim.SGD(net.parameters(), lr=0.1)

        def step(x, net=net, optimizer=optimizer):
            optimizer.zero_grad()
            loss = (net(x)[0] ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        found.append([run(draw(6, 3, 4)).item() for _ in range(4)])
    np.testing.assert_allclose(*found, rtol=1e-6)
