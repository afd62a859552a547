"""Between images and the pixels that the VAE reads and writes."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def pixels_from_image(image: Image.Image, width: int, height: int) -> Tensor:
    """An image of any size and mode as float32 [3, height, width] from -1 to 1.

    Transparency is laid on white. Another shape is cropped at its middle, another size resampled (Lanczos).
    """
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.LANCZOS, box=_middle(image, width / height))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return pixels.float() / 255 * 2 - 1


def image_from_pixels(pixels: Tensor) -> Image.Image:
    """Pixels [3, height, width] from -1 to 1, clamped there, as an RGB image."""
    levels = ((pixels.float() + 1) / 2).clamp(0, 1).mul(255).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy(), "RGB")


def _middle(image: Image.Image, aspect: float) -> tuple[float, float, float, float]:
    """The largest box of an aspect in the middle of an image."""
    width = min(image.width, image.height * aspect)
    height = min(image.height, image.width / aspect)
    left, top = (image.width - width) / 2, (image.height - height) / 2
    return left, top, left + width, top + height
