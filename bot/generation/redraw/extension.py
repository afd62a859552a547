"""Calculates the size of the canvas that an image is extended to."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from bot.generation.redraw.area import Box
from bot.generation.values import MIN_SIDE
from inference.request import SIDE_MULTIPLE, TOKEN_SIDE

#: The amounts added at the left, the top, the right and the bottom, as shares of the image's side.
SHARES: Mapping[str, tuple[float, float, float, float]] = {
    "zoom-out": (0.25, 0.25, 0.25, 0.25),
    "zoom-out-far": (0.5, 0.5, 0.5, 0.5),
    "pan-left": (0.5, 0, 0, 0),
    "pan-right": (0, 0, 0.5, 0),
    "pan-up": (0, 0.5, 0, 0),
    "pan-down": (0, 0, 0, 0.5),
}


@dataclass(frozen=True)
class Extension:
    """picture: the size of the original part, the image's own if that fits. added: as `Area.extension`."""

    picture: tuple[int, int]
    added: Box

    @property
    def canvas(self) -> tuple[int, int]:
        left, top, right, bottom = self.added
        return left + self.picture[0] + right, top + self.picture[1] + bottom


def extension(size: tuple[int, int], kind: str, *, max_side: int, area: float) -> Extension | None:
    """The canvas for an image of this `size`; None if even a small one does not fit.

    kind: from `SHARES`. max_side, area: the most pixels of a side and of the canvas. The image is shrunk only if its
    canvas would exceed them.
    """
    made = _extended(size, kind)
    width, height = made.canvas
    scale = min(1.0, max_side / max(width, height), math.sqrt(area / (width * height)))
    while max(made.canvas) > max_side or math.prod(made.canvas) > area:
        smaller = tuple(math.floor(side * scale / SIDE_MULTIPLE) * SIDE_MULTIPLE for side in size)
        made = _extended((smaller[0], smaller[1]), kind)
        if min(made.canvas) < MIN_SIDE or min(smaller) < TOKEN_SIDE:
            return None
        scale *= 0.98
    return made


def resized(png: bytes, size: tuple[int, int]) -> bytes:
    """An image's file in another size; the same file if it has that size. Slow."""
    with Image.open(io.BytesIO(png)) as image:
        if image.size == size:
            return png
        buffer = io.BytesIO()
        image.resize(size, Image.Resampling.LANCZOS).save(buffer, "PNG")
        return buffer.getvalue()


def _extended(size: tuple[int, int], kind: str) -> Extension:
    left, top, right, bottom = SHARES[kind]
    (before, after), (above, below) = _added(size[0], left, right), _added(size[1], top, bottom)
    return Extension(size, (before, above, after, below))


def _added(side: int, before: float, after: float) -> tuple[int, int]:
    """Pixels to add before and after a side, so that the sum is a multiple of TOKEN_SIDE if anything is added."""
    if not before + after:
        return 0, 0
    whole = round(side * (1 + before + after) / TOKEN_SIDE) * TOKEN_SIDE
    first = round((whole - side) * before / (before + after) / SIDE_MULTIPLE) * SIDE_MULTIPLE
    return first, whole - side - first
