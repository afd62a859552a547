"""Anima's diffusion transformer: a noisy latent, a noise level and a text context in, a velocity out.

Modules are named like the keys of the released files, so a file's tensors load without renaming. The architecture is
that of a video model (NVIDIA Cosmos-Predict2, arXiv 2501.03575), reduced to what a single frame needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend

from inference.fast.block_cache import BlockCache
from inference.gpu.attention import attention
from inference.gpu.fused_projections import FusedProjections
from inference.gpu.modulation import Modulation, select_rows
from inference.networks.adapter import TextAdapter
from inference.networks.params import PATCH, TransformerParams
from inference.networks.rotary import axis_angles, rotate

#: In float16, attention and MLP multiply what they add to the residual stream by this factor, because it can exceed the
#: range of that dtype.
FLOAT16_PART = 2**-6

#: Shorter contexts count as padded to this many tokens with zero rows, which take part in attention.
CONTEXT_LENGTH = 512

#: The usual settings for Anima of normalized attention guidance. A scale of 1 would change nothing.
NAG_SCALE = 5.0
NAG_TAU = 2.5
NAG_ALPHA = 0.25


@dataclass(frozen=True)
class Context:
    """The text, projected to the keys and values of each block's cross-attention.

    It is the same at every step, so it is computed once for a batch of images.
    """

    #: For each block, two tensors [B, heads, L, head_dim].
    keys_values: tuple[tuple[Tensor, Tensor], ...]
    #: Added to the attention's scores, [B, 1, 1, L], in the dtype of the keys.
    bias: Tensor
    #: The texts that normalized attention guidance steers away from, for the same images; None for none.
    avoided: Context | None = None

    @property
    def avoided_blocks(self) -> Sequence[tuple[Tensor, Tensor, Tensor] | None]:
        """The keys, values and bias to steer away from, for each block."""
        if self.avoided is None:
            return [None] * len(self.keys_values)
        return [(key, value, self.avoided.bias) for key, value in self.avoided.keys_values]

    def select_rows(self, rows: Sequence[int], blocks: slice) -> Context:
        """The context of some rows of the batch, for these blocks. Keys and values of other blocks keep all rows."""
        index = torch.tensor(rows, device=self.bias.device)
        keys_values = list(self.keys_values)
        keys_values[blocks] = [(key[index], value[index]) for key, value in keys_values[blocks]]
        avoided = None if self.avoided is None else self.avoided.select_rows(rows, blocks)
        return Context(tuple(keys_values), self.bias[index], avoided)


class Transformer(nn.Module):
    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        self.params = params
        width = params.width
        self.x_embedder = PatchEmbedding(params.latent_channels + 1, width)
        self.t_embedder = nn.Sequential(Sinusoid(width), TimeEmbedding(width))
        self.t_embedding_norm = nn.RMSNorm(width, eps=1e-6)
        self.blocks = nn.ModuleList(Block(params) for _ in range(params.depth))
        self.final_layer = FinalLayer(params)
        self.llm_adapter = TextAdapter(params.adapter)

    def forward(
        self, x: Tensor, level: Tensor | Modulation, context: Context, cache: BlockCache | None = None
    ) -> Tensor:
        """The velocity `noise - x0` at `x`.

        x: float [B, C, H/8, W/8]; an odd side is padded by its first row or column, as in ComfyUI.
        level: the noise level, float32 [B] or [1], 0 to 1, or the result of `modulation` for it.
        cache: skips blocks, for fast mode. Returns float32 like `x`.
        The residual stream is float32, the matrix products have the dtype of the weights.
        """
        rows, columns = x.shape[-2:]
        if rows % PATCH or columns % PATCH:
            x = F.pad(x, (0, columns % PATCH, 0, rows % PATCH), mode="circular")
        height, width = x.shape[-2] // PATCH, x.shape[-1] // PATCH
        dtype = self.final_layer.linear.weight.dtype
        padding_mask = torch.zeros_like(x[:, :1])
        tokens = self.x_embedder(torch.cat([x, padding_mask], dim=1).to(dtype)).float()
        of_blocks, of_final = self._modulations(level)
        rotation = image_rotation(height, width, self.params.head_dim, x.device)
        depth = len(self.blocks)

        def run(blocks: slice, tokens: Tensor, rows: Sequence[int] | None = None) -> Tensor:
            modulation = of_blocks(blocks)
            if rows is None or len(rows) == len(x):
                return self.run_blocks(blocks, tokens, modulation, rotation, context)
            return self.run_blocks(
                blocks, tokens, select_rows(modulation, rows), rotation, context.select_rows(rows, blocks)
            )

        if cache is None:
            tokens = run(slice(0, depth), tokens)
        else:
            tokens = cache.run(tokens, partial(run, slice(0, 1)), partial(run, slice(1, depth)))
        velocity = unpatchify(self.final_layer(tokens, of_final), height, width)
        return velocity[..., :rows, :columns]

    def modulation(self, sigma: Tensor) -> Modulation:
        """The shifts, scales and gates for noise levels, float32 [B], 0 to 1."""
        of_blocks, of_final = self._modulations(sigma)
        return Modulation(tuple(of_blocks(slice(None))), of_final)

    def _modulations(self, level: Tensor | Modulation) -> tuple[Callable[[slice], Sequence[Tensor]], Tensor]:
        """A function that computes the modulation of some blocks on demand, and the modulation of the last layer."""
        if isinstance(level, Modulation):
            return level.blocks.__getitem__, level.final
        sinusoid = self.t_embedder[0](level).to(self.final_layer.linear.weight.dtype)
        shared = self.t_embedder[1](sinusoid)[:, None]
        embedding = F.silu(self.t_embedding_norm(sinusoid))[:, None]

        def of_blocks(blocks: slice) -> Sequence[Tensor]:
            return [block.modulation(embedding, shared) for block in self.blocks[blocks]]  # type: ignore[operator]

        return of_blocks, self.final_layer.modulation(embedding, shared)

    def run_blocks(
        self,
        blocks: slice,
        tokens: Tensor,
        modulation: Sequence[Tensor],
        rotation: tuple[Tensor, Tensor],
        context: Context,
    ) -> Tensor:
        """Run some of the blocks on the residual stream, float32 [B, N, width], and return it.

        modulation: of these blocks, as in `Modulation.blocks`.
        """
        for block, of_level, (key, value), avoided in zip(
            self.blocks[blocks],
            modulation,
            context.keys_values[blocks],
            context.avoided_blocks[blocks],
            strict=True,
        ):
            tokens = block(tokens, of_level, rotation, key, value, context.bias, avoided)
        return tokens

    def context(self, texts: Sequence[Tensor], avoided: Sequence[Tensor] | None = None) -> Context:
        """Project the texts of a batch, each [n, context_width] of any n, to every block's keys and values.

        avoided: a text for each of them, which normalized attention guidance steers away from.
        """
        tokens, bias = pad_texts(texts)
        keys_values = [block.cross_attn.keys_values(tokens) for block in self.blocks]  # type: ignore[union-attr, operator]
        return Context(tuple(keys_values), bias, None if avoided is None else self.context(avoided))


def pad_texts(texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stack texts of different lengths [n, C] into one tensor [B, L, C], with an attention bias [B, 1, 1, L].

    The model was trained with each text padded by zero rows to CONTEXT_LENGTH. Keys and values of a zero row are
    zero, so each only adds exp(0) to the softmax's denominator. A few zero rows whose biases make up the same sum have
    the same effect at a fraction of the cost. Rows that only pad the batch have a bias of minus infinity.
    """
    zero_biases = [_zero_row_biases(CONTEXT_LENGTH - len(text), text.dtype) for text in texts]
    longest = max(len(text) + len(biases) for text, biases in zip(texts, zero_biases, strict=True))
    length = math.ceil(longest / 8) * 8  # aligned for the GPU's kernels
    tokens = texts[0].new_zeros(len(texts), length, texts[0].shape[-1])
    bias = texts[0].new_full((len(texts), 1, 1, length), -torch.inf)
    for i, (text, biases) in enumerate(zip(texts, zero_biases, strict=True)):
        end = len(text) + len(biases)
        tokens[i, : len(text)] = text
        bias[i, ..., : len(text)] = 0
        bias[i, ..., len(text) : end] = torch.tensor(biases, dtype=bias.dtype)
    return tokens, bias


