"""Products beyond `matmul`: vectors, matrices, batches and sums of them in, a tensor out."""

from __future__ import annotations

from .. import views
from ..autograd.graph import relabel
from ..graph import dtypes as dt
from ..graph.ops import OPS
from ..graph.shapes import broadcast_shapes, wrap_dim
from ..record import elementwise as record
from ..record import reduce
from ..tensor import Tensor
from .products import matmul, matmul_2d, rounded_once
from .rows import into, title


def _rank(name: str, x: Tensor, rank: int, argument: str) -> None:
    if x.ndim != rank:
        kind = {1: "1D", 2: "2D", 3: "3D"}[rank]
        raise RuntimeError(f"{name}: Expected {kind} tensor for argument '{argument}', but got "
                           f"{x.ndim}D")


def _same_dtype(name: str, a: Tensor, b: Tensor) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{name} : expected both vectors to have same dtype, but found "
                           f"{title(a)} and {title(b)}")


def _check_vectors(a: Tensor, b: Tensor) -> None:
    """PyTorch's errors for operands of `dot`."""
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    _same_dtype("dot", a, b)
    if a.shape != b.shape:
        raise RuntimeError(f"inconsistent tensor size, expected tensor [{a.numel()}] and src "
                           f"[{b.numel()}] to have the same number of elements, but got "
                           f"{a.numel()} and {b.numel()} elements respectively")


# ── vectors ───────────────────────────────────────────────────────────────────────────────────
def dot(input, tensor, *, out: Tensor | None = None) -> Tensor:
    """The sum of the products of two vectors' elements."""
    if input.spec.ndim != 1 or input.spec is not tensor.spec:
        _check_vectors(input, tensor)
    result = reduce("sum", record(OPS["mul"], input, tensor), None, False, input.spec.dtype)
    return result if out is None else into(out, result)


def vdot(input, other, *, out: Tensor | None = None) -> Tensor:
    """`dot` with the first vector conjugated."""
    return dot(input.conj(), other, out=out)


def inner(input, other, *, out: Tensor | None = None) -> Tensor:
    """Products summed over both last dims."""
    if not input.ndim or not other.ndim:
        return into(out, input * other)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError("inner() the last dimension must match on both input tensors but got "
                           f"shapes {list(input.shape)} and {list(other.shape)}")
    return into(out, tensordot(input, other, ([-1], [-1])))


def outer(input, vec2, *, out: Tensor | None = None) -> Tensor:
    """All products of two vectors' elements."""
    _rank("outer", input, 1, "self")
    _rank("outer", vec2, 1, "vec2")
    return into(out, views.unsqueeze(input, 1) * vec2)


ger = outer


def mv(input, vec, *, out: Tensor | None = None) -> Tensor:
    """A matrix times a vector."""
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError("vector + matrix @ vector expected, got 1, "
                           f"{input.ndim}, {vec.ndim}")
    if input.shape[1] != vec.shape[0]:
        raise RuntimeError(f"size mismatch, got input ({input.shape[0]}), mat ({input.shape[0]}x"
                           f"{input.shape[1]}), vec ({vec.shape[0]})")
    return into(out, matmul(input, vec))


def bmm(input, mat2, *, out: Tensor | None = None) -> Tensor:
    """Products of the matrices of two batches."""
    for x, name in ((input, "batch1"), (mat2, "batch2")):
        if x.ndim != 3:
            raise RuntimeError(f"{name} must be a 3D tensor")
    if input.shape[0] != mat2.shape[0] or input.shape[2] != mat2.shape[1]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{input.shape[0]}, {input.shape[2]}] but got: [{mat2.shape[0]}, {mat2.shape[1]}].")
    return into(out, matmul_2d(input, mat2))


