"""Converts image modes to 8 bits per channel."""

import numpy as np
from PIL import Image

#: What Pillow's own conversion needs a step between for.
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}


def to_8_bit(image: Image.Image) -> Image.Image:
    """An image in a mode that Pillow converts to RGB and RGBA as a viewer shows it.

    Pillow cuts grey of 16 bits off at 255; here it is divided by 257, and the one grey that a PNG file may make
    transparent becomes an alpha channel before. Premultiplied alpha is undone.
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
