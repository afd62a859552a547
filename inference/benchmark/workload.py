"""The workload: the sizes of the networks, and the image that they generate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from inference.networks.params import AdapterParams, TransformerParams
from inference.networks.vae import SCALE, Level, VaeParams
from inference.request import GenerationRequest

PROMPT = "masterpiece, best quality, score_7, safe, 1girl, solo, long hair, smile, school uniform, cherry blossoms"
NEGATIVE_PROMPT = "worst quality, low quality, score_1, score_2, score_3, artist name"
CFG_SCALE = 4.0
SEED = 7
#: Steps of an image without guidance, as with the turbo LoRA.
TURBO_STEPS = 8
#: The noise level at which single networks are measured.
SIGMA = 0.7

#: The released model's sizes.
FULL_TRANSFORMER = TransformerParams(
    width=2048,
    depth=28,
    head_dim=128,
    mlp_width=8192,
    context_width=1024,
    modulation_rank=256,
    latent_channels=16,
    adapter=AdapterParams(vocabulary=32128, width=1024, depth=6, head_dim=64, mlp_width=4096, source_width=1024),
)
FULL_VAE_WIDTH = 96

MEDIUM_TRANSFORMER = replace(FULL_TRANSFORMER, depth=2, adapter=replace(FULL_TRANSFORMER.adapter, depth=1))
TINY_TRANSFORMER = TransformerParams(
    width=128,
    depth=2,
    head_dim=64,
    mlp_width=512,
    context_width=64,
    modulation_rank=16,
    latent_channels=16,
    adapter=AdapterParams(vocabulary=32128, width=64, depth=1, head_dim=32, mlp_width=128, source_width=64),
)


@dataclass(frozen=True)
class Workload:
    """The networks' sizes, and the image that is generated with them."""

    transformer: TransformerParams
    vae_width: int
    width: int
    height: int
    steps: int

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        return 1, self.transformer.latent_channels, self.height // SCALE, self.width // SCALE

    def latent(self, device: torch.device) -> Tensor:
        """float32 noise of the latent's shape, the same on every device."""
        generator = torch.Generator().manual_seed(SEED)
        return torch.randn(self.latent_shape, generator=generator, device="cpu").to(device)

    def request(self, sampler: str) -> GenerationRequest:
        return GenerationRequest(
            prompt=PROMPT,
            negative_prompt=NEGATIVE_PROMPT,
            width=self.width,
            height=self.height,
            steps=self.steps,
            cfg_scale=CFG_SCALE,
            sampler=sampler,
            scheduler="simple",
            seed=SEED,
        )


#: `medium`, for the CPU, has 2 of the released model's 28 equal blocks.
SIZES: Mapping[str, Workload] = {
    "tiny": Workload(TINY_TRANSFORMER, 16, 64, 64, 4),
    "medium": Workload(MEDIUM_TRANSFORMER, FULL_VAE_WIDTH, 256, 256, 4),
    "full": Workload(FULL_TRANSFORMER, FULL_VAE_WIDTH, 1024, 1024, 30),
}


Part = Literal["transformer", "vae", "picture"]
PARTS: Mapping[Part, str] = {
    "transformer": "transformer forward",
    "vae": "VAE decode",
    "picture": "whole image",
}


def vae_params(width: int, latent_channels: int) -> VaeParams:
    """The released VAE's structure, four resolutions with 1, 2, 4 and 4 times `width` channels."""
    narrow, middle, wide = width, 2 * width, 4 * width
    down = [(narrow, narrow), (narrow, middle), (middle, wide), (wide, wide)]
    up = [(wide, wide), (middle, wide), (middle, middle), (narrow, narrow)]
    down_levels: list[Level] = []
    for inputs, outputs in down:
        down_levels += [Level(inputs, outputs, False), Level(outputs, outputs, False), Level(outputs, outputs, True)]
    up_levels: list[Level] = []
    for inputs, outputs in up:
        up_levels += [Level(inputs, outputs, False), Level(outputs, outputs, False), Level(outputs, outputs, False)]
        up_levels += [Level(outputs, outputs // 2, True)]
    return VaeParams(latent_channels, tuple(down_levels[:-1]), tuple(up_levels[:-1]))
