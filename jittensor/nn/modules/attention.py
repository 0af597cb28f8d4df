"""In: sequences of queries, keys and values. Out: them mixed by attention of several heads."""

from __future__ import annotations

from typing import Any

from ... import creation
from ...autograd.modes import modes
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..functional.attention import check_mha_shapes
from ..parameter import Parameter
from .linear import NonDynamicallyQuantizableLinear
from .module import Module

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """Several attentions side by side, each on a part of the features (Vaswani et al. 2017).

    Args:
        embed_dim: features of queries and of the output; a multiple of `num_heads`.
        dropout: probability of dropping a share, in training.
        bias: whether the projections have biases.
        add_bias_kv: whether a learned key and value are put behind the others.
        add_zero_attn: whether a key and a value of zeros are put behind the others.
        kdim, vdim: features of keys and of values; `embed_dim` if None.
        batch_first: sequences are (N, L, E) rather than (L, N, E).

    Raises:
        ValueError: `embed_dim` or `num_heads` is not positive.
        AssertionError: the heads do not divide the features.
    """

    bias_k: Tensor | None
    bias_v: Tensor | None

    def __init__(self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
                 add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
                 vdim: int | None = None, batch_first: bool = False, device: Any = None,
                 dtype: Any = None) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError("embed_dim and num_heads must be greater than 0, got "
                             f"embed_dim={embed_dim} and num_heads={num_heads} instead")
        super().__init__()
        place = {"device": device, "dtype": dtype}
        self.embed_dim, self.num_heads, self.dropout = embed_dim, num_heads, dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")
        separate = {"q_proj_weight": embed_dim, "k_proj_weight": self.kdim,
                    "v_proj_weight": self.vdim}
        if self._qkv_same_embed_dim:
            self.in_proj_weight = Parameter(creation.empty((3 * embed_dim, embed_dim), **place))
            for name in separate:
                self.register_parameter(name, None)
        else:
            for name, features in separate.items():
                setattr(self, name, Parameter(creation.empty((embed_dim, features), **place)))
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = Parameter(creation.empty(3 * embed_dim, **place))
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **place)
        if add_bias_kv:
            self.bias_k = Parameter(creation.empty((1, 1, embed_dim), **place))
            self.bias_v = Parameter(creation.empty((1, 1, embed_dim), **place))
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Draw the input projections (Glorot & Bengio 2010) and the learned key and value anew."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight,
                       self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.constant_(self.in_proj_bias, 0.0)
            init.constant_(self.out_proj.bias, 0.0)
        for value in (self.bias_k, self.bias_v):
            if value is not None:
                init.xavier_normal_(value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        state.setdefault("_qkv_same_embed_dim", True)      # files older than kdim and vdim
        super().__setstate__(state)

    def forward(self, query: Tensor, key: Tensor, value: Tensor,
                key_padding_mask: Tensor | None = None, need_weights: bool = True,
                attn_mask: Tensor | None = None, average_attn_weights: bool = True,
                is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
        """(L, N, E) queries, (S, N, Ek) keys and (S, N, Ev) values (N first if `batch_first`, or
        without N) to (L, N, E) and the shares of the keys, or None unless `need_weights`.

        The masks are those of `nn.functional.multi_head_attention_forward`.
        """
        batched = check_mha_shapes(query, key, value, key_padding_mask, attn_mask, self.num_heads)
        turned = self.batch_first and batched
        same = query is key and key is value
        if turned:
            made = {id(x): x.transpose(0, 1) for x in (query, key, value)}
            query, key, value = (made[id(x)] for x in (query, key, value))
        out, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight,
            self.in_proj_bias, self.bias_k, self.bias_v, self.add_zero_attn, self.dropout,
            self.out_proj.weight, self.out_proj.bias, training=self.training,
            key_padding_mask=key_padding_mask, need_weights=need_weights, attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight, k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight, average_attn_weights=average_attn_weights,
            is_causal=is_causal)
        if not turned:
            return out, weights
        out = out.transpose(0, 1)
        if same and self._lays_out_by_batch(query):
            out = out.contiguous()
        return out, weights

    def _lays_out_by_batch(self, query: Tensor) -> bool:
        """Whether PyTorch computes this by its inference kernel, whose result is contiguous."""
        return (not self.training and self.num_heads % 2 == 0 and self.bias_k is None
                and not self.add_zero_attn and self._qkv_same_embed_dim
                and self.in_proj_bias is not None and not (modes.grad and (
                    query.requires_grad or any(p.requires_grad for p in self.parameters()))))

    def merge_masks(self, attn_mask: Tensor | None, key_padding_mask: Tensor | None,
                    query: Tensor) -> tuple[Tensor | None, int | None]:
        """Both masks as one.

        Returns:
            The mask and its kind: None, 1 for (N, S) of keys left out, 2 for (N, heads, L, L).
        """
        if attn_mask is None:
            return key_padding_mask, None if key_padding_mask is None else 1
        batch, steps = query.shape[:2]
        if attn_mask.ndim == 3:
            merged = attn_mask.view(batch, -1, steps, steps)
        else:
            merged = attn_mask.view(1, 1, steps, steps).expand(batch, self.num_heads, -1, -1)
        if key_padding_mask is not None:
            keys = key_padding_mask.view(batch, 1, 1, steps).expand(-1, self.num_heads, -1, -1)
            merged = merged + keys
        return merged, 2
