"""What was said lies over a preset, that over a person's defaults, those over the server's, those over the model's."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bot.generation.options import Options
from inference import NativeSettings

NATIVE = NativeSettings(sizes=((832, 1216), (64, 64)), steps=30, cfg_scale=4.0, sampler="er_sde", scheduler="simple")

OPTIONS = some.builds(
    Options,
    negative=some.none() | some.text(max_size=20),
    artist=some.none() | some.sampled_from(["", "nnn yryr"]),
    size=some.none() | some.sampled_from([(64, 64), (832, 1216)]),
    count=some.none() | some.integers(1, 4),
    steps=some.none() | some.integers(1, 100),
    cfg_scale=some.none() | some.floats(1, 20),
    sampler=some.none() | some.sampled_from(["euler", "heun"]),
    seed=some.none() | some.integers(0, 2**64 - 1),
    loras=some.none() | some.sampled_from([(), (("ink", 0.7),)]),
    turbo=some.none() | some.booleans(),
    raw=some.none() | some.booleans(),
    variation=some.none() | some.tuples(some.integers(0, 2**64 - 1), some.floats(0, 1)),
    private=some.none() | some.booleans(),
)


@given(OPTIONS, OPTIONS, OPTIONS)
def test_the_upper_layer_wins_wherever_it_sets_an_option(upper: Options, middle: Options, lower: Options) -> None:
    holds = upper.merged_over(middle).merged_over(lower)
    for name in (field.name for field in fields(Options)):
        said = [getattr(layer, name) for layer in (upper, middle, lower) if getattr(layer, name) is not None]
        assert getattr(holds, name) == (said[0] if said else None)


@given(OPTIONS, OPTIONS, OPTIONS)
def test_layers_can_be_merged_from_either_end(upper: Options, middle: Options, lower: Options) -> None:
    assert upper.merged_over(middle).merged_over(lower) == upper.merged_over(middle.merged_over(lower))


def test_empty_and_off_count_as_set() -> None:
    """`negative:` of one's own that is empty, no LoRA and turbo off stand against what lies below."""
    below = Options(negative="hat", loras=(("ink", 1.0),), turbo=True, private=True)
    said = Options(negative="", loras=(), turbo=False, private=False)
    assert said.merged_over(below) == said


@given(OPTIONS)
def test_options_survive_being_stored(options: Options) -> None:
    assert Options.of(options.as_json()) == options


@given(OPTIONS)
def test_with_the_model_as_last_layer_every_required_option_is_set(options: Options) -> None:
    holds = options.merged_over(Options.of_model(NATIVE))
    left_open = {field.name for field in fields(Options) if getattr(holds, field.name) is None}
    assert left_open <= {"model", "seed", "variation", "beta", "er_sde", "upscaled"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 1001},
        {"count": 5},
        {"size": [65, 64]},
        {"size": [64]},
        {"cfg_scale": float("nan")},
        {"cfg_scale": 0.5},
        {"sampler": "none of ours"},
        {"scheduler": "none of ours"},
        {"seed": 2**64},
        {"seed": -1},
        {"denoise": 0},
        {"loras": [["ink", 11]]},
        {"loras": [["", 1]]},
        {"loras": [[f"ink{number}", 1] for number in range(5)]},
        {"variation": [1, 1.5]},
        {"negative": "x" * 10_001},
        {"artist": "x" * 201},
    ],
)
def test_invalid_options_cannot_be_read_back(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Options.of(wrong)


def test_unknown_keys_are_ignored() -> None:
    assert Options.of({"steps": 7, "of another version": 1}) == replace(Options(), steps=7)
