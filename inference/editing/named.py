"""Makes the parameters about an image's source image and mask, for its file."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from inference.editing.mask import boxes_of, mask_pixels, seam_of
from inference.editing.mask_image import is_soft
from inference.metadata.parameters import RedrawMask
from inference.request import GenerationRequest


def file_name(image: Image.Image, default: str = "source.png") -> str:
    return Path(getattr(image, "filename", "")).name or default


def redraw_mask(request: GenerationRequest) -> RedrawMask | None:
    if request.mask is None:
        return None
    mask = mask_pixels(request.mask, request.width, request.height)
    boxes = boxes_of(mask)
    image = None if boxes else file_name(request.mask, "mask.png")
    return RedrawMask(boxes=boxes, image=image, soft=is_soft(request.mask), seam=seam_of(mask))
