"""Between pictures and the pixels that the VAE reads and writes."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def pixels_from_picture(picture: Image.Image, width: int, height: int) -> Tensor:
    """A picture of any size and mode as float32 [3, height, width] from -1 to 1.

    Transparency is laid on white. Another shape is cropped at its middle, another size resampled (Lanczos).
    """
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    picture = picture.convert("RGB")
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS, box=_middle(picture, width / height))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    return pixels.float() / 255 * 2 - 1


def picture_from_pixels(pixels: Tensor) -> Image.Image:
    """Pixels [3, height, width] from -1 to 1, clamped there, as an RGB picture."""
    levels = ((pixels.float() + 1) / 2).clamp(0, 1).mul(255).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().cpu().numpy(), "RGB")


def _middle(picture: Image.Image, aspect: float) -> tuple[float, float, float, float]:
    """The largest box of an aspect in the middle of a picture."""
    width = min(picture.width, picture.height * aspect)
    height = min(picture.height, picture.width / aspect)
    left, top = (picture.width - width) / 2, (picture.height - height) / 2
    return left, top, left + width, top + height
