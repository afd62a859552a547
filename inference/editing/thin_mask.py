"""Detects masks of which nothing is left when they are scaled to the latent's size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.editing.crop import middle_box
from inference.editing.mask_image import is_soft, levels_of
from inference.request import SIDE_MULTIPLE

#: In a hard mask, levels from this one on become white.
HALF_WHITE = 128
#: The message of an InvalidRequest that only the engine can raise.
REDRAWS_NOTHING = (
    "mask: nothing would be redrawn. Its white parts are lost when it is scaled to an eighth, the size that the model "
    "draws in, or its greys are too dark for so few steps. Make them 8 pixels wide or more, or lighter."
)


def is_too_thin(mask: Image.Image, width: int, height: int) -> bool:
    """Whether nothing of a mask is left in the latent of an image of this size, so that nothing would be redrawn.

    As in ComfyUI, a mask is scaled to an eighth of the image's size bilinearly, which uses only the two middle pixels
    of every eight: lines beside them are lost.
    """
    levels = levels_of(mask)
    soft = is_soft(mask)
    left, top, right, bottom = middle_box(levels.shape[::-1], width / height)
    levels = levels[top:bottom, left:right]
    rows, columns = _looked_at(len(levels), height, soft), _looked_at(levels.shape[1], width, soft)
    return int(levels[np.ix_(rows, columns)].max()) < (1 if soft else HALF_WHITE)


def _looked_at(length: int, pixels: int, soft: bool) -> NDArray[np.intp]:
    """The positions on a mask's side of this length that reach the latent of an image with so many pixels there."""
    middle = SIDE_MULTIPLE // 2
    seen = np.concatenate([np.arange(each, pixels, SIDE_MULTIPLE) for each in (middle - 1, middle)])
    places = (seen + 0.5) * length / pixels
    if soft and length != pixels:
        places = np.concatenate([places - 0.5, places + 0.5])
    return np.unique(places.astype(np.intp).clip(0, length - 1))
