"""Previews: show an unfinished latent as a small image, far cheaper than decoding it.

A VAE's latent is close to a linear function of the image's colours. The inverse, from 16 channels to 3 with a bias, is
fitted by least squares to a few synthetic images. So it works with any VAE and needs no constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_SIDE = 64
_PATCH = 16  # sides of flat patches: wider than a latent pixel, so that some latent pixels see one colour alone


@dataclass(frozen=True)
class Preview:
    """A linear map from latents to colours.

    colours: float32 [3, channels]; bias: float32 [3]; to red, green and blue from -1 to 1.
    """

    colours: Tensor
    bias: Tensor

    @classmethod
    def fit(cls, encode: Callable[[Tensor], Tensor]) -> Preview:
        """The map for a VAE; `encode` takes float32 pixels [B, 3, H, W] from -1 to 1 to latents [B, C, H/8, W/8]."""
        pixels = synthetic_images()
        latents = encode(pixels).detach().cpu().double()
        inputs = latents.movedim(1, -1).flatten(0, 2)
        targets = F.avg_pool2d(pixels, pixels.shape[-1] // latents.shape[-1]).double().movedim(1, -1).flatten(0, 2)
        # Centred, so that the bias does not affect the minimum-norm solution if channels are correlated.
        mean, target_mean = inputs.mean(0), targets.mean(0)
        colours = torch.linalg.lstsq(inputs - mean, targets - target_mean, rcond=1e-6, driver="gelsd").solution.T
        return cls(colours.float(), (target_mean - colours @ mean).float())

    def image(self, latent: Tensor, size: tuple[int, int] | None = None) -> Image.Image:
        """A latent [C, h, w], of any dtype and device, as an RGB image of `size`, by default (w, h).

        Values that are not finite come out as some colour.
        """
        pixels = torch.einsum("rc,chw->hwr", self.colours, latent.detach().float().cpu())
        levels = ((pixels + self.bias).nan_to_num(0.0) + 1).mul(127.5).clamp(0, 255).round().to(torch.uint8)
        image = Image.fromarray(levels.contiguous().numpy(), "RGB")
        return image if size in (None, image.size) else image.resize(size, Image.Resampling.BILINEAR)


def synthetic_images(seed: int = 0) -> Tensor:
    """Images to fit on, float32 [24, 3, 64, 64] from -1 to 1: eight each of flat patches, discs and texture.

    Edges and texture make the channels vary that carry detail rather than colour, so that they get no weight: on a
    drawing this gains 2 dB over patches and gradients alone.
    """
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([_flat_patches(generator), _discs(generator), _textures(generator)])


def _flat_patches(generator: torch.Generator) -> Tensor:
    """5 x 5 x 5 colours, the corners of the cube among them, and three more."""
    levels = torch.linspace(-1, 1, 5)
    cube = torch.cartesian_prod(levels, levels, levels)
    cube = torch.cat([cube, torch.rand(3, 3, generator=generator) * 2 - 1])
    cube = cube[torch.randperm(len(cube), generator=generator)]
    patches = cube.view(8, _SIDE // _PATCH, _SIDE // _PATCH, 3).permute(0, 3, 1, 2)
    return F.interpolate(patches, size=(_SIDE, _SIDE), mode="nearest")


def _discs(generator: torch.Generator) -> Tensor:
    """Six overlapping discs with a radius of 4 to 28 pixels: flat colours with hard edges, as in drawings."""
    y, x = torch.meshgrid(torch.arange(_SIDE), torch.arange(_SIDE), indexing="ij")
    images = _colours(generator).expand(8, 3, _SIDE, _SIDE)
    for _ in range(6):
        centre_x, centre_y, radius = torch.rand(3, 8, 1, 1, 1, generator=generator)
        inside = torch.hypot(x - centre_x * _SIDE, y - centre_y * _SIDE) < 4 + 24 * radius
        images = torch.where(inside, _colours(generator), images)
    return images


def _textures(generator: torch.Generator) -> Tensor:
    """Waves of two to sixteen pixels in all directions, over a blend of four colours."""
    y, x = torch.meshgrid(torch.arange(_SIDE), torch.arange(_SIDE), indexing="ij")
    angle, phase, pitch = torch.rand(3, 8, 1, 1, 1, generator=generator)
    along = x * torch.cos(angle * math.pi) + y * torch.sin(angle * math.pi)
    wave = torch.sin(2 * math.pi * (along / 2 ** (1 + 3 * pitch) + phase))
    corners = torch.rand(8, 3, 2, 2, generator=generator) * 2 - 1
    gradient = F.interpolate(corners, size=(_SIDE, _SIDE), mode="bilinear", align_corners=True)
    return (gradient + 0.6 * wave * _colours(generator)).clamp(-1, 1)


def _colours(generator: torch.Generator) -> Tensor:
    return torch.rand(8, 3, 1, 1, generator=generator) * 2 - 1
