"""Error messages for invalid options, each with its limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bot.generation.values import MIN_CFG_SCALE, MIN_SIDE
from bot.text.formats import decimal
from bot.text.translation import N_, say
from inference.request import MAX_CFG_SCALE, MAX_SIDE, MAX_STEPS

#: The label of each option in panels and forms, in the order shown there.
LABELS: Mapping[str, str] = {
    "model": N_("Model"),
    "size": N_("Size"),
    "count": N_("Pictures"),
    "steps": N_("Steps"),
    "cfg_scale": N_("CFG scale"),
    "sampler": N_("Sampler"),
    "scheduler": N_("Scheduler"),
    "negative": N_("Negative prompt"),
    "artist": N_("Artists"),
    "loras": N_("LoRAs"),
    "denoise": N_("Denoise"),
    "turbo": N_("Speed"),
    "raw": N_("Raw prompt"),
    "spoiler": N_("Spoiler"),
    "private": N_("Private"),
}

#: Labels of other options, which no panel shows.
_OTHER_LABELS: Mapping[str, str] = {
    "seed": N_("Seed"),
    "variation": N_("Variation seed and strength"),
    "shift": N_("Shift"),
    "beta": N_("Beta schedule"),
    "er_sde": N_("ER-SDE settings"),
    "nag": N_("Negative prompts at CFG 1"),
    "upscaled": N_("Upscaled"),
    "fast": N_("Fast mode"),
}

#: The sentence for each type of pydantic's errors.
ERROR_SENTENCES: Mapping[str, str] = {
    "int_parsing": N_("**{what}** must be a whole number."),
    "float_parsing": N_("**{what}** must be a number."),
    "finite_number": N_("**{what}** must be a number."),
    "greater_than_equal": N_("**{what}** must be {limit} or more."),
    "less_than_equal": N_("**{what}** must be {limit} or less."),
    "string_too_long": N_("**{what}** can have at most {limit} characters."),
    "too_long": N_("**{what}** can have at most {limit} entries."),
    "other": N_("**{what}** can't have that value."),
}


#: The limits of settings that users type together in one line of a form.
RANGES: Mapping[str, tuple[float, float]] = {
    "size": (MIN_SIDE, MAX_SIDE),
    "steps": (1, MAX_STEPS),
    "cfg_scale": (MIN_CFG_SCALE, MAX_CFG_SCALE),
}


def describe_ranges(error: ValidationError) -> str:
    """The valid ranges of the settings that `Options.of` rejected."""
    names = list(dict.fromkeys(str(each["loc"][0]) for each in error.errors()))
    if not all(name in RANGES for name in names):
        return describe_validation_errors(error)
    return " ".join(map(_describe_range, names))


def _describe_range(name: str) -> str:
    least, most = RANGES[name]
    return say("{field} must be from {least} to {most}.", field=say(LABELS[name]), least=f"{least:g}", most=f"{most:g}")


def describe_validation_errors(error: ValidationError) -> str:
    """A sentence for each error of `Options.of`."""
    return " ".join(dict.fromkeys(map(_describe, error.errors())))


def _describe(mistake: Any) -> str:
    kind = mistake["type"] if mistake["type"] in ERROR_SENTENCES else "other"
    context, name = mistake.get("ctx", {}), str(mistake["loc"][0])
    limit = next((context[key] for key in ("ge", "le", "max_length") if key in context), "")
    return say(
        ERROR_SENTENCES[kind],
        what=say(LABELS[name]) if name in LABELS else say(_OTHER_LABELS[name]),
        limit=decimal(limit) if isinstance(limit, float) else limit,
    )
