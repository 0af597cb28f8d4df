"""Questions about tensors: a tensor (or two) in, a truth value or a number out."""

from __future__ import annotations

from ..tensor import Tensor
from .rows import must_be_tensor


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element differs from zero.

    Raises:
        RuntimeError: there is not one element.
    """
    must_be_tensor("is_nonzero", "input", input)
    if input.numel() != 1:
        kind = "no values" if not input.numel() else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {kind} is ambiguous")
    return input.item() != 0


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape."""
    must_be_tensor("is_same_size", "input", input)
    must_be_tensor("is_same_size", "other", other, 2)
    return input.shape == other.shape


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return input.dtype.is_signed


def is_conj(input: Tensor) -> bool:
    """Whether conjugation is put off: it never is."""
    return input.is_conj()


def is_neg(input: Tensor) -> bool:
    """Whether negation is put off: it never is."""
    return input.is_neg()


def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return input.is_inference()


def is_distributed(input: Tensor) -> bool:
    """Whether the elements are spread over processes: they never are."""
    must_be_tensor("is_distributed", "input", input)
    return False


def get_device(input: Tensor) -> int:
    """The number of the tensor's device: -1 for the CPU."""
    must_be_tensor("get_device", "input", input)
    return input.get_device()
