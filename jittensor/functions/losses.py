"""Losses and look-ups of classes: predictions and targets in, losses out."""

from __future__ import annotations

from .. import views
from ..bounds import value_range
from ..config import config
from ..creation import zeros
from ..graph import dtypes as dt
from ..graph.dtypes import DType
from ..graph.node import Rule, spec_of
from ..record import apply, record_rule, rule_of
from ..runtime import realize
from ..tensor import Tensor
from .rows import title
from .rules import gradient_rule, with_gradient


def _embedding_backward(node, grad):
    index = views.reshape(node.saved(0), -1)
    padding, by_frequency = node.attrs
    shape, dtype = node.specs[1].shape, node.specs[1].dtype
    rows = views.reshape(grad, index.numel(), *shape[1:])
    lead = (index.numel(), *[1] * (len(shape) - 1))
    if by_frequency:
        counts = zeros(shape[0], dtype=dtype).index_add(
            0, index, zeros(index.numel(), dtype=dtype) + 1)
        rows = rows / views.view(counts.index_select(0, index), *lead)
    if padding is not None:
        rows = rows.masked_fill(views.view(index == padding, *lead), 0.0)
    return [None, zeros(shape, dtype=dtype).index_add(0, index, rows)]


EMBEDDING = gradient_rule("embedding", _embedding_backward, saves=(0,),
                          grad_name="EmbeddingBackward0")


def _check_rows(index: Tensor, count: int) -> None:
    if not index.numel():
        return
    if realize.capturing is not None:
        realize.capturing.checks.append((index, lambda x: _check_rows(x, count)))
    bounds = value_range(index)
    if bounds is not None and bounds[0] >= 0 and bounds[1] < count:
        return
    values = index._array()
    if values.min() < 0 or values.max() >= count:
        raise IndexError("index out of range in self")


def embedding(input, weight, padding_idx: int | None = None,
              scale_grad_by_freq: bool = False) -> Tensor:
    """Rows of `weight` named by `input`; row `padding_idx` gets no gradient, and with
    `scale_grad_by_freq` each gradient is divided by how often its row was named."""
    if input.dtype not in (dt.int64, dt.int32):
        raise RuntimeError("Expected tensor for argument #1 'indices' to have one of the following "
                           "scalar types: Long, Int; but got "
                           f"{input.type()} instead (while checking arguments for embedding)")
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    _check_rows(input, weight.shape[0])
    shape = (*input.shape, *weight.shape[1:])
    return with_gradient(
        EMBEDDING, lambda: views.view(_rows_of(weight, views.reshape(input, -1)), *shape),
        (input, weight), (padding_idx, scale_grad_by_freq))


def _rows_of(weight: Tensor, index: Tensor) -> Tensor:
    """weight[index] for an index that was checked."""
    index = index if index.dtype is dt.int64 else index.to(dt.int64)
    weight = weight if weight.spec.contiguous else weight.contiguous()
    return apply("index_select", (weight, index), (0,),
                 spec=lambda: spec_of(weight.dtype, (index.numel(), *weight.shape[1:])))


def nll_loss(input, target, weight=None, reduction: str = "mean",
             ignore_index: int = -100) -> Tensor:
    """-input[i, target[i]] for log-probabilities [N, C], [C] or [N, C, d...] and class indices."""
    asked = input.spec, target.spec, reduction, ignore_index, ignore_index.__class__
    known = _KNOWN.get(asked) if weight is None else None
    if known is None:
        return _nll_loss(input, target, weight, reduction, ignore_index, asked)
    rule, places, classes = known
    _check_targets(target, classes, ignore_index)
    return record_rule(rule, (input, target, places))


# losses that were asked for before, by the operands' specs: (rule, the classes' numbers, how many)
_KNOWN: dict[tuple, tuple] = {}


