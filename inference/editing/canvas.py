"""Extends an image to a larger canvas, whose new area starts from the border's colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

#: Pixels into the image over which the mask of the new area fades, so that the old border can adapt to the new area.
FADE = 32
#: The blur of the border, as a part of the image's side: the new area gets its colours, not its lines.
BLUR = 0.04


@dataclass(frozen=True)
class ExtendedImage:
    """An image on a larger canvas.

    image: RGB; in the new area, the border is stretched outwards and blurred.
    mask: greyscale, of the same size; white is drawn, fading to black inside the original part.
    """

    image: Image.Image
    mask: Image.Image


def extend(image: Image.Image, left: int, top: int, right: int, bottom: int) -> ExtendedImage:
    """Add this many pixels at each side of `image`. Raises ValueError for a negative number."""
    if min(left, top, right, bottom) < 0:
        raise ValueError("an extension cannot be negative")
    pixels = np.asarray(image.convert("RGB"))
    sides = ((top, bottom), (left, right))
    stretched = Image.fromarray(np.pad(pixels, (*sides, (0, 0)), mode="edge"))
    blurred = stretched.filter(ImageFilter.GaussianBlur(BLUR * min(image.size)))
    blurred.paste(image.convert("RGB"), (left, top))
    return ExtendedImage(blurred, Image.fromarray(_mask(image.width, image.height, sides)))


def _mask(width: int, height: int, sides: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
    (top, bottom), (left, right) = sides
    columns = _distance_to_new(width, before=left > 0, after=right > 0)
    rows = _distance_to_new(height, before=top > 0, after=bottom > 0)
    distance = np.minimum(rows[:, None], columns[None, :])
    fading = 255 * np.clip(1 - distance / FADE, 0, 1)
    return np.pad(fading.round().astype(np.uint8), sides, constant_values=255)


def _distance_to_new(length: int, before: bool, after: bool) -> np.ndarray:
    """The distance of each pixel of a side from the new area before or after it, at least 1."""
    positions = np.arange(1, length + 1)
    far = np.full(length, np.inf)
    return np.minimum(positions if before else far, positions[::-1] if after else far)
