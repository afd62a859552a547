"""Converts between images and the pixels that the VAE reads and writes."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from inference.color import to_8_bit
from inference.editing.crop import middle_box

#: Rows converted to 8 bits at a time, so that a large image needs no second copy in float32.
_ROWS = 256


def pixels_from_image(image: Image.Image, width: int, height: int) -> Tensor:
    """An image of any size and mode as float32 [3, height, width] from -1 to 1, fitted by `fitted_image`."""
    levels = torch.from_numpy(np.array(fitted_image(image, width, height))).permute(2, 0, 1)
    return levels.float().div_(255).mul_(2).sub_(1)  # in place, to hold a large image only once


def fitted_image(image: Image.Image, width: int, height: int) -> Image.Image:
    """An image of any size and mode as RGB of this size.

    It is rotated as its EXIF tags say. Transparency becomes white. If the aspect ratio differs, the middle is cropped
    out at whole pixels; if the size differs, it is resampled (Lanczos).
    """
    image = to_8_bit(ImageOps.exif_transpose(image))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.LANCZOS, box=middle_box(image.size, width / height))


def image_from_pixels(pixels: Tensor) -> Image.Image:
    """Pixels [3, height, width] from -1 to 1, clamped there, as an RGB image."""
    levels = torch.empty(*pixels.shape[1:], 3, dtype=torch.uint8)
    for top in range(0, len(levels), _ROWS):
        rows = ((pixels[:, top : top + _ROWS].float() + 1) / 2).clamp(0, 1).mul(255).to(torch.uint8)
        levels[top : top + _ROWS] = rows.permute(1, 2, 0)
    return Image.fromarray(levels.numpy(), "RGB")
