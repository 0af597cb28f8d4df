"""In: nothing. Out: the functions of layers that the package has by name too, in its own argument
orders: `torch.batch_norm` and the like."""

from __future__ import annotations

import functools
import inspect

from ... import functions
from ...tensor import Tensor
from . import (
    activation,
    adaptive_pooling,
    bags,
    batch_normalization,
    convolution,
    distance,
    dropout,
    linear,
    loss,
    margin_loss,
    pooling,
    probability_loss,
    recurrent,
    vision,
)
from .sequence_loss import ctc_loss as _ctc_loss

_REDUCTIONS = ("none", "mean", "sum")


def batch_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None,
               running_mean: Tensor | None, running_var: Tensor | None, training: bool,
               momentum: float, eps: float, cudnn_enabled: bool = True) -> Tensor:
    """`native_batch_norm` without its statistics."""
    return batch_normalization.native_batch_norm(input, weight, bias, running_mean, running_var,
                                                 training, momentum, eps)[0]


def instance_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None,
                  running_mean: Tensor | None, running_var: Tensor | None, use_input_stats: bool,
                  momentum: float, eps: float, cudnn_enabled: bool = True) -> Tensor:
    """`nn.functional.instance_norm` with the weights first."""
    return batch_normalization.instance_norm(input, running_mean, running_var, weight, bias,
                                             use_input_stats, momentum, eps)


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5,
               cudnn_enabled: bool = True) -> Tensor:
    """`nn.functional.group_norm`."""
    return batch_normalization.group_norm(input, num_groups, weight, bias, eps)


def ctc_loss(log_probs: Tensor, targets: Tensor, input_lengths, target_lengths, blank: int = 0,
             reduction: int = 0, zero_infinity: bool = False) -> Tensor:
    """`nn.functional.ctc_loss` with a number for the reduction: 0 none, 1 mean, 2 sum."""
    return _ctc_loss(log_probs, targets, input_lengths, target_lengths, blank,
                     _REDUCTIONS[reduction], zero_infinity)


def kl_div(input: Tensor, target: Tensor, reduction: int = 0, *,
           log_target: bool = False) -> Tensor:
    """`nn.functional.kl_div` with a number for the reduction: 0 none, 1 mean, 2 sum."""
    loss = probability_loss.kl_div(input, target, reduction="none", log_target=log_target)
    return (loss, loss.mean(), loss.sum())[reduction] if reduction else loss


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, weight: Tensor | None = None,
                                     pos_weight: Tensor | None = None,
                                     reduction: int = 0) -> Tensor:
    """The loss of that name with a number for the reduction: 0 none, 1 mean, 2 sum."""
    return probability_loss.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_REDUCTIONS[reduction], pos_weight=pos_weight)


def embedding_bag(weight: Tensor, indices: Tensor, offsets: Tensor,
                  scale_grad_by_freq: bool = False, mode: int = 0, sparse: bool = False,
                  per_sample_weights: Tensor | None = None, include_last_offset: bool = False,
                  padding_idx: int | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`nn.functional.embedding_bag` with a number for the mode (0 sum, 1 mean, 2 max), and what
    PyTorch keeps for its gradient, empty here."""
    out = bags.embedding_bag(indices, weight, offsets, None, 2.0, scale_grad_by_freq,
                             ("sum", "mean", "max")[mode], sparse, per_sample_weights,
                             include_last_offset, padding_idx)
    return out, *(indices.new_empty(0) for _ in range(3))


def _in_place(function):
    """The form of a function that writes to its first argument."""
    @functools.wraps(function)
    def call(input: Tensor, *args, **options) -> Tensor:
        return function(input, *args, **options, inplace=True)

    return call


def affine_grid_generator(theta: Tensor, size, align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid`."""
    return vision.affine_grid(theta, size, align_corners)


def _numbered(function):
    """A loss whose reduction is a number: 0 none (the default), 1 mean, 2 sum."""
    @functools.wraps(function)
    def call(*args, reduction: int = 0, **options) -> Tensor:
        # The package's own forms take the reduction as their last positional argument.
        names = list(inspect.signature(function).parameters)
        names = [n for n in names if n not in ("size_average", "reduce")]
        given = dict(zip(names, args, strict=False))
        given.update(options)
        number = given.pop("reduction", reduction)
        return function(**given, reduction=_REDUCTIONS[number])

    return call


def _named(module, names: str) -> dict:
    return {name: getattr(module, name) for name in names.split()}


FUNCTIONS = {
    **_named(activation, "prelu rrelu"),
    **_named(dropout, "alpha_dropout feature_alpha_dropout"),
    **{name + "_": _in_place(getattr(dropout, name)) for name in (
        "dropout", "alpha_dropout", "feature_alpha_dropout")},
    "feature_dropout": dropout.dropout2d, "feature_dropout_": _in_place(dropout.dropout2d),
    **_named(activation, "celu_ rrelu_ selu_"),
    **_named(distance, "cosine_similarity pairwise_distance"), "bilinear": linear.bilinear,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "embedding_bag": embedding_bag, "kl_div": kl_div,
    "native_channel_shuffle": vision.channel_shuffle,
    **{name: _numbered(getattr(loss, name)) for name in (
        "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss",
        "poisson_nll_loss")},
    "triplet_margin_loss": _numbered(margin_loss.triplet_margin_loss),
    **_named(convolution, "conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d "
                          "conv_transpose3d convolution"),
    **_named(pooling, "avg_pool1d max_pool1d max_pool1d_with_indices max_pool2d max_pool3d"),
    **_named(vision, "channel_shuffle grid_sampler grid_sampler_2d grid_sampler_3d pixel_shuffle "
                     "pixel_unshuffle"),
    **_named(batch_normalization, "native_batch_norm native_group_norm native_layer_norm"),
    "adaptive_avg_pool1d": adaptive_pooling.adaptive_avg_pool1d,
    "adaptive_max_pool1d": adaptive_pooling.adaptive_max_pool1d_with_indices,
    **{name: getattr(recurrent, name) for name in recurrent.__all__},
    "affine_grid_generator": affine_grid_generator, "batch_norm": batch_norm,
    "ctc_loss": ctc_loss, "group_norm": group_norm, "instance_norm": instance_norm,
    "pdist": functions.pdist,
}