# ── sums of products ──────────────────────────────────────────────────────────────────────────
def _plus(name: str, input: Tensor, product: Tensor, beta, alpha) -> Tensor:
    """beta * input + alpha * product; with beta 0 the input is not looked at."""
    if input.dtype is not product.dtype:
        raise RuntimeError(f"self and mat2 must have the same dtype, but got {title(input)} and "
                           f"{title(product)}")
    if product.dtype.category <= dt.INT:
        if name == "addmm" and isinstance(beta, float) | isinstance(alpha, float):
            raise RuntimeError(f"For integral input tensors, argument "
                               f"{'beta' if isinstance(beta, float) else 'alpha'} must not be a "
                               "floating point number.")
        beta, alpha = int(beta), int(alpha)
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        return product + 0
    input = input if beta == 1 else input * beta
    return input + product if name == "addr" else product + input


@rounded_once
def addmm(input, mat1, mat2, *, beta=1, alpha=1, out: Tensor | None = None) -> Tensor:
    """beta * input + alpha * (mat1 @ mat2)."""
    from .products import mm
    return into(out, _plus("addmm", _widened("addmm", input, (mat1.shape[0], mat2.shape[-1])),
                           mm(mat1, mat2), beta, alpha))


def _widened(name: str, x: Tensor, shape) -> Tensor:
    if broadcast_shapes(x.shape, shape) != tuple(shape):
        raise RuntimeError(f"The expanded size of the tensor must match: {name} cannot expand "
                           f"input of shape {list(x.shape)} to {list(shape)}")
    return views.expand(x, *shape)


@rounded_once
def addmv(input, mat, vec, *, beta=1, alpha=1, out: Tensor | None = None) -> Tensor:
    """beta * input + alpha * (mat @ vec)."""
    return into(out, _plus("", _widened("addmv", input, mat.shape[:1]), mv(mat, vec), beta,
                           alpha))


def addr(input, vec1, vec2, *, beta=1, alpha=1, out: Tensor | None = None) -> Tensor:
    """beta * input + alpha * outer(vec1, vec2)."""
    product = outer(vec1, vec2)
    wide = _widened("addr", input, product.shape)
    if product.dtype is dt.bool_ and wide.dtype is dt.bool_:
        product = product & bool(alpha)
        return into(out, product if not beta else wide | product)
    common = dt.promote_types(wide.dtype, product.dtype)
    return into(out, _plus("addr", wide.to(common), product.to(common), beta, alpha))


def addbmm(input, batch1, batch2, *, beta=1, alpha=1, out: Tensor | None = None) -> Tensor:
    """beta * input + alpha * the sum of the products of two batches' matrices."""
    product = bmm(batch1, batch2).sum(0, dtype=batch1.dtype)
    return into(out, _plus("", _widened("addbmm", input, product.shape), product, beta,
                           alpha))


@rounded_once
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1, out: Tensor | None = None) -> Tensor:
    """beta * input + alpha * the products of two batches' matrices."""
    product = bmm(batch1, batch2)
    return into(out, _plus("", _widened("baddbmm", input, product.shape), product, beta,
                           alpha))


def chain_matmul(*matrices, out: Tensor | None = None) -> Tensor:
    """The product of matrices in a row."""
    result = matrices[0]
    for m in matrices[1:]:
        result = matmul(result, m)
    return into(out, result)


