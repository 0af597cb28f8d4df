"""In: queries, keys, values (and projections). Out: values averaged by how keys fit queries.

The scale, the mask and the softmax are one fused kernel between the two matrix products; heads
are views of the projections, so nothing is copied before the first product.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

from ... import creation, functions
from ...autograd.graph import relabel
from ...autograd.modes import modes
from ...backends.cuda import flash_sdp_enabled, math_sdp_enabled
from ...functions.products import _c_name as c_name
from ...functions.rows import title
from ...graph import dtypes as dt
from ...graph.node import spec_of
from ...graph.shapes import contiguous_strides
from ...kernels import attention as kernels
from ...record import apply
from ...tensor import Tensor
from .dropout import dropout as drop
from .linear import linear
from .padding import pad

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

_FLASH_DTYPES = (dt.float32, dt.float64, dt.float16, dt.bfloat16)


# ── one attention ─────────────────────────────────────────────────────────────────────────────
def _check_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None,
                     dropout_p: float, is_causal: bool) -> None:
    for position, (name, x) in enumerate((("query", query), ("key", key), ("value", value)), 1):
        if not isinstance(x, Tensor):
            raise TypeError(f"scaled_dot_product_attention(): argument '{name}' (position "
                            f"{position}) must be Tensor, not {type(x).__name__}")
    tensors = (query, key, value)
    if any(x.dtype is not query.dtype for x in tensors):
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{c_name(query)} key.dtype: {c_name(key)} and value.dtype: {c_name(value)} instead.")
    if any(x.ndim < 2 for x in tensors):
        raise RuntimeError("Expected query, key, and value to all be  at least 2 dimensional, but "
                           f"got query.dim: {query.ndim} key.dim: {key.ndim} and value.dim: "
                           f"{value.ndim} instead.")
    if query.dtype.is_complex:
        raise NotImplementedError('"softmax_lastdim_kernel_impl" not implemented for '
                                  f"'{title(query)}'")
    if not query.dtype.is_floating_point:
        raise RuntimeError("scaled_dot_product_attention(): expected query, key and value of a "
                           f"floating point dtype, but got {c_name(query)}")
    if dropout_p < 0 or dropout_p > 1:
        raise RuntimeError("dropout probability has to be between 0 and 1, but got "
                           f"{dropout_p:g}")
    if mask is None:
        return
    if is_causal and not _one_kernel(query, key, value, mask, dropout_p):
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set "
                           "when is_causal=True")
    if mask.dtype not in (dt.bool_, dt.float32, query.dtype):
        raise RuntimeError("Expected attn_mask dtype to be bool or float or to match query dtype, "
                           f"but got attn_mask.dtype: {c_name(mask)} and  query.dtype: "
                           f"{c_name(query)} instead.")
    mask.size(-2)            # the error of a mask with fewer than two dims


def _masked(scores: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    """Scores with the mask added, or -inf where a boolean mask says no."""
    if mask is not None:
        scores = (functions.where(mask, scores, float("-inf")) if mask.dtype is dt.bool_
                  else scores + mask.to(scores.dtype))
    if is_causal:
        rows = creation.arange(scores.shape[-2]).unsqueeze(1)
        scores = functions.where(rows >= creation.arange(scores.shape[-1]), scores, float("-inf"))
    return scores


def _shares(scores: Tensor) -> Tensor:
    """Softmax over the last dim; zeros for a row without anything to attend to."""
    if not scores.numel():
        return scores
    return apply("_safe_softmax", (scores,), (scores.ndim - 1, scores.dtype),
                 spec=lambda: spec_of(scores.dtype, scores.shape))


def _own(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> bool:
    """Whether the kernel of attention takes the inputs: no gradient, four dims at most."""
    return (query.dtype in (dt.float32, dt.float64) and 2 <= query.ndim <= 4
            and query.ndim == key.ndim == value.ndim and query.shape[:-2] == key.shape[:-2]
            and key.shape[:-1] == value.shape[:-1] and query.shape[-1] == key.shape[-1]
            and 0 < query.shape[-1] <= kernels.WIDEST
            and all(x.numel() for x in (query, key, value))
            and not any(map(_needs_grad, (query, key, value, mask)))
            and (mask is None or mask.ndim <= query.ndim and all(
                n in (1, m) for n, m in zip(reversed(mask.shape), reversed(
                    (*query.shape[:-1], key.shape[-2])), strict=False))))


def _four(x: Tensor) -> Tensor:
    """x with dims of size 1 in front, the elements of its last dim next to each other."""
    while x.ndim < 4:
        x = x.unsqueeze(0)
    return x if x.stride(-1) == 1 else x.contiguous()


def _whole(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, is_causal: bool,
           scale: float) -> Tensor:
    """Attention in one kernel."""
    shape = (*query.shape[:-1], value.shape[-1])
    tensors = [_four(query), _four(key), _four(value)]
    if mask is not None:
        if mask.dtype is not dt.bool_:
            mask = mask.to(query.dtype)
        scores = (*tensors[0].shape[:3], key.shape[-2])
        tensors.append(mask.expand(scores))
    four = (*tensors[0].shape[:3], shape[-1])
    out = apply("_attention", tuple(tensors), (bool(is_causal), 1, float(scale)),
                spec=lambda: spec_of(query.dtype, four, contiguous_strides(four),
                                     query.spec.device))
    return out.view(shape)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float,
            is_causal: bool, scale: float | None) -> Tensor:
    """(..., L, E), (..., S, E), (..., S, Ev) to (..., L, Ev)."""
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.shape[-1] else float("nan")
    if not dropout_p and _own(query, key, value, mask):
        return _whole(query, key, value, mask, is_causal, scale)
    scores = functions.matmul(query, key.transpose(-2, -1)) * scale
    shares = _shares(_masked(scores, mask, is_causal))
    if dropout_p:
        shares = drop(shares, dropout_p)
    return functions.matmul(shares, value)


def _grouped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float,
             is_causal: bool, scale: float | None) -> Tensor:
    """Attention with several query heads to each head of keys and of values."""
    heads = query.shape[-3]
    for x in (key, value):
        if not x.shape[-3] or heads % x.shape[-3]:
            raise RuntimeError("Number of heads in key and value must divide the number of heads "
                               f"in query, but got {key.shape[-3]}, {value.shape[-3]} and {heads}")
    if key.shape[-3] != value.shape[-3]:
        key, value = (x.repeat_interleave(heads // x.shape[-3], -3) for x in (key, value))
        return _attend(query, key, value, mask, dropout_p, is_causal, scale)
    groups = (key.shape[-3], heads // key.shape[-3])
    if mask is not None and mask.ndim > 2:
        mask = mask.unflatten(-3, groups) if mask.shape[-3] == heads else mask.unsqueeze(-3)
    out = _attend(query.unflatten(-3, groups), key.unsqueeze(-3), value.unsqueeze(-3), mask,
                  dropout_p, is_causal, scale)
    return out.flatten(-4, -3)


def _needs_grad(x: Tensor | None) -> bool:
    return modes.grad and x is not None and x.requires_grad


def _one_kernel(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None,
                dropout_p: float) -> bool:
    """Whether PyTorch's CPU kernel, whose result lies in memory as the query does, takes it."""
    return (flash_sdp_enabled() and query.ndim == key.ndim == value.ndim == 4 and not dropout_p
            and query.dtype in _FLASH_DTYPES
            and query.shape[-1] == key.shape[-1] == value.shape[-1]
            and query.shape[0] == key.shape[0] == value.shape[0]
            and all(x.numel() and x.stride(-1) == 1 for x in (query, key, value))
            and not _needs_grad(mask) and (mask is None or mask.ndim in (2, 4)))


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`softmax(query @ key.T * scale + attn_mask) @ value` (Vaswani et al. 2017).

    Args:
        query: (N, ..., Hq, L, E). key: (N, ..., H, S, E). value: (N, ..., H, S, Ev).
        attn_mask: broadcast to (N, ..., Hq, L, S). Booleans say what takes part; numbers are
            added. A row in which nothing takes part gives zeros.
        dropout_p: probability of dropping a share, in training and in evaluation alike.
        is_causal: query l sees the keys up to l.
        scale: 1 / sqrt(E) if None.
        enable_gqa: Hq may be a multiple of H; consecutive query heads share a head of keys.

    Returns:
        (N, ..., Hq, L, Ev).

    Raises:
        RuntimeError: dtypes or shapes do not fit, `dropout_p` is not in [0, 1], a mask beside
            `is_causal` (allowed, as in PyTorch, for inputs of four dims without dropout).

    >>> import jittensor as torch
    >>> q = torch.ones(1, 2, 3, 4)
    >>> torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
    torch.Size([1, 2, 3, 4])
    """
    _check_attention(query, key, value, attn_mask, dropout_p, is_causal)
    one_kernel = _one_kernel(query, key, value, attn_mask, dropout_p)
    if not one_kernel and not math_sdp_enabled():
        raise RuntimeError(
            "No available kernel.  Aborting execution." if flash_sdp_enabled() else
            "No viable backend for scaled_dot_product_attention was found. This is likely due to "
            "turning off both the math kernel and the fused kernels.")
    grouped = enable_gqa and query.ndim > 2 and not (
        query.shape[-3] == key.shape[-3] == value.shape[-3])
    run = _grouped if grouped else _attend
    out = run(query, key, value, attn_mask, dropout_p, is_causal, scale)
    if one_kernel:
        if not query.is_contiguous() and query.transpose(1, 2).is_contiguous():
            out = out.transpose(1, 2).contiguous().transpose(1, 2)
        return relabel(out, "ScaledDotProductFlashAttentionForCpuBackward0")
    return relabel(out, "UnsafeViewBackward0" if out.ndim > 2 else "MmBackward0")


# ── several heads ─────────────────────────────────────────────────────────────────────────────
def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def check_mha_shapes(query: Tensor, key: Tensor, value: Tensor,
                     key_padding_mask: Tensor | None, attn_mask: Tensor | None,
                     num_heads: int) -> bool:
    """Whether the inputs are a batch; AssertionError where their numbers of dims do not fit."""
    rank = query.ndim
    _expect(rank in (2, 3), "query should be unbatched 2D or batched 3D tensor but received "
                            f"{rank}-D query tensor")
    name = "batched (3-D)" if rank == 3 else "unbatched (2-D)"
    _expect(key.ndim == rank and value.ndim == rank,
            f"For {name} `query`, expected `key` and `value` to be {rank}-D but found {key.ndim}-D "
            f"and {value.ndim}-D tensors respectively")
    if key_padding_mask is not None:
        _expect(key_padding_mask.ndim == rank - 1,
                f"For {name} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D "
                f"but found {key_padding_mask.ndim}-D tensor instead")
    if attn_mask is not None:
        _expect(attn_mask.ndim in (2, 3),
                f"For {name} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
                f"{attn_mask.ndim}-D tensor instead")
        if rank == 2 and attn_mask.ndim == 3:
            expected = (num_heads, query.shape[0], key.shape[0])
            _expect(tuple(attn_mask.shape) == expected, f"Expected `attn_mask` shape to be "
                    f"{expected} but got {attn_mask.shape}")
    return rank == 3


def additive_mask(mask: Tensor | None, name: str, dtype, other: Tensor | None = None,
                  other_name: str = "") -> Tensor | None:
    """A mask whose True means "leave out" as numbers to add: 0 and -inf; numbers stay.

    Raises:
        AssertionError: a mask of integers.
    """
    if mask is None:
        return None
    _expect(mask.dtype is dt.bool_ or mask.is_floating_point(),
            f"only bool and floating types of {name} are supported")
    if other is not None and mask.dtype is not other.dtype:
        warnings.warn(f"Support for mismatched {name} and {other_name} is deprecated. Use same "
                      "type for both instead.", stacklevel=4)
    if mask.dtype is dt.bool_:
        return creation.zeros(mask.shape, dtype=dtype).masked_fill(mask, float("-inf"))
    return mask


class _Projections(NamedTuple):
    """The weights and biases of the three input projections: packed, or one by one."""

    packed: Tensor | None
    bias: Tensor | None
    query: Tensor | None
    key: Tensor | None
    value: Tensor | None
    separate: bool


def _project(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`linear` of (L, N, E), without a copy where it lies in memory as (N, L, E)."""
    if not x.is_contiguous() and x.transpose(0, 1).is_contiguous():
        return linear(x.transpose(0, 1), weight, bias).transpose(0, 1)
    return linear(x, weight, bias)


