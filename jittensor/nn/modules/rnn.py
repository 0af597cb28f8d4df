"""In: sequences, padded or packed. Out: RNN, LSTM and GRU: outputs and last states."""

from __future__ import annotations

import math
import numbers
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from ... import creation
from ...tensor import Tensor
from .. import init
from ..functional import recurrent as functional
from ..parameter import Parameter
from ..utils.rnn import PackedSequence
from .module import Module
from .rnn_cells import GRUCell, LSTMCell, RNNCell, RNNCellBase

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _check_options(input_size: Any, hidden_size: Any, num_layers: int, bias: Any,
                   batch_first: Any, dropout: Any, proj_size: int) -> None:
    """The errors of a recurrent module's arguments."""
    if (not isinstance(dropout, numbers.Number) or isinstance(dropout, bool)
            or not 0 <= dropout <= 1):
        raise ValueError("dropout should be a number in range [0, 1], the probability of an "
                         f"element being zeroed, got {dropout!r}")
    if dropout > 0 and num_layers == 1:
        warnings.warn("dropout is applied after all recurrent layers but the last: it has no "
                      f"effect with dropout={dropout} and num_layers={num_layers}", stacklevel=4)
    for name, value, kind in (("bias", bias, bool), ("batch_first", batch_first, bool),
                              ("input_size", input_size, int), ("hidden_size", hidden_size, int)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} should be of type {kind.__name__}, got: "
                            f"{type(value).__name__}")
    for name, size in (("input_size", input_size), ("hidden_size", hidden_size),
                       ("num_layers", num_layers)):
        if size <= 0:
            raise ValueError(f"{name} must be greater than zero, got {size}")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer, or zero for no projection, got "
                         f"{proj_size}")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size, got "
                         f"{proj_size} and {hidden_size}")


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, checks, padded and packed input.

    Layer k has `weight_ih_l{k}` (gates * hidden, input), `weight_hh_l{k}` (gates * hidden,
    state), with `bias` `bias_ih_l{k}` and `bias_hh_l{k}` (gates * hidden), with `proj_size`
    `weight_hr_l{k}` (state, hidden); those of the backward direction end in `_reverse`. All are
    drawn uniformly from ±1/sqrt(hidden_size), in the order in which they are registered.
    """

    __constants__ = ["mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first",
                     "dropout", "bidirectional", "proj_size"]
    __jit_unused_properties__ = ["all_weights"]

    def __init__(self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1,
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0,
                 bidirectional: bool = False, proj_size: int = 0, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        _check_options(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        if mode not in GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._flat_weight_refs: list = []
        self._flat_weights_names: list[str] = []
        self._all_weights: list[list[str]] = []
        self._make_weights(device, dtype)
        self._init_flat_weights()
        self.reset_parameters()

    def _make_weights(self, device: Any, dtype: Any) -> None:
        rows = GATES[self.mode] * self.hidden_size
        state = self.proj_size or self.hidden_size
        directions = ("", "_reverse") if self.bidirectional else ("",)
        for layer in range(self.num_layers):
            for suffix in directions:
                width = state * len(directions) if layer else self.input_size
                shapes = {"weight_ih": (rows, width), "weight_hh": (rows, state)}
                if self.bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if self.proj_size:
                    shapes["weight_hr"] = (state, self.hidden_size)
                names = [f"{name}_l{layer}{suffix}" for name in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    empty = creation.empty(shape, device=device, dtype=dtype)
                    setattr(self, name, Parameter(empty))
                self._flat_weights_names += names
                self._all_weights.append(names)

    # ── weights ───────────────────────────────────────────────────────────────────────────────
    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights, a list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def _init_flat_weights(self) -> None:
        """Looks the weights up by name: after a conversion, or where one was replaced."""
        self._flat_weights = [getattr(self, name, None) for name in self._flat_weights_names]
        self._note_weights()

    def _note_weights(self) -> None:
        self._flat_weight_refs = [None if w is None else weakref.ref(w)
                                  for w in self._flat_weights]

    def _weights_have_changed(self) -> bool:
        for known, name in zip(self._flat_weight_refs, self._flat_weights_names, strict=True):
            weight = getattr(self, name, None)
            if weight is not None and known is not None and known() is not weight:
                return True
        return False

    def _update_flat_weights(self) -> None:
        if self._weights_have_changed():
            self._init_flat_weights()

    def __setattr__(self, name: str, value: Any) -> None:
        names = self.__dict__.get("_flat_weights_names", ())
        if name in names and "_flat_weights" in self.__dict__:
            self._flat_weights[names.index(name)] = value
        super().__setattr__(name, value)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RNNBase:
        super()._apply(fn, recurse)
        self._init_flat_weights()
        return self

    def __getstate__(self) -> dict[str, Any]:
        self._update_flat_weights()
        state = dict(self.__dict__)
        del state["_flat_weight_refs"]       # weak references cannot be pickled
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("proj_size", 0)      # files older than projections
        self._note_weights()

    def flatten_parameters(self) -> None:
        """Nothing: the kernels read the weights where they are. Programs written for cuDNN
        call it."""

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # ── checks ────────────────────────────────────────────────────────────────────────────────
    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """ValueError for another dtype, RuntimeError for another number of dims or size."""
        dtype = self._flat_weights[0].dtype
        if input.dtype != dtype:
            raise ValueError(f"RNN input dtype ({input.dtype}) does not match weight dtype "
                             f"({dtype}). Convert input: input.to({dtype}), or convert model: "
                             f"model.to({input.dtype})")
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if input.size(-1) != self.input_size:
            raise RuntimeError("input.size(-1) must be equal to input_size. Expected "
                               f"{self.input_size}, got {input.size(-1)}")

    def _state_size(self, input: Tensor, batch_sizes: Tensor | None, width: int
                    ) -> tuple[int, int, int]:
        batch = (int(batch_sizes[0]) if batch_sizes is not None
                 else input.size(0 if self.batch_first else 1))
        return self.num_layers * (1 + bool(self.bidirectional)), batch, width

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None
                                 ) -> tuple[int, int, int]:
        """(layers * directions, batch, state), the size of the first states."""
        return self._state_size(input, batch_sizes, self.proj_size or self.hidden_size)

    def check_hidden_size(self, hx: Tensor, expected_hidden_size: tuple[int, int, int],
                          msg: str = "Expected hidden size {}, got {}") -> None:
        """RuntimeError for states of another size."""
        if tuple(hx.size()) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input: Tensor, hidden: Tensor,
                           batch_sizes: Tensor | None) -> None:
        """The errors of what `forward` is given."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx: Any, permutation: Tensor | None) -> Any:
        """The states in another order of the sequences."""
        return hx if permutation is None else hx.index_select(1, permutation)

    # ── forward ───────────────────────────────────────────────────────────────────────────────
    def _zeros(self, size: tuple, like: Tensor) -> Tensor:
        return creation.zeros(*size, dtype=like.dtype, device=like.device)

    def _first_states(self, input: Tensor, batch_sizes: Tensor | None) -> Any:
        """States of zeros."""
        return self._zeros(self.get_expected_hidden_size(input, batch_sizes), input)

    def _check_dims(self, input: Tensor, hx: Any) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got "
                             f"{input.dim()}D instead")
        if hx is not None and hx.dim() != input.dim():
            kind = "batched" if input.dim() == 3 else "unbatched"
            raise RuntimeError(f"For {kind} {input.dim()}-D input, hx should also be "
                               f"{input.dim()}-D but got {hx.dim()}-D tensor")

    def _each(self, hx: Any, change: Callable[[Tensor], Tensor]) -> Any:
        """`change` of every state."""
        return change(hx)

    def _states_of(self, results: tuple) -> Any:
        return results[1]

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple:
        """(steps, batch, input) to (steps, batch, directions * state) and the last states
        (layers * directions, batch, state).

        With `batch_first` the batch comes first in input and output. An input (steps, input)
        is one sequence, without the batch in any of the results. A PackedSequence gives a
        PackedSequence.

        Args:
            hx: the first states, zeros unless given; a pair of them for an LSTM.

        Raises:
            ValueError: an input of other than two or three dims, or of another dtype.
            RuntimeError: sizes that do not fit.
        """
        self._update_flat_weights()
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        self._check_dims(input, hx)
        batched, batch_dim = input.dim() == 3, 0 if self.batch_first else 1
        if not batched:
            input = input.unsqueeze(batch_dim)
            if hx is not None:
                hx = self._each(hx, lambda h: h.unsqueeze(1))
        if hx is None:
            hx = self._first_states(input, None)
        self.check_forward_args(input, hx, None)
        results = getattr(functional, self.mode.lower())(
            input, hx, self._flat_weights, self.bias, self.num_layers, self.dropout, self.training,
            self.bidirectional, self.batch_first)
        output, last = results[0], self._states_of(results)
        if not batched:
            output, last = output.squeeze(batch_dim), self._each(last, lambda h: h.squeeze(1))
        return output, last

    def _forward_packed(self, sequence: PackedSequence, hx: Any) -> tuple:
        data, batch_sizes, order, back = sequence
        if hx is None:
            hx = self._first_states(data, batch_sizes)
        else:
            hx = self.permute_hidden(hx, order)
        self.check_forward_args(data, hx, batch_sizes)
        results = getattr(functional, self.mode.lower())(
            data, batch_sizes, hx, self._flat_weights, self.bias, self.num_layers, self.dropout,
            self.training, self.bidirectional)
        output = PackedSequence(results[0], batch_sizes, order, back)
        return output, self.permute_hidden(self._states_of(results), back)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, usual in (("proj_size", 0), ("num_layers", 1), ("bias", True),
                            ("batch_first", False), ("dropout", 0), ("bidirectional", False)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text


def _no_projection(options: dict[str, Any]) -> None:
    if "proj_size" in options:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(RNNBase):
    """An Elman network: `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)` at every step.

    Args: input_size, hidden_size, num_layers=1, nonlinearity="tanh" (or "relu"), bias=True,
        batch_first=False, dropout=0.0 (between layers), bidirectional=False, device, dtype.

    >>> import jittensor as torch
    >>> output, last = torch.nn.RNN(4, 8)(torch.randn(5, 2, 4))
    >>> output.shape, last.shape
    (torch.Size([5, 2, 8]), torch.Size([1, 2, 8]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _no_projection(kwargs)
        if len(args) > 3:
            nonlinearity, args = args[3], args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or "
                             "'relu'.")
        super().__init__("RNN_" + nonlinearity.upper(), *args, **kwargs)
        self.nonlinearity = nonlinearity


class GRU(RNNBase):
    """A gated recurrent unit (Cho et al. 2014), its reset gate applied after the product:

    `r = σ(W_ir x + b_ir + W_hr h + b_hr)`, `z = σ(W_iz x + b_iz + W_hz h + b_hz)`,
    `n = tanh(W_in x + b_in + r * (W_hn h + b_hn))`, `h' = (1 - z) * n + z * h`.

    Args: input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0
        (between layers), bidirectional=False, device, dtype.

    >>> import jittensor as torch
    >>> output, last = torch.nn.GRU(4, 8, batch_first=True)(torch.randn(2, 5, 4))
    >>> output.shape, last.shape
    (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _no_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)


class LSTM(RNNBase):
    """A long short-term memory (Hochreiter & Schmidhuber 1997, Gers et al. 2000):

    `i, f, o = σ(W_i x + b_i + W_h h + b_h)`, `g = tanh(…)`, `c' = f * c + i * g`,
    `h' = o * tanh(c')`, and `h' = W_hr h'` with `proj_size`.

    Args: input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0
        (between layers), bidirectional=False, proj_size=0, device, dtype.

    >>> import jittensor as torch
    >>> output, (h, c) = torch.nn.LSTM(4, 8, num_layers=2)(torch.randn(5, 2, 4))
    >>> output.shape, h.shape, c.shape
    (torch.Size([5, 2, 8]), torch.Size([2, 2, 8]), torch.Size([2, 2, 8]))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input: Tensor, batch_sizes: Tensor | None
                               ) -> tuple[int, int, int]:
        """(layers * directions, batch, hidden), the size of the first memories."""
        return self._state_size(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input: Tensor, hidden: tuple[Tensor, Tensor],
                           batch_sizes: Tensor | None) -> None:
        """The errors of what `forward` is given."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden[0], self.get_expected_hidden_size(input, batch_sizes),
                               "Expected hidden[0] size {}, got {}")
        self.check_hidden_size(hidden[1], self.get_expected_cell_size(input, batch_sizes),
                               "Expected hidden[1] size {}, got {}")

    def permute_hidden(self, hx: tuple[Tensor, Tensor], permutation: Tensor | None
                       ) -> tuple[Tensor, Tensor]:
        """The pair of states in another order of the sequences."""
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _first_states(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[Tensor, Tensor]:
        return (self._zeros(self.get_expected_hidden_size(input, batch_sizes), input),
                self._zeros(self.get_expected_cell_size(input, batch_sizes), input))

    def _check_dims(self, input: Tensor, hx: Any) -> None:
        super()._check_dims(input, None)
        if hx is not None and (hx[0].dim() != input.dim() or hx[1].dim() != input.dim()):
            kind = "batched" if input.dim() == 3 else "unbatched"
            raise RuntimeError(f"For {kind} {input.dim()}-D input, hx and cx should also be "
                               f"{input.dim()}-D but got ({hx[0].dim()}-D, {hx[1].dim()}-D) "
                               "tensors")

    def _each(self, hx: Any, change: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        return change(hx[0]), change(hx[1])

    def _states_of(self, results: tuple) -> tuple[Tensor, Tensor]:
        return results[1], results[2]
