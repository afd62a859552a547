"""What a job costs, which jobs share a batch, and what the engine gets of one."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
from PIL import Image

from bot.generation.spec import JobSpec
from inference import NativeSettings
from tests.bot.generation.test_recipe import RECIPE

NATIVE = NativeSettings(sizes=((832, 1216),), steps=30, cfg_scale=4.0, sampler="er_sde", scheduler="simple")


def test_an_image_with_default_settings_costs_one_credit() -> None:
    assert JobSpec(recipes=(RECIPE,)).cost(NATIVE) == pytest.approx(1)


def test_more_work_costs_more_and_images_add_up() -> None:
    half_the_steps = replace(RECIPE, steps=15)
    without_guidance = replace(RECIPE, cfg_scale=1.0)
    twice_as_wide = replace(RECIPE, width=1664)
    recipes = (half_the_steps, without_guidance, twice_as_wide)
    assert [JobSpec(recipes=(recipe,)).cost(NATIVE) for recipe in recipes] == pytest.approx([0.5, 0.5, 2])
    assert JobSpec(recipes=recipes).cost(NATIVE) == pytest.approx(3)


@pytest.mark.parametrize(
    ("sampler", "cfg_scale", "calls"),
    [
        ("euler", 4.0, 30),
        ("heun", 4.0, 59),
        ("seeds_3", 4.0, 88),
        ("heunpp2", 4.0, 87),
        ("heun", 1.0, 59 / 2),
        ("euler_cfg_pp", 4.0, 30),
        ("euler_cfg_pp", 1.0, 30),
    ],
)
def test_what_the_network_is_asked_is_charged_and_not_the_steps(sampler: str, cfg_scale: float, calls: float) -> None:
    recipe = replace(RECIPE, sampler=sampler, cfg_scale=cfg_scale)
    assert JobSpec(recipes=(recipe,)).cost(NATIVE) == pytest.approx(calls / 30)


def test_an_adaptive_solver_costs_the_same_whatever_the_steps() -> None:
    costs = {JobSpec(recipes=(replace(RECIPE, sampler="dpm_adaptive", steps=steps),)).cost(NATIVE) for steps in (1, 50)}
    assert len(costs) == 1


def test_a_model_whose_own_sampler_asks_twice_still_costs_one_credit() -> None:
    native = replace(NATIVE, sampler="heun")
    assert JobSpec(recipes=(replace(RECIPE, sampler="heun"),)).cost(native) == pytest.approx(1)


def test_overlapping_tiles_are_charged_for_all_their_work() -> None:
    tiled = replace(RECIPE, width=1872, height=2736, tile=(832, 1216))
    assert tiled.tiles == 9
    assert JobSpec(recipes=(tiled,)).cost(NATIVE) == pytest.approx(9)
    assert JobSpec(recipes=(replace(tiled, tile=None),)).cost(NATIVE) == pytest.approx(9 * 9 / 16)
    assert JobSpec.of(Mock(parameters=JobSpec(recipes=(tiled,)).as_json())).recipes == (tiled,)


def test_jobs_share_a_batch_if_their_images_do() -> None:
    one, more = JobSpec(recipes=(RECIPE,)), JobSpec(recipes=(RECIPE, replace(RECIPE, seed=8)))
    assert one.batch_key() == more.batch_key()
    assert one.batch_key() != JobSpec(recipes=(RECIPE, replace(RECIPE, width=1024))).batch_key()


def test_each_image_becomes_a_request_with_the_jobs_source() -> None:
    source = Image.new("RGB", (8, 8))
    requests = JobSpec(recipes=(RECIPE, replace(RECIPE, seed=8, denoise=0.5))).requests(source)
    assert [(request.seed, request.denoise, request.image) for request in requests] == [
        (7, 1, source),
        (8, 0.5, source),
    ]
