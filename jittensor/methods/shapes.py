"""In-place changes of how a tensor looks at its storage: `t_`, `squeeze_`, `resize_as_`, …"""

from __future__ import annotations

import warnings

from .. import functions as F
from .. import views
from ..autograd.inplace import check_inplace
from ..graph.shapes import Size
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


def resize_as_(self, the_template, *, memory_format=None) -> Tensor:
    """Another's shape over the same storage, which grows if it must."""
    return self.resize_(the_template.shape)


def split(self, split_size, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of one size (the last may be smaller), or of the sizes given."""
    return F.split(self, split_size, dim)


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
    return _mapped(self, (other,), function)


def map2_(self, x, y, function) -> Tensor:
    """Every element becomes function(it, an element of x, one of y), called in Python."""
    return _mapped(self, (x, y), function)


def _mapped(self: Tensor, others: tuple, function) -> Tensor:
    from ..creation import tensor
    parts = F.broadcast_tensors(self.detach(), *(x.detach() for x in others))
    rows = zip(*(x._array().reshape(-1).tolist() for x in parts), strict=True)
    flat = tensor([function(*row) for row in rows], dtype=self.dtype)
    return self.copy_(views.reshape(flat, self.shape))


def resize(self, *sizes) -> Tensor:
    """`reshape` to as many elements, by its name of old.

    Raises:
        RuntimeError: the number of elements differs.
    """
    warnings.warn("non-inplace resize is deprecated", UserWarning, stacklevel=2)
    return views.reshape(self, *views.sizes_of(sizes))


def resize_as(self, other) -> Tensor:
    """`resize` to another's shape."""
    warnings.warn("non-inplace resize_as is deprecated", UserWarning, stacklevel=2)
    return views.reshape(self, *other.shape)


def as_subclass(self, cls) -> Tensor:
    """The same elements, and the same place in autograd, as a tensor of a subclass.

    Raises:
        TypeError: `cls` is no subclass of Tensor.
    """
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError("as_subclass(): cls must be a type of Tensor")
    out = views.view(self, self.shape)
    out.__class__ = cls
    return out


def new(self, *args, **options) -> Tensor:
    """A tensor of this dtype: of sizes, not filled, or of data."""
    from ..creation import empty, tensor
    if len(args) == 1 and isinstance(args[0], Tensor):
        return args[0].detach()
    if len(args) == 1 and not hasattr(args[0], "__index__") and not isinstance(args[0], Size):
        return tensor(args[0], dtype=self.dtype)
    return empty(args or (0,), dtype=self.dtype)


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
    "map2_": map2_, "resize": resize, "resize_as": resize_as, "split": split,
    "as_subclass": as_subclass,
    "new": new, "record_stream": lambda x, s: None,
    "dim_order": dim_order, "new_empty_strided": new_empty_strided,
    "__reversed__": lambda x: F.flip(x, 0) if x.ndim else x,
}
