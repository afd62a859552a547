"""The VAE at full size, in tiles, and on still pictures alone."""

import torch
from torch import nn

from inference import Engine
from inference.benchmark.workload import vae_params
from inference.networks.vae import REACH, SCALE, Vae, VaeParams, still_image_weight
from tests.golden import FULL_SIZE_KEYS

SHAPES = FULL_SIZE_KEYS["vae/qwen_image_vae.safetensors"]


def test_the_full_size_vae_is_built_from_its_shapes_alone() -> None:
    with torch.device("meta"):
        vae = Vae(VaeParams.from_shapes(SHAPES))
        file = {key: still_image_weight(key, torch.empty(shape)) for key, shape in SHAPES.items()}
    assert {key: tensor.shape for key, tensor in vae.state_dict().items()} == {
        key: tensor.shape for key, tensor in file.items() if tensor is not None
    }


def test_the_decoders_receptive_field_is_as_documented() -> None:
    """Its attention, which reaches over the whole tile, left out; weights above zero, so that nothing cancels out."""
    decoder = Vae(vae_params(2, 16)).decoder.double()
    decoder.middle[1] = nn.Identity()
    for weight in decoder.parameters():
        nn.init.uniform_(weight, 0.5, 1)
    latent = torch.ones(1, 16, 48, 1, dtype=torch.float64, requires_grad=True)
    first_row = decoder(latent)[0, 0, 24 * SCALE, 0]
    first_row.backward()
    assert latent.grad is not None
    seen = latent.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert 24 - int(seen.min()) == REACH


def test_there_is_no_3d_convolution(engine: Engine) -> None:
    assert not any(isinstance(module, nn.Conv3d) for module in engine.vae.modules())


@torch.inference_mode()
def test_tiles_cover_a_picture_that_is_no_multiple_of_them(engine: Engine) -> None:
    latent = torch.randn(1, 16, 23, 50, generator=torch.Generator().manual_seed(0))
    tiled = engine.vae.decode_in_tiles(latent, tile=16, overlap=4)
    assert tiled.shape == (1, 3, 184, 400)
    assert torch.isfinite(tiled).all()


@torch.inference_mode()
def test_one_tile_is_the_whole_picture(engine: Engine) -> None:
    latent = torch.randn(2, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(engine.vae.decode_in_tiles(latent), engine.vae.decode(latent))