def _nll_loss(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str,
              ignore_index: int, asked: tuple) -> Tensor:
    """`nll_loss`, its arguments checked; noted as `asked` where it is one operation."""
    if input.ndim == 0 or input.ndim == 1 and target.ndim > 0:
        raise ValueError(f"Expected 0D target for 1D input, but got {target.ndim}D")
    if input.ndim >= 2 and (target.ndim != input.ndim - 1 or tuple(target.shape) != (
            input.shape[0], *input.shape[2:])):
        if target.ndim and input.shape[0] != target.shape[0]:
            raise ValueError(f"Expected input batch_size ({input.shape[0]}) to match target "
                             f"batch_size ({target.shape[0]}).")
        raise RuntimeError(f"Expected target size {[input.shape[0], *input.shape[2:]]}, got "
                           f"{list(target.shape)}")
    if input.dtype.category < 2 or input.dtype.is_complex:
        raise NotImplementedError(f'"nll_loss_out_frame" not implemented for \'{title(input)}\'')
    if target.dtype not in (dt.int64, dt.uint8):
        raise RuntimeError("expected target dtype to be Long or Byte, but got "
                           f"{title(target)}")
    if input.ndim > 2 and target.dtype is dt.uint8:
        raise RuntimeError("expected scalar type Long but found Byte")
    last = input if input.ndim <= 2 else views.movedim(input, 1, -1)
    classes = last.shape[-1]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(f"weight tensor should be defined either for all {classes} classes or "
                           f"no classes but got weight tensor of shape: {list(weight.shape)}")
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(f"expected scalar type {title(input)} but found {title(weight)}")
    _check_targets(target, classes, ignore_index)
    places = _places(classes, target.dtype)
    kind = reduction if weight is None else "none"
    operands = (last, target, places)
    rule = _nll_rule(operands, kind, ignore_index)
    losses = record_rule(rule, operands)
    if weight is None:
        if last is input:
            _KNOWN[asked] = rule, places, classes
        return losses
    safe = target.clamp(0, classes - 1)
    scale = weight[safe.to(dt.int64)] * (target != ignore_index)
    losses = losses * scale
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / scale.sum()


def nll(last, target, places, reduction: str, ignore_index: int) -> Tensor:
    """The loss of class indices over the last dim."""
    operands = (last, target, places)
    return record_rule(_nll_rule(operands, reduction, ignore_index), operands)


def _nll_rule(operands: tuple, reduction: str, ignore_index: int) -> Rule:
    last, target, _ = operands
    return rule_of("nll_loss", operands, (reduction, int(ignore_index)), (), lambda: spec_of(
        last.dtype, target.shape if reduction == "none" else ()))


def _check_targets(target: Tensor, classes: int, ignore_index: int) -> None:
    if not target.spec.numel:
        return
    if realize.capturing is not None:
        realize.capturing.checks.append(
            (target, lambda x: _check_targets(x, classes, ignore_index)))
    bounds = value_range(target)
    if bounds is not None and 0 <= bounds[0] and bounds[1] < classes:
        return
    values = target._array()
    bad = ((values < 0) | (values >= classes)) & (values != ignore_index)
    if bad.any():
        raise IndexError(f"Target {int(values[bad].reshape(-1)[0])} is out of bounds.")


_PLACES: dict = {}


def _places(count: int, dtype: DType) -> Tensor:
    """0..count - 1, kept for reuse."""
    key = (count, dtype)
    if key not in _PLACES:
        from ..creation import arange
        if len(_PLACES) > 64:
            _PLACES.clear()
        _PLACES[key] = arange(count, dtype=dtype)
    return _PLACES[key]


def _dropped(x: Tensor, p: float, key: Tensor) -> Tensor:
    from ..random import kept
    return x * kept(x.shape, p, key) * (1 / (1 - p))


# the mask is computed again rather than kept
_FAST_DROPOUT = gradient_rule("fast_dropout", lambda node, grad: [_dropped(grad, *node.attrs)],
                              grad_name="NativeDropoutBackward0")


def dropout(input, p: float = 0.5, training: bool = True) -> Tensor:
    """In training, zeroes elements with probability p and scales the rest by 1 / (1 - p)."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0 or not input.numel():
        return input
    if p == 1:
        return input * zeros(input.shape, dtype=input.dtype)
    from ..random import draw_key, dropout_mask, in_memory_order
    if config.fast_dropout:
        key = draw_key()
        return with_gradient(_FAST_DROPOUT, lambda: _dropped(input, p, key), (input,), (p, key))
    return input * in_memory_order(input, lambda shape: dropout_mask(shape, p, input.dtype))
