"""In-place changes of how a tensor looks at its storage: `t_`, `squeeze_`, `resize_as_`, …"""

from __future__ import annotations

from .. import functions as F
from .. import views
from ..autograd.inplace import check_inplace
from ..tensor import Tensor


def _looked_at(name: str, function):
    """`x.name_(...)`: x becomes the view that the function makes of it."""
    def method(self, *args, **named) -> Tensor:
        check_inplace(self)
        out = function(self, *args, **named)
        self.spec, self.offset = out.spec, out.offset
        if out._fn is not None:
            self._fn = out._fn
        self.storage.version += 1
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The tensor itself becomes what `{name[:-1]}` makes of it."
    return method


def resize_as_(self, other, *, memory_format=None) -> Tensor:
    """Another's shape over the same storage, which grows if it must."""
    return self.resize_(other.shape)


def fill_diagonal_(self, fill_value, wrap: bool = False) -> Tensor:
    """The main diagonal becomes one number; with `wrap` it starts again below a tall matrix."""
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self.shape)) != 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step, n = sum(self.stride()), min(self.shape)
    views.as_strided(self, (n,), (step,), self.offset).fill_(fill_value)
    if wrap and self.ndim == 2:
        rows, cols = self.shape
        for start in range(cols + 1, rows, cols + 1):
            views.diagonal(views.narrow(self, 0, start, rows - start)).fill_(fill_value)
    return self


def apply_(self, function) -> Tensor:
    """Every element x becomes function(x), called in Python."""
    values = self.detach()._array()
    flat = [function(v) for v in values.reshape(-1).tolist()]
    from ..creation import tensor
    with_values = tensor(flat, dtype=self.dtype)
    return self.copy_(views.reshape(with_values, self.shape))


def map_(self, other, function) -> Tensor:
    """Every element x becomes function(x, y) with the other tensor's y, called in Python."""
    from ..creation import tensor
    a, b = F.broadcast_tensors(self.detach(), other.detach())
    pairs = zip(a._array().reshape(-1).tolist(), b._array().reshape(-1).tolist(), strict=True)
    flat = tensor([function(x, y) for x, y in pairs], dtype=self.dtype)
    return self.copy_(views.reshape(flat, self.shape))


def dim_order(self) -> tuple[int, ...]:
    """The dims from the slowest to the fastest in memory."""
    return tuple(sorted(range(self.ndim), key=lambda d: (-self.stride()[d], d)))


def new_empty_strided(self, size, stride, *, dtype=None, device=None, layout=None,
                      requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """Memory with undefined values under given strides, in this tensor's dtype."""
    from ..creation import empty_strided
    return empty_strided(size, stride, dtype=dtype or self.dtype, device=device,
                         requires_grad=requires_grad)


METHODS = {
    **{name + "_": _looked_at(name + "_", getattr(views, name)) for name in (
        "t", "transpose", "squeeze", "unsqueeze", "swapaxes", "swapdims", "as_strided")},
    "resize_as_": resize_as_, "fill_diagonal_": fill_diagonal_, "apply_": apply_, "map_": map_,
    "dim_order": dim_order, "new_empty_strided": new_empty_strided,
    "__reversed__": lambda x: F.flip(x, 0) if x.ndim else x,
}
