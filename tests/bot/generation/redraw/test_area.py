"""Cells of the grid over an image: their names, their numbers and their pixels."""

import numpy as np
import pytest
from PIL import Image

from bot.generation.redraw.area import (
    CELLS,
    Area,
    box_of,
    cells_of,
    cells_of_group,
    known_cells,
    mask_of_cells,
    number_of,
)
from inference import InvalidRequest


@pytest.mark.parametrize("size", [(64, 64), (832, 1216), (7, 5), (1001, 333)])
def test_cells_cover_every_pixel_once(size: tuple[int, int]) -> None:
    covered = sum(np.asarray(mask_of_cells([cell], size), int) for cell in CELLS)
    assert (covered == 255).all()
    assert box_of("A1", size)[:2] == (0, 0) and box_of("E5", size)[2:] == size


def test_letters_run_to_the_right_and_numbers_down() -> None:
    assert (box_of("B1", (50, 100)), box_of("A2", (50, 100))) == ((10, 0, 20, 20), (0, 20, 10, 40))


def test_cells_become_a_number_and_come_back_from_it() -> None:
    assert cells_of(number_of(["E5", "A1", "C3"])) == ("A1", "C3", "E5")
    assert cells_of(number_of(CELLS)) == CELLS and cells_of(0) == () and cells_of(1 << 25) == ()


def test_invalid_cells_and_lines_are_ignored() -> None:
    assert known_cells(["E5", "Z1", "", "A1", "A1"]) == ("A1", "E5")
    assert cells_of_group("B") == ("B1", "B2", "B3", "B4", "B5") and cells_of_group("2")[0] == "A2"
    assert [cells_of_group(name) for name in ("", "A1", "Z", "AB")] == [()] * 4


def test_the_edge_is_the_outer_cells_and_around_the_middle_is_more() -> None:
    edge, around = cells_of_group("edge"), cells_of_group("around")
    assert len(edge) == 16 and not any(set(cell) <= set("BCD234") for cell in edge)
    assert set(edge) < set(around) == set(CELLS) - {"C2", "C3", "C4"}


def test_an_area_without_its_mask_redraws_nothing() -> None:
    with pytest.raises(InvalidRequest, match="mask"):
        Area(masked=True).applied(Image.new("RGB", (8, 8)), None)
