"""The training images: written, spoilt and loaded."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.miniature.characters import random_character
from inference.miniature.data import DEGRADATIONS, Record, degrade, load_images


@given(st.integers(0, 2**32), st.sampled_from([None, *DEGRADATIONS]))
def test_a_record_survives_being_written(seed: int, degradation: str | None) -> None:
    record = Record(random_character(random.Random(seed), held_out=False), degradation)
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("how", DEGRADATIONS)
def test_degrading_spoils_a_picture_and_keeps_its_shape(how: str) -> None:
    picture = np.kron(np.random.default_rng(0).integers(0, 255, (14, 10, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    spoilt = degrade(picture, how, random.Random(0))
    assert spoilt.shape == picture.shape
    assert spoilt.dtype == np.uint8
    assert np.abs(spoilt.astype(int) - picture).mean() > 5


def test_pictures_are_loaded_by_size_with_their_records(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    rng = random.Random(0)
    for number, (width, height) in enumerate([(96, 96), (80, 112), (96, 96)]):
        path = tmp_path / "pictures" / f"train-{number:04}"
        np.save(path.with_suffix(".npy"), np.full((2, height, width, 3), number, np.uint8))
        records = [Record(random_character(rng, held_out=False)) for _ in range(2)]
        path.with_suffix(".jsonl").write_text("".join(record.to_json() + "\n" for record in records))
    square, portrait = load_images(tmp_path, "train")
    assert (square.size, len(square.records)) == ((96, 96), 4)
    assert (portrait.size, len(portrait.records)) == ((80, 112), 2)
    assert square.pixels[:, 0, 0, 0].tolist() == [0, 0, 2, 2]


def test_missing_pictures_are_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the data stage first"):
        load_images(tmp_path, "train")
