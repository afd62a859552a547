"""Puts the pictures of a comparison into one labelled grid. Slow: not for the event loop."""

from __future__ import annotations

import io
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from bot.generation.comparison import Axis, Comparison
from inference.metadata import Parameters, encode_png_of_many, read

MAX_SIDE_LENGTH = 4096
#: Bytes that Discord accepts in any server.
MAX_FILE_SIZE = 10 * (1 << 20)
#: Minimum width of a cell in pixels, with room for a label.
MIN_CELL = 256
#: Cells in a row, if there is only one axis.
MAX_COLUMNS = 4

#: Size at which Discord shows an image before it is clicked, and the letter height that is legible then, in pixels.
SHOWN_WIDTH, SHOWN_HEIGHT, LEGIBLE = 550, 350, 12
BACKGROUND, INK = (24, 25, 28), (242, 243, 245)


@dataclass(frozen=True)
class Grid:
    png: bytes
    width: int
    height: int


def grid(comparison: Comparison, images: Sequence[bytes], prompt: str) -> Grid:
    """The PNG files of a comparison's pictures, row by row, in one PNG file that Discord accepts.

    prompt: the one written into the file if the pictures' prompts differ.
    """
    cells = [Image.open(io.BytesIO(image)).convert("RGB") for image in images]
    about = _in_common([read(image) or Parameters() for image in images], comparison, prompt)
    layout = _GridLayout.of(comparison, *cells[0].size)
    expected = sum(map(len, images)) * (layout.cell[0] / cells[0].width) ** 2
    while True:
        if expected > MAX_FILE_SIZE:
            layout = layout.scaled(0.95 * math.sqrt(MAX_FILE_SIZE / expected))
        image = layout.drawn(cells)
        png = encode_png_of_many(image, about)
        if len(png) <= MAX_FILE_SIZE:
            return Grid(png, image.width, image.height)
        expected = len(png)


def _in_common(each: Sequence[Parameters], comparison: Comparison, prompt: str) -> Parameters:
    """The parameters that all share, and the axes, named as in web UIs. The size is that of one cell."""
    varied = {"X": comparison.columns} | ({} if comparison.rows is None else {"Y": comparison.rows})
    extra = [pair for letter, axis in varied.items() for pair in _axis_pairs(letter, axis)]
    unsaid = Parameters(prompt=prompt)
    common = {
        field.name: getattr(each[0], field.name)
        for field in fields(Parameters)
        if all(getattr(one, field.name) == getattr(each[0], field.name) for one in each)
    }
    return replace(unsaid, **{**common, "extra": (*common.get("extra", ()), *extra)})


def _axis_pairs(letter: str, axis: Axis) -> list[tuple[str, str]]:
    values = ", ".join(value if isinstance(value, str) else f"{value:g}" for value in axis.values)
    return [(f"{letter} Type", axis.name), (f"{letter} Values", values)]


# --- Layout ---


