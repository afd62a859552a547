"""Estimates the memory that weights and generating need, and how much to keep free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch

from inference.networks.float8 import weights_size
from inference.networks.params import TransformerParams
from inference.networks.precision import Precision
from inference.networks.transformer import CONTEXT_LENGTH
from inference.networks.vae import SCALE, Vae, build_vae
from inference.pool.sources import ModelSource, ModelSources
from inference.request import TOKEN_SIDE, GenerationRequest
from inference.sampling import needs_unguided
from inference.tiling.layout import drawn_tiles
from inference.weights.checkpoint import ModelFiles

#: Bytes of a GPU to keep free for the libraries' workspaces.
DEVICE_RESERVE = 1 << 30
#: The part of main memory to leave to other programs.
MEMORY_RESERVE = 0.1


def reserve(device: torch.device) -> int:
    """Bytes to keep free besides what weights and generating need."""
    if device.type in ("cuda", "xpu"):
        return DEVICE_RESERVE
    return int(MEMORY_RESERVE * psutil.virtual_memory().total)


def generating_bytes(model: ModelSource, vae: Vae, batch: Sequence[GenerationRequest], dtype: torch.dtype) -> int:
    """About how much memory a batch needs at its peak besides the weights: to sample it, or to decode one image.

    A conservative estimate from what a block computes for each token.
    """
    first, params = batch[0], model.params
    width, height, tiles = first.width, first.height, 1
    if first.tiled:
        native = model.native.sizes[0]
        tiles = len(drawn_tiles((width, height), native))
        width, height = min(width, native[0]), min(height, native[1])
    rows = len(batch) * (2 if first.cfg_scale != 1 or needs_unguided(first.sampler) else 1)
    latent = torch.empty(1, params.latent_channels, height // SCALE, width // SCALE, device="meta")
    return max(
        sampling_bytes(params, width, height, rows, dtype, tiles if first.fast else 0), vae.decoding_bytes(latent)
    )


@dataclass(frozen=True)
class NeededMemory:
    """Bytes of the weights of a model with all its parts, and those needed besides for an image of its native size."""

    weights: int
    generating: int

    @classmethod
    def of(cls, files: ModelFiles, precision: Precision) -> NeededMemory:
        """By the files' headers, with everything on the device. Raises CheckpointError."""
        model = ModelSources(files).default
        weights = (
            weights_size(model.params, precision.compute, precision.float8)
            + files.text_encoder.loaded_bytes(precision.text_encoder)
            + files.vae.loaded_bytes(precision.compute)
        )
        vae = build_vae(files.vae).to(precision.compute)
        return cls(weights, generating_bytes(model, vae, [model.native.request("")], precision.compute))


def sampling_bytes(
    params: TransformerParams, width: int, height: int, rows: int, dtype: torch.dtype, kept_tiles: int = 0
) -> int:
    """Bytes that the transformer needs besides its weights to compute an image, or a tile of it.

    rows: images, each twice if it is guided. kept_tiles: in fast mode, the number of tiles whose results a `BlockCache`
    keeps; 1 for an image drawn without tiles.
    """
    tokens = rows * math.ceil(width / TOKEN_SIDE) * math.ceil(height / TOKEN_SIDE)
    of_token = dtype.itemsize * (16 * params.width + 2 * params.mlp_width) + torch.float32.itemsize * 6 * params.width
    texts = rows * CONTEXT_LENGTH * 2 * params.depth * params.width * dtype.itemsize
    kept = kept_tiles * tokens * params.width * 2 * torch.float32.itemsize
    return tokens * of_token + texts + kept
