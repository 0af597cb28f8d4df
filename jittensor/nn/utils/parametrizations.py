"""In: a module with a weight. Out: the weight kept orthogonal, of norm one, or length by length."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

import numpy as np

from ... import creation, functions, linalg, random
from ...autograd import no_grad
from ...numeric import finfo
from ...tensor import Tensor
from .. import functional as F
from ..modules.module import Module
from . import parametrize
from .spectral_norm import as_matrix, output_dim
from .weight_norm import norm_except_dim, weight_from

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


# ── orthogonal ────────────────────────────────────────────────────────────────────────────────
class _OrthMaps(Enum):
    matrix_exp = auto()
    cayley = auto()
    householder = auto()


def _reflectors(x: Tensor) -> tuple[Tensor, Tensor]:
    """LAPACK's geqrf: R above, and the Householder vectors below, the diagonal; their scales."""
    below, scales = np.linalg.qr(x.detach().numpy(), mode="raw")
    return (creation.from_numpy(np.ascontiguousarray(below.swapaxes(-2, -1))),
            creation.from_numpy(scales))


def _is_orthogonal(q: Tensor) -> bool:
    n, k = q.shape[-2:]
    unit = creation.eye(k, dtype=q.dtype)
    return functions.allclose(q.mH @ q, unit, atol=10.0 * n * finfo(q.dtype).eps)


def _make_orthogonal(x: Tensor) -> Tensor:
    """The Q of the QR decomposition whose R has a positive diagonal."""
    vectors, scales = _reflectors(x)
    q = linalg.householder_product(vectors, scales)
    return q * vectors.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


class _Orthogonal(Module):
    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: _OrthMaps, *,
                 use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map is _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape, self.orthogonal_map = weight.shape, orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        """A matrix (..., n, k) of any values to an orthogonal one."""
        turned = X.shape[-2] < X.shape[-1]
        x = X.mT if turned else X
        if self.orthogonal_map is _OrthMaps.householder:
            vectors = x.tril(diagonal=-1)
            scales = 2.0 / (1.0 + (vectors * vectors).sum(dim=-2))
            q = linalg.householder_product(vectors, scales)
            q = q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            q = self._from_skew(x)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if turned else q

    def _from_skew(self, x: Tensor) -> Tensor:
        """The orthogonal matrix that a skew one, made of x's lower triangle, is mapped to."""
        n, k = x.shape[-2:]
        x = x.tril()
        if n != k:
            x = functions.cat([x, x.new_zeros(n, n - k).expand(*x.shape[:-2], -1, -1)], -1)
        skew = x - x.mH
        if self.orthogonal_map is _OrthMaps.matrix_exp:
            q = functions.matrix_exp(skew) if hasattr(functions, "matrix_exp") else (
                linalg.matrix_exp(skew))
        else:
            unit = creation.eye(n, dtype=skew.dtype)
            q = linalg.solve(unit - skew * 0.5, unit + skew * 0.5)
        return q if n == k else q[..., :k]

    @no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """What `forward` starts from to give Q (made orthogonal if it is not).

        Raises:
            ValueError: another shape. NotImplementedError: the map cannot be inverted.
        """
        if Q.shape != self.shape:
            raise ValueError(f"Expected a matrix or batch of matrices of shape {self.shape}. Got a "
                             f"tensor of shape {Q.shape}.")
        turned = Q.shape[-2] < Q.shape[-1]
        q = Q.mT if turned else Q
        n, k = q.shape[-2:]
        if not hasattr(self, "base"):
            return self._vectors_of(q, turned)
        if n == k:
            q = q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
        else:
            rest = random.randn(*q.shape[:-2], n, n - k, dtype=q.dtype)
            q = _make_orthogonal(functions.cat([q, rest], -1))
        self.base = q
        start = creation.zeros_like(Q)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start

    def _vectors_of(self, q: Tensor, turned: bool) -> Tensor:
        if self.orthogonal_map is not _OrthMaps.householder:
            raise NotImplementedError("It is not possible to assign to the matrix exponential or "
                                      "the Cayley parametrizations when use_trivialization=False.")
        vectors, scales = _reflectors(q)
        diagonal = vectors.diagonal(dim1=-2, dim2=-1)
        # A column without a reflector (scale 0) keeps its direction: its sign is turned.
        diagonal.copy_(functions.where(scales == 0, -diagonal.sign(), diagonal.sign()))
        return vectors.mT if turned else vectors


def _weight(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


def orthogonal(module: Module, name: str = "weight", orthogonal_map: str | None = None, *,
               use_trivialization: bool = True) -> Module:
    """Keep a matrix (or batch of them) orthogonal: Q.T @ Q = 1, or Q @ Q.T = 1 if it is wide.

    Args:
        orthogonal_map: "matrix_exp" (square or complex matrices if None), "cayley", or
            "householder" (others if None).
        use_trivialization: start from the given matrix rather than from the unit one (Lezcano
            Casado 2019).

    Raises:
        ValueError: there is no such matrix, or no such map.
    """
    weight = _weight(module, name)
    if weight.ndim < 2:
        raise ValueError("Expected a matrix or batch of matrices. Got a tensor of "
                         f"{weight.ndim} dimensions.")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError('orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
                         f"Got: {orthogonal_map}")
    made = _Orthogonal(weight, _OrthMaps[orthogonal_map], use_trivialization=use_trivialization)
    return parametrize.register_parametrization(module, name, made, unsafe=True)


# ── weight norm ───────────────────────────────────────────────────────────────────────────────
class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        """Lengths and directions to the weight."""
        return weight_from(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The weight to its lengths and itself."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn a weight's length and direction (Salimans & Kingma 2016).

    Args:
        dim: the dim that has a length for each index; None for one length.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def take_old_names(state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{name}_{part}" for part in "gv"]
        if all(key in state_dict for key in old):
            for k, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{k}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(take_old_names)
    return module


# ── spectral norm ─────────────────────────────────────────────────────────────────────────────
class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0,
                 eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if not -ndim <= dim < ndim:
            raise IndexError("Dimension out of range (expected to be in range of "
                             f"[-{ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError("Expected n_power_iterations to be positive, but got "
                             f"n_power_iterations={n_power_iterations}")
        self.dim, self.eps = dim % ndim, eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight, self.dim)
            u, v = (matrix.new_empty(n).normal_(0, 1) for n in matrix.shape)
            self.register_buffer("_u", F.normalize(u.detach(), dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v.detach(), dim=0, eps=eps))
            self._power_method(matrix, 15)

    @no_grad()
    def _power_method(self, matrix: Tensor, count: int) -> None:
        for _ in range(count):
            self._u.copy_(F.normalize(functions.mv(matrix, self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(functions.mv(matrix.mH, self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        """A weight divided by its largest singular value (or its norm, if a vector)."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # Copies: the power method writes into the buffers before the backward pass reads them.
        u, v = self._u.clone(), self._v.clone()
        return weight / functions.vdot(u, functions.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: it is not of norm one only afterwards."""
        return value


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1,
                  eps: float = 1e-12, dim: int | None = None) -> Module:
    """Divide a weight by its largest singular value (Miyato et al. 2018).

    Args:
        n_power_iterations: steps of the power method at each use in training.
        dim: the dim of the outputs; 1 for transposed convolutions, else 0, if None.

    Raises:
        ValueError: there is no such tensor. IndexError: it has no such dim.
    """
    made = _SpectralNorm(_weight(module, name), n_power_iterations, output_dim(module, dim), eps)
    return parametrize.register_parametrization(module, name, made)
