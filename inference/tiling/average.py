"""Averages the results of overlapping tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from inference.tiling.layout import Tiles


class TileAverage:
    """Averages tiles, with weights that fall off towards each tile's edges, without storing a 2D map of weights.

    A tile's weight at a position is a row weight times a column weight, and so is the sum of the weights of all tiles.
    """

    def __init__(self, tiles: Tiles, total: Tensor, scale: int = 1) -> None:
        """total: zeros [..., scale * height, scale * width], to which the tiles are added."""
        self._total = total
        self._scale = scale
        self._rows = self._sums(tiles.height, tiles.tile_height, tiles.tops)
        self._columns = self._sums(tiles.width, tiles.tile_width, tiles.lefts)

    def add(self, rows: slice, columns: slice, values: Tensor) -> None:
        """Add a tile's result, [..., scale * its height, scale * its width]."""
        top, left = self._scale * rows.start, self._scale * columns.start
        height, width = values.shape[-2:]
        place = self._total[..., top : top + height, left : left + width]
        down = (_window(height) / self._rows[top : top + height])[:, None]
        across = _window(width) / self._columns[left : left + width]
        place += values.to(place) * _beside(down, place) * _beside(across, place)

    def _sums(self, length: int, tile: int, starts: Sequence[int]) -> Tensor:
        total = torch.zeros(self._scale * length, dtype=torch.float64)
        size = self._scale * min(tile, length)
        for start in starts:
            total[self._scale * start : self._scale * start + size] += _window(size)
        return total


def _beside(weights: Tensor, place: Tensor) -> Tensor:
    """Weights in the dtype of a place, converted before they are moved: some devices have no float64."""
    return weights.to(place.dtype).to(place.device)


def _window(length: int) -> Tensor:
    """Weights float64 [length] from almost 0 at both ends to 1 in the middle (Hann), which hide the edges."""
    position = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    return torch.sin(math.pi * position) ** 2
