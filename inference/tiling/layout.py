"""The positions of the tiles that cover an area, and how much work they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inference.request import SIDE_MULTIPLE

#: The part of a drawn tile's shorter side that it shares with its neighbour.
DRAWN_OVERLAP = 0.25
#: Powers of the plastic number's inverse: any number of their multiples, modulo 1, is spread evenly over a square.
SPREADING = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True)
class Tiles:
    """Tiles of one size that cover height x width, overlapping by `overlap` or more in each direction.

    Tiles are cropped if the area is smaller. All sizes have the same unit: pixels or latent positions.
    turn: moves the inner tiles of each row and column, as far as the overlap allows; in turn 0 they are spread evenly.
    """

    height: int
    width: int
    tile_height: int
    tile_width: int
    overlap: int
    turn: int = 0

    @classmethod
    def to_draw(cls, height: int, width: int, tile_height: int, tile_width: int, turn: int = 0) -> Tiles:
        """The tiles in which an image is drawn, in latent positions."""
        return cls(height, width, tile_height, tile_width, int(DRAWN_OVERLAP * min(tile_height, tile_width)), turn)

    @property
    def tops(self) -> list[int]:
        """Where rows of tiles start."""
        return starts(self.height, self.tile_height, self.overlap, self._moved(0))

    @property
    def lefts(self) -> list[int]:
        """Where columns of tiles start."""
        return starts(self.width, self.tile_width, self.overlap, self._moved(1))

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        """The rows and columns of each tile."""
        for top in self.tops:
            for left in self.lefts:
                yield slice(top, top + self.tile_height), slice(left, left + self.tile_width)

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def _moved(self, direction: int) -> float:
        """The argument `moved` of `starts`: 0 in turn 0."""
        return 2 * ((0.5 + self.turn * SPREADING[direction]) % 1) - 1

    @property
    def area(self) -> int:
        """The sum of all tiles' areas: overlaps count several times."""
        return len(self) * min(self.tile_height, self.height) * min(self.tile_width, self.width)


def starts(length: int, tile: int, overlap: int, moved: float = 0.0) -> list[int]:
    """The starts of tiles that cover `length`; the last tile ends with it.

    moved: how far the inner tiles are moved from even spacing: -1 to 1 for as far as the overlap allows towards the
    beginning or the end.
    """
    if length <= tile:
        return [0]
    farthest = tile - overlap
    gaps = -(-(length - tile) // farthest)
    first, *inner, last = (round(i * (length - tile) / gaps) for i in range(gaps + 1))
    if not inner:
        return [first, last]
    before, after = inner[0] - first, last - inner[-1]
    room = min(before, farthest - after) if moved < 0 else min(after, farthest - before)
    by = round(moved * room)
    return [first, *(start + by for start in inner), last]


def drawn_tiles(size: tuple[int, int], tile: tuple[int, int]) -> Tiles:
    """The tiles in which an image is drawn, in latent positions. size, tile: width and height in pixels."""
    width, height = (side // SIDE_MULTIPLE for side in size)
    tile_width, tile_height = (side // SIDE_MULTIPLE for side in tile)
    return Tiles.to_draw(height, width, tile_height, tile_width)


def drawn_pixels(size: tuple[int, int], tile: tuple[int, int]) -> int:
    """The number of pixels in all tiles of an image. size, tile: as in `drawn_tiles`."""
    return drawn_tiles(size, tile).area * SIDE_MULTIPLE**2
