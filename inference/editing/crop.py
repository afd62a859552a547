"""Which part of an image is kept where it is brought to another shape; without PyTorch."""

from __future__ import annotations


def middle_box(size: tuple[int, int], aspect: float) -> tuple[int, int, int, int]:
    """The largest box of an aspect in the middle of a size, its edges on whole pixels as ComfyUI's are."""
    width, height = size
    left = top = 0
    if width / height > aspect:
        left = round((width - height * aspect) / 2)
    else:
        top = round((height - width / aspect) / 2)
    return left, top, width - left, height - top
