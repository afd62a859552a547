"""Enlarging in tiles leaves no seams, and takes little memory for each pixel more."""

import sys

import numpy as np
import pytest
from PIL import Image

from inference import Engine
from inference.miniature.commands import MODELS
from inference.miniature.evaluate_enlarging import (
    MEMORY_TARGET,
    TARGET,
    border_steps,
    bytes_per_pixel,
    enlarged,
    seams,
)
from inference.tiling.layout import drawn_tiles

STEPS = 2


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(MODELS, device="cpu")


def test_tiles_leave_no_seams_where_one_pass_has_none(engine: Engine) -> None:
    ratios = seams(engine, enlarged(engine, 2, 3, STEPS))
    assert ratios["tiles"][0] / ratios["one pass"][0] < TARGET


def test_a_seam_would_be_seen() -> None:
    size, tile = (384, 384), (128, 128)
    levels = np.random.default_rng(1).normal(128, 4, (384, 384, 3))
    tiles = drawn_tiles(size, tile)
    for rows, columns in tiles:
        levels[8 * rows.start :, 8 * columns.start :] += 1
    at, alike, _ = border_steps(Image.fromarray(levels.clip(0, 255).astype(np.uint8)), tiles, 3)
    assert at / alike > TARGET


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak as Linux tells it")
def test_a_larger_image_takes_at_most_32_bytes_for_each_further_pixel(engine: Engine) -> None:
    assert bytes_per_pixel(engine, MODELS, 1) < MEMORY_TARGET
