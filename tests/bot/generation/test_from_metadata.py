"""From what a file says to what can be drawn here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.generation.compose import ModelInfo
from bot.generation.errors import UnusableImage
from bot.generation.from_metadata import Replay
from bot.generation.options import Options
from inference import NativeSettings
from inference.metadata import Parameters
from inference.metadata.parameters import RedrawMask
from inference.solver_settings import ErSdeSettings
from inference.weights.headers.diffusion_models import ModelFacts
from inference.weights.headers.loras import LoraFacts
from inference.weights.modelspec import TURBO

NATIVE = NativeSettings(sizes=((64, 64),), steps=4, cfg_scale=4.0, sampler="er_sde", scheduler="simple")
FACTS = {"chibi": LoraFacts(aliases=("Big Heads v2",))}
MODEL = ModelInfo(NATIVE, ("chibi", "style/flat", "old/ink", "new/ink", "a", "b", "c"), lora_facts=FACTS)


def replay(**options: Any) -> Replay:
    return Replay.of(Parameters(**{"prompt": "1girl", **options}), MODEL)


def test_settings_that_a_file_omits_do_not_come_from_the_users_defaults() -> None:
    assert replay().options == Options(negative="", artist="", count=1, loras=(), turbo=False, fast=False, raw=True)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("chibi", "chibi"),
        ("chibi.safetensors", "chibi"),
        ("style\\flat.safetensors", "style/flat"),
        ("flat", "style/flat"),
        ("elsewhere/flat", "style/flat"),
        ("old/ink", "old/ink"),
        ("ink", None),
        ("Chibi2", None),
        ("CHIBI", "chibi"),
        ("Big Heads v2", "chibi"),
        ("big heads V2.safetensors", "chibi"),
    ],
)
def test_a_lora_is_known_by_any_programs_name_unless_two_could_be_meant(name: str, known: str | None) -> None:
    found = replay(loras=((name, 0.5),))
    assert found.options.loras == (() if known is None else ((known, 0.5),))
    assert found.without == ((name,) if known is None else ())


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("anima-base-v1.0.safetensors", "anima-base-v1.0"),
        ("anima-base-v1.0", "anima-base-v1.0"),
        ("Portraits.safetensors", "mine/portraits"),
        ("mine\\portraits.safetensors", "mine/portraits"),
        ("turbo", None),
        ("noobai-xl", None),
        ("", None),
        (None, None),
    ],
)
def test_the_model_is_the_one_that_the_file_names_if_it_is_on_offer(name: str | None, known: str | None) -> None:
    models = {each: ModelFacts(each, NATIVE, None) for each in ("anima-base-v1.0", "mine/portraits", "anima-turbo")}
    several = replace(
        MODEL, name="anima-turbo", models={**models, "anima-turbo": ModelFacts("anima-turbo", TURBO, None)}
    )
    found = Replay.of(Parameters(prompt="1girl", model=name), several)
    assert found.options.model == known
    assert found.other_model == (None if known or not name else name)
    limited = Replay.of(Parameters(prompt="1girl", model=name), several, ("anima-turbo",))
    assert limited.options.model is None and limited.other_model == (name or None)


def test_no_model_is_mentioned_if_none_is_known() -> None:
    assert replay(model="anima-base-v1.0.safetensors").other_model is None


def test_loras_above_the_limit_are_left_out() -> None:
    found = replay(loras=(("a", 11.0), *((name, 1.0) for name in ("a", "b", "c", "chibi", "style/flat"))))
    assert [name for name, _ in found.options.loras or ()] == ["a", "b", "c", "chibi"]
    assert found.without == ("a", "style/flat")


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ((100, 64), (96, 64)),
        ((8, 8), (64, 64)),
        ((-5, 0), (64, 64)),
        ((2**63, 64), (2**63, 64)),
        ((None, 64), None),
    ],
)
def test_sizes_are_rounded_and_large_ones_left_for_the_limits(options: tuple[Any, Any], size: Any) -> None:
    assert replay(width=options[0], height=options[1]).options.size == size


def test_values_that_cannot_be_drawn_are_left_open_and_named() -> None:
    found = replay(steps=100_000, cfg_scale=0.5, sampler="unipc", scheduler="karras", seed=-7)
    assert found.unknown == (("Steps", "100000"), ("CFG scale", "0.5"), ("Sampler", "unipc"), ("Seed", "-7"))
    assert (found.options.steps, found.options.cfg_scale, found.options.sampler, found.options.seed) == (None,) * 4
    assert found.options.scheduler == "karras"


def test_a_seed_of_minus_one_means_any() -> None:
    found = replay(seed=-1)
    assert found.options.seed is None and found.unknown == ()


def test_a_variation_needs_its_strength() -> None:
    assert replay(variation_seed=3).options.variation is None
    assert replay(variation_seed=3, variation_strength=0.2).options.variation == (3, 0.2)


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_prompts_that_are_too_long_are_unusable(field: str) -> None:
    assert replay(**{field: "x" * 10_000})
    with pytest.raises(UnusableImage, match="limit is 10000 characters"):
        replay(**{field: "x" * 10_001})


def test_the_shape_of_a_files_schedule_is_used() -> None:
    found = replay(sampler="er_sde", extra=(("Shift", "5"), ("Beta schedule", "alpha 0.9, beta 0.3")))
    assert (found.options.shift, found.options.scheduler, found.options.beta) == (5.0, "beta", (0.9, 0.3))
    assert found.unknown == ()
    assert replay(extra=(("Shift", "3"),)).options.shift is None
    assert replay(extra=(("Shift", "1000"),)).unknown == (("Shift", "1000.0"),)


def test_the_settings_of_er_sde_in_a_file_are_used() -> None:
    text = "solver_type Reverse-time SDE, max_stage 2, eta 0.5, s_noise 1"
    found = replay(sampler="er_sde", extra=(("ER-SDE", text),))
    assert found.options.er_sde == ErSdeSettings("Reverse-time SDE", 2, eta=0.5)
    assert Options.of(found.options.as_json()).er_sde == found.options.er_sde
    assert replay(sampler="euler", extra=(("ER-SDE", text),)).options.er_sde is None


def test_at_cfg_1_the_negative_takes_part_only_where_it_did_in_the_file() -> None:
    assert replay(cfg_scale=1.0).options.nag is False
    assert replay(cfg_scale=1.0, nag=True).options.nag is None


@pytest.mark.parametrize("prompt", ["", " \n"])
def test_a_file_without_a_prompt_says_so(prompt: str) -> None:
    with pytest.raises(UnusableImage, match="no prompt inside"):
        replay(prompt=prompt)


@pytest.mark.parametrize(
    ("found", "from_image"),
    [
        ({}, False),
        ({"denoise": 0.5}, True),
        ({"source_image": "source.png"}, False),  # of which nothing is left where all of it was drawn anew
        ({"source_image": "source.png", "mask": RedrawMask(boxes=((0, 0, 8, 8),))}, True),
    ],
)
def test_it_is_known_which_images_take_another_one(found: dict[str, Any], from_image: bool) -> None:
    assert replay(**found).from_image == from_image


@pytest.mark.parametrize(
    "name",
    ["CFG rescale", "SD upscale overlap", "Ultimate SD upscale upscaler", "Schedule rho", "Postprocess upscale by"],
)
def test_settings_of_web_uis_that_cannot_be_repeated_are_named(name: str) -> None:
    assert replay(extra=((name, "1"), ("Clip skip", "2"))).unknown == ((name, "1"),)


def test_noise_that_does_not_come_from_the_cpu_is_named() -> None:
    assert replay(extra=(("RNG", "NV"),)).unknown == (("RNG", "NV"),)
    assert replay(extra=(("RNG", "CPU"),)).unknown == ()
