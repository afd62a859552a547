"""The commands' options as they were typed."""

import pytest

from bot.generation.compose import ModelInfo
from bot.generation.errors import InvalidOption
from bot.generation.options import Options
from bot.generation.typed.command import TypedOptions, parse_seed, with_tags
from inference import NativeSettings

MODEL = ModelInfo(
    NativeSettings(sizes=((64, 64),), steps=4, cfg_scale=4.0, sampler="er_sde", scheduler="simple"), ("ink", "chibi")
)


def test_omitted_options_stay_unset() -> None:
    read = TypedOptions(prompt="1girl").read(MODEL)
    assert (read.prompt, read.options, read.notes) == ("1girl", Options(), ())


def test_loras_of_options_and_prompt_come_together() -> None:
    read = TypedOptions(prompt="1girl, <lora:chibi:0.5>, smile", lora="ink:0.8").read(MODEL)
    assert read.prompt == "1girl, smile"
    assert read.options.loras == (("ink", 0.8), ("chibi", 0.5))


def test_a_lora_in_the_negative_prompt_is_removed_with_a_note() -> None:
    read = TypedOptions(prompt="1girl", negative="hat, <lora:none:1>").read(MODEL)
    assert read.options.negative == "hat" and read.options.loras is None
    assert "in the negative prompt has no effect" in read.notes[0]


@pytest.mark.parametrize(("speed", "turbo"), [(None, None), ("normal", False), ("turbo", True)])
def test_speed_is_kept_as_turbo(speed: str | None, turbo: bool | None) -> None:
    assert TypedOptions(prompt="1girl", speed=speed).read(MODEL).options.turbo is turbo


@pytest.mark.parametrize(
    ("prompt", "tags", "whole"),
    [
        ("1girl", None, "1girl"),
        ("1girl", " red hair, hat, ", "1girl, red hair, hat"),
        ("1girl,", "hat", "1girl, hat"),
        ("1girl", " , ", "1girl"),
        ("", "hat", "hat"),
    ],
)
def test_tags_stand_at_the_end_of_the_prompt(prompt: str, tags: str | None, whole: str) -> None:
    assert with_tags(prompt, tags) == whole


@pytest.mark.parametrize(
    ("typed", "seed"),
    [("5", 5), (" 5 ", 5), ("１２", 12), ("-1", None), ("－１", None), ("18446744073709551615", 2**64 - 1)],  # noqa: RUF001
)
def test_seeds_are_read_as_web_uis_write_them(typed: str, seed: int | None) -> None:
    assert parse_seed(typed) == seed


@pytest.mark.parametrize("typed", ["-2", "1.5", "twelve", "18446744073709551616", ""])
def test_an_invalid_seed_is_refused(typed: str) -> None:
    with pytest.raises(InvalidOption, match="from 0 to 18446744073709551615, or -1"):
        parse_seed(typed)


def test_one_speed_excludes_the_others() -> None:
    said = {
        speed: TypedOptions(prompt="1girl", speed=speed).read(MODEL).options for speed in ("normal", "turbo", "fast")
    }
    assert {speed: (options.turbo, options.fast) for speed, options in said.items()} == {
        "normal": (False, False),
        "turbo": (True, False),
        "fast": (False, True),
    }