# ── tensors ───────────────────────────────────────────────────────────────────────────────────
def tensordot(a, b, dims=2, *, out: Tensor | None = None) -> Tensor:
    """Products summed over dims of a paired with dims of b (or the last and first `dims`)."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError("tensordot expects dims < ndim_a or ndim_b, but got dims="
                               f"{dims}")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    left, right = [wrap_dim(d, a.ndim) for d in left], [wrap_dim(d, b.ndim) for d in right]
    if len(left) != len(right):
        raise RuntimeError("both dimension lists should have same length")
    for i, j in zip(left, right, strict=True):
        if a.shape[i] != b.shape[j]:
            if a.shape[i] == 1:
                b = b.sum(j, keepdim=True, dtype=b.dtype)
            elif b.shape[j] == 1:
                a = a.sum(i, keepdim=True, dtype=a.dtype)
            else:
                raise RuntimeError(f"contracted dimensions need to match, but first has size "
                                   f"{a.shape[i]} in dim {i} and second has size {b.shape[j]} in "
                                   f"dim {j}")
    rest_a = [d for d in range(a.ndim) if d not in left]
    rest_b = [d for d in range(b.ndim) if d not in right]
    shape = [a.shape[d] for d in rest_a] + [b.shape[d] for d in rest_b]
    rows, inside, cols = 1, 1, 1
    for d in rest_a:
        rows *= a.shape[d]
    for d in left:
        inside *= a.shape[d]
    for d in rest_b:
        cols *= b.shape[d]
    first = views.reshape(views.permute(a, rest_a + left), rows, inside)
    second = views.reshape(views.permute(b, right + rest_b), inside, cols)
    return into(out, views.reshape(matmul_2d(first, second), shape))


def kron(input, other, *, out: Tensor | None = None) -> Tensor:
    """The Kronecker product."""
    rank = max(input.ndim, other.ndim)
    a = views.reshape(input, [1] * (rank - input.ndim) + list(input.shape))
    b = views.reshape(other, [1] * (rank - other.ndim) + list(other.shape))
    wide_a = views.reshape(a, [n for size in a.shape for n in (size, 1)])
    wide_b = views.reshape(b, [n for size in b.shape for n in (1, size)])
    shape = [n * m for n, m in zip(a.shape, b.shape, strict=True)]
    return into(out, views.reshape(wide_a * wide_b, shape))


def cross(input, other, dim: int | None = None, *, out: Tensor | None = None) -> Tensor:
    """The cross product of vectors of length 3 along a dim (the first of that size if none is
    given)."""
    shape = broadcast_shapes(input.shape, other.shape)
    a, b = views.expand(input, *shape), views.expand(other, *shape)
    if dim is None:
        found = [d for d, n in enumerate(shape) if n == 3]
        if not found:
            raise RuntimeError("no dimension of size 3 in input")
        dim = found[0]
    d = wrap_dim(dim, len(shape))
    if shape[d] != 3:
        raise RuntimeError(f"inputs dimension {dim} must have length 3. Got {input.shape[d]} and "
                           f"{other.shape[d]}")

    def turned(x: Tensor, by: int) -> Tensor:
        from .rearranging import roll
        return roll(x, by, d)

    return into(out, turned(a, -1) * turned(b, 1) - turned(a, 1) * turned(b, -1))


# ── einsum ────────────────────────────────────────────────────────────────────────────────────
def einsum(equation: str, *operands) -> Tensor:
    """Sums of products by Einstein's convention: 'ij,jk->ik'.

    >>> import jittensor as torch
    >>> torch.einsum("i,i->", torch.ones(3), torch.ones(3))
    tensor(3.)
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError("einsum(): must provide at least one operand")
    names, target = _subscripts(equation, operands)
    sizes: dict = {}
    parts = []
    for labels, x in zip(names, operands, strict=True):
        x, labels = _without_repeats(x, labels)
        for label, n in zip(labels, x.shape, strict=True):
            if sizes.setdefault(label, n) != n and 1 not in (n, sizes[label]):
                raise RuntimeError(f"einsum(): subscript {label} has size {n} for operand which "
                                   f"does not broadcast with previously seen size {sizes[label]}")
            sizes[label] = max(sizes[label], n) if n != 0 else 0
        parts.append((labels, x))
    labels, result = parts[0]
    before = other = labels
    for k, (other, x) in enumerate(parts[1:], 1):
        before = labels
        later = set(target).union(*(p[0] for p in parts[k + 1:]))
        labels, result = _contract(labels, result, other, x, later)
    gone = [d for d, label in enumerate(labels) if label not in target]
    if gone:
        result = result.sum(gone, dtype=None if len(operands) == 1 else result.dtype)
        labels = [label for label in labels if label in target]
    order = [labels.index(label) for label in target if label in labels]
    result = views.permute(result, order) if order else result
    if len(parts) > 1:      # PyTorch's name for the last product
        kept = set(before).union(other) <= set(target)
        return relabel(result, "MulBackward0" if kept else "ViewBackward0")
    return relabel(result, "SumBackward1") if gone else result