def _zero_row_biases(count: int, dtype: torch.dtype) -> list[float]:
    """Biases, exact in `dtype`, whose exponentials add up to `count`: one in float32, three in bfloat16."""
    biases: list[float] = []
    remainder = float(count)
    while remainder > 1e-6 * count and len(biases) < 4:
        bias = torch.tensor(math.log(remainder), dtype=dtype)
        if bias.double().exp() > remainder * (1 + 1e-6):
            bias = torch.nextafter(bias, torch.full_like(bias, -torch.inf))
        biases.append(bias.item())
        remainder -= math.exp(bias.item())
    return biases


class Block(nn.Module):
    """Self-attention, cross-attention and MLP, each shifted, scaled and gated by the noise level."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        width, rank = params.width, params.modulation_rank
        self.self_attn = SelfAttention(width, params.head_dim)
        self.cross_attn = CrossAttention(width, params.context_width, params.head_dim)
        self.mlp = FeedForward(width, params.mlp_width)
        self.adaln_modulation_self_attn = low_rank_modulation(width, rank, 3)
        self.adaln_modulation_cross_attn = low_rank_modulation(width, rank, 3)
        self.adaln_modulation_mlp = low_rank_modulation(width, rank, 3)

    def modulation(self, embedding: Tensor, shared: Tensor) -> Tensor:
        """This block's entry of `Modulation.blocks`. embedding: [B, 1, width]. shared by all blocks: [B, 1, 3 width]"""
        parts = (self.adaln_modulation_self_attn, self.adaln_modulation_cross_attn, self.adaln_modulation_mlp)
        return torch.cat([part(embedding) + shared for part in parts], dim=-1)

    def forward(
        self,
        x: Tensor,
        modulation: Tensor,
        rotation: tuple[Tensor, Tensor],
        key: Tensor,
        value: Tensor,
        bias: Tensor,
        avoided: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> Tensor:
        of_self, of_cross, of_mlp = modulation.chunk(3, dim=-1)
        shift, scale, gate = of_self.chunk(3, dim=-1)
        x = gated(x, gate, self.self_attn(modulate(x, shift, scale), rotation))
        shift, scale, gate = of_cross.chunk(3, dim=-1)
        x = gated(x, gate, self.cross_attn(modulate(x, shift, scale), key, value, bias, avoided))
        shift, scale, gate = of_mlp.chunk(3, dim=-1)
        return gated(x, gate, self.mlp(modulate(x, shift, scale)))


class FinalLayer(nn.Module):
    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        self.adaln_modulation = low_rank_modulation(params.width, params.modulation_rank, 2)
        self.linear = nn.Linear(params.width, PATCH**2 * params.latent_channels, bias=False)

    def modulation(self, embedding: Tensor, shared: Tensor) -> Tensor:
        """The value of `Modulation.final`. embedding, shared: as in `Block.modulation`."""
        own = self.adaln_modulation(embedding)
        return own + shared[..., : own.shape[-1]]

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        shift, scale = modulation.chunk(2, dim=-1)
        return self.linear(modulate(x, shift, scale))


class SelfAttention(FusedProjections):
    PROJECTIONS = ("q_proj", "k_proj", "v_proj")
    #: See `attention`.
    kernels: tuple[SDPBackend, ...] = ()

    def __init__(self, width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width, bias=False)
        self.q_norm = nn.RMSNorm(head_dim, eps=1e-6)
        self.k_norm = nn.RMSNorm(head_dim, eps=1e-6)
        self.output_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        query, key, value = [split_heads(part, self.head_dim) for part in self.projected(x)]
        query, key = rotate(self.q_norm(query), rotation), rotate(self.k_norm(key), rotation)
        return self.output_proj(scale_down(join_heads(attention(query, key, value, self.kernels))))


class CrossAttention(FusedProjections):
    PROJECTIONS = ("k_proj", "v_proj")

    def __init__(self, width: int, context_width: int, head_dim: int) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(context_width, width, bias=False)
        self.v_proj = nn.Linear(context_width, width, bias=False)
        self.q_norm = nn.RMSNorm(head_dim, eps=1e-6)
        self.k_norm = nn.RMSNorm(head_dim, eps=1e-6)
        self.output_proj = nn.Linear(width, width, bias=False)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L, context_width] to two tensors [B, heads, L, head_dim]."""
        key, value = [split_heads(part, self.head_dim) for part in self.projected(context)]
        return self.k_norm(key), value

    def forward(
        self,
        x: Tensor,
        key: Tensor,
        value: Tensor,
        bias: Tensor,
        avoided: tuple[Tensor, Tensor, Tensor] | None = None,
    ) -> Tensor:
        query = self.q_norm(split_heads(self.q_proj(x), self.head_dim))
        attended = join_heads(F.scaled_dot_product_attention(query, key, value, attn_mask=bias))
        if avoided is not None:
            key, value, bias = avoided
            attended = apply_nag(
                attended, join_heads(F.scaled_dot_product_attention(query, key, value, attn_mask=bias))
            )
        return self.output_proj(scale_down(attended))


def apply_nag(attended: Tensor, avoided: Tensor) -> Tensor:
    """Normalized attention guidance (Chen et al. 2025, arXiv 2505.21179): steer an attention's output away from a text.

    attended, avoided: the output [B, N, C] for the prompt and for the text to avoid. The extrapolation from `avoided`
    through `attended` is limited, token by token, to NAG_TAU times the larger L1 norm of the two, and then blended with
    `attended`. As in the authors' code, a scale of 1 changes nothing. Unlike here, they limit it by the norm of
    `attended` alone. For Anima that would shrink everything: zero rows of padding take part in attention, so the
    shorter of two texts has outputs with a smaller norm.
    """
    dtype = attended.dtype
    attended, avoided = attended.float(), avoided.float()
    extrapolated = torch.lerp(avoided, attended, NAG_SCALE)
    length, *lengths = (x.abs().sum(dim=-1, keepdim=True) for x in (extrapolated, attended, avoided))
    shortened = extrapolated * (NAG_TAU * torch.maximum(*lengths) / length.clamp_min(1e-12)).clamp_max(1)
    return torch.lerp(attended, shortened, NAG_ALPHA).to(dtype)


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layer1 = nn.Linear(width, hidden, bias=False)
        self.layer2 = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer2(scale_down(F.gelu(self.layer1(x))))


class PatchEmbedding(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(Patchify(), nn.Linear(channels * PATCH**2, width, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class Patchify(nn.Module):
    """[B, C, H, W] to tokens [B, H/2 * W/2, 4C], features ordered channel, row, column."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.unflatten(-1, (-1, PATCH)).unflatten(-3, (-1, PATCH))
        return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpatchify(tokens: Tensor, height: int, width: int) -> Tensor:
    """Tokens [B, height * width, 4C], features ordered row, column, channel, to float32 [B, C, 2 height, 2 width]."""
    x = tokens.float().unflatten(-1, (PATCH, PATCH, -1)).unflatten(1, (height, width))
    return x.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


