"""Functions on tensors: `torch.*` by name, one family a file. Elementwise ones come from the
operator table (`rows`); the others build on them, on reductions and on opaque kernels."""

from __future__ import annotations

import functools

from .. import views as _views
from ..autograd.graph import relabel
from ..tensor import Tensor
from . import (
    activations,
    arithmetic,
    complex_elementary,  # noqa: F401  (fills the table of what takes complex numbers)
    complexes,
    contractions,
    copies,
    extremes,
    gradients,
    joining,
    losses,
    normalization,
    norms,
    products,
    questions,
    rearranging,
    reductions,
    rows,
    scans,
    selection,
    sorting,
    splitting,
)
from .outputs import takes_out, with_numpy_names, with_out, with_outs  # noqa: F401

FAMILIES = (_views, rows, arithmetic, activations, reductions, normalization, products, losses,
            joining, splitting, rearranging, scans, selection, sorting, extremes, norms,
            contractions, complexes, copies, gradients, questions)
# methods only, or of nn.functional only: not names of the package
UNLISTED = set("""
    expand repeat unfold view elu gelu hardsigmoid hardswish hardtanh leaky_relu linear
    logsigmoid mish nll_loss relu6 silu softplus softshrink pdist
    """.split())
INTERNAL = {"make_view", "sizes_of", "packed", "repack", "scatter_part", "gradient_rule",
            "with_gradient", "scatter_view", "view_dtype", "slice_dim", "into", "operand",
            "from_row", "title", "check_divisor", "no_bool_minus", "reduced_shape", "matmul_2d",
            "check_parameters", "must_be_tensor",
            "realize_step", "nll", "scan", "vector_norm", "picked"}


def _public() -> dict:
    """The functions that the families define, by name; later families win."""
    found = dict(rows.ROWS)
    for family in FAMILIES:
        for name, value in vars(family).items():
            if getattr(value, "__module__", None) == family.__name__ and callable(value):
                found[name] = value
    return found


# PyTorch's names of what is put together from other operations here
RESULT_NAMES = {
    "triu": "TriuBackward0", "tril": "TrilBackward0",
    "flip": "FlipBackward0", "repeat": "RepeatBackward0", "unbind": "UnbindBackward0",
    "split": "SplitBackward0", "chunk": "SplitBackward0", "bmm": "BmmBackward0",
    "mv": "MvBackward0", "dot": "DotBackward0", "addmm": "AddmmBackward0",
    "baddbmm": "BaddbmmBackward0", "std": "StdBackward0", "sort": "SortBackward0",
    "topk": "TopkBackward0", "norm": "LinalgVectorNormBackward0",
}


def _named(function, name: str):
    """`function` with its results' nodes called as PyTorch calls them."""
    several = name in ("UnbindBackward0", "SplitBackward0")

    @functools.wraps(function)
    def call(*args, **kwargs):
        out = function(*args, **kwargs)
        if isinstance(out, Tensor) and out._fn is None:
            return out
        for k, x in enumerate(out if isinstance(out, tuple) else (out,)):
            if not args or x is not args[0]:
                relabel(x, name)
                if several and x._base is not None:
                    x._forbid = ("several", k)       # not to be written to: see `autograd.inplace`
        return out

    return call


_OUT_TOO = {"argsort", "histogram", "isin", "take"}
_PUBLIC = {name: _named(value, RESULT_NAMES[name]) if name in RESULT_NAMES else value
           for name, value in _public().items()}
for _name, _value in _PUBLIC.items():      # methods have no out=
    _out = takes_out(_value) or _name in _OUT_TOO or _name.endswith("_copy")
    globals()[_name] = (
        with_out(_value, _name) if _out else with_numpy_names(_value, _name))
__all__ = sorted(name for name in _PUBLIC if not name.startswith(("_", "special_"))
                 and name not in INTERNAL | UNLISTED)
METHODS = {name: with_numpy_names(value) for name, value in _PUBLIC.items()
           if name not in INTERNAL and (not name.startswith("_")
                                        or value.__module__.endswith(".gradients"))}
