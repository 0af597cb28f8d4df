"""In: log-probabilities of symbols over time, target sequences. Out: the CTC loss."""

from __future__ import annotations

import numpy as np

from ... import creation, functions
from ...autograd.graph import relabel
from ...host import host_operator
from ...tensor import Tensor


def _labels(target: np.ndarray, blank: int) -> np.ndarray:
    """The target with blanks before, between and after its symbols."""
    out = np.full(2 * len(target) + 1, blank, np.int64)
    out[1::2] = target
    return out


def _log_sum(*parts: np.ndarray) -> np.ndarray:
    stacked = np.stack(parts)
    top = stacked.max(0)
    base = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(stacked - base).sum(0)) + base


def _forward_table(emit: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log alpha (time, labels) of Graves et al. 2006: all ways to be at a label at a time."""
    steps, count = emit.shape
    table = np.full((steps, count), -np.inf)
    table[0, :2] = emit[0, :2]
    jump = np.zeros(count, bool)
    jump[2:] = labels[2:] != labels[:-2]
    for t in range(1, steps):
        before = table[t - 1]
        one, two = np.full(count, -np.inf), np.full(count, -np.inf)
        one[1:] = before[:-1]
        two[2:] = before[:-2]
        table[t] = _log_sum(before, one, np.where(jump, two, -np.inf)) + emit[t]
    return table


def _one(log_probs: np.ndarray, target: np.ndarray, blank: int) -> tuple[float, np.ndarray]:
    """The loss of one sequence, and its gradient in the log-probabilities before the softmax
    part: minus the expected count of each symbol at each time."""
    labels = _labels(target, blank)
    steps = len(log_probs)
    counts = np.zeros(log_probs.shape)
    if not steps:
        return (0.0 if not len(target) else np.inf), counts
    emit = log_probs[:, labels]
    ahead = _forward_table(emit, labels)
    total = float(_log_sum(*ahead[-1, -2:]) if len(labels) > 1 else ahead[-1, -1])
    back = _forward_table(emit[::-1, ::-1], labels[::-1])[::-1, ::-1]
    if np.isfinite(total):
        shares = np.exp(ahead + back - emit - total)
        for s, symbol in enumerate(labels):
            counts[:, symbol] -= shares[:, s]
    return -total, counts


def _loss(log_probs: np.ndarray, *, targets: list, lengths: list, blank: int):
    values = np.zeros(len(targets))
    counts = np.zeros(log_probs.shape)
    for k, (target, steps) in enumerate(zip(targets, lengths, strict=True)):
        values[k], counts[:steps, k] = _one(log_probs[:steps, k].astype(np.float64), target, blank)
    return values.astype(log_probs.dtype), counts.astype(log_probs.dtype)


def _gradient(x: np.ndarray, counts: np.ndarray, grad: np.ndarray, *, lengths: list):
    # PyTorch's gradient is the one for log-probabilities that a softmax made: it adds their exp.
    alive = np.arange(len(x)).reshape(-1, 1, 1) < np.asarray(lengths).reshape(1, -1, 1)
    return np.where(alive, (np.exp(x) + counts) * grad.reshape(1, -1, 1), 0).astype(x.dtype)


_CTC_BACKWARD = host_operator("aten::_ctc_loss_backward", _gradient)


def _backward(node, grad, unused):
    return [_CTC_BACKWARD(node.saved(0), node.output(1).detach(), grad,
                          lengths=node.attrs["lengths"])]


_CTC = host_operator("CtcLossBackward0", _loss, _backward, inputs=(0,), outputs=(1,))


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths, target_lengths, blank: int = 0,
             reduction: str = "mean", zero_infinity: bool = False) -> Tensor:
    """-log of the probability of `targets` under all alignments (Graves et al. 2006).

    Args:
        log_probs: (T, N, C) or (T, C). targets: (N, S), or all of them in one row.
        reduction: 'mean' divides each loss by its target's length first.
        zero_infinity: infinite losses, and their gradients, become zeros.

    Raises:
        RuntimeError: lengths or the blank do not fit.
    """
    single = log_probs.dim() == 2
    x = log_probs.unsqueeze(1) if single else log_probs
    steps, wanted = _numbers(input_lengths), _numbers(target_lengths)
    if not x.dtype.is_floating_point:
        raise RuntimeError("log_probs tensor must be floating point")
    if not 0 <= blank < x.shape[2]:
        raise RuntimeError("blank must be in label range")
    for values, name in ((steps, "input_lengths"), (wanted, "target_lengths")):
        if len(values) != x.shape[1]:
            raise RuntimeError(f"{name} must be of size batch_size")
    if steps and max(steps) > x.shape[0]:
        raise RuntimeError(f"Expected input_lengths to have value at most {x.shape[0]}, but got "
                           f"value {max(steps)} (while checking arguments for ctc_loss_cpu)")
    for values, name in ((steps, "input_lengths"), (wanted, "target_lengths")):
        if values and min(values) < 0:
            raise RuntimeError(f"Expected {name} to have value at least 0, but got value "
                               f"{min(values)} (while checking arguments for ctc_loss_cpu)")
    room = targets.shape[-1] if targets.dim() else 0
    most = sum(wanted) if targets.dim() < 2 else max(wanted, default=0)
    if most > room:
        raise RuntimeError(f"Expected tensor to have size at least {most} at dimension "
                           f"{targets.dim() - 1}, but got size {room} for argument #2 'targets' "
                           "(while checking arguments for ctc_loss_cpu)")
    table = np.asarray(targets.detach()._array())
    if table.ndim == 1:
        ends = np.cumsum([0, *wanted])
        rows = [table[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    else:
        rows = [table[k, :n] for k, n in enumerate(wanted)]
    loss = _CTC(x, targets=rows, lengths=steps, blank=blank)[0]
    if zero_infinity:
        loss = functions.where(loss == float("inf"), 0.0, loss)
    if reduction == "mean":
        lengths = creation.tensor(wanted).clamp_min(1).to(loss.dtype)
        return relabel((loss / lengths).mean(), "MeanBackward0")
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if single else loss


def _numbers(lengths) -> list[int]:
    if isinstance(lengths, Tensor):
        return [int(n) for n in lengths.reshape(-1).tolist()]
    return [int(n) for n in (lengths if isinstance(lengths, (list, tuple)) else [lengths])]
