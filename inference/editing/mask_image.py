"""Reads a mask image: which pixels are redrawn.

White is redrawn and black stays. A mask is hard if it has no grey except along edges, where JPEG or a brush leaves
some: that grey becomes black or white. Other masks are soft and are drawn with differential diffusion (arXiv
2306.00950): the lighter a place, the earlier it may change.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from inference.color import to_8_bit

#: Levels up to the first count as black, levels from the second on as white.
NEARLY_BLACK, NEARLY_WHITE = 16, 239
#: Grey with black and white within this many pixels counts as an edge: JPEG leaves it in its blocks of 8x8.
EDGE = 8
#: The largest relative difference between the aspect ratios of mask and image: resizing rounds them.
MAX_ASPECT_ERROR = 0.01


def mask_problem(mask: Image.Image, image: Image.Image) -> str | None:
    """What is wrong with a mask that is empty or has another shape than its image; None if nothing."""
    levels = levels_of(mask)
    if not (levels > NEARLY_BLACK).any():
        return "mask is completely black, but must be white where the image is to be redrawn."
    (width, height), (mask_width, mask_height) = ImageOps.exif_transpose(image).size, levels.shape[::-1]
    if abs((width / height) / (mask_width / mask_height) - 1) > MAX_ASPECT_ERROR:
        return f"mask is {mask_width}x{mask_height}, but the image is {width}x{height}: both must have the same shape."
    return None


def is_soft(mask: Image.Image) -> bool:
    """Whether a mask has grey that is not part of an edge."""
    levels = levels_of(mask)
    grey = (levels > NEARLY_BLACK) & (levels < NEARLY_WHITE)
    if not grey.any():
        return False
    of_an_edge = _widened(levels <= NEARLY_BLACK, EDGE) & _widened(levels >= NEARLY_WHITE, EDGE)
    return bool((grey & ~of_an_edge).any())


def mask_of_transparency(image: Image.Image) -> Image.Image:
    """A mask that redraws the transparent parts of an image."""
    return ImageOps.invert(ImageOps.exif_transpose(image).convert("RGBA").getchannel("A"))


def levels_of(mask: Image.Image) -> NDArray[np.uint8]:
    """The red channel (of a greyscale image, its only one), [height, width]; transparency becomes black."""
    upright = to_8_bit(ImageOps.exif_transpose(mask))
    black = Image.new("RGBA", upright.size, "black")
    return np.asarray(Image.alpha_composite(black, upright.convert("RGBA")).getchannel("R"))


def _widened(marked: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """What is marked, and everything within `by` pixels in both directions."""
    for axis in (0, 1):
        reached = 0
        while reached < by:
            step = min(reached + 1, by - reached)
            before, after = [slice(None)] * 2, [slice(None)] * 2
            before[axis], after[axis] = slice(None, -step), slice(step, None)
            wider = marked.copy()
            wider[tuple(after)] |= marked[tuple(before)]
            wider[tuple(before)] |= marked[tuple(after)]
            marked, reached = wider, reached + step
    return marked
