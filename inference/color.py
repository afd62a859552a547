"""Converts image modes to 8 bits per channel."""

import numpy as np
from PIL import Image

#: Modes that Pillow converts to RGB only by way of another.
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


def to_8_bit(image: Image.Image) -> Image.Image:
    """The image in a mode that Pillow converts correctly to RGB and RGBA.

    Pillow clips 16-bit grey at 255, so it is divided by 257 here; the one grey value that a PNG file can mark as
    transparent becomes an alpha channel. Premultiplied alpha is undone.
    """
    if image.mode.startswith("I"):
        return _grey_of_16_bits(image)
    return image.convert(_PREMULTIPLIED[image.mode]) if image.mode in _PREMULTIPLIED else image


def _grey_of_16_bits(image: Image.Image) -> Image.Image:
    grey = image.convert("I").point(lambda value: value / 257).convert("L")
    transparent = grey.info.pop("transparency", None)
    if not isinstance(transparent, int):
        return grey
    alpha = Image.fromarray(np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8))
    merged = Image.merge("LA", (grey, alpha))
    merged.info = grey.info
    return merged
