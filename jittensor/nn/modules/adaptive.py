"""In: features and class indices. Out: log-probabilities by a softmax that spends less on rare
classes.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import creation, functions
from ...tensor import Tensor
from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax over classes sorted by frequency (Grave et al. 2017).

    The frequent classes, up to the first cutoff, and one entry for each cluster of rarer ones are
    the head; each cluster has a softmax of its own over features of `in_features /
    div_value ** (cluster + 1)` dims.

    Args:
        cutoffs: the first class of each cluster, ascending, between 1 and n_classes - 1.
        head_bias: whether the head has a bias.

    Raises:
        ValueError: other cutoffs.
    """

    def __init__(self, in_features: int, n_classes: int, cutoffs: Sequence[int],
                 div_value: float = 4.0, head_bias: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (cutoffs != sorted(set(cutoffs)) or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1
                or any(int(c) != c for c in cutoffs)):
            raise ValueError("cutoffs should be a sequence of unique, positive integers sorted in "
                             "an increasing order, where each value is between 1 and n_classes-1")
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, **place)
        self.tail = ModuleList()
        for k in range(self.n_clusters):
            hidden = int(in_features // div_value ** (k + 1))
            classes = self.cutoffs[k + 1] - self.cutoffs[k]
            self.tail.append(Sequential(Linear(in_features, hidden, bias=False, **place),
                                        Linear(hidden, classes, bias=False, **place)))

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        self.head.reset_parameters()
        for inner, outer in self.tail:
            inner.reset_parameters()
            outer.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        """(N, in_features) and classes (N), or one of each, to the targets' log-probabilities and
        minus their mean. The targets' values are looked at.

        Raises:
            RuntimeError: shapes that do not fit, or a class out of range.
        """
        self._check(input_, target_)
        batched = target_.dim() > 0
        input = input_ if batched else input_.unsqueeze(0)
        classes = target_.detach().numpy().reshape(-1)
        bounds = [0, *self.cutoffs]
        if classes.size and not 0 <= classes.min() <= classes.max() < self.n_classes:
            raise RuntimeError(f"Target values should be in [0, {self.n_classes - 1}], but values "
                               f"in range [{classes.min()}, {classes.max()}] were found. ")
        entries = classes.copy()
        output = input.new_zeros(len(classes))
        for k, (low, high) in enumerate(zip(bounds[1:-1], bounds[2:], strict=True)):
            rows = np.nonzero((classes >= low) & (classes < high))[0]
            if not len(rows):
                continue
            entries[rows] = self.shortlist_size + k
            at = creation.from_numpy(rows)
            scores = F.log_softmax(self.tail[k](input.index_select(0, at)), dim=1)
            inside = creation.from_numpy(classes[rows] - low)
            output = output.index_copy(0, at, scores.gather(1, inside.unsqueeze(1)).squeeze(1))
        head = F.log_softmax(self.head(input), dim=1)
        output = output + head.gather(1, creation.from_numpy(entries).unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def _check(self, input: Tensor, target: Tensor) -> None:
        if target.dim() > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if target.dim() == 1 and input.size(0) != target.size(0):
            raise RuntimeError("Input and target should have the same size in the batch "
                               "dimension.")
        if input.dim() != target.dim() + 1:
            raise RuntimeError(f"{target.dim()}D target tensor expects {target.dim() + 1}D input "
                               f"tensors, but found inputs with size {input.size()}")

    def _full(self, input: Tensor, head_scores: Tensor) -> Tensor:
        """Log-probabilities of all classes."""
        head = F.log_softmax(head_scores, dim=1)
        parts = [head[:, :self.shortlist_size]]
        for k, tail in enumerate(self.tail):
            at = self.shortlist_size + k
            parts.append(F.log_softmax(tail(input), dim=1) + head[:, at].unsqueeze(1))
        return functions.cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """(N, in_features) to log-probabilities (N, n_classes)."""
        return self._full(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """(N, in_features) to the most probable classes (N). Values of the head are looked at."""
        head_scores = self.head(input)
        best = functions.argmax(head_scores, dim=1)
        rare = best >= self.shortlist_size
        if not bool(rare.any()):
            return best
        full = functions.argmax(self._full(input, head_scores), dim=1)
        return functions.where(rare, full, best)
