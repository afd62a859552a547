"""Redraws a part of an image: makes a mask a tensor, and blends the new part into the old image.

A stock node of ComfyUI does each operation here too, so the graph in an image's file can repeat it:
ImageScale, ThresholdMask, GrowMask, ImageBlur, ImageCompositeMasked, SolidMask, MaskComposite.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from inference.editing.crop import middle_box
from inference.editing.mask_image import is_soft, levels_of
from inference.metadata.parameters import Box

#: Pixels inside the mask over which the new part is blended into the old image; fewer if the mask is thin.
SEAMS = (4, 2, 1)
#: How much of a mask must be left inside its seam.
MIN_INSIDE = 0.5
#: The most rectangles with which a graph describes a mask; a mask made of grid cells needs far fewer.
MAX_BOXES = 64


def mask_pixels(mask: Image.Image, width: int, height: int) -> Tensor:
    """A mask of any size as float32 [1, 1, height, width], 1 = redraw; cropped and scaled like its image."""
    levels = torch.from_numpy(levels_of(mask).copy())[None, None].float() / 255
    soft = is_soft(mask)
    if levels.shape[-2:] != (height, width):
        size = (levels.shape[-1], levels.shape[-2])
        left, top, right, bottom = middle_box(size, width / height)
        mode = "bilinear" if soft else "nearest-exact"
        levels = functional.interpolate(levels[..., top:bottom, left:right], size=(height, width), mode=mode)
    return levels if soft else (levels > 0.5).float()


def seam_of(mask: Tensor) -> int:
    """How many pixels of a mask's edge are blended: 4, or fewer where that would leave too little of it.

    mask: as `mask_pixels` returns it.
    """
    whole = float(mask.sum())
    return next((seam for seam in SEAMS if float(_eroded(mask, seam).sum()) >= MIN_INSIDE * whole), 0)


def blend(old: Image.Image, new: Tensor, mask: Tensor) -> Image.Image:
    """An image with its masked part taken from `new`; outside of the mask no pixel changes.

    old: RGB. new: the redrawn pixels, float32 [3, H, W] from -1 to 1. mask: as `mask_pixels` returns it.
    """
    seam = seam_of(mask)
    weights = (_blurred(_eroded(mask, seam), seam) if seam else mask)[0].clamp(0, 1).cpu()
    before = torch.from_numpy(np.array(old)).permute(2, 0, 1).float()
    after = (new.float().cpu() + 1) / 2 * 255
    levels = torch.lerp(before, after.clamp(0, 255), weights).to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy(), "RGB")


def boxes_of(mask: Tensor) -> tuple[Box, ...]:
    """The rectangles that a hard mask consists of, without overlaps; empty if there are too many or the mask is soft.

    mask: as `mask_pixels` returns it.
    """
    rows = mask[0, 0].numpy()
    if not np.isin(rows, (0, 1)).all():
        return ()
    boxes: list[Box] = []
    for top, bottom in _equal_rows(rows):
        boxes += [(left, top, right - left, bottom - top) for left, right in _runs(rows[top])]
        if len(boxes) > MAX_BOXES:
            return ()
    return tuple(boxes)


def _eroded(mask: Tensor, steps: int) -> Tensor:
    """GrowMask with a negative `expand` and square corners: repeatedly the minimum of a pixel and its eight neighbours.

    Square like the blur's kernel, so that the blurred mask ends where the mask does, whatever its shape.
    """
    reach = (2 * steps + 1,) * 2
    return -functional.max_pool2d(-functional.pad(mask, (steps,) * 4, mode="replicate"), reach, stride=1)


def _blurred(mask: Tensor, radius: int) -> Tensor:
    """ImageBlur with sigma 1: a Gaussian over -1 to 1 in 2 * radius + 1 points, with reflected edges."""
    points = torch.exp(-(torch.linspace(-1, 1, 2 * radius + 1) ** 2) / 2)
    kernel = (points / points.sum()).to(mask)
    padded = functional.pad(mask, (radius,) * 4, mode="reflect")
    down = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(down, kernel.view(1, 1, 1, -1))


def _equal_rows(rows: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Bands of equal rows, each with its start and end."""
    changes = (np.flatnonzero((rows[1:] != rows[:-1]).any(axis=1)) + 1).tolist()
    yield from zip([0, *changes], [*changes, len(rows)], strict=True)


def _runs(row: NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """The ranges in which a row is 1."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0.0], row, [0.0]]))).tolist()
    yield from zip(edges[::2], edges[1::2], strict=True)
