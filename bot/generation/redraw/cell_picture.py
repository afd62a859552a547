"""Shows an image under a lettered grid, the chosen cells marked. Slow: not for the event loop."""

from __future__ import annotations

import io
from collections.abc import Collection

from PIL import Image, ImageDraw, ImageFont

from bot.generation.redraw.area import CELLS, COLUMNS, ROWS, box_of

#: Pixels of the longer side, and of the strip with the letters.
LONGEST, STRIP = 720, 34
FONT_SIZE = 24
STRIP_COLOUR, INK, DARK, MARK = (24, 25, 28), (242, 243, 245), (0, 0, 0), (255, 64, 64)
#: Opacity of the mark on a chosen cell.
MARKED = 0.45


def cell_picture(png: bytes, cells: Collection[str] = ()) -> bytes:
    """A JPEG file. `png`: the image's file. `cells`: those that are marked."""
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    scale = LONGEST / max(image.size)
    image = image.resize((max(round(image.width * scale), 5), max(round(image.height * scale), 5)))
    for cell in cells:
        box = box_of(cell, image.size)
        part = image.crop(box)
        image.paste(Image.blend(part, Image.new("RGB", part.size, MARK), MARKED), box)
    canvas = Image.new("RGB", (image.width + STRIP, image.height + STRIP), STRIP_COLOUR)
    canvas.paste(image, (STRIP, STRIP))
    draw = ImageDraw.Draw(canvas)
    for cell in CELLS:
        _outline(draw, _shifted(box_of(cell, image.size)), DARK, 3)
        _outline(draw, _shifted(box_of(cell, image.size)), INK, 1)
    for cell in cells:
        _outline(draw, _shifted(box_of(cell, image.size)), MARK, 3)
    _letters(draw, image.size)
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


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
