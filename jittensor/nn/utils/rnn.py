"""In: sequences of unequal length. Out: one padded tensor or one packed sequence of them, and back.

A packed sequence holds the rows of step 0 of all sequences, then those of step 1, and so on; the
sequences stand in order of falling length, so that the rows of a step are the first ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from ... import functions
from ...autograd.graph import relabel
from ...creation import arange, as_tensor, empty_like, from_numpy, full
from ...graph import dtypes as dt
from ...tensor import Tensor
from ...tensor import device as device_of

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence_(NamedTuple):  # noqa: N801  (PyTorch's name of the plain tuple)
    """The fields of a packed sequence."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(PackedSequence_):
    """Sequences packed one behind the other, step by step.

    `data` (rows, *), `batch_sizes` (steps,) int64, how many sequences reach each step;
    `sorted_indices` (batch,) names the sequences in order of falling length, or is None where
    they came in that order; `unsorted_indices` is its inverse. Made by `pack_sequence` and
    `pack_padded_sequence`.

    >>> import jittensor as torch
    >>> torch.nn.utils.rnn.pack_sequence([torch.tensor([1, 2]), torch.tensor([3])])
    PackedSequence(data=tensor([1, 3, 2]), batch_sizes=tensor([2, 1]), \
sorted_indices=None, unsorted_indices=None)
    """

    def __new__(cls, data: Any, batch_sizes: Tensor | None = None,
                sorted_indices: Tensor | None = None,
                unsorted_indices: Tensor | None = None) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("PackedSequence: expected data and batch_sizes, or a pair of "
                                     f"them, got {type(data).__name__} alone")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError("PackedSequence: batch_sizes should always be on CPU, got them on "
                             f"{batch_sizes.device}; make packed sequences by pack_sequence or "
                             "pack_padded_sequence")
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, change: Callable[[Tensor], Tensor], data: Tensor) -> PackedSequence:
        moved = [None if t is None else change(t)
                 for t in (self.sorted_indices, self.unsorted_indices)]
        return type(self)(data, self.batch_sizes, *moved)

    def pin_memory(self) -> PackedSequence:
        """The sequence in memory that devices copy from quickly."""
        return self._with(lambda t: t.pin_memory(), self.data.pin_memory())

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence with `data.to(...)`; itself where that changes nothing."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        return self._with(lambda t: t.to(data.device), data)

    def _on(self, kind: str, args: tuple, kwargs: dict) -> PackedSequence:
        named = [*args, kwargs.get("device")]
        if not any(isinstance(a, (str, device_of)) for a in named):
            kwargs["device"] = kind
        return self.to(*args, **kwargs)

    def cuda(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence on a GPU."""
        return self._on("cuda", args, kwargs)

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The sequence in main memory."""
        return self._on("cpu", args, kwargs)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory."""
        return self.data.is_pinned()


def _casting(name: str, dtype: dt.DType) -> Callable[[PackedSequence], PackedSequence]:
    def cast(self: PackedSequence) -> PackedSequence:
        return self.to(dtype=dtype)

    cast.__name__ = name
    cast.__doc__ = f"The sequence with data of {dtype}."
    return cast


for _name, _dtype in (("double", dt.float64), ("float", dt.float32), ("half", dt.float16),
                      ("long", dt.int64), ("int", dt.int32), ("short", dt.int16),
                      ("char", dt.int8), ("byte", dt.uint8)):
    setattr(PackedSequence, _name, _casting(_name, _dtype))


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The inverse of a permutation (n,) int64; None for None.

    >>> import jittensor as torch
    >>> torch.nn.utils.rnn.invert_permutation(torch.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    if permutation is None:
        return None
    return empty_like(permutation).scatter_(0, permutation, arange(permutation.numel()))


def _checked_lengths(lengths: Tensor, batch: int) -> np.ndarray:
    """The lengths as an array; RuntimeError where they cannot be those of a packed batch."""
    name = "pack_padded_sequence"
    if lengths.ndim != 1:
        raise RuntimeError(f"{name}: 'lengths' should be a 1D CPU int64 tensor, but got "
                           f"{lengths.ndim}D {lengths.device.type} {lengths.dtype} tensor")
    found = lengths.numpy()
    if len(found) != batch:
        raise RuntimeError(f"{name}: expected `len(lengths)` to be equal to batch_size {batch}, "
                           f"but got {len(found)}")
    if batch == 0:
        raise RuntimeError(f"{name}: cannot pack an empty batch")
    if found.min() <= 0:
        raise RuntimeError(f"{name}: length of all samples has to be greater than 0, but found "
                           f"{int(found.min())} in 'lengths'")
    if (found[1:] > found[:-1]).any():
        raise RuntimeError(f"{name}: `lengths` array must be sorted in decreasing order when "
                           "`enforce_sorted` is True; pass enforce_sorted=False to pack sequences "
                           "in any order")
    return found


def _packed_rows(sizes: np.ndarray, step: int, row: int) -> np.ndarray:
    """Where each row of a packed sequence stands in a padded one, given the strides of both."""
    return np.concatenate([t * step + np.arange(size) * row for t, size in enumerate(sizes)])


def pack_padded_sequence(input: Tensor, lengths: Any, batch_first: bool = False,
                         enforce_sorted: bool = True) -> PackedSequence:
    """A padded batch (steps, batch, *) ((batch, steps, *) if `batch_first`) without its padding.

    Args:
        lengths: the length of each sequence, a list or an int64 tensor (batch,).
        enforce_sorted: the lengths fall already; else the sequences are sorted by length.

    Raises:
        RuntimeError: lengths that are not positive, not one for each sequence, longer than the
            input, or not falling though they should.
    """
    if isinstance(lengths, Tensor):
        lengths = lengths.to(dtype=dt.int64)
    else:
        lengths = as_tensor(lengths, dtype=dt.int64)
    order = None
    if not enforce_sorted:
        lengths, order = lengths.sort(descending=True)
        input = input.index_select(0 if batch_first else 1, order)
    x = input.transpose(0, 1) if batch_first else input
    steps, batch = x.shape[:2]
    found = _checked_lengths(lengths, batch)
    if found[0] > steps:
        raise RuntimeError(f"pack_padded_sequence: expected lengths of at most {steps}, the steps "
                           f"of the input, got {int(found[0])}")
    sizes = (found[None, :] > np.arange(int(found[0]))[:, None]).sum(1).astype(np.int64)
    rows = _packed_rows(sizes, batch, 1)
    data = x.reshape(steps * batch, *x.shape[2:]).index_select(0, from_numpy(rows))
    return PackedSequence(relabel(data, "PackPaddedSequenceBackward0"), from_numpy(sizes), order,
                          None)


def pad_packed_sequence(sequence: PackedSequence, batch_first: bool = False,
                        padding_value: float = 0.0,
                        total_length: int | None = None) -> tuple[Tensor, Tensor]:
    """The padded batch (steps, batch, *) of a packed sequence and its lengths (batch,), in the
    order in which the sequences were packed.

    Raises:
        ValueError: `total_length` is less than the longest sequence.
    """
    sizes = sequence.batch_sizes.numpy()
    steps = len(sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(f"pad_packed_sequence: expected total_length to be at least {steps}, "
                             f"the length of the longest sequence, got {total_length}")
        steps = total_length
    batch, data = int(sizes[0]), sequence.data
    rows = from_numpy(_packed_rows(sizes, batch, 1))
    empty = full((steps * batch, *data.shape[1:]), padding_value, dtype=data.dtype)
    out = empty.index_copy(0, rows, data).view(steps, batch, *data.shape[1:])
    lengths = from_numpy((sizes[:, None] > np.arange(batch)).sum(0).astype(np.int64))
    if batch_first:
        out = out.transpose(0, 1)
    order = sequence.unsorted_indices
    if order is None:
        return out, lengths
    return out.index_select(0 if batch_first else 1, order), lengths[order]


def pad_sequence(sequences: Any, batch_first: bool = False, padding_value: float = 0.0,
                 padding_side: str = "right") -> Tensor:
    """Sequences (length, *) as one batch (steps, batch, *), (batch, steps, *) if `batch_first`.

    Args:
        padding_side: "right" or "left", where the shorter ones are filled with `padding_value`.

    Raises:
        RuntimeError: no sequences, sequences whose other sizes differ, or another side.

    >>> import jittensor as torch
    >>> torch.nn.utils.rnn.pad_sequence([torch.ones(2), torch.ones(1)], batch_first=True)
    tensor([[1., 1.],
            [1., 0.]])
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError("pad_sequence: expected an iterable of tensors, got "
                           f"{type(sequences).__name__}")
    if padding_side not in ("left", "right"):
        raise RuntimeError("pad_sequence: expected padding_side to be 'left' or 'right', got "
                           f"{padding_side!r}")
    parts = list(sequences)
    if not parts:
        raise RuntimeError("pad_sequence: received an empty list of sequences")
    trailing, dtype = parts[0].shape[1:], parts[0].dtype
    for k, part in enumerate(parts):
        if part.ndim != parts[0].ndim or part.shape[1:] != trailing:
            raise RuntimeError("pad_sequence: expected sequences of one size but for their first "
                               f"dim, got {list(parts[0].shape)} at 0 and {list(part.shape)} at "
                               f"{k}")
    lengths, batch = [part.shape[0] for part in parts], len(parts)
    steps = max(lengths)
    starts = [0 if padding_side == "right" else steps - n for n in lengths]
    step, row = (1, steps) if batch_first else (batch, 1)
    rows = np.concatenate([(start + np.arange(n)) * step + k * row
                           for k, (start, n) in enumerate(zip(starts, lengths, strict=True))])
    empty = full((batch * steps, *trailing), padding_value, dtype=dtype)
    whole = functions.cat([part.to(dtype) for part in parts])
    shape = (batch, steps) if batch_first else (steps, batch)
    return empty.index_copy(0, from_numpy(rows.astype(np.int64)), whole).view(*shape, *trailing)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor,
                   batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded batch, each of its own length."""
    batched = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[:length] for row, length in zip(batched, lengths.tolist(), strict=True)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (length, *) packed; their lengths fall unless `enforce_sorted` is False."""
    lengths = as_tensor([sequence.size(0) for sequence in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed one, in the order in which they were packed."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences, batch_first=True),
                          batch_first=True)
