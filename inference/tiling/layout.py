"""Where tiles are: which ones cover an area, and how much work all of them are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inference.request import SIDE_MULTIPLE

#: How much of its shorter side a tile that is drawn shares with its neighbour.
DRAWN_OVERLAP = 0.25
#: Their multiples, modulo 1, fill a square evenly, however many there are: powers of one over the plastic number.
SPREADING = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True)
class Tiles:
    """Tiles of one size that cover height x width, overlapping by `overlap` or more in each direction.

    A tile is cut to the area where the area is smaller. Everything is counted in the same unit: pixels or positions.
    turn: the tiles between the first and the last of a row or column lie elsewhere in each, as far as the overlap
    allows; in turn 0 all are spread evenly.
    """

    height: int
    width: int
    tile_height: int
    tile_width: int
    overlap: int
    turn: int = 0

    @classmethod
    def to_draw(cls, height: int, width: int, tile_height: int, tile_width: int, turn: int = 0) -> Tiles:
        """The tiles that an image is drawn in, in latent positions."""
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
        """As `starts` takes it: 0 in the first turn."""
        return 2 * ((0.5 + self.turn * SPREADING[direction]) % 1) - 1

    @property
    def area(self) -> int:
        """The area of all tiles together: overlaps count several times."""
        return len(self) * min(self.tile_height, self.height) * min(self.tile_width, self.width)


def starts(length: int, tile: int, overlap: int, moved: float = 0.0) -> list[int]:
    """Where tiles start that cover `length`; the last ends with it.

    moved: where those between the first and the last lie: evenly, or as far as the overlap allows towards the beginning
    (-1) or the end (1).
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
    """Those that an image is drawn in, in latent positions. size, tile: width and height in pixels."""
    width, height = (side // SIDE_MULTIPLE for side in size)
    tile_width, tile_height = (side // SIDE_MULTIPLE for side in tile)
    return Tiles.to_draw(height, width, tile_height, tile_width)


def drawn_pixels(size: tuple[int, int], tile: tuple[int, int]) -> int:
    """The pixels of all tiles of an image. size, tile: as in `drawn_tiles`."""
    return drawn_tiles(size, tile).area * SIDE_MULTIPLE**2
