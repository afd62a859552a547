"""Models as people type them: found by name, file, choice or variant; the others are named where there is none."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest

from bot.generation.errors import InvalidOption
from bot.generation.typed.models import parse_model
from inference.weights.headers.diffusion_models import ModelFacts
from inference.weights.modelspec import AESTHETIC, ANIMA, TURBO

MODELS = {
    facts.name: facts
    for facts in (
        ModelFacts("anima-base-v1.0", ANIMA, None),
        ModelFacts("anima-turbo-v1.0", TURBO, None),
        ModelFacts("がんばる", replace(ANIMA, variant="preview"), None),
        ModelFacts("mine/Portraits", replace(AESTHETIC, variant="base"), None),
    )
}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("anima-base-v1.0", "anima-base-v1.0"),
        ("  ANIMA-Base-v1.0 ", "anima-base-v1.0"),
        ("anima-base-v1.0.safetensors", "anima-base-v1.0"),
        ("portraits", "mine/Portraits"),
        (unicodedata.normalize("NFD", "がんばる"), "がんばる"),
        ("mine\\Portraits", "mine/Portraits"),
        ("anima-turbo-v1.0 — turbo model, loaded", "anima-turbo-v1.0"),
        ("Turbo", "anima-turbo-v1.0"),
        (None, None),
        ("  ", None),
    ],
)
def test_a_model_is_found_as_people_write_it(typed: str | None, meant: str | None) -> None:
    assert parse_model(typed, MODELS) == meant


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("Base", "anima-base-v1.0, mine/Portraits"),  # a variant of two
        ("portraits", "mine/Portraits, yours/Portraits"),
        ("Portraits.safetensors — base model", "mine/Portraits, yours/Portraits"),
    ],
)
def test_an_ambiguous_model_name_lists_the_candidates_and_how_to_choose(typed: str, names: str) -> None:
    models = MODELS | {"yours/Portraits": ModelFacts("yours/Portraits", TURBO, None)}
    with pytest.raises(InvalidOption) as error:
        parse_model(typed, models)
    assert str(error.value).endswith(f"matches several models: {names}. Write the whole name of one, with its folder.")
    assert parse_model("Yours\\portraits", models) == "yours/Portraits"


def test_a_name_with_its_folder_means_no_other_folder_whatever_the_case() -> None:
    models = MODELS | {"yours/portraits": ModelFacts("yours/portraits", TURBO, None)}
    assert parse_model("mine/portraits", models) == "mine/Portraits"
    assert parse_model("Yours/Portraits.safetensors", models) == "yours/portraits"


@pytest.mark.parametrize("typed", ["anima", "aesthetic", "no **such**"])
def test_an_unknown_model_name_lists_the_known_ones(typed: str) -> None:
    with pytest.raises(InvalidOption) as error:
        parse_model(typed, MODELS)
    assert str(error.value).endswith("There are: anima-base-v1.0, anima-turbo-v1.0, がんばる, mine/Portraits.")
    assert "**such**" not in str(error.value)


def test_an_unknown_model_name_names_the_only_model() -> None:
    with pytest.raises(InvalidOption, match=r"The only one here is anima-turbo-v1\.0\."):
        parse_model("anima-base-v1.0", {"anima-turbo-v1.0": MODELS["anima-turbo-v1.0"]})
