"""In: integer tensors. Out: rows of a table (embedding), one-hot vectors."""

from __future__ import annotations

from ... import creation, functions
from ...autograd import no_grad
from ...graph.dtypes import int64
from ...tensor import Tensor


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` (rows, columns) that `input` names: (…) to (…, columns).

    Args:
        padding_idx: a row that gets no gradient; negative counts from the end.
        max_norm: scale the rows that are named down to this norm first, in place.
        scale_grad_by_freq: divide each row's gradient by how often `input` names it.
        sparse: must be False: there are no sparse gradients yet.

    Raises:
        AssertionError: `padding_idx` is out of range.
        NotImplementedError: `sparse`.
    """
    rows = weight.size(0)
    if padding_idx is not None:
        if not -rows <= padding_idx < rows and padding_idx != 0:
            raise AssertionError("Padding_idx must be within num_embeddings")
        if padding_idx < 0:
            padding_idx += rows
    if sparse:
        raise NotImplementedError("embedding(): sparse=True: sparse gradients are not available")
    if max_norm is not None:
        _limit_norms(weight, input, max_norm, norm_type)
    return functions.embedding(input, weight, padding_idx, scale_grad_by_freq)


def _limit_norms(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows named by `input` whose norm is above `max_norm`, in place."""
    with no_grad():
        index = input.reshape(-1).to(int64)
        rows = weight.index_select(0, index)
        norms = rows.norm(norm_type, 1, keepdim=True)
        scale = max_norm / (norms + 1e-7)
        # A row that is named twice is written twice with the same values.
        weight.index_copy_(0, index, functions.where(norms > max_norm, rows * scale, rows))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Integers (…) in [0, num_classes) to int64 zeros and ones (…, num_classes).

    Args:
        num_classes: -1 means the largest value plus one.

    Raises:
        RuntimeError: not int64, or values out of range.
    """
    if tensor.dtype != int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return creation.empty((*tensor.shape, num_classes), dtype=int64, device=tensor.device)
    if int(tensor.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(tensor.max())
    if num_classes == -1:
        num_classes = largest + 1
    elif num_classes <= largest:
        raise RuntimeError("Class values must be smaller than num_classes.")
    zeros = creation.zeros((*tensor.shape, num_classes), dtype=int64, device=tensor.device)
    return zeros.scatter_(-1, tensor.unsqueeze(-1), 1)
