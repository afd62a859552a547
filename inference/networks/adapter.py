"""The text adapter: makes the transformer's context from T5 tokens that attend to Qwen3's hidden states."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.networks.params import AdapterParams
from inference.networks.rotary import axis_angles, rotate


class TextAdapter(nn.Module):
    def __init__(self, params: AdapterParams) -> None:
        super().__init__()
        self.head_dim = params.head_dim
        self.embed = nn.Embedding(params.vocabulary, params.width)
        self.blocks = nn.ModuleList(AdapterBlock(params) for _ in range(params.depth))
        self.out_proj = nn.Linear(params.width, params.width)
        self.norm = nn.RMSNorm(params.width, eps=1e-6)

    def forward(
        self, source: Tensor, ids: Tensor, source_mask: Tensor | None = None, ids_mask: Tensor | None = None
    ) -> Tensor:
        """source: Qwen's hidden states [B, m, source_width]; ids: T5 token ids [B, n]; returns [B, n, width].

        If a batch pads texts of different lengths, the masks, bool [B, m] and [B, n], are true for real tokens.
        """
        x = self.embed(ids)
        target = text_rotation(ids.shape[1], self.head_dim, ids.device)
        source_rotation = text_rotation(source.shape[1], self.head_dim, ids.device)
        target_keys = None if ids_mask is None else ids_mask[:, None, None]
        source_keys = None if source_mask is None else source_mask[:, None, None]
        for block in self.blocks:
            x = block(x, source, target, source_rotation, target_keys, source_keys)
        return self.norm(self.out_proj(x))


class AdapterBlock(nn.Module):
    def __init__(self, params: AdapterParams) -> None:
        super().__init__()
        width = params.width
        self.norm_self_attn = nn.RMSNorm(width, eps=1e-6)
        self.self_attn = AdapterAttention(width, width, params.head_dim)
        self.norm_cross_attn = nn.RMSNorm(width, eps=1e-6)
        self.cross_attn = AdapterAttention(width, params.source_width, params.head_dim)
        self.norm_mlp = nn.RMSNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, params.mlp_width), nn.GELU(), nn.Linear(params.mlp_width, width))

    def forward(
        self,
        x: Tensor,
        source: Tensor,
        target_rotation: tuple[Tensor, Tensor],
        source_rotation: tuple[Tensor, Tensor],
        target_mask: Tensor | None,
        source_mask: Tensor | None,
    ) -> Tensor:
        normed = self.norm_self_attn(x)
        x = x + self.self_attn(normed, normed, target_rotation, target_rotation, target_mask)
        x = x + self.cross_attn(self.norm_cross_attn(x), source, target_rotation, source_rotation, source_mask)
        return x + self.mlp(self.norm_mlp(x))


class AdapterAttention(nn.Module):
    def __init__(self, width: int, source_width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(source_width, width, bias=False)
        self.v_proj = nn.Linear(source_width, width, bias=False)
        self.q_norm = nn.RMSNorm(head_dim, eps=1e-6)
        self.k_norm = nn.RMSNorm(head_dim, eps=1e-6)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x: Tensor,
        source: Tensor,
        query_rotation: tuple[Tensor, Tensor],
        key_rotation: tuple[Tensor, Tensor],
        mask: Tensor | None,
    ) -> Tensor:
        heads = (-1, self.head_dim)
        query = rotate(self.q_norm(self.q_proj(x).unflatten(-1, heads)).transpose(1, 2), query_rotation)
        key = rotate(self.k_norm(self.k_proj(source).unflatten(-1, heads)).transpose(1, 2), key_rotation)
        value = self.v_proj(source).unflatten(-1, heads).transpose(1, 2)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.o_proj(attended.transpose(1, 2).flatten(2))


def text_rotation(length: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines [length, head_dim / 2] of a text's positions."""
    angles = axis_angles(length, head_dim, 10000.0, device)
    return angles.cos(), angles.sin()