class Sinusoid(nn.Module):
    """Noise levels [B] to float32 [B, width]: cosines, then sines, of frequencies falling from 1 to 1/10000."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.frequencies = width // 2

    def forward(self, sigma: Tensor) -> Tensor:
        exponents = torch.arange(self.frequencies, dtype=torch.float32, device=sigma.device) / self.frequencies
        angles = sigma.float()[:, None] * torch.exp(-math.log(10000) * exponents)
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimeEmbedding(nn.Module):
    """The part of shift, scale and gate that all blocks share: [B, width] to [B, 3 width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, width, bias=False)
        self.linear_2 = nn.Linear(width, 3 * width, bias=False)

    def forward(self, sinusoid: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(sinusoid)))


def low_rank_modulation(width: int, rank: int, outputs: int) -> nn.Sequential:
    """`W2 W1 e` with keys `.1` and `.2`; the SiLU that the keys count as `.0` is computed once for all blocks."""
    return nn.Sequential(
        nn.Identity(), nn.Linear(width, rank, bias=False), nn.Linear(rank, outputs * width, bias=False)
    )


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """The normalised residual stream, shifted and scaled, in the dtype of the matrix products."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale).to(shift.dtype)


def scale_down(x: Tensor) -> Tensor:
    """In float16, scale down the input of a branch's last layer, so that its output stays within that dtype's range."""
    return x * FLOAT16_PART if x.dtype == torch.float16 else x


def gated(x: Tensor, gate: Tensor, branch: Tensor) -> Tensor:
    """Add a branch to the residual stream, times its gate, and undo `scale_down`."""
    if branch.dtype == torch.float16:
        return torch.addcmul(x, gate.float(), branch.float(), value=1 / FLOAT16_PART)
    return x + gate * branch


def image_rotation(height: int, width: int, head_dim: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines [height * width, head_dim / 2] of the angles of an image's tokens, row by row.

    The head's features are divided among time, row and column; the only frame has time 0. The bases of row and column
    are for a context four times as long (NTK-aware scaling: times 4 ** (n / (n - 2)) for an axis with n features).
    """
    across = head_dim // 6 * 2
    base = 10000 * 4 ** (across / (across - 2))
    time = torch.zeros(height * width, (head_dim - 2 * across) // 2, device=device)
    rows = axis_angles(height, across, base, device).repeat_interleave(width, dim=0)
    columns = axis_angles(width, across, base, device).repeat(height, 1)
    angles = torch.cat([time, rows, columns], dim=-1)
    return angles.cos(), angles.sin()


def split_heads(x: Tensor, head_dim: int) -> Tensor:
    """[B, N, heads * head_dim] to [B, heads, N, head_dim]."""
    return x.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B, heads, N, head_dim] to [B, N, heads * head_dim]."""
    return x.transpose(1, 2).flatten(2)