def _project_packed(query: Tensor, key: Tensor, value: Tensor, weight: Tensor,
                    bias: Tensor | None) -> list[Tensor]:
    """The three projections, in as few products as there are different inputs."""
    size = query.shape[-1]
    if key is value:
        if query is key:
            return list(_project(query, weight, bias).chunk(3, -1))
        rows = [size, 2 * size]
        w_q, w_kv = weight.split(rows)
        b_q, b_kv = (None, None) if bias is None else bias.split(rows)
        return [_project(query, w_q, b_q), *_project(key, w_kv, b_kv).chunk(2, -1)]
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return [_project(x, w, b) for x, w, b in
            zip((query, key, value), weight.chunk(3), biases, strict=True)]


def _projected(query: Tensor, key: Tensor, value: Tensor, by: _Projections) -> list[Tensor]:
    if not by.separate:
        _expect(key.shape == value.shape,
                f"key shape {key.shape} does not match value shape {value.shape}")
        _expect(by.packed is not None,
                "use_separate_proj_weight is False but in_proj_weight is None")
        return _project_packed(query, key, value, by.packed, by.bias)
    _expect(key.shape[:2] == value.shape[:2],
            f"key's sequence and batch dims {key.shape[:2]} do not match value's "
            f"{value.shape[:2]}")
    for name, weight in (("q", by.query), ("k", by.key), ("v", by.value)):
        _expect(weight is not None,
                f"use_separate_proj_weight is True but {name}_proj_weight is None")
    biases = (None,) * 3 if by.bias is None else by.bias.chunk(3)
    return [_project(x, w, b) for x, w, b in
            zip((query, key, value), (by.query, by.key, by.value), biases, strict=True)]


