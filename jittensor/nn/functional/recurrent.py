"""In: sequences, first states, the weights of all layers. Out: what `torch.lstm`, `torch.gru`,
`torch.rnn_tanh` and `torch.rnn_relu` return: outputs and last states.

Each of them takes either `(input, hx, params, has_biases, num_layers, dropout, train,
bidirectional, batch_first)` or, for packed sequences, `(data, batch_sizes, hx, params,
has_biases, num_layers, dropout, train, bidirectional)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ... import functions
from ...autograd.graph import relabel
from ...graph import dtypes as dt
from ...tensor import Tensor
from .recurrent_cells import gru_cell, lstm_cell, rnn_relu_cell, rnn_tanh_cell
from .recurrent_layer import RecurrentLayer

__all__ = ["gru", "gru_cell", "lstm", "lstm_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh",
           "rnn_tanh_cell"]


def _layers(cell: str, x: Tensor, sizes: Tensor | None, states: Sequence[Tensor], params: Sequence,
            biased: bool, num_layers: int, dropout: float, train: bool, directions: int) -> tuple:
    """(rows, input) through all layers: (output, stacked last states, stacked last memories)."""
    each = len(params) // (num_layers * directions)
    last: list[list[Tensor]] = [[] for _ in states]
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            k = layer * directions + direction
            weights = list(params[k * each:(k + 1) * each])
            w_hr = weights.pop() if len(weights) == 2 * biased + 3 else None
            w_ih, w_hh, b_ih, b_hh = weights if biased else (*weights, None, None)
            first = [s[k] for s in states] + [None] * (2 - len(states))
            output, *ends = RecurrentLayer.apply(cell, direction == 1, sizes, x, *first, w_ih,
                                                 w_hh, b_ih, b_hh, w_hr)
            outputs.append(output)
            for found, end in zip(last, ends, strict=True):
                found.append(end)
        x = functions.cat(outputs, -1) if directions == 2 else outputs[0]
        if dropout and train and layer < num_layers - 1:
            x = functions.dropout(x, dropout, True)
    if directions == 1:
        x = x.clone()       # a tensor of its own: the layer's result holds much besides
    return x, *[functions.stack(found) for found in last]


def _run(name: str, x: Tensor, sizes: Tensor | None, states: Sequence[Tensor], params: Sequence,
         *options: Any) -> tuple:
    """`_layers`, 16-bit floats computed in float32."""
    dtype = x.dtype
    if dtype.category != 2:
        raise NotImplementedError(f"{name}: expected an input of a floating point dtype, "
                                  f"got {dtype}")
    for what in (*states, *params):
        if what is not None and what.dtype is not dtype:
            raise RuntimeError(f"{name}: expected input, states and weights of one dtype, got "
                               f"{dtype} and {what.dtype}")
    if dtype in (dt.float16, dt.bfloat16):
        found = _layers(name, x.float(), sizes, [s.float() for s in states],
                        [p.float() for p in params], *options)
        return tuple(y.to(dtype) for y in found)
    return _layers(name, x, sizes, states, params, *options)


def _sequence(name: str, input: Tensor, hx: Any, params: Sequence[Tensor], has_biases: bool,
              num_layers: int, dropout: float, train: bool, bidirectional: bool,
              batch_first: bool) -> tuple:
    """A padded batch [steps, batch, input] ([batch, steps, input] with `batch_first`)."""
    x = input.transpose(0, 1) if batch_first else input
    steps, batch = x.shape[:2]
    if steps == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    found = _run(name, x.reshape(steps * batch, x.shape[2]), None, _states(name, hx), params,
                 has_biases, num_layers, dropout, train, 1 + bidirectional)
    out = found[0].view(steps, batch, found[0].shape[1])
    # the names that PyTorch gives, whose LSTM in float32 is a kernel of a library
    whole = name == "lstm" and x.dtype is not dt.float64 and (
        len(params) == num_layers * (1 + bidirectional) * (4 if has_biases else 2))
    if batch_first:
        number = 0 if name == "lstm" else 1
        out = relabel(out.transpose(0, 1), f"TransposeBackward{number}")
    else:
        relabel(out, "CatBackward0" if bidirectional else
                "MkldnnRnnLayerBackward0" if whole else "StackBackward0")
    return out, *found[1:]


def _packed(name: str, data: Tensor, batch_sizes: Tensor, hx: Any, params: Sequence[Tensor],
            has_biases: bool, num_layers: int, dropout: float, train: bool,
            bidirectional: bool) -> tuple:
    """Packed sequences: data [rows, input], rows of a step in `batch_sizes`."""
    counts = batch_sizes.tolist()
    if not counts or min(counts) <= 0 or sorted(counts, reverse=True) != counts or (
            sum(counts) != data.shape[0]):
        raise RuntimeError(f"{name}: batch_sizes of a packed sequence must be positive, must not "
                           f"increase and must add up to its {data.shape[0]} rows, got {counts}")
    out, *last = _run(name, data, batch_sizes, _states(name, hx), params, has_biases, num_layers,
                      dropout, train, 1 + bidirectional)
    return relabel(out, "CatBackward0"), *last


def _states(name: str, hx: Any) -> tuple[Tensor, ...]:
    if name != "lstm":
        return (hx,)
    if len(hx) != 2:
        raise RuntimeError("lstm expects two hidden states")
    return tuple(hx)


def _function(name: str, doc: str) -> Callable[..., tuple]:
    """The public function of a cell: its arguments say which of the two forms is meant."""
    forms = [inspect.Signature(list(inspect.signature(f).parameters.values())[1:])
             for f in (_packed, _sequence)]

    def function(*args: Any, **options: Any) -> tuple:
        packed = "data" in options or (len(args) > 1 and isinstance(args[1], Tensor)
                                       and args[1].dtype is dt.int64) or "batch_sizes" in options
        try:
            given = forms[0 if packed else 1].bind(*args, **options)
        except TypeError as error:
            raise TypeError(f"{name}() received an invalid combination of arguments: {error}; "
                            f"expected {forms[1]} or {forms[0]}") from None
        return (_packed if packed else _sequence)(name, *given.args)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


lstm = _function("lstm", "An LSTM of several layers: output, last states, last memories.")
gru = _function("gru", "A GRU of several layers: output, last states.")
rnn_tanh = _function("rnn_tanh", "An Elman network with tanh: output, last states.")
rnn_relu = _function("rnn_relu", "An Elman network with relu: output, last states.")