@dataclass(frozen=True)
class _GridLayout:
    """Labels are above the columns and left of the rows; above every single cell if there are no rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    #: Width and height in pixels.
    cell: tuple[int, int]

    @classmethod
    def of(cls, comparison: Comparison, width: int, height: int) -> _GridLayout:
        times = math.ceil(MIN_CELL / width)
        layout = cls(
            title=comparison.title,
            columns=_labels(comparison.columns),
            rows=() if comparison.rows is None else _labels(comparison.rows),
            cell=(width * times, height * times),
        )
        while max(layout.size) > MAX_SIDE_LENGTH:
            layout = layout.scaled(0.99 * MAX_SIDE_LENGTH / max(layout.size))
        return layout

    def scaled(self, factor: float) -> _GridLayout:
        width, height = self.cell
        return replace(self, cell=(max(1, int(width * factor)), max(1, int(height * factor))))

    @property
    def across(self) -> int:
        if self.rows:
            return len(self.columns)
        lines = math.ceil(len(self.columns) / MAX_COLUMNS)
        return math.ceil(len(self.columns) / lines)

    @property
    def down(self) -> int:
        return len(self.rows) or math.ceil(len(self.columns) / self.across)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole grid in pixels."""
        width, height = self.cell
        strips = 1 if self.rows else self.down
        return (
            self.left + self.across * (width + self.gap),
            self.gap + self.line + strips * self.line + self.down * (height + self.gap),
        )

    @property
    def font(self) -> ImageFont.FreeTypeFont:
        """Legible in Discord's preview, unless the longest label would not fit."""
        width, height = self.across * self.cell[0], self.down * self.cell[1]
        legible = LEGIBLE * max(1.0, width / SHOWN_WIDTH, height / SHOWN_HEIGHT)
        columns, rows = (max(map(_font(100).getlength, labels), default=0) for labels in (self.columns, self.rows))
        longest = max(columns, rows / self.across) / 100
        fitting = self.cell[0] / longest - 1  # a little smaller, because widths do not scale exactly
        return _font(int(max(LEGIBLE, legible / 3, min(legible, fitting))))

    @property
    def line(self) -> int:
        """The height of a line of text."""
        return round(1.5 * self.font.size)

    @property
    def gap(self) -> int:
        return max(2, round(self.font.size / 4))

    @property
    def left(self) -> int:
        """Where the cells begin, to the right of the rows' labels."""
        if not self.rows:
            return self.gap
        widest = max(self.font.getlength(label) for label in self.rows)
        return 2 * self.gap + math.ceil(min(widest, self.across * self.cell[0]))

    def drawn(self, cells: Sequence[Image.Image]) -> Image.Image:
        """The cells, row by row, with all labels."""
        image = Image.new("RGB", self.size, BACKGROUND)
        write = ImageDraw.Draw(image)
        width, height = self.cell
        self._write(write, self.title, self.gap, self.gap, image.width - 2 * self.gap)
        top = self.gap + self.line
        for down in range(self.down):
            if down == 0 or not self.rows:
                labels = self.columns if self.rows else self.columns[down * self.across : (down + 1) * self.across]
                for across, label in enumerate(labels):
                    self._write(write, label, self.left + across * (width + self.gap), top, width)
                top += self.line
            if self.rows:
                self._write(write, self.rows[down], self.gap, top + (height - self.line) // 2, self.left - 2 * self.gap)
            for across, cell in enumerate(cells[down * self.across : (down + 1) * self.across]):
                image.paste(_resized(cell, self.cell), (self.left + across * (width + self.gap), top))
            top += height + self.gap
        return image

    def _write(self, write: ImageDraw.ImageDraw, text: str, left: int, top: int, room: int) -> None:
        """Centres the text vertically in its line and cuts it to `room` pixels."""
        text = _shortened(text, self.font, room)
        write.text((left, top + self.line / 2), text, fill=INK, font=self.font, anchor="lm")


def _labels(axis: Axis) -> tuple[str, ...]:
    return tuple(axis.label(value) for value in axis.values)


def _resized(cell: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Small images are enlarged by whole factors, so that pixels stay sharp."""
    whole = size[0] % cell.width == 0 and size[1] % cell.height == 0
    return cell.resize(size, Image.Resampling.NEAREST if whole else Image.Resampling.LANCZOS)


# --- Text ---


def _shortened(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    text = _spelled(text)
    if font.getlength(text) <= room:
        return text
    kept = next((end for end in range(len(text), 0, -1) if font.getlength(text[:end].rstrip() + "…") <= room), 0)
    return text[:kept].rstrip() + "…"


def _spelled(text: str) -> str:
    """The text in letters that the font has, which are the English ones; `…` replaces the others."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return re.sub("\0+", "…", "".join(each if _has(each) else "\0" for each in plain))


@lru_cache(1000)
def _has(letter: str) -> bool:
    font = _font(20)
    return bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


@lru_cache(100)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
