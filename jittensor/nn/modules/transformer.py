"""In: sequences of features and masks. Out: them through transformer encoders and decoders."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

from ... import creation, functions
from ...autograd.modes import modes
from ...graph import dtypes as dt
from ...tensor import Tensor
from .. import functional as F
from .. import init
from ..functional.attention import additive_mask
from .activation import GELU, ReLU
from .attention import MultiheadAttention
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .normalization import LayerNorm

__all__ = ["Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder",
           "TransformerEncoderLayer"]


def _activation(given: str | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    if not isinstance(given, str):
        return given
    if given not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {given}")
    return F.relu if given == "relu" else F.gelu


def _kind(activation: Callable[[Tensor], Tensor]) -> int:
    """1 for ReLU, 2 for GELU, else 0: what PyTorch's inference kernel can do."""
    if activation is F.relu or isinstance(activation, ReLU):
        return 1
    return 2 if activation is F.gelu or isinstance(activation, GELU) else 0


def _copies(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


class _Layer(Module):
    """What encoder and decoder layers share: attention to itself and a network of two layers."""

    attentions: tuple[str, ...] = ("self_attn",)

    def __init__(self, d_model: int, nhead: int, dim_feedforward: int = 2048,
                 dropout: float = 0.1, activation: str | Callable[[Tensor], Tensor] = F.relu,
                 layer_norm_eps: float = 1e-5, batch_first: bool = False,
                 norm_first: bool = False, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}
        for name in self.attentions:
            setattr(self, name, MultiheadAttention(d_model, nhead, dropout=dropout, bias=bias,
                                                   batch_first=batch_first, **place))
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **place)
        self.norm_first = norm_first
        parts = range(1, len(self.attentions) + 2)
        for k in parts:
            setattr(self, f"norm{k}", LayerNorm(d_model, layer_norm_eps, bias=bias, **place))
        for k in parts:
            setattr(self, f"dropout{k}", Dropout(dropout))
        self.activation = _activation(activation)
        if self.attentions == ("self_attn",):
            self.activation_relu_or_gelu = _kind(self.activation)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("activation", F.relu)

    def _around(self, x: Tensor, norm: Module, block: Callable[[Tensor], Tensor]) -> Tensor:
        """x plus a block of it, normalised before the block or after the sum."""
        return x + block(norm(x)) if self.norm_first else norm(x + block(x))

    def _sa_block(self, x: Tensor, attn_mask: Tensor | None, key_padding_mask: Tensor | None,
                  is_causal: bool = False) -> Tensor:
        return self.dropout1(self.self_attn(
            x, x, x, attn_mask=attn_mask, key_padding_mask=key_padding_mask,
            is_causal=is_causal, need_weights=False)[0])

    def _ff_block(self, x: Tensor, last: Module) -> Tensor:
        return last(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a network of two layers, each added to its input and normalised.

    Args:
        d_model: features. nhead: heads of the attention.
        dim_feedforward: features between the two layers of the network.
        activation: between them: "relu", "gelu" or a function.
        batch_first: sequences are (N, L, E) rather than (L, N, E).
        norm_first: normalise before attention and network, not after (Xiong et al. 2020).

    Raises:
        RuntimeError: another string as `activation`.

    >>> import jittensor as torch
    >>> layer = torch.nn.TransformerEncoderLayer(8, 2, 16)
    >>> layer(torch.ones(5, 3, 8)).shape
    torch.Size([5, 3, 8])
    """

    def forward(self, src: Tensor, src_mask: Tensor | None = None,
                src_key_padding_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """(L, N, E), (N, L, E) if `batch_first`, or (L, E), to the same shape."""
        padding = additive_mask(src_key_padding_mask, "src_key_padding_mask", src.dtype, src_mask,
                                "src_mask")
        mask = additive_mask(src_mask, "src_mask", src.dtype)
        x = self._around(src, self.norm1, lambda y: self._sa_block(y, mask, padding, is_causal))
        return self._around(x, self.norm2, lambda y: self._ff_block(y, self.dropout2))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to a memory, then a network of two layers.

    Its arguments are those of `TransformerEncoderLayer`.
    """

    attentions = ("self_attn", "multihead_attn")

    def forward(self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None,
                memory_mask: Tensor | None = None, tgt_key_padding_mask: Tensor | None = None,
                memory_key_padding_mask: Tensor | None = None, tgt_is_causal: bool = False,
                memory_is_causal: bool = False) -> Tensor:
        """(L, N, E) and a memory (S, N, E), N first if `batch_first`, to the shape of `tgt`."""
        x = self._around(tgt, self.norm1, lambda y: self._sa_block(
            y, tgt_mask, tgt_key_padding_mask, tgt_is_causal))
        x = self._around(x, self.norm2, lambda y: self._mha_block(
            y, memory, memory_mask, memory_key_padding_mask, memory_is_causal))
        return self._around(x, self.norm3, lambda y: self._ff_block(y, self.dropout3))

    def _mha_block(self, x: Tensor, mem: Tensor, attn_mask: Tensor | None,
                   key_padding_mask: Tensor | None, is_causal: bool = False) -> Tensor:
        return self.dropout2(self.multihead_attn(
            x, mem, mem, attn_mask=attn_mask, key_padding_mask=key_padding_mask,
            is_causal=is_causal, need_weights=False)[0])


def _why_not_nested(layer: Module) -> str:
    """Why PyTorch's encoder would not cut the padding off for such layers; '' if it would."""
    name = "encoder_layer"
    if not isinstance(layer, TransformerEncoderLayer):
        return f"{name} was not TransformerEncoderLayer"
    attention = layer.self_attn
    checks = (
        (layer.norm_first, ".norm_first was True"),
        (not attention.batch_first,
         ".self_attn.batch_first was not True(use batch_first for better inference performance)"),
        (not attention._qkv_same_embed_dim, ".self_attn._qkv_same_embed_dim was not True"),
        (attention.in_proj_bias is None, ".self_attn was passed bias=False"),
        (not layer.activation_relu_or_gelu, ".activation_relu_or_gelu was not True"),
        (layer.norm1.eps != layer.norm2.eps,
         f".norm1.eps was not equal to {name}.norm2.eps"),
        (attention.num_heads % 2 == 1, ".self_attn.num_heads is odd"))
    return next((name + text for holds, text in checks if holds), "")


class TransformerEncoder(Module):
    """Copies of an encoder layer one after another.

    Args:
        encoder_layer: what is copied (its weights too). num_layers: how many times.
        norm: module for the result, or None.
        enable_nested_tensor: in evaluation the outputs of padded positions are zeros.
        mask_check: only if the padding is at the end of each sequence.
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None,
                 enable_nested_tensor: bool = True, mask_check: bool = True) -> None:
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor = self.use_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check
        why_not = _why_not_nested(encoder_layer)
        if enable_nested_tensor and why_not:
            warnings.warn("enable_nested_tensor is True, but self.use_nested_tensor is False "
                          f"because {why_not}", stacklevel=2)
            self.use_nested_tensor = False

    def forward(self, src: Tensor, mask: Tensor | None = None,
                src_key_padding_mask: Tensor | None = None,
                is_causal: bool | None = None) -> Tensor:
        """(L, N, E), or (N, L, E) if the layers are `batch_first`, to the same shape.

        `is_causal` says that `mask` is the causal one; None and False leave it to the mask.
        """
        padding = additive_mask(src_key_padding_mask, "src_key_padding_mask", src.dtype, mask,
                                "mask")
        cut = mask is None and padding is not None and self._cuts_padding(src)
        mask = additive_mask(mask, "mask", src.dtype)
        out = src
        for layer in self.layers:
            out = layer(out, src_mask=mask, is_causal=bool(is_causal),
                        src_key_padding_mask=padding)
        if cut:
            out = out.masked_fill(self._left_out(padding).unsqueeze(-1), 0.0)
        return out if self.norm is None else self.norm(out)

    def _cuts_padding(self, src: Tensor) -> bool:
        """Whether PyTorch would run this without the padding, which it then makes zeros."""
        layer = self.layers[0]
        return (self.use_nested_tensor and not layer.training and src.ndim == 3
                and not (modes.grad and (src.requires_grad or any(
                    p.requires_grad for p in layer.parameters()))))

    def _left_out(self, padding: Tensor) -> Tensor:
        """The padded positions; none, by `mask_check`, if one sequence has padding inside."""
        left_out = padding != 0
        if not self.mask_check:
            return left_out
        inside = left_out[:, :-1] & ~left_out[:, 1:]
        return left_out & ~inside.any()


class TransformerDecoder(Module):
    """Copies of a decoder layer one after another.

    Args:
        decoder_layer: what is copied (its weights too). num_layers: how many times.
        norm: module for the result, or None.
    """

    def __init__(self, decoder_layer: Module, num_layers: int,
                 norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None,
                memory_mask: Tensor | None = None, tgt_key_padding_mask: Tensor | None = None,
                memory_key_padding_mask: Tensor | None = None,
                tgt_is_causal: bool | None = None, memory_is_causal: bool = False) -> Tensor:
        """(L, N, E) and a memory (S, N, E), N first if the layers are `batch_first`, to the shape
        of `tgt`."""
        out = tgt
        for layer in self.layers:
            out = layer(out, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                        tgt_key_padding_mask=tgt_key_padding_mask,
                        memory_key_padding_mask=memory_key_padding_mask,
                        tgt_is_causal=bool(tgt_is_causal), memory_is_causal=memory_is_causal)
        return out if self.norm is None else self.norm(out)


class Transformer(Module):
    """An encoder and a decoder (Vaswani et al. 2017), weights drawn as by Glorot & Bengio 2010.

    Args:
        d_model: features of both sequences. nhead: heads of every attention.
        custom_encoder, custom_decoder: modules to take in place of those built here.
        dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: as
            in `TransformerEncoderLayer`.

    >>> import jittensor as torch
    >>> model = torch.nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> model(torch.ones(3, 5, 8), torch.ones(3, 4, 8)).shape
    torch.Size([3, 4, 8])
    """

    def __init__(self, d_model: int = 512, nhead: int = 8, num_encoder_layers: int = 6,
                 num_decoder_layers: int = 6, dim_feedforward: int = 2048, dropout: float = 0.1,
                 activation: str | Callable[[Tensor], Tensor] = F.relu,
                 custom_encoder: Any | None = None, custom_decoder: Any | None = None,
                 layer_norm_eps: float = 1e-5, batch_first: bool = False,
                 norm_first: bool = False, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
                   batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **place)

        self.encoder = custom_encoder if custom_encoder is not None else TransformerEncoder(
            TransformerEncoderLayer(*options, **place), num_encoder_layers, norm())
        self.decoder = custom_decoder if custom_decoder is not None else TransformerDecoder(
            TransformerDecoderLayer(*options, **place), num_decoder_layers, norm())
        self._reset_parameters()
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(self, src: Tensor, tgt: Tensor, src_mask: Tensor | None = None,
                tgt_mask: Tensor | None = None, memory_mask: Tensor | None = None,
                src_key_padding_mask: Tensor | None = None,
                tgt_key_padding_mask: Tensor | None = None,
                memory_key_padding_mask: Tensor | None = None,
                src_is_causal: bool | None = None, tgt_is_causal: bool | None = None,
                memory_is_causal: bool = False) -> Tensor:
        """(S, N, E) and (T, N, E), N first if `batch_first`, or without N, to the shape of `tgt`.

        Raises:
            RuntimeError: the batches or the features differ.
        """
        batch = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or src.ndim == 3 and src.size(batch) != tgt.size(batch):
            raise RuntimeError("the batch number of src and tgt must be equal")
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask,
                              is_causal=src_is_causal)
        return self.decoder(tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask,
                            tgt_key_padding_mask=tgt_key_padding_mask,
                            memory_key_padding_mask=memory_key_padding_mask,
                            tgt_is_causal=tgt_is_causal, memory_is_causal=memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None,
                                        dtype: Any = None) -> Tensor:
        """The causal mask (sz, sz) to add: 0 up to the diagonal, -inf above."""
        full = creation.full((sz, sz), float("-inf"),
                             dtype=dt.Default.float_ if dtype is None else dtype, device=device)
        return functions.triu(full, diagonal=1)

    def _reset_parameters(self) -> None:
        """Draw every weight of two dims or more anew."""
        for p in self.parameters():
            if p.dim() > 1:
                init.xavier_uniform_(p)
