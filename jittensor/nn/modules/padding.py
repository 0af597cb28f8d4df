"""In: signals. Out: them with their edges padded, by constants or by what is near."""

from __future__ import annotations

from typing import Any

from ...tensor import Tensor
from .. import functional as F
from .conv import spread
from .module import Module

__all__ = [f"{name}Pad{d}d" for name in ("Circular", "Constant", "Reflection", "Replication",
                                         "Zero") for d in (1, 2, 3)]


class _Pad(Module):
    dims: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = spread(padding, 2 * self.dims)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *size) or (C, *size) to the padded sizes."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _Circular(_Pad):
    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, *size) or (C, *size) to the padded sizes."""
        if input.dim() not in (self.dims + 1, self.dims + 2):
            raise ValueError(f"expected {self.dims + 1}D or {self.dims + 2}D input (got "
                             f"{input.dim()}D input)")
        return F.pad(input, self.padding, self.mode)


class _Constant(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """(…, *size) to the padded sizes."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _Zero(_Constant):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _Reflection(_Pad):
    mode = "reflect"


class _Replication(_Pad):
    mode = "replicate"


def _layers(base: type, name: str) -> tuple[type, ...]:
    """The classes over one, two and three dims."""
    return tuple(type(f"{name}Pad{d}d", (base,), {
        "dims": d, "__module__": __name__,
        "__doc__": f"`nn.functional.pad` of the last {d} dims as a layer: {name.lower()}."})
        for d in (1, 2, 3))


CircularPad1d, CircularPad2d, CircularPad3d = _layers(_Circular, "Circular")
ConstantPad1d, ConstantPad2d, ConstantPad3d = _layers(_Constant, "Constant")
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = _layers(_Reflection, "Reflection")
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = _layers(_Replication, "Replication")
ZeroPad1d, ZeroPad2d, ZeroPad3d = _layers(_Zero, "Zero")
