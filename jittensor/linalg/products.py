"""Products and functions of matrices: tensors in, powers, exponentials and chains out."""

from __future__ import annotations

import numpy as np

from ..creation import eye
from ..functions.contractions import cross as _cross
from ..functions.joining import cat, stack
from ..functions.rows import into
from ..graph.shapes import broadcast_shapes, wrap_dim
from ..host import host_operator
from ..tensor import Tensor
from ..views import diagonal as _diagonal
from .checks import check_matrix, check_square, check_tensor
from .solving import inv


def matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:  # noqa: N803
    """A multiplied by itself n times; of the inverse for negative n."""
    check_matrix("linalg.matrix_power", A)
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError("linalg.matrix_power: A must be batches of square matrices, but they "
                           f"are {A.shape[-2]} by {A.shape[-1]} matrices")
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"linalg_matrix_power(): argument 'n' must be int, not {type(n).__name__}")
    if n == 0:
        unit = eye(A.shape[-1], dtype=A.dtype).expand(A.shape)
        return into(out, _constant(A, values=unit._array()))
    square, found, n = (inv(A) if n < 0 else A), None, abs(n)
    while n:
        if n & 1:
            found = square if found is None else found @ square
        n >>= 1
        if n:
            square = square @ square
    return into(out, found.clone() if found is A else found)


# A^0 is in the graph of A, as PyTorch's is
_constant = host_operator("LinalgMatrixPowerBackward0", lambda a, values: np.array(values),
                          lambda node, grad: [grad * 0])


def _exp_compute(a: np.ndarray):
    from scipy.linalg import expm
    wide = np.result_type(a.dtype, np.float64)
    return expm(a.astype(wide)).astype(a.dtype) if a.size else np.zeros(a.shape, a.dtype)


def _exp_backward(node, grad):
    # the derivative of exp at A^H in the direction grad is a block of exp [[A^H, grad], [0, A^H]]
    a = node.saved(0).mH
    n = a.shape[-1]
    blocks = cat((cat((a, grad), -1), cat((a * 0, a), -1)), -2)
    return [_exp(blocks)[..., :n, n:]]


_exp = host_operator("LinalgMatrixExpBackward0", _exp_compute, _exp_backward, inputs=(0,))


def matrix_exp(A: Tensor) -> Tensor:  # noqa: N803
    """The matrix exponential. Gradient: Najfeld and Havel (1995)."""
    check_square("linalg.matrix_exp", A)
    return _exp(A)


def multi_dot(tensors, *, out: Tensor | None = None) -> Tensor:
    """The product of a chain of matrices in the cheapest order (Cormen et al., 15.2)."""
    chain = list(tensors)
    check_tensor("linalg.multi_dot", *chain)
    if len(chain) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(chain)}")
    for k, x in enumerate(chain):
        inner = 0 < k < len(chain) - 1
        if x.ndim != 2 and (inner or x.ndim != 1):
            raise RuntimeError(f"multi_dot(): tensor {k} must be {'2D' if inner else '1D or 2D'} "
                               f"but got {x.ndim}D")
        if x.dtype is not chain[0].dtype:
            raise RuntimeError("multi_dot(): all tensors must have be the same dtype but tensor 0 "
                               f"is {chain[0].dtype} and tensor {k} {x.dtype}")
    first, last = chain[0].ndim == 1, chain[-1].ndim == 1
    chain[0] = chain[0].unsqueeze(0) if first else chain[0]
    chain[-1] = chain[-1].unsqueeze(-1) if last else chain[-1]
    for k in range(1, len(chain)):
        if chain[k].shape[0] != chain[k - 1].shape[1]:
            raise RuntimeError(f"multi_dot(): tensors {k - 1} and {k} with shapes "
                               f"{list(chain[k - 1].shape)} and {list(chain[k].shape)} cannot be "
                               "multiplied")
    found = _chain(chain, _order([x.shape[0] for x in chain] + [chain[-1].shape[1]]), 0,
                   len(chain) - 1)
    found = found.squeeze(-1) if last else found
    return into(out, found.squeeze(0) if first else found)


def _order(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each stretch of a chain so that the products cost least."""
    count = len(sizes) - 1
    cost = {(k, k): 0 for k in range(count)}
    split = {}
    for width in range(1, count):
        for i in range(count - width):
            j = i + width
            cost[i, j], split[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j))
    return split


def _chain(chain: list[Tensor], split: dict, i: int, j: int) -> Tensor:
    if i == j:
        return chain[i]
    k = split[i, j]
    return _chain(chain, split, i, k) @ _chain(chain, split, k + 1, j)


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product, `torch.matmul`."""
    return into(out, input @ other)


def cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The cross product of vectors of 3 elements along a dim."""
    check_tensor("linalg.cross", input, other)
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    shape = broadcast_shapes(input.shape, other.shape)
    d = wrap_dim(dim, len(shape))
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got "
                           f"{input.shape[d]} and {other.shape[d]}")
    return into(out, _cross(input.expand(*shape), other.expand(*shape), d))


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The sum of conj(x) y along a dim."""
    check_tensor("linalg.vecdot", x, y)
    return into(out, (x.conj() * y).sum(dim, dtype=None if x.dtype.category > 1 else x.dtype))


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:  # noqa: N803
    """The diagonal of matrices, a view."""
    return _diagonal(A, offset, dim1, dim2)


def vander(x: Tensor, N: int | None = None) -> Tensor:  # noqa: N803
    """Powers 0 to N - 1 of each element as a new last dim."""
    check_tensor("linalg.vander", x)
    x = x if x.ndim else x.unsqueeze(0)
    count = x.shape[-1] if N is None else N
    if N is not None and N <= 1:
        raise RuntimeError("N must be greater than 1.")
    if not x.is_floating_point() and not x.is_complex():
        x = x.to(_int64())
    power, powers = x * 0 + 1, []
    for _ in range(count):
        powers.append(power)
        power = power * x
    return stack(powers, -1)


def _int64():
    from ..graph.dtypes import int64
    return int64