def _check_mask_shape(mask: Tensor | None, batch: int, heads: int, steps: int, keys: int) -> None:
    if mask is None:
        return
    shape = (steps, keys) if mask.ndim == 2 else (batch * heads, steps, keys)
    if tuple(mask.shape) != shape:
        raise RuntimeError(f"The shape of the {mask.ndim}D attn_mask is {mask.shape}, but should "
                           f"be {shape}.")


def _heads(x: Tensor, heads: int) -> Tensor:
    """(L, N, E) seen as (N, heads, L, E / heads)."""
    return x.unflatten(-1, (heads, x.shape[-1] // heads)).permute(1, 2, 0, 3)


def _keys(x: Tensor, bias: Tensor | None, static: Tensor | None, name: str, heads: int,
          add_zero: bool) -> Tensor:
    """Projected (S, N, E), or static (N * heads, S, E / heads), keys or values by head, with what
    is put behind them."""
    batch, head = x.shape[1], x.shape[2] // heads
    if bias is not None:
        _expect(static is None, f"bias cannot be added to static {name}.")
        x = functions.cat([x, bias.expand(1, batch, -1)])
    if static is None:
        out = _heads(x, heads)
    else:
        for dim, expected in ((0, batch * heads), (2, head)):
            _expect(static.shape[dim] == expected, f"expecting static_{name[0]}.size({dim}) of "
                    f"{expected}, but got {static.shape[dim]}")
        out = static.unflatten(0, (batch, heads))
    if add_zero:
        out = functions.cat([out, creation.zeros(batch, heads, 1, head, dtype=out.dtype)], 2)
    return out


def _merged_mask(attn_mask: Tensor | None, padding: Tensor | None, batch: int, heads: int,
                 keys: int) -> Tensor | None:
    """Both masks as numbers to add to (N, heads, L, S); they were made for fewer keys."""
    if attn_mask is not None:
        if attn_mask.shape[-1] < keys:
            attn_mask = pad(attn_mask, (0, keys - attn_mask.shape[-1]))
        if attn_mask.ndim == 3:
            attn_mask = attn_mask.unflatten(0, (batch, heads))
    if padding is None:
        return attn_mask
    if padding.shape[1] < keys:
        padding = pad(padding, (0, keys - padding.shape[1]))
    padding = padding.reshape(batch, 1, 1, keys)
    return padding if attn_mask is None else attn_mask + padding


def _check_hint(is_causal: bool, mask: Tensor | None) -> None:
    if is_causal and mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint. You may use the "
                           "Transformer module method `generate_square_subsequent_mask` to create "
                           "this mask.")


def _check_size(size: int, expected: int, heads: int) -> None:
    _expect(size == expected, f"was expecting embedding dimension of {expected}, but got {size}")
    _expect(size % heads == 0, f"embed_dim {size} not divisible by num_heads {heads}")


def _check_padding(padding: Tensor | None, batch: int, keys: int) -> None:
    if padding is not None:
        for dim, expected in enumerate((batch, keys)):
            _expect(padding.shape[dim] == expected, f"Expected key_padded_mask.shape[{dim}] to be "
                    f"{expected}, but got {padding.shape[dim]}")


def _with_weights(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float,
                  is_causal: bool) -> tuple[Tensor, Tensor]:
    """Attention that gives its shares too; here a row without keys gives nan, as PyTorch's."""
    scores = functions.matmul(q, k.transpose(-2, -1)) * math.sqrt(1 / q.shape[-1])
    weights = functions.softmax(scores if mask is None else scores + mask, -1)
    if dropout_p:
        weights = drop(weights, dropout_p)
    return functions.matmul(weights, v), weights


def _without_weights(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float,
                     is_causal: bool) -> tuple[Tensor, None]:
    return _attend(q, k, v, mask, dropout_p, is_causal, None), None


def _with_batch(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same inputs as a batch of one; the same tensor stays the same tensor."""
    made = {id(x): x.unsqueeze(1) for x in (query, key, value)}
    return made[id(query)], made[id(key)], made[id(value)]


def multi_head_attention_forward(
    query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int,
    in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Tensor | None,
    bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float, out_proj_weight: Tensor,
    out_proj_bias: Tensor | None, training: bool = True, key_padding_mask: Tensor | None = None,
    need_weights: bool = True, attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None, v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None, static_v: Tensor | None = None,
    average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """What `nn.MultiheadAttention` computes (Vaswani et al. 2017), its weights as arguments.

    Args:
        query: (L, N, E) or (L, E). key, value: (S, N, Ek), (S, N, Ev), or without N.
        in_proj_weight: (3E, E), the three projections below each other; or the three weights
            `q_proj_weight` (E, E), `k_proj_weight` (E, Ek), `v_proj_weight` (E, Ev).
        bias_k, bias_v: (1, 1, E), put behind the keys and the values; both or none.
        add_zero_attn: puts a key and a value of zeros behind those.
        key_padding_mask: (N, S) or (S): True (or -inf) leaves a key out.
        attn_mask: (L, S) or (N * heads, L, S): True leaves out, numbers are added.
        static_k, static_v: (N * heads, S, E / heads), in place of projected keys and values.
        is_causal: says that `attn_mask` is the causal one, and lets it be ignored.

    Returns:
        (L, N, E) or (L, E); and the shares, (N, L, S) averaged over heads or (N, heads, L, S), or
        None unless `need_weights`.

    Raises:
        AssertionError, RuntimeError: shapes that do not fit each other.
    """
    batched = check_mha_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    steps, batch, size = query.shape
    padding = additive_mask(key_padding_mask, "key_padding_mask", query.dtype, attn_mask,
                            "attn_mask")
    _check_hint(is_causal, attn_mask)
    is_causal = is_causal and padding is None and not need_weights
    mask = None if is_causal else additive_mask(attn_mask, "attn_mask", query.dtype)
    _check_size(size, embed_dim_to_check, num_heads)
    q, k, v = _projected(query, key, value, _Projections(
        in_proj_weight, in_proj_bias, q_proj_weight, k_proj_weight, v_proj_weight,
        use_separate_proj_weight))
    _check_mask_shape(mask, batch, num_heads, steps, key.shape[0])
    q = _heads(q, num_heads)
    k, v = (_keys(x, bias, static, name, num_heads, add_zero_attn) for x, bias, static, name in (
        (k, bias_k, static_k, "key"), (v, bias_v, static_v, "value")))
    _expect((bias_k is None) == (bias_v is None), "bias_k and bias_v: one is set, one is None")
    _check_padding(padding, batch, k.shape[2] - add_zero_attn - (bias_k is not None))
    mask = _merged_mask(mask, padding, batch, num_heads, k.shape[2])
    run = _with_weights if need_weights else _without_weights
    out, weights = run(q, k, v, mask, dropout_p if training else 0.0, is_causal)
    out = linear(out.permute(2, 0, 1, 3).reshape(steps * batch, size), out_proj_weight,
                 out_proj_bias).view(steps, batch, out_proj_weight.shape[0])
    if weights is not None and average_attn_weights:
        weights = weights.mean(1)
    if not batched:
        return out.squeeze(1), None if weights is None else weights.squeeze(0)
    return out, weights
