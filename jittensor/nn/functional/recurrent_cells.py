"""In: an input, a state and a cell's weights. Out: the state after one step.

`advance` is the arithmetic of every cell on tensors that hold the two products already.
"""

from __future__ import annotations

from ... import functions
from ...tensor import Tensor

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def advance(cell: str, x: Tensor, s: Tensor, h: Tensor, c: Tensor | None
            ) -> tuple[Tensor, Tensor | None]:
    """(output, memory) of one step; x and s are the products [batch, gates * hidden] of the input
    and of the state, with their biases.

    LSTM: Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; GRU: Cho et al.
    2014, its reset gate applied after the recurrent product, as PyTorch and cuDNN do.
    """
    if cell == "lstm":
        i, f, g, o = (x + s).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c
    if cell == "gru":
        xr, xz, xn = x.chunk(3, -1)
        sr, sz, sn = s.chunk(3, -1)
        n = (xn + (xr + sr).sigmoid() * sn).tanh()
        return n + (xz + sz).sigmoid() * (h - n), None
    return ((x + s).tanh() if cell == "rnn_tanh" else (x + s).relu()), None


def _checked(name: str, cell: str, input: Tensor, states: tuple, w_ih: Tensor,
             w_hh: Tensor) -> None:
    """RuntimeError where the sizes of a single step do not fit each other."""
    hidden = w_hh.shape[1]
    if input.shape[1] != w_ih.shape[1]:
        raise RuntimeError(f"{name}: input has inconsistent input_size: got {input.shape[1]} "
                           f"expected {w_ih.shape[1]}")
    for k, state in enumerate(states):
        if input.shape[0] != state.shape[0]:
            raise RuntimeError(f"{name}: Input batch size {input.shape[0]} doesn't match "
                               f"hidden{k} batch size {state.shape[0]}")
        if state.shape[1] != hidden:
            raise RuntimeError(f"{name}: hidden{k} has inconsistent hidden_size: got "
                               f"{state.shape[1]}, expected {hidden}")
    for what, weight in (("w_ih", w_ih), ("w_hh", w_hh)):
        if weight.shape[0] != GATES[cell] * hidden:
            raise RuntimeError(f"{name}: {what} has {weight.shape[0]} rows, expected "
                               f"{GATES[cell]} * hidden_size = {GATES[cell] * hidden}")


def _step(name: str, cell: str, input: Tensor, states: tuple, w_ih: Tensor, w_hh: Tensor,
          b_ih: Tensor | None, b_hh: Tensor | None) -> tuple[Tensor, Tensor | None]:
    _checked(name, cell, input, states, w_ih, w_hh)
    h, c = states if len(states) == 2 else (states[0], None)
    return advance(cell, functions.linear(input, w_ih, b_ih), functions.linear(h, w_hh, b_hh), h, c)


def lstm_cell(input: Tensor, hx: tuple[Tensor, Tensor], w_ih: Tensor, w_hh: Tensor,
              b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """One step of an LSTM: (batch, input) and two states (batch, hidden) to two states.

    Raises:
        RuntimeError: the sizes do not fit each other, or hx is not a pair.
    """
    if len(hx) != 2:
        raise RuntimeError("lstm_cell expects two hidden states")
    return _step("lstm_cell", "lstm", input, tuple(hx), w_ih, w_hh, b_ih, b_hh)


def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None,
             b_hh: Tensor | None = None) -> Tensor:
    """One step of a GRU: (batch, input) and a state (batch, hidden) to a state.

    Raises:
        RuntimeError: the sizes do not fit each other.
    """
    return _step("gru_cell", "gru", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_tanh_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor,
                  b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:
    """One step of an Elman network: tanh(W x + U h + biases).

    Raises:
        RuntimeError: the sizes do not fit each other.
    """
    return _step("rnn_tanh_cell", "rnn_tanh", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor,
                  b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:
    """One step of an Elman network: relu(W x + U h + biases).

    Raises:
        RuntimeError: the sizes do not fit each other.
    """
    return _step("rnn_relu_cell", "rnn_relu", input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]
