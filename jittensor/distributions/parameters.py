"""Parameters as users give them in, tensors of one shape and dtype, probabilities or logits out."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

from .. import functions as F
from ..autograd.modes import enable_grad
from ..creation import tensor, zeros_like
from ..graph.dtypes import Default
from ..numeric import finfo
from ..tensor import Tensor


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors and numbers as tensors of one shape; numbers take the dtype of the first tensor.

    ValueError for anything else.
    """
    if not all(isinstance(v, (Tensor, Number)) for v in values):
        raise ValueError("Input arguments must all be instances of Number, torch.Tensor or objects "
                         "implementing __torch_function__.")
    dtype = next((v.dtype for v in values if isinstance(v, Tensor)), Default.float_)
    values = [v if isinstance(v, Tensor) else tensor(v, dtype=dtype) for v in values]
    return tuple(F.broadcast_tensors(*values))


def check_either(probs: Any, logits: Any) -> None:
    """ValueError unless exactly one of probs and logits is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities away from 0 and 1 by the dtype's eps."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logarithms of probabilities, or of their odds if binary."""
    inside = clamp_probs(probs)
    if is_binary:
        return inside.log() - (-inside).log1p()
    return inside.log()


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """The probabilities of logits: sigmoid if binary, else softmax along the last dim."""
    return logits.sigmoid() if is_binary else F.softmax(logits, -1)


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without a threshold."""
    return F.logaddexp(x, zeros_like(x))


def sum_rightmost(value: Any, count: int) -> Any:
    """`value` summed over its last `count` dims."""
    return value if count == 0 else value.reshape(value.shape[:-count] + (-1,)).sum(-1)


class lazy_property:  # noqa: N801
    """A property that is computed on first use and then is an attribute of the instance."""

    def __init__(self, wrapped: Callable):
        self.wrapped, self.__doc__ = wrapped, wrapped.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.name, value)
        return value


class ProbsOrLogits:
    """What has a probability that was given as such or as its log-odds; the other is computed when
    it is first looked at."""

    @property
    def _param(self) -> Tensor:
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"]

    @lazy_property
    def logits(self) -> Tensor:
        """The log-odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """The probability."""
        return logits_to_probs(self.logits, is_binary=True)
