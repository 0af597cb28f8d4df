"""A strided tensor in, the same values in oneDNN's blocked layout out, and back.

Images [N, C, H, W] (and [N, C, D, H, W]) are kept as [N, C / 8, H, W, 8], channels filled up with
zeros: eight channels of a pixel lie side by side. Other ranks are kept row by row.
"""

from __future__ import annotations

from typing import Any

from .. import functions as F
from ..creation import zeros
from ..tensor import Tensor
from .layout import UnblockedTensor, kept

BLOCK = 8


class BlockedTensor(UnblockedTensor):
    """A tensor of layout `torch._mkldnn`."""

    __slots__ = ()
    backend = label = "Mkldnn"
    is_sparse = False
    is_mkldnn = True

    @property
    def layout(self) -> Any:
        """`torch._mkldnn`."""
        from .. import _mkldnn
        return _mkldnn

    def _with(self, values: Tensor) -> BlockedTensor:
        return BlockedTensor._over(values, self.shape)

    def _parts(self) -> None:
        return None

    def to_dense(self, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
        """The values as a strided tensor."""
        values = self._held
        if self.ndim >= 4:
            n, groups, *space, block = values.shape
            last = values.ndim - 1
            values = values.permute(0, 1, last, *range(2, last))
            values = values.reshape(n, groups * block, *space).narrow(1, 0, self.shape[1])
            values = values.contiguous()
        else:
            values = values.clone()
        return values if dtype is None else values.to(dtype)

    def to_mkldnn(self, dtype: Any = None) -> Tensor:
        """NotImplementedError: it is blocked."""
        self._refuse("'aten::to_mkldnn'")

    def add(self, other: Any, *, alpha: Any = 1) -> BlockedTensor:
        """The sum of two blocked tensors of one shape."""
        if not isinstance(other, BlockedTensor) or other.shape != self.shape:
            self._refuse("'aten::add.Tensor' with another layout or shape")
        return self._with(self._held.add(other._held, alpha=alpha))

    def mul(self, other: Any) -> BlockedTensor:
        """The product with a number or a blocked tensor of one shape."""
        if isinstance(other, BlockedTensor) and other.shape == self.shape:
            other = other._held
        elif isinstance(other, Tensor):
            self._refuse("'aten::mul.Tensor' with another layout or shape")
        return self._with(self._held * other)

    __add__ = __radd__ = add
    __mul__ = __rmul__ = mul

    def relu(self) -> BlockedTensor:
        """max(x, 0)."""
        return self._with(self._held.relu())

    def sigmoid(self) -> BlockedTensor:
        """1 / (1 + exp(-x)); the filled-up channels do not count."""
        return self._with(self._held.sigmoid())

    def tanh(self) -> BlockedTensor:
        """Hyperbolic tangent."""
        return self._with(self._held.tanh())


def to_mkldnn(self: Tensor, dtype: Any = None) -> BlockedTensor:
    """A strided tensor in the blocked layout; RuntimeError for other dtypes than PyTorch's."""
    if self.dtype.name not in ("float32", "bfloat16", "float16", "uint8", "int8"):
        raise RuntimeError(
            "dense_to_mkldnn expects float, bfloat16, half, uint8, int8 tensor input")
    values = self if dtype is None else self.to(dtype)
    shape = values.shape
    if values.ndim >= 4:
        n, channels, *space = shape
        groups = -(-channels // BLOCK)
        spare = groups * BLOCK - channels
        if spare:
            values = F.cat([values, zeros((n, spare, *space), dtype=values.dtype)], 1)
        last = values.ndim
        values = values.reshape(n, groups, BLOCK, *space).permute(
            0, 1, *range(3, last + 1), 2).contiguous()
    else:
        values = values.clone()
    return BlockedTensor._over(kept("_mkldnn_values", values), shape)
