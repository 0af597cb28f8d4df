"""Activations that are not plain rows of the table: a tensor in, a tensor out."""

from __future__ import annotations

from ..graph.ops import OPS
from ..record import elementwise as record
from ..tensor import Tensor


def gelu(input, *, approximate: str = "none") -> Tensor:
    """x Φ(x); 'tanh' uses the tanh approximation (Hendrycks & Gimpel 2016)."""
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return record(OPS["gelu_tanh" if approximate == "tanh" else "gelu"], input)


def elu(input, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """x above 0, alpha (exp(x) - 1) below."""
    return record(OPS["elu"], input, float(alpha), float(scale), float(input_scale))


def selu(input) -> Tensor:
    """Scaled ELU (Klambauer et al. 2017)."""
    return record(OPS["elu"], input, 1.6732632423543772848, 1.0507009873554804934, 1.0)


def celu(input, alpha: float = 1.0) -> Tensor:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1))."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return record(OPS["elu"], input, float(alpha), 1.0, 1.0 / alpha)
