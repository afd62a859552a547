"""Qwen3 (arXiv 2505.09388) as far as a text encoder needs it: from token ids to the last hidden states.

Rounding in half precision follows transformers' implementation, which the model was trained with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.networks.rotary import axis_angles

#: The same for every released Qwen3.
ROTARY_BASE = 1e6
EPSILON = 1e-6


@dataclass(frozen=True)
class QwenParams:
    """The sizes of a Qwen3. Several heads of queries share one of keys and values (arXiv 2305.13245)."""

    vocabulary: int
    width: int
    depth: int
    heads: int
    key_heads: int
    head_dim: int
    mlp_width: int

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> QwenParams:
        """`shapes` maps names to tensor shapes. Raises KeyError with a missing name, ValueError if sizes do not fit."""
        vocabulary, width = shapes["embed_tokens.weight"]
        head_dim = shapes["layers.0.self_attn.q_norm.weight"][0]
        heads = shapes["layers.0.self_attn.q_proj.weight"][0] // head_dim
        key_heads = shapes["layers.0.self_attn.k_proj.weight"][0] // head_dim
        if heads % key_heads or head_dim % 2:
            raise ValueError(f"{heads} heads of {head_dim} features cannot share {key_heads} heads of keys")
        return cls(
            vocabulary=vocabulary,
            width=width,
            depth=len({key.split(".")[1] for key in shapes if key.startswith("layers.")}),
            heads=heads,
            key_heads=key_heads,
            head_dim=head_dim,
            mlp_width=shapes["layers.0.mlp.gate_proj.weight"][0],
        )


class Qwen(nn.Module):
    def __init__(self, params: QwenParams) -> None:
        super().__init__()
        self.head_dim = params.head_dim
        self.embed_tokens = nn.Embedding(params.vocabulary, params.width)
        self.layers = nn.ModuleList(QwenLayer(params) for _ in range(params.depth))
        self.norm = QwenNorm(params.width)

    @property
    def device(self) -> torch.device:
        return self.embed_tokens.weight.device

    def forward(self, ids: Tensor) -> Tensor:
        """ids: [B, n]; returns the last hidden states [B, n, width]. A token sees itself and those before it."""
        x = self.embed_tokens(ids)
        angles = axis_angles(ids.shape[1], self.head_dim, ROTARY_BASE, ids.device).repeat(1, 2)
        rotation = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for layer in self.layers:
            x = layer(x, rotation)
        return self.norm(x)


class QwenLayer(nn.Module):
    def __init__(self, params: QwenParams) -> None:
        super().__init__()
        self.input_layernorm = QwenNorm(params.width)
        self.self_attn = QwenAttention(params)
        self.post_attention_layernorm = QwenNorm(params.width)
        self.mlp = QwenMlp(params.width, params.mlp_width)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), rotation)
        return x + self.mlp(self.post_attention_layernorm(x))


class QwenAttention(nn.Module):
    def __init__(self, params: QwenParams) -> None:
        super().__init__()
        self.head_dim = params.head_dim
        self.shares_keys = params.heads != params.key_heads
        queries, keys = params.heads * params.head_dim, params.key_heads * params.head_dim
        self.q_proj = nn.Linear(params.width, queries, bias=False)
        self.k_proj = nn.Linear(params.width, keys, bias=False)
        self.v_proj = nn.Linear(params.width, keys, bias=False)
        self.o_proj = nn.Linear(queries, params.width, bias=False)
        self.q_norm = QwenNorm(params.head_dim)
        self.k_norm = QwenNorm(params.head_dim)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        heads = (-1, self.head_dim)
        query = _rotate(self.q_norm(self.q_proj(x).unflatten(-1, heads)).transpose(1, 2), rotation)
        key = _rotate(self.k_norm(self.k_proj(x).unflatten(-1, heads)).transpose(1, 2), rotation)
        value = self.v_proj(x).unflatten(-1, heads).transpose(1, 2)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=self.shares_keys)
        return self.o_proj(attended.transpose(1, 2).flatten(2))


class QwenMlp(nn.Module):
    """SwiGLU (arXiv 2002.05202)."""

    def __init__(self, width: int, mlp_width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, mlp_width, bias=False)
        self.up_proj = nn.Linear(width, mlp_width, bias=False)
        self.down_proj = nn.Linear(mlp_width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class QwenNorm(nn.Module):
    """RMSNorm (arXiv 1910.07467) in float32, rounded before it is scaled; `nn.RMSNorm` rounds afterwards."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON)
        return self.weight * normed.to(x.dtype)


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """As `inference.networks.rotary.rotate`, but in x's dtype: x [..., n, head_dim], tables of the same width."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
