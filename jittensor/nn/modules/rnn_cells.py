"""In: the input of one step and a state. Out: RNNCell, LSTMCell and GRUCell: the next state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ... import creation
from ...tensor import Tensor
from .. import init
from ..functional import recurrent as functional
from ..parameter import Parameter
from .module import Module

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """What the cells share: `weight_ih` (chunks * hidden, input), `weight_hh` (chunks * hidden,
    hidden) and, with `bias`, `bias_ih` and `bias_hh`, drawn uniformly from ±1/sqrt(hidden_size).
    """

    __constants__ = ["input_size", "hidden_size", "bias"]
    input_size: int
    hidden_size: int
    bias: bool
    weight_ih: Tensor
    weight_hh: Tensor

    def __init__(self, input_size: int, hidden_size: int, bias: bool, num_chunks: int,
                 device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size

        def weight(*shape: int) -> Parameter:
            return Parameter(creation.empty(shape, device=device, dtype=dtype))

        self.weight_ih = weight(rows, input_size)
        self.weight_hh = weight(rows, hidden_size)
        self.register_parameter("bias_ih", weight(rows) if bias else None)
        self.register_parameter("bias_hh", weight(rows) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _check_dims(self, input: Tensor, states: dict[str, Tensor]) -> None:
        for what, x in {"input": input, **states}.items():
            if x.dim() not in (1, 2):
                raise ValueError(f"{self._get_name()}: Expected {what} to be 1D or 2D, got "
                                 f"{x.dim()}D instead")

    def _run(self, step: Callable, input: Tensor, hx: Tensor | None) -> Tensor:
        """One step of a cell with a single state."""
        self._check_dims(input, {} if hx is None else {"hidden": hx})
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            hx = self._zeros(x)
        elif not batched:
            hx = hx.unsqueeze(0)
        out = step(x, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return out if batched else out.squeeze(0)

    def _zeros(self, input: Tensor) -> Tensor:
        return creation.zeros(input.size(0), self.hidden_size, dtype=input.dtype,
                              device=input.device)


class RNNCell(RNNCellBase):
    """One step of an Elman network: `tanh(W_ih x + b_ih + W_hh h + b_hh)`, or relu of it.

    >>> import jittensor as torch
    >>> torch.nn.RNNCell(4, 8)(torch.randn(2, 4)).shape
    torch.Size([2, 8])
    """

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]
    nonlinearity: str

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True,
                 nonlinearity: str = "tanh", device: Any = None, dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(batch, input), (batch, hidden) to (batch, hidden); all without batch for one sample.

        Raises:
            ValueError: other numbers of dims.
            RuntimeError: sizes that do not fit, or a nonlinearity that is not tanh or relu.
        """
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        step = functional.rnn_tanh_cell if self.nonlinearity == "tanh" else functional.rnn_relu_cell
        return self._run(step, input, hx)


class GRUCell(RNNCellBase):
    """One step of a gated recurrent unit (see `GRU`).

    >>> import jittensor as torch
    >>> torch.nn.GRUCell(4, 8)(torch.randn(2, 4)).shape
    torch.Size([2, 8])
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """(batch, input), (batch, hidden) to (batch, hidden); all without batch for one sample.

        Raises:
            ValueError: other numbers of dims.
            RuntimeError: sizes that do not fit.
        """
        return self._run(functional.gru_cell, input, hx)


class LSTMCell(RNNCellBase):
    """One step of a long short-term memory (see `LSTM`).

    >>> import jittensor as torch
    >>> h, c = torch.nn.LSTMCell(4, 8)(torch.randn(2, 4))
    >>> h.shape, c.shape
    (torch.Size([2, 8]), torch.Size([2, 8]))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
                ) -> tuple[Tensor, Tensor]:
        """(batch, input) and two states (batch, hidden) to two states; all without batch for one
        sample.

        Raises:
            ValueError: other numbers of dims.
            RuntimeError: sizes that do not fit.
        """
        states = {} if hx is None else {f"hx[{k}]": h for k, h in enumerate(hx)}
        self._check_dims(input, states)
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if hx is None:
            zeros = self._zeros(x)
            hx = (zeros, zeros)
        elif not batched:
            hx = (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        h, c = functional.lstm_cell(x, hx, self.weight_ih, self.weight_hh, self.bias_ih,
                                    self.bias_hh)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))
