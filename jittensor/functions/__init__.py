"""Functions on tensors: `torch.*` by name, one family a file. Elementwise ones come from the
operator table (`rows`); the others build on them, on reductions and on opaque kernels."""

from __future__ import annotations

from .. import views as _views
from . import (
    activations,
    arithmetic,
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
    rearranging,
    reductions,
    rows,
    scans,
    selection,
    sorting,
    splitting,
)

FAMILIES = (_views, rows, arithmetic, activations, reductions, normalization, products, losses,
            joining, splitting, rearranging, scans, selection, sorting, extremes, norms,
            contractions, complexes, copies, gradients)
# methods only, or of nn.functional only: not names of the package
UNLISTED = set("""
    expand repeat unfold view elu gelu hardsigmoid hardswish hardtanh leaky_relu linear
    logsigmoid mish nll_loss relu6 silu softplus softshrink pdist
    """.split())
INTERNAL = {"make_view", "sizes_of", "packed", "repack", "scatter_part", "gradient_rule",
            "with_gradient", "scatter_view", "view_dtype", "slice_dim", "into", "operand",
            "from_row", "title", "check_divisor", "no_bool_minus", "reduced_shape", "matmul_2d",
            "realize_step", "nll", "scan", "vector_norm"}


def _public() -> dict:
    """The functions that the families define, by name; later families win."""
    found = dict(rows.ROWS)
    for family in FAMILIES:
        for name, value in vars(family).items():
            if getattr(value, "__module__", None) == family.__name__ and callable(value):
                found[name] = value
    return found


globals().update(_public())
__all__ = sorted(name for name in _public() if not name.startswith(("_", "special_"))
                 and name not in INTERNAL | UNLISTED)
METHODS = {name: value for name, value in _public().items()
           if name not in INTERNAL and (not name.startswith("_")
                                        or value.__module__.endswith(".gradients"))}
