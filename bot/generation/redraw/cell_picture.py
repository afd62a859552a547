"""Draws a lettered grid over an image and marks the chosen cells. Slow: not for the event loop."""

from __future__ import annotations

import io
from collections.abc import Collection

from PIL import Image, ImageChops, ImageDraw, ImageFont

from bot.generation.redraw.area import CELLS, COLUMNS, ROWS, box_of, mask_of_cells

#: Pixels of the longer side, and of the strips with letters and numbers.
MAX_PREVIEW_SIDE, STRIP = 720, 34
FONT_SIZE = 24
STRIP_COLOUR, INK, DARK, LIGHT = (24, 25, 28), (242, 243, 245), (0, 0, 0), (255, 255, 255)
#: Pixels between hatching lines, and the widths of a line's dark and light part: one is visible on any colour.
APART, DARK_WIDTH, LIGHT_WIDTH = 36, 9, 4


def cell_picture(png: bytes, cells: Collection[str] = ()) -> bytes:
    """A JPEG file. `png`: the image's file. `cells`: those to mark."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    scale = MAX_PREVIEW_SIDE / max(image.size)
    image = image.resize((max(round(image.width * scale), 5), max(round(image.height * scale), 5)))
    chosen = mask_of_cells(cells, image.size)
    for colour, width in ((DARK, DARK_WIDTH), (LIGHT, LIGHT_WIDTH)):
        image.paste(colour, mask=ImageChops.darker(chosen, _hatching(image.size, width)))
    canvas = Image.new("RGB", (image.width + STRIP, image.height + STRIP), STRIP_COLOUR)
    canvas.paste(image, (STRIP, STRIP))
    draw = ImageDraw.Draw(canvas)
    for cell in CELLS:
        _outline(draw, _shifted(box_of(cell, image.size)), DARK, 3)
        _outline(draw, _shifted(box_of(cell, image.size)), INK, 1)
    for cell in cells:
        box = _shifted(box_of(cell, image.size))
        _outline(draw, box, DARK, DARK_WIDTH - 2)
        _outline(draw, box, LIGHT, LIGHT_WIDTH)
    _letters(draw, image.size)
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _hatching(size: tuple[int, int], width: int) -> Image.Image:
    """White diagonal lines on black."""
    lines = Image.new("L", size)
    draw = ImageDraw.Draw(lines)
    for start in range(-size[1], size[0], APART):
        draw.line((start, size[1], start + size[1], 0), 255, width)
    return lines


def _letters(draw: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    font = ImageFont.load_default(FONT_SIZE)
    for column in COLUMNS:
        left, _, right, _ = _shifted(box_of(f"{column}1", size))
        draw.text(((left + right) / 2, STRIP / 2), column, INK, font, anchor="mm")
    for row in ROWS:
        _, top, _, bottom = _shifted(box_of(f"A{row}", size))
        draw.text((STRIP / 2, (top + bottom) / 2), row, INK, font, anchor="mm")


def _outline(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], colour: tuple[int, int, int], by: int) -> None:
    draw.rectangle(box, outline=colour, width=by)


def _shifted(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    return left + STRIP, top + STRIP, right + STRIP - 1, bottom + STRIP - 1
