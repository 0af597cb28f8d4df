"""In: the functions of the package. Out: the same functions, casting their arguments while an
autocast context is on.

They are wrapped when the first such context is entered: a program that uses none pays nothing.
Which function computes in what is PyTorch's table for the CPU.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

from ..autograd.modes import modes
from ..graph.dtypes import BY_NAME
from ..tensor import Tensor

__all__ = ["install"]

# Computed in the context's dtype: products, which are fast there and tolerate it.
LOWER = set("""
    addbmm addmm baddbmm bmm conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d
    conv_transpose3d einsum linear matmul mm prelu scaled_dot_product_attention tensordot vecdot
    """.split())
# Computed in float32: what loses too much otherwise, or has no kernel.
FLOAT32 = set("""
    adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d binary_cross_entropy
    binary_cross_entropy_with_logits cdist cholesky cholesky_inverse cholesky_solve
    cosine_embedding_loss cross_entropy ctc_loss geqrf grid_sample hinge_embedding_loss huber_loss
    inverse kl_div l1_loss lu_solve margin_ranking_loss max_pool3d max_unpool2d max_unpool3d
    mse_loss multi_margin_loss multilabel_margin_loss nanquantile nll_loss orgqr ormqr pinverse
    poisson_nll_loss polar prod qr quantile smooth_l1_loss soft_margin_loss stft svd trace
    triangular_solve triplet_margin_loss view_as_complex
    """.split())
# The widest dtype among the arguments.
WIDEST = {"cat", "index_copy", "stack"}
MODULES = ("functions", "nn.functional", "linalg", "fft", "spectral", "nn.functional.toplevel")
OPERATORS = {"__matmul__": "lower", "__rmatmul__": "lower"}

_installed = False
_HALVES = (BY_NAME["float16"], BY_NAME["bfloat16"])


def _castable(x: Any) -> bool:
    return (isinstance(x, Tensor) and x.dtype.is_floating_point
            and x.dtype is not BY_NAME["float64"])


def _cast(value: Any, dtype: Any) -> Any:
    """Arguments, and lists of them, with their floating tensors in a dtype; float64 stays."""
    if _castable(value):
        return value if value.dtype is dtype else value.to(dtype)
    if type(value) in (list, tuple):
        return type(value)(_cast(v, dtype) for v in value)
    return value


def _widest(value: Any) -> Any:
    """The widest floating dtype among tensors and lists of them."""
    if isinstance(value, (list, tuple)):
        found = [d for d in map(_widest, value) if d is not None]
        return max(found, key=lambda d: (d.itemsize, d is BY_NAME["bfloat16"]), default=None)
    return value.dtype if _castable(value) else None


def _target(kind: str, args: tuple, kwargs: dict) -> Any:
    if kind == "lower":
        return modes.autocast
    if kind == "float32":
        return BY_NAME["float32"]
    return _widest([*args, *kwargs.values()])


def casting(function: Callable, kind: str) -> Callable:
    """`function` with its tensors cast while autocast is on; inside of it autocast is off.

    Args:
        kind: 'lower', 'float32' or 'widest', what they are cast to.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        context = modes.autocast
        if context is None:
            return function(*args, **kwargs)
        dtype = _target(kind, args, kwargs)
        if dtype is not None:
            args = tuple(_cast(a, dtype) for a in args)
            kwargs = {k: _cast(v, dtype) for k, v in kwargs.items()}
        modes.autocast = None
        try:
            return function(*args, **kwargs)
        finally:
            modes.autocast = context

    return call


def _kinds() -> dict[str, str]:
    kinds = {name: "lower" for name in LOWER} | {name: "float32" for name in FLOAT32}
    return kinds | {name: "widest" for name in WIDEST}


def install() -> None:
    """Put the casting functions in the place of the plain ones, once."""
    global _installed
    if _installed:
        return
    _installed = True
    root = __name__.split(".")[0]
    package = sys.modules[root]
    found: dict[int, tuple[Callable, str]] = {}

    def note(place: Any, name: str, kind: str) -> None:
        function = getattr(place, name, None)
        if callable(function) and not isinstance(function, type):
            found[id(function)] = function, kind

    modules = [importlib.import_module(f"{root}.{name}") for name in MODULES]
    for name, kind in _kinds().items():
        for place in (package, Tensor, *modules):
            note(place, name, kind)
    for name in getattr(modules[MODULES.index("fft")], "__all__", ()):
        if not name.endswith(("freq", "shift")):
            note(modules[MODULES.index("fft")], name, "float32")
    for name, kind in OPERATORS.items():
        note(Tensor, name, kind)
    _replace(root, {key: (f, casting(f, kind)) for key, (f, kind) in found.items()})


def _replace(root: str, pairs: dict[int, tuple[Callable, Callable]]) -> None:
    """Every name in the package that stands for one of the functions gets its casting form."""
    for module in [m for n, m in sys.modules.items() if n == root or n.startswith(root + ".")]:
        if module is None or module.__name__ == __name__:
            continue
        for name, value in list(vars(module).items()):
            if id(value) in pairs and pairs[id(value)][0] is value:
                setattr(module, name, pairs[id(value)][1])
    for name, value in list(vars(Tensor).items()):
        if id(value) in pairs and pairs[id(value)][0] is value:
            setattr(Tensor, name, pairs[id(value)][1])
