"""Estimates what fits into a GPU's memory, and chooses settings, from counted weights and the engine's estimates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from inference.benchmark.workload import FULL_TRANSFORMER, FULL_VAE_WIDTH, vae_params
from inference.networks.float8 import weights_size
from inference.networks.params import TransformerParams
from inference.networks.precision import PRECISIONS, Precision
from inference.networks.qwen import Qwen, QwenParams
from inference.networks.structure import shapes_alone
from inference.networks.vae import SCALE, Vae
from inference.pool.memory import DEVICE_RESERVE, sampling_bytes

GIB = 2**30
SIDE = 1024
#: The released text encoder, Qwen3 0.6B.
FULL_QWEN = QwenParams(vocabulary=151_936, width=1024, depth=28, heads=16, key_heads=8, head_dim=128, mlp_width=3072)
#: In order of preference: the one that rounds least comes first.
FORMATS = ("bfloat16", "float8")
MAX_BATCH = 8


@dataclass(frozen=True)
class ModelWeights:
    """The sizes of a model's parts; the defaults are those of Anima itself."""

    transformer: TransformerParams = FULL_TRANSFORMER
    text_encoder: QwenParams = FULL_QWEN
    vae_width: int = FULL_VAE_WIDTH

    def needed(self, precision: Precision, waiting: bool, images: int = 1, fast: bool = False) -> int:
        """Peak bytes on the GPU for drawing `images` guided 1024x1024 images at once, with the libraries' reserve.

        waiting: whether text encoder and VAE wait in main memory while they are not used.
        """
        counted = _count(self)
        compute = precision.compute
        transformer = weights_size(self.transformer, compute, precision.float8)
        encoder_bytes = counted.encoder * precision.text_encoder.itemsize
        vae_bytes = counted.vae * compute.itemsize
        sampling = sampling_bytes(self.transformer, SIDE, SIDE, 2 * images, compute, int(fast))
        decoding = counted.decoding * compute.itemsize
        if waiting:
            return DEVICE_RESERVE + transformer + max(encoder_bytes, sampling, vae_bytes + decoding)
        return DEVICE_RESERVE + transformer + encoder_bytes + vae_bytes + max(sampling, decoding)


@dataclass(frozen=True)
class _Numbers:
    """Counts of numbers: the weights of text encoder and VAE, and the activations at the peak of decoding an image."""

    encoder: int
    vae: int
    decoding: int


@cache
def _count(model: ModelWeights) -> _Numbers:
    with shapes_alone():
        encoder, vae = Qwen(model.text_encoder), Vae(vae_params(model.vae_width, model.transformer.latent_channels))
    latent = torch.empty(1, model.transformer.latent_channels, SIDE // SCALE, SIDE // SCALE, device="meta")
    of_encoder, of_vae = (sum(weight.numel() for weight in part.parameters()) for part in (encoder, vae))
    return _Numbers(of_encoder, of_vae, vae.decoding_bytes(latent) // vae.conv2.weight.element_size())


@dataclass(frozen=True)
class FittingChoice:
    """dtype: for ANIMA_DTYPE. waiting: whether text encoder and VAE wait in main memory. images: the most at once."""

    dtype: str
    waiting: bool
    images: int

    def __str__(self) -> str:
        parts = "in main memory" if self.waiting else "on the card"
        return f"{self.dtype} | {parts} | {self.images}"


def choose(total: int, model: ModelWeights | None = None) -> FittingChoice | None:
    """What to choose for a GPU with `total` bytes; None if not even one 1024x1024 image fits.

    Prefers less rounding, then keeping everything on the GPU.
    """
    model = model or ModelWeights()
    for dtype in FORMATS:
        for waiting in (False, True):
            fitting = [
                images
                for images in range(1, MAX_BATCH + 1)
                if model.needed(PRECISIONS[dtype], waiting, images) <= total
            ]
            if fitting:
                return FittingChoice(dtype, waiting, max(fitting))
    return None


def table(cards: Sequence[float]) -> str:
    """Markdown: what the released model needs, and the choice for GPUs with these numbers of GiB."""
    model = ModelWeights()
    lines = [
        "| one 1024x1024 image with CFG | everything on the card | text encoder and VAE in main memory |",
        "|---|---|---|",
    ]
    for dtype in FORMATS:
        needs = [model.needed(PRECISIONS[dtype], waiting) / GIB for waiting in (False, True)]
        lines.append(f"| {dtype} | {needs[0]:.2f} GiB | {needs[1]:.2f} GiB |")
    lines += ["", "| card | `ANIMA_DTYPE` | text encoder and VAE | images at once |", "|---|---|---|---|"]
    for card in cards:
        chosen = choose(math.floor(card * GIB), model) if 0 < card < math.inf else None
        lines.append(f"| {card:g} GB | {'nothing fits | | 0' if chosen is None else chosen} |")
    return "\n".join(lines)


def advice(device: str, total: int) -> str:
    """What to choose for the released model on a GPU with `total` bytes, as a sentence without its full stop."""
    chosen = choose(total)
    if chosen is None:
        return f"{device} is too small for images of 1024x1024 with Anima: draw smaller ones"
    waiting = "text encoder and VAE in main memory" if chosen.waiting else "everything on the card"
    return (
        f"for Anima at 1024x1024 there is room on {device} for ANIMA_DTYPE={chosen.dtype} with {waiting}, up to "
        f"{chosen.images} images at once"
    )