def _subscripts(equation: str, operands) -> tuple[list[list[str]], list[str]]:
    """Labels of each operand and of the result; an ellipsis becomes labels '.0', '.1', …"""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(operands):
        less = "fewer" if len(operands) < len(inputs) else "more"
        raise RuntimeError(f"einsum(): {less} operands were provided than specified in the "
                           "equation")
    names, most = [], 0
    for term, x in zip(inputs, operands, strict=True):
        plain = term.replace("...", "")
        for letter in plain:
            if not letter.isalpha():
                raise RuntimeError("einsum(): invalid subscript given at index "
                                   f"{text.index(letter)} in the equation string, subscripts must "
                                   "be in [a-zA-Z]")
        hidden = x.ndim - len(plain)
        if hidden < 0 or hidden and "..." not in term:
            raise RuntimeError("einsum(): the number of subscripts in the equation "
                               f"({len(plain)}) does not match the number of dimensions "
                               f"({x.ndim}) for an operand")
        most = max(most, hidden)
        before, dots, after = term.partition("...")
        middle = [f".{k}" for k in range(hidden, 0, -1)] if dots else []
        names.append([*before, *middle, *after])
    rest = [f".{k}" for k in range(most, 0, -1)]
    if not arrow:
        letters = [x for x in left if x.isalpha()]
        return names, rest + sorted(x for x in set(letters) if letters.count(x) == 1)
    before, dots, after = right.partition("...")
    target = [*before, *(rest if dots else []), *after]
    known = {label for labels in names for label in labels}
    for label in target:
        if label not in known:
            raise RuntimeError(f"einsum(): output subscript {label} does not appear in the "
                               "equation for any input operand")
        if target.count(label) > 1:
            raise RuntimeError(f"einsum(): output subscript {label} appears more than once in the "
                               "output")
    return names, target


def _without_repeats(x: Tensor, labels: list[str]) -> tuple[Tensor, list[str]]:
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            a = labels.index(label)
            b = labels.index(label, a + 1)
            x = views.movedim(views.diagonal(x, 0, a, b), -1, a)
            del labels[b]
    return x, labels


def _contract(a_names, a: Tensor, b_names, b: Tensor, later: set) -> tuple[list[str], Tensor]:
    """One product of two operands, summed over the labels that nothing later reads."""
    for names, x, other in ((a_names, a, b_names), (b_names, b, a_names)):
        gone = [d for d, n in enumerate(names) if n not in other and n not in later]
        if gone:
            kept = [n for d, n in enumerate(names) if d not in gone]
            if x is a:
                a, a_names = x.sum(gone, dtype=x.dtype), kept
            else:
                b, b_names = x.sum(gone, dtype=x.dtype), kept
    both = [n for n in a_names if n in b_names]
    batch = [n for n in both if n in later]
    summed = [n for n in both if n not in later]
    size = {}
    for names, x in ((a_names, a), (b_names, b)):
        for label, n in zip(names, x.shape, strict=True):
            size[label] = n if size.get(label, 1) == 1 else size[label]
    rows = [n for n in a_names if n not in both]
    cols = [n for n in b_names if n not in both]

    def shaped(x: Tensor, names, order, shape) -> Tensor:
        x = views.permute(x, [names.index(n) for n in order])
        x = views.expand(x, *[size[n] for n in order])
        return views.reshape(x, shape)

    def count(labels) -> int:
        total = 1
        for n in labels:
            total *= size[n]
        return total

    left = shaped(a, a_names, batch + rows + summed, [count(batch), count(rows), count(summed)])
    right = shaped(b, b_names, batch + summed + cols, [count(batch), count(summed), count(cols)])
    out = matmul_2d(left, right)
    names = batch + rows + cols
    return names, views.reshape(out, [size[n] for n in names])
