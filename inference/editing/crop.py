"""Decides which part of an image is kept if its aspect ratio changes; without PyTorch."""

from __future__ import annotations


def middle_box(size: tuple[int, int], aspect: float) -> tuple[int, int, int, int]:
    """The largest box of an aspect ratio in the middle of a size, at whole pixels like ComfyUI's."""
    width, height = size
    left = top = 0
    if width / height > aspect:
        left = round((width - height * aspect) / 2)
    else:
        top = round((height - width / aspect) / 2)
    return left, top, width - left, height - top
