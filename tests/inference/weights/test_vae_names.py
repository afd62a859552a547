"""A VAE with diffusers' names is the released one."""

import re
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from inference import Engine, GenerationRequest
from inference.weights.vae_names import released_names
from tests.golden import FULL_SIZE_KEYS, MODELS, relative_error

VAE = Path("vae/qwen_image_vae_tiny.safetensors")
REQUEST = GenerationRequest("1girl", width=64, height=64, steps=2, seed=1)

# From the released names to diffusers', one level of the decoder having three residual blocks and then a resampling.
TO_DIFFUSERS = (
    (r"^conv1\.", "quant_conv."),
    (r"^conv2\.", "post_quant_conv."),
    (r"^(encoder|decoder)\.conv1\.", r"\1.conv_in."),
    (r"\.head\.0\.", ".norm_out."),
    (r"\.head\.2\.", ".conv_out."),
    (r"\.middle\.0\.", ".mid_block.resnets.0."),
    (r"\.middle\.1\.", ".mid_block.attentions.0."),
    (r"\.middle\.2\.", ".mid_block.resnets.1."),
    (r"^encoder\.downsamples\.", "encoder.down_blocks."),
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
)


def in_diffusers(name: str) -> str:
    def up(match: re.Match[str]) -> str:
        block, number = divmod(int(match[1]), 4)
        return f"decoder.up_blocks.{block}.{'upsamplers.0' if number == 3 else f'resnets.{number}'}."

    name = re.sub(r"^decoder\.upsamples\.(\d+)\.", up, name)
    for pattern, replacement in TO_DIFFUSERS:
        name = re.sub(pattern, replacement, name)
    return name


def test_all_names_at_full_size_are_translated() -> None:
    released = list(FULL_SIZE_KEYS["vae/qwen_image_vae.safetensors"])
    translated = released_names([in_diffusers(name) for name in released])
    assert [translated[in_diffusers(name)] for name in released] == released
    assert in_diffusers("decoder.upsamples.0.residual.2.weight") == "decoder.up_blocks.0.resnets.0.conv1.weight"


@pytest.mark.parametrize("prefix", ["", "vae."])
def test_it_draws_the_same(engine: Engine, tmp_path: Path, prefix: str) -> None:
    models = shutil.copytree(MODELS, tmp_path / "models")
    save_file({prefix + in_diffusers(key): tensor for key, tensor in load_file(models / VAE).items()}, models / VAE)
    picture, wanted = (one.generate([REQUEST])[0] for one in (Engine.load(models, device="cpu"), engine))
    assert relative_error(picture.latent, wanted.latent) < 1e-6
    assert picture.image.tobytes() == wanted.image.tobytes()
