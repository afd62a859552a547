"""The image under the grid: chosen cells can be told from others whatever the image's colours."""

import io

import numpy as np
import pytest
from PIL import Image

from bot.generation.redraw.cell_picture import cell_picture


def shown(colour: str, *cells: str) -> np.ndarray:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
    return np.asarray(Image.open(io.BytesIO(cell_picture(buffer.getvalue(), cells))).convert("L"), int)


@pytest.mark.parametrize("colour", ["red", "white", "black", "blue", "gray"])
def test_a_chosen_cell_stands_out_in_lightness_on_any_colour(colour: str) -> None:
    plain, marked = shown(colour), shown(colour, "C3")
    inside = (slice(340, 440),) * 2  # of C3, well within the grid's lines
    changed = np.abs(marked - plain)[inside] > 75
    assert 0.1 < changed.mean() < 0.5, "seen well, with the image still visible between the lines"
    assert (np.abs(marked - plain)[:300] < 30).all(), "other cells are as before"
