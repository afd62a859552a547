"""The part of its source image that a job redraws: cells of a grid, an uploaded mask, or a larger canvas's edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference import InvalidRequest

if TYPE_CHECKING:
    from PIL import Image

COLUMNS, ROWS = "ABCDE", "12345"
#: Row by row. Discord's selects have at most 25 options.
CELLS = tuple(f"{column}{row}" for row in ROWS for column in COLUMNS)
#: Names of groups: the outer cells, and all but the middle ones, which rarely show any background.
EDGE, AROUND = "edge", "around"
MIDDLE = ("C2", "C3", "C4")

#: Left, top, right and bottom, in pixels.
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Area:
    """Exactly one of these is set; together with the job's stored files, it always gives the same mask.

    cells: names from `CELLS`.
    masked: the job has a mask file.
    extension: pixels to add at the left, the top, the right and the bottom.
    """

    cells: tuple[str, ...] = ()
    masked: bool = False
    extension: Box | None = None

    def applied(self, source: Image.Image, mask: Image.Image | None) -> tuple[Image.Image, Image.Image]:
        """The image to start from, and the mask of the part to redraw. Slow.

        mask: the job's file. Raises InvalidRequest if the area needs it and it is None.
        """
        if self.extension is not None:
            from inference.editing.canvas import extend

            extended = extend(source, *self.extension)
            return extended.image, extended.mask
        if self.cells:
            return source, mask_of_cells(self.cells, source.size)
        if mask is None:
            raise InvalidRequest("mask: its file no longer exists.")
        return source, mask


def known_cells(names: Iterable[str]) -> tuple[str, ...]:
    """The valid cells, each once and in the grid's order."""
    chosen = set(names)
    return tuple(cell for cell in CELLS if cell in chosen)


def cells_of_group(name: str) -> tuple[str, ...]:
    """The cells of a column or a row, of the edge or around the middle; none for any other name."""
    if name == AROUND:
        return tuple(cell for cell in CELLS if cell not in MIDDLE)
    if name == EDGE:
        outer = {COLUMNS[0], COLUMNS[-1], ROWS[0], ROWS[-1]}
        return tuple(cell for cell in CELLS if outer & set(cell))
    return tuple(cell for cell in CELLS if name and name in cell and len(name) == 1)


def number_of(cells: Iterable[str]) -> int:
    """Cells as a number of 25 bits, which fits into a custom_id."""
    return sum(1 << CELLS.index(cell) for cell in set(cells))


def cells_of(number: int) -> tuple[str, ...]:
    return tuple(cell for at, cell in enumerate(CELLS) if number >> at & 1)


def box_of(cell: str, size: tuple[int, int]) -> Box:
    """The box of a cell in an image of this size."""
    column, row = COLUMNS.index(cell[0]), ROWS.index(cell[1])
    (left, right), (top, bottom) = (
        (round(side * at / count), round(side * (at + 1) / count))
        for side, at, count in ((size[0], column, len(COLUMNS)), (size[1], row, len(ROWS)))
    )
    return left, top, right, bottom


def mask_of_cells(cells: Iterable[str], size: tuple[int, int]) -> Image.Image:
    """White in these cells, black elsewhere."""
    from PIL import Image

    mask = Image.new("L", size)
    for cell in cells:
        mask.paste(255, box_of(cell, size))
    return mask
