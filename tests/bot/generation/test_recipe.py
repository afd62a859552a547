"""What decides one image, and which images can be drawn in one batch."""

from dataclasses import replace
from typing import Any

import pytest

from bot.generation.recipe import MAX_NEW_SEED, Recipe, seeds_from

RECIPE = Recipe(
    prompt="a fox",
    negative_prompt="text",
    width=832,
    height=1216,
    steps=30,
    cfg_scale=4.0,
    sampler="er_sde",
    scheduler="simple",
    seed=7,
)


@pytest.mark.parametrize(
    "own",
    [
        {"prompt": "a hare"},
        {"negative_prompt": ""},
        {"seed": 8},
        {"cfg_scale": 5.0},
        {"variation_seed": 9, "variation_strength": 0.5},
    ],
    ids=lambda own: next(iter(own)),
)
def test_images_that_differ_only_in_what_each_has_for_itself_share_a_batch(own: dict[str, Any]) -> None:
    assert replace(RECIPE, **own).batch_key == RECIPE.batch_key


@pytest.mark.parametrize(
    "other",
    [
        {"width": 1024},
        {"height": 1024},
        {"steps": 20},
        {"cfg_scale": 1.0},
        {"sampler": "euler"},
        {"scheduler": "karras"},
        {"loras": (("style", 1.0),)},
        {"denoise": 0.5},
    ],
    ids=lambda other: next(iter(other)),
)
def test_images_that_the_engine_draws_apart_share_no_batch(other: dict[str, Any]) -> None:
    assert replace(RECIPE, **other).batch_key != RECIPE.batch_key


def test_the_queue_and_the_engine_make_batches_by_the_same_key() -> None:
    assert RECIPE.batch_key == RECIPE.request(None).batch_key


def test_seeds_follow_one_another_from_the_one_that_was_given() -> None:
    assert seeds_from(2**64 - 1, 3) == (2**64 - 1, 0, 1)


def test_new_seeds_are_short_enough_to_be_typed() -> None:
    seeds = seeds_from(None, 4)
    assert len(set(seeds)) == 4
    assert all(0 <= seed <= MAX_NEW_SEED for seed in seeds)
    assert MAX_NEW_SEED < 2**53  # which ComfyUI's page, in JavaScript, takes exactly
