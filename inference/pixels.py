"""Between images and the pixels that the VAE reads and writes."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from inference.color import to_8_bit


def pixels_from_image(image: Image.Image, width: int, height: int) -> Tensor:
    """An image of any size and mode as float32 [3, height, width] from -1 to 1.

    It is turned upright as its EXIF tags say. Transparency is laid on white. Another shape is cropped at its middle,
    to whole pixels; another size is resampled (Lanczos).
    """
    image = to_8_bit(ImageOps.exif_transpose(image))
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


def _middle(image: Image.Image, aspect: float) -> tuple[int, int, int, int]:
    """The largest box of an aspect in the middle of an image, its edges on whole pixels as ComfyUI's are."""
    left = top = 0
    if image.width / image.height > aspect:
        left = round((image.width - image.height * aspect) / 2)
    else:
        top = round((image.height - image.width / aspect) / 2)
    return left, top, image.width - left, image.height - top
