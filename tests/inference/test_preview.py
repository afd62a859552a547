"""Previews of unfinished images."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from inference.preview import Preview, synthetic_images


def linear_encoder(seed: int, detail: float = 0.0) -> Callable[[Tensor], Tensor]:
    """16 random mixtures of the colours beneath each latent pixel, plus as much of the detail that is not colour."""
    generator = torch.Generator().manual_seed(seed)
    mixture, offset = torch.randn(16, 3, generator=generator), torch.randn(16, 1, 1, generator=generator)
    filters = torch.randn(16, 3, 8, 8, generator=generator)
    filters -= filters.mean((2, 3), keepdim=True)

    def encode(pixels: Tensor) -> Tensor:
        colours = torch.einsum("cr,brhw->bchw", mixture, F.avg_pool2d(pixels, 8))
        return colours + offset + detail * F.conv2d(pixels, filters, stride=8)

    return encode


def seen(preview: Preview, latents: Tensor) -> Tensor:
    return torch.einsum("rc,bchw->brhw", preview.colours, latents) + preview.bias[:, None, None]


@pytest.mark.parametrize("seed", range(5))
def test_a_linear_encoder_is_inverted_exactly(seed: int) -> None:
    encode = linear_encoder(seed)
    pixels = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(seed + 100)) * 2 - 1
    recovered = seen(Preview.fit(encode), encode(pixels))
    torch.testing.assert_close(recovered, F.avg_pool2d(pixels, 8), atol=2e-5, rtol=0)


def test_a_bent_encoder_is_inverted_nearly() -> None:
    encode = linear_encoder(0)

    def bent(pixels: Tensor) -> Tensor:
        return torch.tanh(0.3 * encode(pixels))

    pixels = F.interpolate(torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1, size=(64, 64))
    error = seen(Preview.fit(bent), bent(pixels)) - F.avg_pool2d(pixels, 8)
    assert error.pow(2).mean().sqrt() < 0.05
    assert error.pow(2).mean().sqrt() > 1e-4  # it is bent


def test_channels_of_detail_do_not_disturb_the_colours() -> None:
    encode = linear_encoder(3, detail=0.05)
    noise = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    error = seen(Preview.fit(encode), encode(noise)) - F.avg_pool2d(noise, 8)
    assert error.pow(2).mean().sqrt() < 0.15


def test_synthetic_images_cover_the_colour_cube_and_are_always_the_same() -> None:
    pixels = synthetic_images()
    assert pixels.shape == (24, 3, 64, 64)
    assert pixels.min() == -1 and pixels.max() == 1
    assert torch.equal(pixels, synthetic_images())
    octants = (pixels.movedim(1, -1).reshape(-1, 3) > 0).int() @ torch.tensor([1, 2, 4], dtype=torch.int32)
    assert octants.bincount(minlength=8).min() > 0.05 * len(octants)


def test_a_picture_shows_the_colours_that_were_encoded() -> None:
    encode = linear_encoder(0)
    pixels = torch.ones(1, 3, 16, 32) * torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1)
    picture = Preview.fit(encode).image(encode(pixels)[0])
    assert (picture.mode, picture.size) == ("RGB", (4, 2))
    assert all(abs(a - b) <= 1 for a, b in zip(picture.getpixel((0, 0)), (255, 0, 128), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_picture_has_the_size_asked_for(dtype: torch.dtype) -> None:
    preview = Preview.fit(linear_encoder(0))
    picture = preview.image(torch.randn(16, 6, 4).to(dtype), (32, 48))
    assert isinstance(picture, Image.Image)
    assert (picture.mode, picture.size) == ("RGB", (32, 48))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 3e38])
def test_values_that_are_not_finite_still_give_a_picture(value: float) -> None:
    preview = Preview.fit(linear_encoder(0))
    assert preview.image(torch.full((16, 4, 4), value)).size == (4, 4)
