"""Writes a model with random weights, in the files and the layout of a released one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copytree

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from inference.benchmark.workload import SEED, Workload, vae_params
from inference.networks.params import TransformerParams
from inference.networks.qwen import Qwen, QwenParams
from inference.networks.structure import shapes_alone
from inference.networks.transformer import Transformer
from inference.networks.vae import Level, Vae, VaeParams

MINIATURE_TOKENIZERS = Path(__file__).parent.parent / "miniature" / "models" / "tokenizers"


def write_random_model(models: Path, workload: Workload, dtype: torch.dtype) -> None:
    """Write the files of a model of the workload's sizes.

    What is not measured is small: Qwen3 has one layer, and the tokenizers are the miniature's.
    """
    params = workload.transformer
    copytree(MINIATURE_TOKENIZERS, models / "tokenizers")
    files: dict[str, Mapping[str, tuple[int, ...]]] = {
        "diffusion_models": transformer_shapes(params),
        "text_encoders": _qwen_shapes(params.adapter.source_width),
        "vae": vae_shapes(vae_params(workload.vae_width, params.latent_channels)),
    }
    generator = torch.Generator().manual_seed(SEED)
    for folder, shapes in files.items():
        (models / folder).mkdir()
        weights = {key: _random_weight(key, shape, generator).to(dtype) for key, shape in shapes.items()}
        save_file(weights, models / folder / "random.safetensors")


def _random_weight(key: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Scaled such that activations keep about their size from layer to layer."""
    noise = torch.randn(shape, generator=generator)
    if key.endswith(".bias"):
        return 0.1 * noise
    if key.endswith(".gamma") or len(shape) == 1:
        return 1 + 0.1 * noise
    return noise / math.sqrt(math.prod(shape[1:]))


def transformer_shapes(params: TransformerParams) -> dict[str, tuple[int, ...]]:
    """The keys and shapes of a released transformer file of these sizes, without its prefix `net.`."""
    with shapes_alone():
        return {key: tuple(weight.shape) for key, weight in Transformer(params).state_dict().items()}


def vae_shapes(params: VaeParams) -> dict[str, tuple[int, ...]]:
    """The keys and shapes of a released VAE file.

    It is a video model's: our 2D convolutions are 3D there, and it also has convolutions over time.
    """
    with shapes_alone():
        still = {key: tuple(weight.shape) for key, weight in Vae(params).state_dict().items()}
    shapes = {key: _video_shape(key, shape) for key, shape in still.items()}
    # The encoder's first resampling and the decoder's last do not resample time.
    for i in _resamples(params.down)[1:]:
        channels = params.down[i].inputs
        shapes |= _time_convolution(f"encoder.downsamples.{i}", channels, channels)
    for i in _resamples(params.up)[:-1]:
        channels = params.up[i].inputs
        shapes |= _time_convolution(f"decoder.upsamples.{i}", channels, 2 * channels)
    return shapes


def _video_shape(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    per_frame = ".middle.1." in key or ".resample." in key
    if key.endswith(".gamma"):
        return (*shape, 1, 1) if per_frame else (*shape, 1, 1, 1)
    if len(shape) == 4 and not per_frame:
        outputs, inputs, *kernel = shape
        return (outputs, inputs, kernel[0], *kernel)
    return shape


def _resamples(levels: Sequence[Level]) -> list[int]:
    return [i for i, level in enumerate(levels) if level.resamples]


def _time_convolution(prefix: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.time_conv.weight": (outputs, inputs, 3, 1, 1), f"{prefix}.time_conv.bias": (outputs,)}


def _qwen_shapes(width: int) -> dict[str, tuple[int, ...]]:
    vocabulary = Tokenizer.from_file(str(MINIATURE_TOKENIZERS / "qwen" / "tokenizer.json")).get_vocab_size()
    params = QwenParams(vocabulary, width, depth=1, heads=1, key_heads=1, head_dim=width, mlp_width=width)
    with shapes_alone():
        return {key: tuple(weight.shape) for key, weight in Qwen(params).state_dict().items()}
