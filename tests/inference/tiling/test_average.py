"""Tiles cover every place, and what is made of them is their average."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inference.tiling.average import TileAverage
from inference.tiling.layout import Tiles
from tests.inference.strict_mps import NAME, StrictMps


@st.composite
def tilings(draw: st.DrawFn) -> Tiles:
    tile_height, tile_width = draw(st.integers(2, 20)), draw(st.integers(2, 20))
    overlap = draw(st.integers(0, min(tile_height, tile_width) - 1))
    turn = draw(st.integers(0, 1000))
    return Tiles(draw(st.integers(1, 70)), draw(st.integers(1, 70)), tile_height, tile_width, overlap, turn)


@given(tilings())
def test_tiles_cover_the_area_and_neighbours_overlap(tiles: Tiles) -> None:
    covered = torch.zeros(tiles.height, tiles.width)
    rows, columns = ({place.start for place in places} for places in zip(*tiles, strict=True))
    for row, column in tiles:
        covered[row, column] += 1
    assert covered.min() >= 1
    assert len(list(tiles)) == len(tiles)
    for starts, tile, length in (
        (sorted(rows), tiles.tile_height, tiles.height),
        (sorted(columns), tiles.tile_width, tiles.width),
    ):
        assert all(after - before <= tile - tiles.overlap for before, after in pairwise(starts))
        assert (starts[0], starts[-1] + min(tile, length)) == (0, length)


@given(tilings())
def test_in_every_turn_the_weights_of_each_place_sum_to_one_and_there_is_as_much_to_do(tiles: Tiles) -> None:
    total = torch.zeros(tiles.height, tiles.width, dtype=torch.float64)
    average = TileAverage(tiles, total)
    for rows, columns in tiles:
        average.add(rows, columns, torch.ones_like(total[rows, columns]))
    torch.testing.assert_close(total, torch.ones_like(total))
    assert tiles.area == replace(tiles, turn=0).area


@given(tilings(), st.sampled_from([1, 8]))
def test_the_average_of_tiles_of_one_image_is_that_image(tiles: Tiles, scale: int) -> None:
    image = torch.rand(2, 3, scale * tiles.height, scale * tiles.width)
    total = torch.zeros_like(image)
    average = TileAverage(tiles, total, scale)
    for rows, columns in tiles:
        top, left = scale * rows.start, scale * columns.start
        part = image[..., top : scale * rows.stop, left : scale * columns.stop]
        average.add(rows, columns, part)
    torch.testing.assert_close(total, image)


def test_tiles_count_less_towards_their_edges_where_they_overlap() -> None:
    tiles = Tiles(1, 12, 1, 8, 4)
    total = torch.zeros(1, 12)
    average = TileAverage(tiles, total)
    for number, (rows, columns) in enumerate(tiles):
        average.add(rows, columns, torch.full((1, 8), float(number)))
    shared = total[0, 4:8]
    assert total[0, :4].tolist() == [0.0] * 4 and total[0, 8:].tolist() == pytest.approx([1.0] * 4)
    hann = torch.tensor([math.sin(math.pi * (place + 0.5) / 8) ** 2 for place in range(4)])
    torch.testing.assert_close(shared, hann)
    torch.testing.assert_close(shared + shared.flip(0), torch.ones(4))


def test_tiles_are_put_together_on_a_device_without_float64() -> None:
    tiles = Tiles.to_draw(9, 12, 4, 4)
    with StrictMps():
        values = torch.rand(1, 2, 9, 12).to(NAME)
        total = torch.zeros_like(values)
        average = TileAverage(tiles, total)
        for rows, columns in tiles:
            average.add(rows, columns, values[..., rows, columns])
        assert torch.allclose(total.cpu(), values.cpu(), atol=1e-6)
