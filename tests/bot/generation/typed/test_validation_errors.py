"""An option that cannot be used is named, with its limit."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bot.generation.options import Options
from bot.generation.typed.validation_errors import describe_validation_errors
from inference.request import MAX_STEPS


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("steps", MAX_STEPS + 1, f"**Steps** must be {MAX_STEPS} or less."),
        ("cfg_scale", 0.5, "**CFG scale** must be 1 or more."),
        ("cfg_scale", float("nan"), "**CFG scale** must be a number."),
        ("denoise", 0.0, "**Denoise** must be 0.05 or more."),
        ("seed", -5, "**Seed** must be 0 or more."),
        ("loras", [("a", 20.0)], "**LoRAs** must be 10 or less."),
        ("artist", "a" * 300, "**Artists** can have at most 200 characters."),
        ("sampler", "brush", "**Sampler** can't have that value."),
    ],
)
def test_a_mistake_names_the_option_and_its_limit(option: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Options.of({option: value})
    assert describe_validation_errors(caught.value) == sentence
